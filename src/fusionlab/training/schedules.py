"""Schedules: a factor on a recipe's rate, a pure function of the step and of the arm's own validation losses.

It has no state to save, and an arm in company has the rates that it would have alone.

    step    steps taken so far, from 0          steps   steps that the recipe takes in all
    losses  the arm's validation losses so far  epoch   steps of an epoch
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, ClassVar

from fusionlab.errors import UserError, is_whole, unknown

# Of `until: converged`.
GAIN = 0.01  # a new lowest loss is lower by this share
DROPS = 2  # of the rate; the next wait ends the arm
PER = ("step", "epoch")  # what `at` counts, in the schedule steps


def ramp(step: int, warmup: int) -> float:
    """(step + 1) / (warmup + 1), at most 1: the rate rises linearly for `warmup` steps and is never 0."""
    return min(1.0, (step + 1) / (warmup + 1))


def is_rate(value: object) -> bool:
    """Whether this is a finite number above 0."""
    return type(value) in (int, float) and 0 < value < math.inf  # type: ignore[operator]


@dataclass(frozen=True)
class Schedule:
    """A factor on the rate: a ramp of `warmup` steps, times the schedule's own factor."""

    name: ClassVar[str]
    reacts: ClassVar[bool] = False  # to the validation
    falls: ClassVar[bool] = False  # at steps that are fixed before the training
    warmup: int = 0

    def __call__(self, step: int, steps: int, losses: Sequence[float], epoch: int) -> float:
        return ramp(step, self.warmup) * self.decay(step, steps, losses, epoch)

    def decay(self, step: int, steps: int, losses: Sequence[float], epoch: int) -> float:
        raise NotImplementedError

    def converged(self, losses: Sequence[float]) -> bool:
        """Whether an arm with these losses has ended. Only `until: converged` has such an end."""
        return False

    def valid(self) -> bool:
        """Whether the schedule can have these numbers."""
        return is_whole(self.warmup) and self.warmup >= 0

    def stretched(self, budget: int) -> Schedule:
        """The schedule of a training that is `budget` times as long."""
        return self


class Constant(Schedule):
    """The factor 1."""

    name = "constant"

    def decay(self, step: int, steps: int, losses: Sequence[float], epoch: int) -> float:
        return 1.0


class Cosine(Schedule):
    """½ (1 + cos(π step / steps))."""

    name, falls = "cosine", True

    def decay(self, step: int, steps: int, losses: Sequence[float], epoch: int) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / steps)))


@dataclass(frozen=True)
class Steps(Schedule):
    """factors[k − 1] once k of `at` have passed, and 1 before: the rate changes at given steps, or epochs (`per`)."""

    name, falls = "steps", True
    at: Sequence[int] = ()
    factors: Sequence[float] = ()
    per: str = "step"

    def decay(self, step: int, steps: int, losses: Sequence[float], epoch: int) -> float:
        passed = sum(step >= one * (epoch if self.per == "epoch" else 1) for one in self.at)
        return self.factors[passed - 1] if passed else 1.0

    def valid(self) -> bool:
        if not all(isinstance(one, list | tuple) for one in (self.at, self.factors)) or self.per not in PER:
            return False
        rising = all(map(is_whole, self.at)) and all(one < other for one, other in pairwise((0, *self.at)))
        return super().valid() and rising and len(self.factors) == len(self.at) > 0 and all(map(is_rate, self.factors))

    def stretched(self, budget: int) -> Schedule:
        return replace(self, at=[one * budget for one in self.at])


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

    name, reacts = "plateau", True
    factor: float = 0.1
    wait: int = 2

    def decay(self, step: int, steps: int, losses: Sequence[float], epoch: int) -> float:
        return self.factor ** count_waits(losses, self.wait)

    def valid(self) -> bool:
        waits = is_whole(self.wait) and self.wait >= 1
        return super().valid() and waits and is_rate(self.factor) and self.factor <= 1


class Saturation(Plateau):
    """The plateau of `until: converged`: a new lowest loss is 1 % lower, the rate drops twice, then the arm ends."""

    def decay(self, step: int, steps: int, losses: Sequence[float], epoch: int) -> float:
        return self.factor ** min(count_waits(losses, self.wait, GAIN), DROPS)

    def converged(self, losses: Sequence[float]) -> bool:
        return count_waits(losses, self.wait, GAIN) > DROPS


SCHEDULES: dict[str, type[Schedule]] = {kind.name: kind for kind in (Constant, Cosine, Plateau, Steps)}


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
        hint = "at: rising whole numbers from 1, a factor for each, per: step or epoch" if name == "steps" else None
        hint = hint or "warmup ≥ 0; of a plateau wait ≥ 1 and 0 < factor ≤ 1"
        raise UserError(f"invalid numbers of the schedule {name}", got=dict(block), hint=hint)
    return made
