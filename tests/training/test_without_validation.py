"""Training without a validation: the same weights as with one that chooses nothing, alone, in company, interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from training_fakes import Data, Fused, Late, Sick, block, cohort, interrupted

from fusionlab.training import checkpoint
from fusionlab.training.cohort import Cohort
from fusionlab.training.fit import Outcome, fit
from fusionlab.training.recipe import parse_recipe
from fusionlab.two_stream.net import Net

RECIPES = {
    "sum": block(validations=4, weights="last"),
    "max": block(validations=7, weights="last", epochs=2),
    "late": block(weights="last"),
}
ENDS = {"sum": [5, 9, 14, 18], "max": [2, 3, 5, 7, 9, 10, 12], "late": [0]}  # by round(n · steps / validations)


class Unread(Data):
    def val_dataloader(self) -> Any:
        raise AssertionError("there is nothing to validate")


class Interrupted(Exception):
    pass


def made(names: Any = RECIPES) -> Cohort:
    nets: dict[str, Net] = {"sum": Fused("sum"), "max": Fused("max"), "late": Late()}
    return cohort({name: nets[name] for name in names}, {name: parse_recipe(RECIPES[name]) for name in names})


@pytest.fixture(scope="module")
def whole() -> dict[str, Outcome]:
    torch.set_num_threads(1)
    return fit(made(), Unread(), validate=False)


def without_validation(curve: Any) -> list[dict[str, Any]]:
    return [{name: one for name, one in row.items() if not name.startswith("val_")} for row in curve]


def same(ended: dict[str, Outcome], whole: dict[str, Outcome]) -> None:
    for name, one in ended.items():
        other = whole[name]
        assert (one.status, one.steps, one.best_step, one.weights) == (
            other.status, other.steps, other.best_step, other.weights
        ), name  # fmt: skip
        assert list(one.curve) == list(other.curve), name


def test_weights_and_curves_are_those_of_a_training_whose_validation_chooses_nothing(
    whole: dict[str, Outcome],
) -> None:
    validated = fit(made(), Data())
    for name, one in whole.items():
        assert one.status == "done" and one.weights == validated[name].weights and one.val_loss is None
        assert without_validation(one.curve) == without_validation(validated[name].curve)
        assert [row["step"] for row in one.curve] == ENDS[name] and one.best_step == ENDS[name][-1]
        assert {row[f"val_{what}"] for row in one.curve for what in ("loss", "accuracy")} == {None}
        assert all(isinstance(row["val_loss"], float) for row in validated[name].curve)


@pytest.mark.parametrize("names", [["sum"], ["late"], ["late", "max"]])
def test_alone_equals_in_company(whole: dict[str, Outcome], names: list[str]) -> None:
    same(fit(made(names), Unread(), validate=False), whole)


@pytest.mark.parametrize("at", [1, 5, 7, 12, 13, 18])
def test_interrupted_anywhere(whole: dict[str, Outcome], tmp_path: Path, at: int) -> None:
    """5 and 7 are ends of stretches: the checkpoint is written before, after, or between step and end."""
    with interrupted(at):
        fit(made(), Unread(), folder=tmp_path, checkpoint_every=1, validate=False)
    ((_, last),) = checkpoint.choose_checkpoints({name: [tmp_path] for name in RECIPES})
    same(fit(made(), Unread(), resume_from=last, validate=False), whole)


def test_a_checkpoint_behind_a_stretch_whose_end_is_missing(whole: dict[str, Outcome], tmp_path: Path) -> None:
    """As SIGTERM leaves it: the last step of a stretch is taken, its row is not there."""
    fit(made(), Unread(), folder=tmp_path, checkpoint_every=5, validate=False)
    content = checkpoint.read(tmp_path / checkpoint.FILE)
    assert content["step"] == 15

    class Stopped(Cohort):
        def end_stretch(self, arms: Any) -> None:
            optimiser = self.trainer.optimizers[0]
            checkpoint.write(tmp_path, self, optimiser)
            raise Interrupted

    nets: dict[str, Net] = {"sum": Fused("sum")}
    broken = Stopped(made().trunk, nets, parse_recipe(RECIPES["sum"]), seed=0)
    with pytest.raises(Interrupted):
        fit(broken, Unread(), validate=False)
    kept = checkpoint.read(tmp_path / checkpoint.FILE)
    assert kept["step"] == 5 and kept["arms"]["sum"]["curve"]["rows"] == []
    same(fit(made(["sum"]), Unread(), resume_from=tmp_path / checkpoint.FILE, validate=False), whole)


def test_a_sick_arm_fails_alone(whole: dict[str, Outcome]) -> None:
    both = cohort({"sick": Sick(7), "sum": Fused("sum")}, parse_recipe(RECIPES["sum"]))
    ended = fit(both, Unread(), validate=False)
    assert ended["sick"].status == "failed" and ended["sick"].reason == "diverged at step 7: loss nan"
    assert ended["sum"].weights == whole["sum"].weights


def test_weights_that_are_not_finite_at_the_end_of_a_stretch_are_a_failure() -> None:
    one = made(["sum"]).arms["sum"]
    one.steps = 5
    with torch.no_grad():
        one.trained[0].view(-1)[0] = float("inf")
    one.record_validation(None, None, 6)
    assert (one.status, one.reason) == ("failed", "diverged by step 5: weights that are not finite")
