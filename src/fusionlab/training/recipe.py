"""How one arm is trained: a block of conf/optim/*.yaml, checked once; its schedule, its optimiser, its precision.

A schedule is a factor on the recipe's rate, a pure function of the step and of the arm's own validation losses. It
has no state to save, and an arm in company has the rates that it would have alone.

    step    steps taken so far, from 0          steps   steps the recipe will take in all
    losses  the arm's validation losses so far, one an epoch
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch

from fusionlab.errors import UserError, unknown

SHARED = ("name", "lr", "weight_decay", "batch_size", "epochs", "patience", "clip", "schedule")
# optimiser -> its further numbers in conf/optim/<name>.yaml
OWN_NUMBERS: dict[str, tuple[str, ...]] = {"adam": ("betas",), "sgd": ("momentum",)}

# -- schedules


def ramp(step: int, warmup: int) -> float:
    """(step + 1) / (warmup + 1), at most 1: the rate rises linearly for `warmup` steps and is never 0."""
    return min(1.0, (step + 1) / (warmup + 1))


@dataclass(frozen=True)
class Schedule:
    """A factor on the rate: a ramp of `warmup` steps, times the schedule's own factor."""

    warmup: int = 0

    def __call__(self, step: int, steps: int, losses: Sequence[float]) -> float:
        return ramp(step, self.warmup) * self.decay(step, steps, losses)

    def decay(self, step: int, steps: int, losses: Sequence[float]) -> float:
        raise NotImplementedError

    def valid(self) -> bool:
        """Whether the schedule can have these numbers."""
        return self.warmup >= 0


class Constant(Schedule):
    """The factor 1."""

    def decay(self, step: int, steps: int, losses: Sequence[float]) -> float:
        return 1.0


class Cosine(Schedule):
    """½ (1 + cos(π step / steps))."""

    def decay(self, step: int, steps: int, losses: Sequence[float]) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / steps)))


@dataclass(frozen=True)
class Plateau(Schedule):
    """factor^k, where k counts how often the validation loss had no new lowest value for `wait` epochs.

    After each drop the count starts again. This is the papers' "drop by ten once the validation saturates".
    """

    factor: float = 0.1
    wait: int = 2

    def decay(self, step: int, steps: int, losses: Sequence[float]) -> float:
        return self.factor ** self.drops(losses)

    def drops(self, losses: Sequence[float]) -> int:
        lowest, since, drops = math.inf, 0, 0
        for loss in losses:
            lowest, since = (loss, 0) if loss < lowest else (lowest, since + 1)
            if since == self.wait:
                since, drops = 0, drops + 1
        return drops

    def valid(self) -> bool:
        return super().valid() and self.wait >= 1


SCHEDULES: dict[str, type[Schedule]] = {"constant": Constant, "cosine": Cosine, "plateau": Plateau}


def parse_schedule(block: Mapping[str, Any]) -> Schedule:
    """{name: cosine, warmup: 20} -> Cosine(warmup=20); a leaf that the schedule lacks is an error."""
    numbers = dict(block)
    name = str(numbers.pop("name", "constant"))
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES, form="schedule.name={}")
    own = [field.name for field in fields(SCHEDULES[name])]
    for leaf in numbers:
        if leaf not in own:
            raise unknown(f"number of the schedule {name}", leaf, own, form="schedule.{}")
    made = SCHEDULES[name](**numbers)
    if not made.valid():
        raise UserError(f"invalid numbers of the schedule {name}", got=dict(block), hint="warmup ≥ 0, wait ≥ 1")
    return made


# -- recipes


@dataclass(frozen=True)
class Recipe:
    """How one arm is trained: its optimiser, schedule and limits.

    `patience`: validations without a new lowest loss before the arm stops, 0 = never. `clip`: the largest norm of the
    arm's own gradient, 0 = no limit. `own`: the optimiser's further numbers (adam: betas; sgd: momentum).
    """

    name: str
    lr: float
    epochs: int
    weight_decay: float = 0.0
    patience: int = 0
    clip: float = 0.0
    schedule: Schedule = field(default_factory=Constant)
    own: Mapping[str, Any] = field(default_factory=dict)


def parse_recipe(block: Mapping[str, Any]) -> Recipe:
    """One block (`streams:` or `fusion:`) of an optim yaml. `batch_size` is the data's and is ignored here."""
    numbers = dict(block)
    name = str(numbers.get("name"))
    if name not in OWN_NUMBERS:
        raise unknown("optimiser", name, OWN_NUMBERS, form="optim={}")
    allowed = (*SHARED, *OWN_NUMBERS[name])
    for leaf in numbers:
        if leaf not in allowed:
            raise unknown(f"number of the optimiser {name}", leaf, allowed, form="optim.….{}")
    for leaf in ("lr", "epochs", *OWN_NUMBERS[name]):
        if leaf not in numbers:
            raise UserError(f"the optimiser {name} lacks {leaf}", got=sorted(numbers), allowed=allowed)
    made = Recipe(
        name=name,
        lr=float(numbers["lr"]),
        epochs=int(numbers["epochs"]),
        weight_decay=float(numbers.get("weight_decay", 0.0)),
        patience=int(numbers.get("patience", 0)),
        clip=float(numbers.get("clip", 0.0)),
        schedule=parse_schedule(numbers.get("schedule", {"name": "constant"})),
        own={leaf: numbers[leaf] for leaf in OWN_NUMBERS[name]},
    )
    if made.lr <= 0 or made.epochs < 1 or min(made.weight_decay, made.patience, made.clip) < 0:
        got = {leaf: getattr(made, leaf) for leaf in ("lr", "epochs", "weight_decay", "patience", "clip")}
        raise UserError(f"invalid numbers of the optimiser {name}", got=got, hint="lr > 0, epochs ≥ 1, the others ≥ 0")
    for leaf, value in made.own.items():  # betas, momentum: how much of the past is kept
        several = value if isinstance(value, list | tuple) else [value]
        if not all(isinstance(one, int | float) and 0 <= one < 1 for one in several):
            raise UserError(f"{leaf} lies between 0 and 1", got=f"{leaf}={value}", hint="0 ≤ … < 1")
    return made


def make_optimiser(name: str, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
    """The one optimiser of a cohort.

    `groups`: {"params", "lr", "weight_decay", the own numbers of `name`} for each arm. Every update is elementwise and
    each group has its own rate, so an arm's step does not depend on other arms. `fused` is torch's single kernel per
    group: on one CPU thread it takes a fraction of the time of the default loop of small operations, with the same
    arithmetic for one arm or many.
    """
    if name == "adam":
        return torch.optim.Adam([{**g, "betas": tuple(g["betas"])} for g in groups], fused=True)
    assert name == "sgd", name
    return torch.optim.SGD(list(groups), fused=True)


# -- precision

FLOAT32 = "32-true"  # on a GPU too: its convolutions would otherwise use TF32, which keeps 10 bits of 23
TF32 = "tf32"  # float32 with products in TF32 on a GPU: a step of VGG-M's takes 0.4 of the time on an H200
BF16 = "bf16-mixed"  # bfloat16 where autocast uses it; weights, and all tests, in float32
# float16 is missing: it would need one loss scale for all arms, which couples them.
PRECISIONS = (FLOAT32, TF32, BF16)


def expect_precision(precision: str) -> None:
    """Raise a `UserError` for a precision in which no cohort can be trained."""
    if precision not in PRECISIONS:
        raise UserError(
            "a cohort cannot be trained in this precision", got=f"trainer.precision={precision}",
            allowed=PRECISIONS, hint="trainer=float32",
        )  # fmt: skip


def configure_torch(precision: str, threads: int) -> None:
    """Set torch's precision and threads: once in a process, before anything is computed.

    On the CPU, float32 and TF32 are the same. A test has the precision of its arm's training, but is never in bfloat16.
    """
    torch.set_num_threads(threads)
    tensor_cores = precision == TF32
    torch.backends.cudnn.allow_tf32 = tensor_cores
    torch.backends.cuda.matmul.allow_tf32 = tensor_cores
