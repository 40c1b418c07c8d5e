from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from training_fakes import block

from fusionlab.errors import UserError
from fusionlab.training.optimiser import OWN_NUMBERS
from fusionlab.training.recipe import recipe
from fusionlab.training.schedule import SCHEDULES, Constant, Cosine, Plateau, schedule

CONF = Path(__file__).parents[2] / "conf" / "optim"


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_yaml_is_two_recipes(file: Path) -> None:
    blocks = yaml.safe_load(file.read_text())
    assert set(blocks) == {"streams", "fusion"}
    for one in blocks.values():
        assert one["name"] == file.stem and one["batch_size"] > 0
        made = recipe(one)
        assert set(made.own) == set(OWN_NUMBERS[file.stem])


def test_every_optimiser_and_schedule_has_its_choice() -> None:
    assert {file.stem for file in CONF.glob("*.yaml")} == set(OWN_NUMBERS)
    assert {schedule({"name": name}).__class__.__name__.lower() for name in SCHEDULES} == set(SCHEDULES)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "adan"}, "did you mean optim=adam"),
        ({"momentum": 0.9}, "unknown number of the optimiser adam"),
        ({"lr": 0.0}, "lr > 0"),
        ({"epochs": 0}, "epochs ≥ 1"),
        ({"clip": -1.0}, "the others ≥ 0"),
        ({"schedule": {"name": "cosin"}}, "did you mean schedule.name=cosine"),
        ({"schedule": {"name": "cosine", "wait": 2}}, "unknown number of the schedule cosine"),
        ({"schedule": {"name": "plateau", "wait": 0}}, "wait ≥ 1"),
    ],
)
def test_wrong_numbers_are_answered(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        recipe(block(**changes))


def test_a_missing_number_is_named() -> None:
    numbers = block()
    del numbers["betas"]
    with pytest.raises(UserError, match="adam lacks betas"):
        recipe(numbers)


def test_schedules_are_their_equations() -> None:
    assert [Constant(3)(step, 100, ()) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    for step in (0, 10, 50, 99):
        assert Cosine()(step, 100, ()) == pytest.approx((1 + math.cos(math.pi * step / 100)) / 2)
    plateau = Plateau(factor=0.1, wait=2)
    assert plateau(9, 100, [1.0, 0.9, 0.95]) == 1.0
    assert plateau(9, 100, [1.0, 0.9, 0.95, 0.9]) == pytest.approx(0.1)
    assert plateau(9, 100, [1.0, 0.9, 0.95, 0.9, 0.8, 0.85]) == pytest.approx(0.1)
    assert plateau(9, 100, [1.0, 0.9, 0.95, 0.9, 0.95, 0.95]) == pytest.approx(0.01)
