"""A training that repeats what another one chose: its rate, the steps at which the rate drops, the step of its end.

The rate at a step is the rate that the other one had at that step, whatever the schedule: it is computed by the other
recipe from the other validation losses. Steps are not scaled to the length of the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fusionlab.errors import UserError
from fusionlab.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Replay(Recipe):
    """`of`: the recipe of the other training. `epoch`: steps of its epoch. `ends`, `losses`: its validations."""

    of: Recipe
    epoch: int
    ends: tuple[int, ...]
    losses: tuple[float, ...]

    def total_steps(self, steps_per_epoch: int) -> int:
        return self.ends[-1]

    def validations_of_budget(self, steps_per_epoch: int) -> int:
        return len(self.ends)

    def validation_step(self, number: int, steps_per_epoch: int) -> int:
        return self.ends[number - 1]

    def rate(self, step: int, steps_per_epoch: int, losses: Sequence[float]) -> float:
        return self.of.rate(step, self.epoch, self._losses(step))

    def first_steps(self, steps_per_epoch: int) -> int:
        return self.first.epochs * self.epoch

    @property
    def drops(self) -> list[int]:
        """The steps after which the rate dropped, because the validation had saturated."""
        if not self.of.schedule.reacts:
            return []
        factors = [self.of.schedule.decay(0, 1, self.losses[:number], 1) for number in range(len(self.ends))]
        return [end for end, before, after in zip(self.ends, factors, factors[1:], strict=False) if after < before]

    def _losses(self, step: int) -> tuple[float, ...]:
        """The losses of the validations up to a step."""
        return self.losses[: sum(end <= step for end in self.ends)]


def replay(recipe: Recipe, result: Mapping[str, Any]) -> Replay:
    """The repetition of a training with this recipe, up to the weights that it kept. `result`: of its record."""
    stop = result.get("best_step")
    rows = [row for row in result.get("curves", ()) if stop is not None and 0 < row["step"] <= stop]
    if not rows or rows[-1]["step"] != stop or any(row.get("val_loss") is None for row in rows):
        raise UserError(
            "the record of the training that chose has no validations up to its best step", got=f"best_step={stop}"
        )
    numbers = {one.name: getattr(recipe, one.name) for one in fields(Recipe)}
    fixed = {"weights": "last", "until": "budget", "patience": 0}
    last = rows[-1]
    return Replay(
        **{**numbers, **fixed}, of=recipe, epoch=round(last["step"] / last["epoch"]),
        ends=tuple(row["step"] for row in rows), losses=tuple(row["val_loss"] for row in rows),
    )  # fmt: skip
