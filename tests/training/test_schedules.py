"""Schedules against torch's own, step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_fakes import block

from fusionlab.errors import UserError
from fusionlab.training.recipe import parse_recipe
from fusionlab.training.schedules import Plateau, Steps, parse_schedule


def optimiser(lr: float = 0.01) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))], lr=lr)


def test_equal_factors_are_those_of_multi_step_lr() -> None:
    sgd = optimiser()
    theirs = torch.optim.lr_scheduler.MultiStepLR(sgd, milestones=[3, 7, 8], gamma=0.1)
    ours = Steps(at=[3, 7, 8], factors=[0.1, 0.01, 0.001])
    for step in range(12):
        assert 0.01 * ours(step, 12, (), 4) == pytest.approx(sgd.param_groups[0]["lr"], rel=1e-12)
        sgd.step()
        theirs.step()


@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_any_factors_by_epoch_are_those_of_lambda_lr(epoch: int) -> None:
    rates = {0: 1.0, 1: 1.0, 2: 0.5, 3: 0.05, 4: 0.05}
    sgd = optimiser()
    theirs = torch.optim.lr_scheduler.LambdaLR(sgd, lambda number: rates[number])  # stepped once in an epoch
    ours = Steps(at=[2, 3], factors=[0.5, 0.05], per="epoch")
    for step in range(4 * epoch):
        assert 0.01 * ours(step, 5 * epoch, (), epoch) == pytest.approx(sgd.param_groups[0]["lr"], rel=1e-12)
        sgd.step()
        if step % epoch == epoch - 1:
            theirs.step()


def test_the_papers_rates() -> None:
    scratch = Steps(at=[50_000, 70_000], factors=[0.1, 0.01])
    places = (0, 49_999, 50_000, 69_999, 70_000, 79_999)
    assert [scratch(step, 80_000, (), 37) for step in places] == [1, 1, 0.1, 0.1, 0.01, 0.01]


@given(st.lists(st.floats(0.1, 3.0), max_size=30), st.integers(1, 4), st.sampled_from([0.1, 0.5]))
def test_the_plateau_is_that_of_reduce_lr_on_plateau(losses: list[float], wait: int, factor: float) -> None:
    sgd = optimiser(1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        sgd, mode="min", factor=factor, patience=wait - 1, threshold=0.0, eps=0.0
    )
    for count in range(len(losses)):
        theirs.step(losses[count])
        ours = Plateau(factor=factor, wait=wait)(9, 10, losses[: count + 1], 1)
        assert ours == pytest.approx(sgd.param_groups[0]["lr"], rel=1e-9)


@pytest.mark.parametrize("per", ["step", "epoch"])
def test_a_budget_stretches_the_steps_with_the_training(per: str) -> None:
    steps = {"name": "steps", "at": [2, 5], "factors": [0.1, 0.01], "per": per}
    first = {"from_layer": "fc6", "epochs": 1}
    one, two = (parse_recipe(block(epochs=None, steps=8, budget=n, schedule=steps, first=first)) for n in (1, 2))
    assert (two.total_steps(4), two.first.epochs) == (2 * one.total_steps(4), 2)
    assert [two.rate(step, 4, ()) for step in range(0, 64, 2)] == [one.rate(step, 4, ()) for step in range(32)]


def test_the_steps_of_a_budget_do_not_follow_from_the_epoch() -> None:
    recipe = parse_recipe(block(epochs=None, steps=20, validations=4))
    assert [recipe.validation_step(k, 7) for k in (1, 2, 3, 4)] == [5, 10, 15, 20]
    assert recipe.most_validations(7) == 4 and recipe.most_steps(7) == 20
    once = parse_recipe(block(epochs=None, steps=20))
    assert [once.most_validations(epoch) for epoch in (1, 7, 50)] == [20, 2, 1], "about one in an epoch"


@pytest.mark.parametrize(
    "numbers",
    [
        {}, {"at": [5]}, {"at": [5, 5], "factors": [0.1, 0.1]}, {"at": [5, 3], "factors": [0.1, 0.1]},
        {"at": [0], "factors": [0.1]}, {"at": [1.5], "factors": [0.1]}, {"at": [5], "factors": [0.0]},
        {"at": [5], "factors": [0.1], "per": "week"}, {"at": 5, "factors": [0.1]},
        {"at": [5], "factors": [0.1], "warmup": -1},
    ],
)  # fmt: skip
def test_wrong_steps_are_answered(numbers: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="rising whole numbers"):
        parse_schedule({"name": "steps", **numbers})
