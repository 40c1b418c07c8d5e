"""Scores of videos: means over views and time steps, whatever the batches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from training_fakes import CLASSES, Clips, Data, Fused, Late, Sick, cohort

from fusionlab.training.evaluate import count_correct, evaluate, evaluate_cohort
from fusionlab.training.fit import fit


def test_a_score_is_the_mean_over_views_and_time_steps() -> None:
    made = cohort({"sum": Fused("sum"), "late": Late()})
    nets = {name: arm.net for name, arm in made.arms.items()}
    clips = Clips("test", 6, 0, views=2)
    seen = evaluate(made.trunk, nets, DataLoader(clips, batch_size=4))  # a video's views lie in different batches
    assert seen.index == list(range(6)) and seen.label == [i % CLASSES for i in range(6)]
    for net in nets.values():
        assert net.training  # as it was
        net.eval()
    for name, net in nets.items():
        for video in range(6):
            total = torch.zeros(CLASSES, dtype=torch.float64)
            for view in range(2):
                item = clips[view * 6 + video]
                with torch.no_grad():
                    logits = net(made.trunk.features({s: item[s][None] for s in ("appearance", "motion")}, net.needs))
                assert logits.shape[2] == (2 if name == "sum" else 1)
                for t in range(logits.shape[2]):
                    total += logits[0, :, t].softmax(0).double() / (2 * logits.shape[2])
            assert torch.allclose(seen.of[name][video].double(), total, atol=1e-6)
        assert torch.allclose(seen.of[name].sum(1), torch.ones(6))
        assert seen.predicted(name) == seen.of[name].argmax(1).tolist()


class Grad(Late):
    """Late fusion that looks whether gradients are kept, and whether it is being trained."""

    def forward(self, features: Any) -> Any:
        assert not torch.is_grad_enabled() and not self.training
        return super().forward(features)


def test_rows_are_in_the_order_of_the_list_whatever_the_batches_and_nothing_is_kept_for_gradients() -> None:
    made, clips = cohort({"late": Late()}), Clips("test", 6, 0)
    plain = evaluate(made.trunk, {"late": Grad()}, DataLoader(clips, batch_size=4))
    order = [5, 2, 0, 4, 1, 3]
    mixed = evaluate(made.trunk, {"late": Grad()}, DataLoader(clips, batch_size=4, sampler=order))
    assert mixed.index == plain.index == list(range(6)) and mixed.label == plain.label
    torch.testing.assert_close(mixed.of["late"], plain.of["late"])


def test_the_arms_that_are_done_are_evaluated_with_their_best_weights() -> None:
    made, data = cohort({"sum": Fused("sum"), "sick": Sick(2), "late": Late()}), Data()
    ended = fit(made, data)
    seen = evaluate_cohort(made, data.test_dataloader())
    assert list(seen.of) == ["sum", "late"] and len(seen.index) == 20
    fresh = Fused("sum", seed=9)
    assert ended["sum"].state is not None
    fresh.load_state_dict(ended["sum"].state)
    again = evaluate(made.trunk, {"sum": fresh}, data.test_dataloader())
    assert torch.equal(again.of["sum"], seen.of["sum"])  # alone as in company


def test_correct_predictions_are_counted_by_kind() -> None:
    counts = count_correct([0, 1, 2, 2], [0, 1, 1, 2], ["what", "what", "binding"])
    assert counts == {
        "all": {"correct": 3, "total": 4},
        "what": {"correct": 2, "total": 3},
        "binding": {"correct": 1, "total": 1},
    }
    assert count_correct([0], [1]) == {"all": {"correct": 0, "total": 1}}


@pytest.mark.parametrize("what", ["error", "nan"])
def test_an_arm_that_cannot_be_evaluated_fails_and_no_other(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    made = cohort({"bad": Fused("sum"), "max": Fused("max")})
    fit(made, Data())
    alone = evaluate_cohort(made, Data().test_dataloader()).of["max"]
    right = made.arms["bad"].net.forward

    def forward(features: Any) -> Any:
        if what == "error":
            raise ValueError("shapes do not fit")
        return right(features) * torch.nan

    monkeypatch.setattr(made.arms["bad"].net, "forward", forward)
    scores = evaluate_cohort(made, Data().test_dataloader())
    assert list(scores.of) == ["max"] and torch.equal(scores.of["max"], alone)
    assert made.arms["bad"].status == "failed" and made.arms["max"].status == "done"
    message = "shapes do not fit" if what == "error" else "its scores are not numbers"
    assert made.arms["bad"].reason == f"error in its evaluation: ValueError: {message}"
