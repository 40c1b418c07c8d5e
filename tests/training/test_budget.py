"""The budget of a recipe: when it validates, when it has converged, and which ends contradict each other."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_fakes import block

from fusionlab.errors import UserError
from fusionlab.records.signature import NEUTRAL
from fusionlab.training.recipe import CAP, Recipe, parse_recipe
from fusionlab.training.schedules import DROPS, GAIN, Plateau, count_waits

PLATEAU = {"name": "plateau", "factor": 0.1, "wait": 2}
CONVERGED: dict[str, Any] = {"until": "converged", "weights": "best", "schedule": PLATEAU}


def places(recipe: Recipe, steps_per_epoch: int) -> list[int]:
    numbers = range(1, recipe.most_validations(steps_per_epoch) + 1)
    return [recipe.validation_step(number, steps_per_epoch) for number in numbers]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 30))
def test_validations_lie_evenly_and_the_last_at_the_end(validations: int, epochs: int, steps_per_epoch: int) -> None:
    steps = epochs * steps_per_epoch
    rounded = {floor(Fraction(k * steps, validations) + Fraction(1, 2)) for k in range(1, validations + 1)} - {0}
    recipe = parse_recipe(block(epochs=epochs, validations=validations))
    assert places(recipe, steps_per_epoch) == sorted(rounded)
    assert places(recipe, steps_per_epoch)[-1] == steps


@given(st.integers(1, 9), st.integers(1, 30))
def test_without_a_number_there_is_one_after_each_epoch(epochs: int, steps_per_epoch: int) -> None:
    recipe = parse_recipe(block(epochs=epochs))
    assert places(recipe, steps_per_epoch) == [k * steps_per_epoch for k in range(1, epochs + 1)]


def test_a_training_until_it_converges_has_the_distances_of_its_budget() -> None:
    one, long = (parse_recipe(block(epochs=3, validations=4, **more)) for more in ({}, CONVERGED))
    assert places(one, 6) == [5, 9, 14, 18]
    assert places(long, 6) == [18 * budget + place for budget in range(CAP) for place in places(one, 6)]


def test_a_budget_multiplies_the_epochs_and_the_schedule() -> None:
    assert parse_recipe(block(epochs=3, budget=2, validations=4)) == parse_recipe(block(epochs=6, validations=4))


def test_the_neutral_values_are_those_of_a_recipe_without_the_options() -> None:
    names = ("weights", "validations", "measure", "until", "budget")
    for stage in ("streams.", "fusion.", ""):
        neutral = {name: NEUTRAL[f"optim.{stage}{name}"] for name in names}
        assert parse_recipe(block(**neutral)) == parse_recipe(block())


# -- convergence


def waits_of(losses: list[float], wait: int, gain: float) -> int:
    """The whole waits between two new lowest losses, added up; the places of these are searched for one by one."""
    lowest = [0]
    while True:
        below = [i for i in range(lowest[-1] + 1, len(losses)) if losses[i] < (1 - gain) * losses[lowest[-1]]]
        if not below:
            break
        lowest.append(below[0])
    return sum((b - a - 1) // wait for a, b in pairwise([*lowest, len(losses)]))


LOSSES = st.lists(st.sampled_from([1.0, 0.999, 0.995, 0.991, 0.989, 0.985, 0.98, 0.97, 0.9, 0.5, 2.0]), min_size=1)


@given(LOSSES, st.integers(1, 4), st.sampled_from([0.0, GAIN]))
def test_waits_are_those_between_two_lowest_losses(losses: list[float], wait: int, gain: float) -> None:
    assert count_waits(losses, wait, gain) == waits_of(losses, wait, gain)


@given(LOSSES, st.integers(1, 4))
def test_the_rate_falls_twice_and_the_third_wait_is_the_end(losses: list[float], wait: int) -> None:
    recipe = parse_recipe(block(**{**CONVERGED, "schedule": {**PLATEAU, "wait": wait}}))
    waits = waits_of(losses, wait, GAIN)
    assert recipe.schedule(99, 100, losses, 1) == pytest.approx(0.1 ** min(waits, DROPS))
    assert recipe.schedule.converged(losses) is (waits >= 3)
    plain = Plateau(wait=wait)
    assert plain(99, 100, losses, 1) == pytest.approx(0.1 ** waits_of(losses, wait, 0.0)) and not plain.converged(
        losses
    )


def test_a_loss_that_creeps_down_is_measured_from_the_last_new_lowest() -> None:
    """Each is half a percent below the one before, so every third is one percent below the last that counted."""
    losses = [0.995**k for k in range(28)]
    assert count_waits(losses, 3, GAIN) == 0
    assert count_waits(losses, 1, GAIN) == 18, "two between 1 and 0.995³, two between it and 0.995⁶ …"


# -- what is refused


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"until": "converged"}, "cosine does not react", "optim.….schedule.name=plateau"),
        ({"until": "converged", "schedule": {"name": "constant"}}, "constant does not react", "schedule.name=plateau"),
        ({**CONVERGED, "weights": "last"}, "keeps its best weights", "optim.….weights=best"),
        ({**CONVERGED, "patience": 2}, "two rules for one end", "optim.….patience=0"),
        ({"weights": "last", "patience": 2}, "patience ends an arm", "optim.….weights=best"),
        ({"weights": "first"}, "unknown choice for weights", None),
        ({"measure": "nlll"}, "unknown choice for measure", "did you mean optim.….measure=nll"),
        ({"until": "converge"}, "unknown choice for until", "did you mean optim.….until=converged"),
        ({"validations": -1}, "validations is a whole number", None),
        ({"validations": 2.5}, "validations is a whole number", None),
        ({"budget": 0}, "budget is a whole number", "optim.….budget=1"),
        ({"budget": True}, "budget is a whole number", "optim.….budget=1"),
    ],
)
def test_what_contradicts_itself_is_answered(changes: dict[str, Any], message: str, hint: str | None) -> None:
    with pytest.raises(UserError, match=message) as error:
        parse_recipe(block(**changes))
    assert hint is None or hint in str(error.value.hint)
