"""A training that repeats another one has its rates at each step, stops at its best step, and needs its curve."""

from __future__ import annotations

from typing import Any

import pytest
from training_fakes import block

from fusionlab.errors import UserError
from fusionlab.training.recipe import parse_recipe
from fusionlab.training.replay import replay

EPOCH = 6  # steps of the other training; a longer list has 8
LOSSES = [1.0, 0.9, 0.95, 0.8, 0.81, 0.85]
PLATEAU = {"name": "plateau", "factor": 0.5, "wait": 1, "warmup": 3}


def result(best: int, losses: list[float | None] | None = None) -> dict[str, Any]:
    every = losses or LOSSES
    rows = [
        {"step": 3 * (at + 1), "epoch": (at + 1) / 2 if at % 2 == 0 else (at + 1) // 2, "val_loss": one}
        for at, one in enumerate(every)
    ]
    return {"best_step": best, "curves": rows}


@pytest.mark.parametrize("schedule", [PLATEAU, {"name": "cosine", "warmup": 2}, {"name": "constant"}])
def test_the_rate_at_each_step_is_that_of_the_other_training(schedule: dict[str, Any]) -> None:
    recipe = parse_recipe(block(schedule=schedule, validations=6, first={"from_layer": "fc6", "epochs": 2}))
    again = replay(recipe, result(12))
    for step in range(12):
        known = [loss for at, loss in enumerate(LOSSES) if 3 * (at + 1) <= step]
        assert again.rate(step, 8, []) == recipe.rate(step, EPOCH, known)
    assert (again.total_steps(8), again.most_steps(8), again.most_validations(8)) == (12, 12, 4)
    assert [again.validation_step(number, 8) for number in (1, 2, 3, 4)] == [3, 6, 9, 12]
    assert again.first_steps(8) == recipe.first_steps(EPOCH) == 12, "the first phase has as many steps too"
    assert (again.weights, again.until, again.patience) == ("last", "budget", 0)


def test_the_drops_are_where_the_validation_saturated() -> None:
    recipe = parse_recipe(block(schedule=PLATEAU))
    assert replay(recipe, result(18)).drops == [9, 15], "none at the end, after which there is no step"
    assert replay(recipe, result(12)).drops == [9]
    assert replay(parse_recipe(block()), result(18)).drops == []


@pytest.mark.parametrize(
    "wrong", [{"curves": []}, result(13), {**result(12), "best_step": None}, result(12, [1.0, None, 0.9, 0.8])]
)
def test_a_record_without_the_validations_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="no validations up to its best step"):
        replay(parse_recipe(block()), wrong)
