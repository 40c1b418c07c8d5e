"""Validations inside epochs and over their ends: an arm is the same alone, in company and interrupted, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException  # type: ignore[attr-defined]
from training_fakes import Data, Fused, Late, Sick, Trunk, block, cohort, interrupted

from fusionlab.records.draws import key
from fusionlab.training import checkpoint
from fusionlab.training import fit as fitting
from fusionlab.training.cohort import Cohort, seed_generators
from fusionlab.training.fit import Outcome, fit
from fusionlab.training.recipe import CAP, Recipe, parse_recipe
from fusionlab.training.schedules import DROPS
from fusionlab.two_stream.net import Net
from fusionlab.two_stream.scores import nll

STEPS = 18  # three epochs of six
PLATEAU = {"name": "plateau", "factor": 0.5, "wait": 1}
CONVERGED: dict[str, Any] = {"until": "converged", "schedule": PLATEAU, "lr": 0.5, "measure": "nll"}
RECIPES = {
    "sum": block(validations=4, measure="nll", weights="last"),
    "max": block(validations=7, measure="nll"),
    "epochs": block(),
    "converged": block(epochs=2, validations=5, **CONVERGED),
    "late": block(validations=4, measure="nll", weights="last"),
}


def nets(names: Any = RECIPES) -> dict[str, Net]:
    made = {"sum": Fused("sum"), "max": Fused("max"), "epochs": Fused("sum"), "converged": Fused("sum"), "late": Late()}
    return {name: made[name] for name in names}


def made(names: Any = RECIPES) -> Cohort:
    return cohort(nets(names), {name: parse_recipe(RECIPES[name]) for name in names})


@pytest.fixture(scope="module")
def whole() -> dict[str, Outcome]:
    torch.set_num_threads(1)
    return fit(made(), Data())


def same(ended: dict[str, Outcome], whole: dict[str, Outcome]) -> None:
    for name, one in ended.items():
        other = whole[name]
        assert (one.status, one.steps, one.best_step, one.val_loss) == (
            other.status, other.steps, other.best_step, other.val_loss
        ), name  # fmt: skip
        assert (one.weights, one.converged, list(one.curve)) == (other.weights, other.converged, list(other.curve)), (
            name
        )


def by_hand(recipe: Recipe, at: list[int]) -> list[tuple[float, str]]:
    """The NLL after these steps, and the weights, of a loop over `Data` without cohort, arm or Lightning."""
    data, trunk, net = Data(), Trunk(), Fused("sum")
    optimiser = torch.optim.Adam(
        net.parameters(), lr=1.0, weight_decay=recipe.weight_decay, betas=recipe.own["betas"], fused=True
    )
    found, step = [], 0
    while step < STEPS:
        data.start_step = step
        for batch in data.train_dataloader():
            with seed_generators(key("dropout", 0, step), torch.device("cpu")):
                loss, _ = net.train().loss_and_correct(trunk.features(batch, net.needs), batch["label"])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
            optimiser.param_groups[0]["lr"] = recipe.lr * recipe.schedule(step, STEPS, (), 1)
            optimiser.step()
            step += 1
            if step in at:
                net.eval()
                with torch.no_grad():
                    parts = [
                        (nll(net(trunk.features(one, net.needs)), one["label"]).item() * len(one["label"]))
                        for one in data.val_dataloader()
                    ]
                found.append((sum(parts) / 20, net.mix.weight.detach().clone()))
    return found


def test_an_arm_is_what_a_loop_by_hand_makes_of_it(whole: dict[str, Outcome]) -> None:
    one = whole["sum"]
    hand = by_hand(parse_recipe(RECIPES["sum"]), [5, 9, 14, 18])
    assert [row["val_loss"] for row in one.curve] == pytest.approx([loss for loss, _ in hand], rel=1e-4)
    assert [(row["epoch"], row["step"]) for row in one.curve] == [(5 / 6, 5), (1.5, 9), (14 / 6, 14), (3, 18)]
    assert one.state is not None and (one.best_step, one.steps, one.val_loss) == (18, 18, one.curve[-1]["val_loss"])
    torch.testing.assert_close(one.state["mix.weight"], hand[-1][1], rtol=1e-3, atol=1e-4)
    assert whole["max"].best_step == min(whole["max"].curve, key=lambda row: row["val_loss"] or 0)["step"]


def test_last_and_best_differ_in_the_weights_that_are_kept_alone() -> None:
    """At a rate that jumps about, the last validation is not the lowest."""
    wild = {"validations": 6, "lr": 0.3, "measure": "nll", "schedule": {"name": "constant"}}
    kept = {
        weights: fit(cohort({"sum": Fused("sum")}, parse_recipe(block(weights=weights, **wild))), Data())["sum"]
        for weights in ("best", "last")
    }
    best, last = kept["best"], kept["last"]
    assert list(best.curve) == list(last.curve) and best.weights != last.weights
    assert (last.best_step, last.val_loss) == (18, last.curve[-1]["val_loss"])
    assert best.val_loss == min(row["val_loss"] for row in best.curve if row["val_loss"] is not None) != last.val_loss
    assert best.best_step != 18


def test_alone_as_in_company(whole: dict[str, Outcome]) -> None:
    for name in RECIPES:
        same(fit(made([name]), Data()), whole)
    assert len({one.steps for one in whole.values()}) > 2, "they end at different steps"


def test_beside_an_arm_that_diverges_before_its_validation(whole: dict[str, Outcome]) -> None:
    """The stretch ends where its own validation would have been: nobody is validated there."""
    recipes = {"sick": parse_recipe(block(validations=7)), "sum": parse_recipe(RECIPES["sum"])}
    together = fit(cohort({"sick": Sick(2), "sum": Fused("sum")}, recipes), Data())
    assert together.pop("sick").status == "failed"
    same(together, whole)


def test_a_row_is_a_validation_and_a_line_is_one_too() -> None:
    lines: list[str] = []
    outcome = fit(made(["sum"]), Data(), progress=lines.append)["sum"]
    assert [line.partition(":")[0] for line in lines] == [
        "epoch 1, step 5", "epoch 2, step 9", "epoch 3, step 14", "epoch 3, step 18"
    ]  # fmt: skip
    assert len(outcome.curve) == len(outcome.seconds) == len(lines)


class Seen(pl.Callback):
    """What a user's callback sees of the validations."""

    def __init__(self, stop_at: int = 0) -> None:
        self.steps: list[int] = []
        self.stop_at = stop_at

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.steps.append(pl_module.step)  # type: ignore[arg-type]
        assert "sum/val_loss" in trainer.callback_metrics

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if pl_module.step == self.stop_at:
            trainer.should_stop = True


def test_a_callback_sees_each_validation_and_may_end_the_training() -> None:
    seen = Seen()
    fit(made(["sum"]), Data(), callbacks={"seen": seen})
    assert seen.steps == [5, 9, 14, 18]
    stopping = Seen(stop_at=7)
    ended = fit(made(["sum"]), Data(), callbacks={"seen": stopping})["sum"]
    assert stopping.steps == [5, 7] and [row["epoch"] for row in ended.curve] == [5 / 6, 7 / 6]
    assert (ended.status, ended.best_step, ended.steps) == ("done", 7, 7), "the last weights are those of its end"


# -- interruptions


@pytest.mark.parametrize("at", [2, 5, 6, 7, 9, 10, 13, 18])
def test_interrupted_at_any_step(whole: dict[str, Outcome], tmp_path: Path, at: int) -> None:
    with interrupted(at):
        fit(made(), Data(), folder=tmp_path, checkpoint_every=1)
    same(fit(made(), Data(), resume_from=tmp_path / checkpoint.FILE), whole)


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("at", range(1, 23))
def test_interrupted_at_each_step(whole: dict[str, Outcome], tmp_path: Path, at: int, every: int) -> None:
    assert max(one.steps for one in whole.values()) == 22
    with interrupted(at):
        fit(made(), Data(), folder=tmp_path, checkpoint_every=every)
    ((_, last),) = checkpoint.choose_checkpoints({name: [tmp_path] for name in RECIPES})
    same(fit(made(), Data(), resume_from=last), whole)


@pytest.mark.parametrize("number", [1, 2, 5, 8])
def test_interrupted_between_the_last_step_of_a_stretch_and_its_validation(
    whole: dict[str, Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A signal during a validation: the checkpoint has its step, and the validation comes first afterwards."""
    begun, start = 0, Cohort.on_validation_epoch_start

    def stop(self: Cohort) -> None:
        nonlocal begun
        begun += 1
        if begun == number:
            raise SIGTERMException
        start(self)

    with monkeypatch.context() as patch:
        patch.setattr(Cohort, "on_validation_epoch_start", stop)
        with pytest.raises(SystemExit):
            fit(made(), Data(), folder=tmp_path, checkpoint_every=100)
    assert fitting.validates_first(resumed(tmp_path))
    same(fit(made(), Data(), resume_from=tmp_path / checkpoint.FILE), whole)


def resumed(folder: Path) -> Cohort:
    one = made()
    one.steps_per_epoch = 6
    checkpoint.restore(one, checkpoint.read(folder / checkpoint.FILE))
    return one


# -- until converged


def test_an_arm_leaves_when_its_losses_say_so(whole: dict[str, Outcome]) -> None:
    one, recipe = whole["converged"], parse_recipe(RECIPES["converged"])
    losses = [row["val_loss"] or 0.0 for row in one.curve]
    ends = [n for n in range(1, len(losses) + 1) if recipe.schedule.converged(losses[:n])]
    assert one.converged is True and ends == [len(losses)] and one.steps == one.curve[-1]["step"] < CAP * 12
    assert one.val_loss == min(losses) and one.best_step == one.curve[losses.index(min(losses))]["step"]
    rates = [row["rate"] for row in one.curve]
    waits = [
        0,
        *(sum(recipe.schedule(99, 100, losses[:n], 1) <= 0.5**k for k in (1, 2)) for n in range(1, len(losses))),
    ]
    assert rates == [pytest.approx(recipe.lr * 0.5**number) for number in waits] and max(waits) == DROPS
    assert [whole[name].converged for name in ("sum", "epochs", "late")] == [None] * 3


def test_four_budgets_are_the_end_of_one_that_does_not_converge() -> None:
    patient = block(epochs=1, validations=2, **{**CONVERGED, "schedule": {**PLATEAU, "wait": 9}})
    one = fit(cohort({"sum": Fused("sum")}, parse_recipe(patient)), Data())["sum"]
    assert (one.status, one.converged, one.steps) == ("done", False, CAP * 6)
    assert [row["step"] for row in one.curve] == [3 * k for k in range(1, 2 * CAP + 1)]
    assert one.val_loss == min(row["val_loss"] for row in one.curve if row["val_loss"] is not None)


def test_arms_of_one_cohort_have_rates_of_their_own() -> None:
    """As a selection of a rate packs them: the bits are those of separate cohorts."""
    recipes = {f"{lr}": parse_recipe(block(lr=lr, validations=4, measure="nll", weights="last")) for lr in (0.01, 0.1)}
    together = fit(cohort({name: Fused("sum") for name in recipes}, recipes), Data())
    for name, recipe in recipes.items():
        same({name: fit(cohort({name: Fused("sum")}, recipe), Data())[name]}, together)
    assert len({one.weights for one in together.values()}) == 2
