"""Killed in mid-epoch and continued, an arm is the arm that was never interrupted, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from training_fakes import Data, Fused, Late, Sick, block, cohort, interrupted

from fusionlab.errors import UserError
from fusionlab.training import checkpoint
from fusionlab.training.fit import Outcome, fit
from fusionlab.training.recipe import parse_recipe

CHILD = Path(__file__).parents[1] / "fakes" / "interrupted_child.py"


def nets() -> dict[str, Any]:
    return {"sum": Fused("sum"), "max": Fused("max"), "late": Late()}


@pytest.fixture(scope="module")
def whole() -> dict[str, Outcome]:
    torch.set_num_threads(1)
    return fit(cohort(nets()), Data())


def assert_whole(whole: dict[str, Outcome], name: str, state: dict[str, torch.Tensor] | None, *numbers: Any) -> None:
    one = whole[name]
    assert (one.steps, one.best_step, one.val_loss, one.curve) == numbers
    assert one.state is not None and state is not None
    assert all(torch.equal(state[key], value) for key, value in one.state.items()), name


def child(crash: str, *folders: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    for folder in folders:
        folder.mkdir(exist_ok=True)
    environment = {**os.environ, "FUSIONLAB_CRASH_AT": crash, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        [sys.executable, str(CHILD), *map(str, folders)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_killed_and_continued_in_a_fresh_process(whole: dict[str, Outcome], tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    died = child("cohort.step:7", first)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert os.listdir(first) == [checkpoint.FILE]
    assert checkpoint.read(first / checkpoint.FILE)["step"] == 4  # in mid-epoch: an epoch has six
    went_on = child("", second, first)
    assert went_on.returncode == 0, went_on.stderr
    assert went_on.stdout.splitlines()[0] == "continuing at step 4"
    assert not went_on.stderr
    ended = torch.load(second / "ended.pt", weights_only=True)
    for name, one in ended.items():
        assert_whole(whole, name, one["state"], one["steps"], one["best"], one["val"], one["curve"])


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("at", [1, 5, 6, 7, 12, 18])
def test_interrupted_anywhere(whole: dict[str, Outcome], tmp_path: Path, at: int, every: int) -> None:
    with interrupted(at):
        fit(cohort(nets()), Data(), folder=tmp_path, checkpoint_every=every)
    ((_, last),) = checkpoint.choose_checkpoints({name: [tmp_path / "never was", tmp_path] for name in nets()})
    ended = fit(cohort(nets()), Data(), resume_from=last)
    for name, one in ended.items():
        assert_whole(whole, name, one.state, one.steps, one.best_step, one.val_loss, one.curve)


def test_continuing_keeps_the_ends_of_arms(tmp_path: Path) -> None:
    recipes = {"short": parse_recipe(block(epochs=1)), "sick": parse_recipe(block()), "sum": parse_recipe(block())}

    def made() -> Any:
        return cohort({"short": Fused("max"), "sick": Sick(2), "sum": Fused("sum")}, recipes)

    whole = fit(made(), Data(), folder=tmp_path, checkpoint_every=8)  # the last checkpoint is of step 16 of 18
    again = fit(made(), Data(), resume_from=tmp_path / checkpoint.FILE)
    assert {name: (one.status, one.reason, one.steps, one.weights) for name, one in whole.items()} == {
        name: (one.status, one.reason, one.steps, one.weights) for name, one in again.items()
    }


def test_a_finished_training_is_only_read(tmp_path: Path) -> None:
    whole = fit(cohort(nets()), Data(), folder=tmp_path, checkpoint_every=18)
    again = cohort(nets())
    ended = fit(again, Data(), resume_from=tmp_path / checkpoint.FILE)
    assert again.step == 18
    assert {n: one.weights for n, one in ended.items()} == {n: one.weights for n, one in whole.items()}


def test_a_checkpoint_is_data_without_the_trunk(tmp_path: Path) -> None:
    fit(cohort(nets()), Data(), folder=tmp_path, checkpoint_every=5)
    content = torch.load(tmp_path / checkpoint.FILE, weights_only=True)
    assert set(content) == {"format", "step", "steps_per_epoch", "arms", "optimiser", "callbacks"}
    assert set(content["arms"]["sum"]["net"]) == set(Fused("sum").state_dict())
    assert not [name for name in os.listdir(tmp_path) if name != checkpoint.FILE]


def test_a_checkpoint_of_another_cohort_is_refused(tmp_path: Path) -> None:
    fit(cohort({"sum": Fused("sum")}), Data(), folder=tmp_path, checkpoint_every=6)
    with pytest.raises(UserError, match="another cohort"):
        fit(cohort({"max": Fused("max")}), Data(), resume_from=tmp_path / checkpoint.FILE)
    with pytest.raises(UserError, match="another cohort"):
        fit(cohort({"sum": Fused("sum")}), Data(count=80), resume_from=tmp_path / checkpoint.FILE)


@pytest.mark.parametrize("some", [["sum"], ["late", "max"], ["max", "sum"]])
def test_some_of_the_arms_go_on_from_the_checkpoint_of_all(
    whole: dict[str, Outcome], tmp_path: Path, some: list[str]
) -> None:
    """As the attempt after a death does, which takes half of them."""
    with interrupted(9):
        fit(cohort(nets()), Data(), folder=tmp_path, checkpoint_every=4)
    ((arms, last),) = checkpoint.choose_checkpoints({name: [tmp_path] for name in some})
    assert (arms, last and checkpoint.read(last)["step"]) == (some, 8)
    ended = fit(cohort({name: nets()[name] for name in some}), Data(), resume_from=last)
    for name, one in ended.items():
        assert_whole(whole, name, one.state, one.steps, one.best_step, one.val_loss, one.curve)


def test_each_arm_goes_on_from_the_furthest_checkpoint_that_has_it_unharmed(tmp_path: Path) -> None:
    made = {"sick": Sick(2), "sum": Fused("sum"), "max": Fused("max")}
    for name, own, every in (("1", ["sick", "sum", "max"], 4), ("2", ["sum"], 7)):
        (tmp_path / name).mkdir()
        fit(cohort({one: made[one] for one in own}), Data(), folder=tmp_path / name, checkpoint_every=every)
    groups = checkpoint.choose_checkpoints(
        {name: [tmp_path / "2", tmp_path / "1"] for name in ("sick", "sum", "max", "new")}
    )
    steps = {name: place and checkpoint.read(place)["step"] for names, place in groups for name in names}
    assert steps == {"sick": None, "sum": 16, "max": 16, "new": None}
