"""How one arm is trained: a block of conf/optim/*.yaml, checked once; its optimiser, its precision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from fusionlab.errors import UserError, expect_whole, unknown
from fusionlab.training.schedules import Constant, Saturation, Schedule, parse_schedule

OF_DATA = ("batch_size", "passes", "draws")  # of the clips of a step; `config/stage.py` reads them
SHARED = (
    "name", "lr", "weight_decay", "epochs", "steps", "budget", "validations", "measure", "until", "weights",
    "patience", "clip", "schedule", "class_weights", "micro_batch", "bias_rate", "bias_decay", "from_layer", "first",
    *OF_DATA,
)  # fmt: skip
# optimiser -> its further numbers in conf/optim/<name>.yaml
OWN_NUMBERS: dict[str, tuple[str, ...]] = {"adam": ("betas",), "sgd": ("momentum",)}
# Options with a few values; the first is the neutral one.
CHOICES: dict[str, tuple[str, ...]] = {
    "weights": ("best", "last"), "measure": ("loss", "nll"), "until": ("budget", "converged"),
    "class_weights": ("none", "balanced"),
}  # fmt: skip
CAP = 4  # budgets that an arm may use with `until: converged`


@dataclass(frozen=True)
class FirstPhase:
    """The epochs in which a stream's tower is trained from `from_layer` upwards alone."""

    from_layer: str | None = None
    epochs: int = 0


@dataclass(frozen=True)
class Recipe:
    """How one arm is trained: its optimiser, schedule and limits.

    `epochs`: of the budget, which the option `budget` has multiplied; or `steps` instead. `patience`: validations
    without a new lowest loss before the arm stops, 0 = never. `clip`: the largest norm of the arm's own gradient, 0 =
    no limit. `own`: the optimiser's further numbers (adam: betas; sgd: momentum). `validations`: in the budget, 0 = one
    an epoch. `measure`: what a validation measures, the net's own loss or the NLL of the scored output. `until`: the
    end of the training. `weights`: those that are kept. `micro_batch`: clips of a forward pass; None: the batch's.
    `bias_rate`, `bias_decay`: factors on the rate and the decay of biases. `from_layer`: the lowest layer of a stream's
    tower that is trained; None: all are. `class_weights`: of the training loss, see `balanced_weights`.
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
    steps: int | None = None
    micro_batch: int | None = None
    bias_rate: float = 1.0
    bias_decay: float = 1.0
    from_layer: str | None = None
    first: FirstPhase = field(default_factory=FirstPhase)

    @property
    def budgets(self) -> int:
        """The number of budgets that the training may use."""
        return CAP if self.until == "converged" else 1

    def total_steps(self, steps_per_epoch: int) -> int:
        """The steps of the budget."""
        return self.epochs * steps_per_epoch if self.steps is None else self.steps

    def most_steps(self, steps_per_epoch: int) -> int:
        """The steps of the training, if it does not end before."""
        return self.total_steps(steps_per_epoch) * self.budgets

    def first_steps(self, steps_per_epoch: int) -> int:
        """The steps of the first phase."""
        return self.first.epochs * steps_per_epoch

    def rate(self, step: int, steps_per_epoch: int, losses: Sequence[float]) -> float:
        """The rate of the step after `step` steps, where validations had these losses."""
        return self.lr * self.schedule(step, self.total_steps(steps_per_epoch), losses, steps_per_epoch)

    def validations_of_budget(self, steps_per_epoch: int) -> int:
        """At most one for each step."""
        steps = self.total_steps(steps_per_epoch)
        return min(self.validations or max(1, steps // max(1, steps_per_epoch)), steps)

    def most_validations(self, steps_per_epoch: int) -> int:
        """The number of the last validation, if the arm does not end before."""
        return self.validations_of_budget(steps_per_epoch) * self.budgets

    def validation_step(self, number: int, steps_per_epoch: int) -> int:
        """The step after which validation `number`, from 1, comes: round(number · S / N).

        S are the steps of the budget, N its validations. A longer training has them at the same distances.
        """
        steps, count = self.total_steps(steps_per_epoch), self.validations_of_budget(steps_per_epoch)
        return (2 * number * steps + count) // (2 * count)


def parse_recipe(block: Mapping[str, Any]) -> Recipe:
    """One block (`streams:` or `fusion:`) of an optim yaml, without what it says of the data."""
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
    epochs, steps = _length(numbers)
    if (micro := numbers.get("micro_batch")) is not None:
        expect_whole("optim.….micro_batch", micro)
    made = Recipe(
        name=name,
        lr=math.nan if numbers["lr"] is None else float(numbers["lr"]),  # null: open, chosen by another training
        epochs=epochs * budget,
        weight_decay=float(numbers.get("weight_decay", 0.0)),
        patience=int(numbers.get("patience", 0)),
        clip=float(numbers.get("clip", 0.0)),
        schedule=parse_schedule(numbers.get("schedule", {"name": "constant"})).stretched(budget),
        own={leaf: numbers[leaf] for leaf in OWN_NUMBERS[name]},
        validations=validations,
        measure=words["measure"],
        until=words["until"],
        weights=words["weights"],
        class_weights=words["class_weights"],
        steps=steps and steps * budget,
        micro_batch=micro,
        bias_rate=float(numbers.get("bias_rate", 1.0)),
        bias_decay=float(numbers.get("bias_decay", 1.0)),
        from_layer=numbers.get("from_layer"),
        first=_first(numbers.get("first", {}), budget),
    )
    least = {leaf: getattr(made, leaf) for leaf in ("weight_decay", "patience", "clip", "bias_rate", "bias_decay")}
    infinite = not all(map(math.isfinite, least.values())) or math.isinf(made.lr)
    if infinite or made.lr <= 0 or made.total_steps(1) < 1 or min(least.values()) < 0:
        got = {"lr": made.lr, "epochs": made.epochs, **least}
        raise UserError(f"invalid numbers of the optimiser {name}", got=got, hint="lr > 0, epochs ≥ 1, the others ≥ 0")
    if made.steps is None and made.first.epochs >= made.epochs * made.budgets:
        raise UserError(
            "the first phase is as long as the training, so what lies below it is never trained",
            got=f"epochs={made.epochs}, first.epochs={made.first.epochs}",
            hint=f"optim.….from_layer={made.first.from_layer} instead; or fewer epochs of the first phase",
        )  # fmt: skip
    for leaf, value in made.own.items():  # betas, momentum: how much of the past is kept
        several = value if isinstance(value, list | tuple) else [value]
        if not all(isinstance(one, int | float) and 0 <= one < 1 for one in several):
            raise UserError(f"{leaf} lies between 0 and 1", got=f"{leaf}={value}", hint="0 ≤ … < 1")
    return _ending(made)


def _length(numbers: Mapping[str, Any]) -> tuple[int, int | None]:
    """Epochs and steps of the budget, of which a recipe has one."""
    epochs, steps = numbers["epochs"], numbers.get("steps")
    if (epochs is None) == (steps is None):
        raise UserError(
            "a recipe has a number of epochs, or a number of steps",
            got=f"epochs={_typed(epochs)}, steps={_typed(steps)}",
            hint="optim.….steps=null with the epochs, or optim.….epochs=null with the steps",
        )  # fmt: skip
    if steps is not None:
        expect_whole("optim.….steps", steps)
    return int(epochs or 0), steps


def _typed(value: Any) -> Any:
    return "null" if value is None else value


def _first(block: Mapping[str, Any], budget: int) -> FirstPhase:
    """The first phase: both of its numbers, or none."""
    for leaf in block:
        if leaf not in ("from_layer", "epochs"):
            raise unknown("number of the first phase", leaf, ("from_layer", "epochs"), form="optim.….first.{}")
    layer, epochs = block.get("from_layer"), block.get("epochs", 0)
    expect_whole("optim.….first.epochs", epochs, 0)
    if (layer is None) != (epochs == 0):
        raise UserError(
            "the first phase needs a layer and a number of epochs", got=f"from_layer={_typed(layer)}, epochs={epochs}",
            hint="'optim.….first={from_layer: fc6, epochs: 2}', or 'optim.….first={from_layer: null, epochs: 0}'",
        )  # fmt: skip
    return FirstPhase(layer, epochs * budget)


def _ending(recipe: Recipe) -> Recipe:
    """The recipe with the schedule that its end needs; a `UserError` for ends that contradict each other."""
    patient = f"patience={recipe.patience}"
    if recipe.until == "converged":
        schedule, usual = recipe.schedule, "until=budget"
        if not schedule.reacts:
            raise UserError(
                f"an arm converges under the schedule plateau alone; {schedule.name} does not react to the validation",
                got=f"until=converged, schedule.name={schedule.name}",
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
