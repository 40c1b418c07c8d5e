"""How one arm is trained: a block of conf/optim/*.yaml, checked once; its schedule, its optimiser, its precision.

A schedule is a factor on the recipe's rate, a pure function of the step and of the arm's own validation losses. It
has no state to save, and an arm in company has the rates that it would have alone.

    step    steps taken so far, from 0          steps   steps the recipe will take in all
    losses  the arm's validation losses so far
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch

from fusionlab.errors import UserError, expect_whole, unknown

SHARED = (
    "name", "lr", "weight_decay", "batch_size", "epochs", "budget", "validations", "measure", "until", "weights",
    "patience", "clip", "schedule", "class_weights",
)  # fmt: skip
# optimiser -> its further numbers in conf/optim/<name>.yaml
OWN_NUMBERS: dict[str, tuple[str, ...]] = {"adam": ("betas",), "sgd": ("momentum",)}
# Options with a few values; the first is the neutral one.
CHOICES: dict[str, tuple[str, ...]] = {
    "weights": ("best", "last"), "measure": ("loss", "nll"), "until": ("budget", "converged"),
    "class_weights": ("none", "balanced"),
}  # fmt: skip
# Of `until: converged`.
GAIN = 0.01  # a new lowest loss is lower by this share
DROPS = 2  # of the rate; the next wait ends the arm
CAP = 4  # budgets that an arm may use

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

    def converged(self, losses: Sequence[float]) -> bool:
        """Whether an arm with these losses has ended. Only `until: converged` has such an end."""
        return False

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


def count_waits(losses: Sequence[float], wait: int, gain: float = 0.0) -> int:
    """How often `wait` losses in a row brought no new lowest one; after each time the count starts again.

    A loss is a new lowest one if it is below (1 − gain) · the last such loss.
    """
    lowest, since, waits = math.inf, 0, 0
    for loss in losses:
        lowest, since = (loss, 0) if loss < (1 - gain) * lowest else (lowest, since + 1)
        if since == wait:
            since, waits = 0, waits + 1
    return waits


@dataclass(frozen=True)
class Plateau(Schedule):
    """factor^k, where k counts how often the validation loss had no new lowest value for `wait` validations.

    After each drop the count starts again. This is the papers' "drop by ten once the validation saturates".
    """

    factor: float = 0.1
    wait: int = 2

    def decay(self, step: int, steps: int, losses: Sequence[float]) -> float:
        return self.factor ** count_waits(losses, self.wait)

    def valid(self) -> bool:
        return super().valid() and self.wait >= 1


class Saturation(Plateau):
    """The plateau of `until: converged`: a new lowest loss is 1 % lower, the rate drops twice, then the arm ends."""

    def decay(self, step: int, steps: int, losses: Sequence[float]) -> float:
        return self.factor ** min(count_waits(losses, self.wait, GAIN), DROPS)

    def converged(self, losses: Sequence[float]) -> bool:
        return count_waits(losses, self.wait, GAIN) > DROPS


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

    `epochs`: of the budget, which the option `budget` has multiplied. `patience`: validations without a new lowest loss
    before the arm stops, 0 = never. `clip`: the largest norm of the arm's own gradient, 0 = no limit. `own`: the
    optimiser's further numbers (adam: betas; sgd: momentum). `validations`: in the budget, 0 = one an epoch. `measure`:
    what a validation measures, the net's own loss or the NLL of the scored output. `until`: the end of the training.
    `weights`: those that are kept. `class_weights`: of the training loss, see `balanced_weights`.
    """

    name: str
    lr: float
    epochs: int
    weight_decay: float = 0.0
    patience: int = 0
    clip: float = 0.0
    schedule: Schedule = field(default_factory=Constant)
    own: Mapping[str, Any] = field(default_factory=dict)
    validations: int = 0
    measure: str = "loss"
    until: str = "budget"
    weights: str = "best"
    class_weights: str = "none"

    @property
    def budgets(self) -> int:
        """The number of budgets that the training may use."""
        return CAP if self.until == "converged" else 1

    def validations_of_budget(self, steps_per_epoch: int) -> int:
        """At most one for each step."""
        return min(self.validations or self.epochs, self.epochs * steps_per_epoch)

    def most_validations(self, steps_per_epoch: int) -> int:
        """The number of the last validation, if the arm does not end before."""
        return self.validations_of_budget(steps_per_epoch) * self.budgets

    def validation_step(self, number: int, steps_per_epoch: int) -> int:
        """The step after which validation `number`, from 1, comes: round(number · S / N).

        S are the steps of the budget, N its validations. A longer training has them at the same distances.
        """
        steps, count = self.epochs * steps_per_epoch, self.validations_of_budget(steps_per_epoch)
        return (2 * number * steps + count) // (2 * count)


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
    words = {option: str(numbers.get(option, choices[0])) for option, choices in CHOICES.items()}
    for option, word in words.items():
        if word not in CHOICES[option]:
            raise unknown(f"choice for {option}", word, CHOICES[option], form=f"optim.….{option}={{}}")
    budget, validations = numbers.get("budget", 1), numbers.get("validations", 0)
    expect_whole("optim.….budget", budget)
    expect_whole("optim.….validations", validations, 0)
    made = Recipe(
        name=name,
        lr=float(numbers["lr"]),
        epochs=int(numbers["epochs"]) * budget,
        weight_decay=float(numbers.get("weight_decay", 0.0)),
        patience=int(numbers.get("patience", 0)),
        clip=float(numbers.get("clip", 0.0)),
        schedule=parse_schedule(numbers.get("schedule", {"name": "constant"})),
        own={leaf: numbers[leaf] for leaf in OWN_NUMBERS[name]},
        validations=validations,
        measure=words["measure"],
        until=words["until"],
        weights=words["weights"],
        class_weights=words["class_weights"],
    )
    if made.lr <= 0 or made.epochs < 1 or min(made.weight_decay, made.patience, made.clip) < 0:
        got = {leaf: getattr(made, leaf) for leaf in ("lr", "epochs", "weight_decay", "patience", "clip")}
        raise UserError(f"invalid numbers of the optimiser {name}", got=got, hint="lr > 0, epochs ≥ 1, the others ≥ 0")
    for leaf, value in made.own.items():  # betas, momentum: how much of the past is kept
        several = value if isinstance(value, list | tuple) else [value]
        if not all(isinstance(one, int | float) and 0 <= one < 1 for one in several):
            raise UserError(f"{leaf} lies between 0 and 1", got=f"{leaf}={value}", hint="0 ≤ … < 1")
    return _ending(made)


def _ending(recipe: Recipe) -> Recipe:
    """The recipe with the schedule that its end needs; a `UserError` for ends that contradict each other."""
    patient = f"patience={recipe.patience}"
    if recipe.until == "converged":
        schedule, usual = recipe.schedule, "until=budget"
        if not isinstance(schedule, Plateau):
            name = next(name for name, kind in SCHEDULES.items() if kind is type(schedule))
            raise UserError(
                f"an arm converges under the schedule plateau alone; {name} does not react to the validation",
                got=f"until=converged, schedule.name={name}",
                hint=f"optim.….schedule.name=plateau with it, or optim.….{usual}",
            )
        if recipe.weights == "last":
            raise UserError(
                "an arm that has converged keeps its best weights", got="until=converged, weights=last",
                hint=f"optim.….weights=best with it, or optim.….{usual}",
            )  # fmt: skip
        if recipe.patience:
            raise UserError(
                "two rules for one end: until=converged, and patience", got=f"until=converged, {patient}",
                hint=f"optim.….patience=0 with it, or optim.….{usual}",
            )  # fmt: skip
        return replace(recipe, schedule=Saturation(**vars(schedule)))
    if recipe.patience and recipe.weights == "last":
        raise UserError(
            "patience ends an arm some validations after its best one, and weights=last keeps those of the end",
            got=f"{patient}, weights=last", hint="optim.….weights=best with it, or optim.….patience=0",
        )  # fmt: skip
    return recipe


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
