"""How an arm's learning rate moves: pure functions of the step and of the arm's own validation losses.

A schedule is a factor on the recipe's rate. Nothing here carries state, so nothing has to be saved or
restored, and an arm in company has the rates it would have alone.

    step    steps taken so far, from 0          steps   steps the recipe will take in all
    losses  the arm's validation losses so far, one an epoch
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from fusionlab.errors import UserError, unknown


class Schedule(Protocol):
    def __call__(self, step: int, steps: int, losses: Sequence[float]) -> float: ...


def ramp(step: int, warmup: int) -> float:
    """(step + 1) / (warmup + 1), at most 1: the first `warmup` steps climb in a line and none has rate 0."""
    return min(1.0, (step + 1) / (warmup + 1))


@dataclass(frozen=True)
class Constant:
    """1, after `warmup` steps of ramp."""

    warmup: int = 0

    def __call__(self, step: int, steps: int, losses: Sequence[float]) -> float:
        return ramp(step, self.warmup)


@dataclass(frozen=True)
class Cosine:
    """½ (1 + cos(π step / steps)), after `warmup` steps of ramp."""

    warmup: int = 0

    def __call__(self, step: int, steps: int, losses: Sequence[float]) -> float:
        return ramp(step, self.warmup) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / steps)))


@dataclass(frozen=True)
class Plateau:
    """factor^k, k = the times the validation loss went `wait` epochs without a new lowest (the papers' "drop
    by ten once the validation saturates"); each drop starts the count anew."""

    warmup: int = 0
    factor: float = 0.1
    wait: int = 2

    def __call__(self, step: int, steps: int, losses: Sequence[float]) -> float:
        return ramp(step, self.warmup) * self.factor ** self.drops(losses)

    def drops(self, losses: Sequence[float]) -> int:
        lowest, since, drops = math.inf, 0, 0
        for loss in losses:
            lowest, since = (loss, 0) if loss < lowest else (lowest, since + 1)
            if since == self.wait:
                since, drops = 0, drops + 1
        return drops


SCHEDULES: dict[str, type[Constant] | type[Cosine] | type[Plateau]] = {
    "constant": Constant,
    "cosine": Cosine,
    "plateau": Plateau,
}


def schedule(block: Mapping[str, Any]) -> Schedule:
    """{name: cosine, warmup: 20} -> Cosine(warmup=20); a leaf that the named schedule does not read is an
    error."""
    numbers = dict(block)
    name = str(numbers.pop("name", "constant"))
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES, form="schedule.name={}")
    own = [field.name for field in fields(SCHEDULES[name])]
    for leaf in numbers:
        if leaf not in own:
            raise unknown(f"number of the schedule {name}", leaf, own, form="schedule.{}")
    made = SCHEDULES[name](**numbers)
    if made.warmup < 0 or (isinstance(made, Plateau) and made.wait < 1):
        raise UserError(f"a schedule of {name} cannot have these numbers", got=dict(block), hint="warmup ≥ 0, wait ≥ 1")
    return made
