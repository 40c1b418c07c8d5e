"""Curves of arms against a loop by hand, and from a checkpoint that was made before there were curves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import log_softmax
from training_fakes import Data, Fused, Late, Sick, Trunk, block, cohort

from fusionlab.records.draws import key
from fusionlab.training import checkpoint
from fusionlab.training.cohort import seed_generators
from fusionlab.training.curve import TRAINING, Row
from fusionlab.training.fit import fit
from fusionlab.training.recipe import parse_recipe

EPOCHS, STEPS = 3, 6


def measure(net: Any, trunk: Trunk, batch: dict[str, Any]) -> tuple[torch.Tensor, float, int]:
    """The loss for its gradient; the loss again, and the correct clips, by index loops."""
    logits = net(trunk.features(batch, net.needs))
    loss, correct = 0.0, 0
    for n, label in enumerate(batch["label"]):
        score = torch.zeros(logits.shape[1])
        for t in range(logits.shape[2]):
            loss -= log_softmax(logits[n, :, t].detach(), 0)[label].item() / logits.shape[2] / len(logits)
            score += logits[n, :, t].detach().softmax(0) / logits.shape[2]
        correct += int(score.argmax() == label)
    mean = torch.stack([-log_softmax(logits[n], 0)[label] for n, label in enumerate(batch["label"])]).mean()
    return mean, loss, correct


def curve_by_hand() -> list[Row]:
    recipe, data, trunk, net = parse_recipe(block()), Data(), Trunk(), Fused("sum")
    optimiser = torch.optim.Adam(net.parameters(), lr=1.0, weight_decay=recipe.weight_decay, betas=recipe.own["betas"])
    rows: list[Row] = []
    step = 0
    for epoch in range(1, EPOCHS + 1):
        losses, corrects, clips, norms, rate = 0.0, 0, 0, 0.0, 0.0
        data.start_step = step
        for batch in data.train_dataloader():
            net.train()
            with seed_generators(key("dropout", 0, step), torch.device("cpu")):
                mean, loss, correct = measure(net, trunk, batch)
            optimiser.zero_grad()
            mean.backward()
            norm = math.sqrt(sum(float(p.grad.square().sum()) for p in net.parameters()))
            for parameter in net.parameters():
                parameter.grad *= min(1.0, recipe.clip / norm)
            rate = recipe.lr * min(1, (step + 1) / 3) * (1 + math.cos(math.pi * step / (EPOCHS * STEPS))) / 2
            optimiser.param_groups[0]["lr"] = rate
            optimiser.step()
            step += 1
            size = len(batch["label"])
            losses, corrects, clips, norms = losses + loss * size, corrects + correct, clips + size, norms + norm
        net.eval()
        validation = [(*measure(net, trunk, batch), len(batch["label"])) for batch in data.val_dataloader()]
        rows.append(
            {
                "epoch": epoch,
                "step": step,
                "val_loss": sum(loss * size for _, loss, _, size in validation) / 20,
                "val_accuracy": sum(correct for _, _, correct, _ in validation) / 20,
                "train_loss": losses / clips,
                "train_accuracy": corrects / clips,
                "rate": rate,
                "gradient_norm": norms / STEPS,
            }
        )
    return rows


def test_a_curve_is_what_a_loop_by_hand_sees() -> None:
    outcome = fit(cohort({"sum": Fused("sum"), "max": Fused("max")}), Data())["sum"]
    by_hand = curve_by_hand()
    assert [row["step"] for row in by_hand] == [6, 12, 18]
    assert list(outcome.curve) == [pytest.approx(row, rel=1e-4) for row in by_hand]
    assert len(outcome.seconds) == EPOCHS and min(outcome.seconds) > 0
    assert outcome.val_loss == min(row["val_loss"] for row in outcome.curve if row["val_loss"] is not None)


def test_an_arm_that_is_not_trained_has_one_row() -> None:
    (row,) = fit(cohort({"late": Late()}), Data())["late"].curve
    assert (row["epoch"], row["step"]) == (0, 0) and row["val_loss"] and row["val_accuracy"] is not None
    assert {row[name] for name in TRAINING} == {None}


def test_an_arm_that_diverges_keeps_the_curve_up_to_there() -> None:
    made = fit(cohort({"sick": Sick(8), "sum": Fused("sum")}), Data())
    assert made["sick"].status == "failed" and [row["epoch"] for row in made["sick"].curve] == [1]
    assert len(made["sum"].curve) == EPOCHS


@pytest.mark.parametrize("every", [4, 6, 16])
def test_a_checkpoint_without_curves_still_resumes(tmp_path: Path, every: int) -> None:
    """As an older version wrote it: no curve in the arms, no callbacks."""
    whole = fit(cohort({"sum": Fused("sum"), "late": Late()}), Data(), folder=tmp_path, checkpoint_every=every)
    content = checkpoint.read(tmp_path / checkpoint.FILE)
    del content["callbacks"]
    for state in content["arms"].values():
        del state["curve"]
    torch.save(content, tmp_path / "older.pt")
    resumed = fit(cohort({"sum": Fused("sum"), "late": Late()}), Data(), resume_from=tmp_path / "older.pt")
    assert resumed["sum"].weights == whole["sum"].weights
    for number, (one, other) in enumerate(zip(resumed["sum"].curve, whole["sum"].curve, strict=True), start=1):
        assert (one["epoch"], one["step"], one["val_loss"]) == (other["epoch"], other["step"], other["val_loss"])
        assert {one[name] for name in TRAINING} == {None}, f"epoch {number} was begun without sums"
