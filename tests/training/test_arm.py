"""An arm by itself, without a Trainer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax
from training_fakes import block

from fusionlab.training.arm import ArmModule
from fusionlab.training.cohort import seed_generators
from fusionlab.training.recipe import make_optimiser, parse_recipe
from fusionlab.training.weights import fingerprint
from fusionlab.two_stream.net import Net


class Bias(Net):
    """Two numbers, added to the features."""

    def __init__(self) -> None:
        super().__init__()
        self.needs = {"appearance": ("x",)}
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, features: dict[str, dict[str, Tensor]]) -> Tensor:
        return features["appearance"]["x"] + self.bias[None, :, None]


def arm(**changes: object) -> ArmModule:
    return ArmModule("bias", Bias(), parse_recipe(block(**changes)))


def test_the_loss_is_the_mean_over_clips_and_time_steps() -> None:
    x, label = torch.randn(3, 2, 4), torch.tensor([0, 1, 1])
    loop = 0.0
    for n in range(3):
        for t in range(4):
            loop -= log_softmax(x[n, :, t], 0)[label[n]].item() / 12
    assert arm().measure({"appearance": {"x": x}}, label)[0].item() == pytest.approx(loop)


def test_the_optimiser_gets_the_numbers_of_the_recipe() -> None:
    one = arm(name="adam", lr=0.5, weight_decay=0.25, betas=[0.5, 0.75])
    group = make_optimiser("adam", one.parameter_groups()).param_groups[0]
    assert (group["lr"], group["weight_decay"], group["betas"]) == (0.5, 0.25, (0.5, 0.75))
    assert [id(p) for p in group["params"]] == [id(one.net.bias)]


def test_clip_scales_to_the_limit_and_leaves_the_small_alone() -> None:
    one = arm(clip=1.0)
    one.net.bias.grad = torch.tensor([3.0, 4.0])
    (norm,) = (own.item() for own in one.gradient_norms())
    assert norm == 5.0
    one.clip(norm)
    assert one.net.bias.grad.tolist() == pytest.approx([0.6, 0.8])
    one.net.bias.grad = torch.tensor([0.3, 0.4])
    one.clip(*(own.item() for own in one.gradient_norms()))
    assert one.net.bias.grad.tolist() == pytest.approx([0.3, 0.4])
    without = arm(clip=0.0)
    without.net.bias.grad = torch.tensor([3.0, 4.0])
    without.clip(5.0)
    assert without.net.bias.grad.tolist() == [3.0, 4.0]


def test_frozen_parameters_are_not_given_to_the_optimiser() -> None:
    """An arm that has no others is only evaluated."""
    net = Bias()
    net.frozen = nn.Parameter(torch.zeros(3), requires_grad=False)
    one = ArmModule("bias", net, parse_recipe(block()))
    assert [parameter is net.bias for group in one.parameter_groups() for parameter in group["params"]] == [True]
    net.bias.requires_grad_(False)
    only = ArmModule("bias", net, parse_recipe(block(epochs=5)))
    only.record_validation(1.0, 0.5, 6)
    assert only.status == "done" and not only.trained


def test_the_norm_of_a_sick_gradient_is_not_finite() -> None:
    one = arm()
    one.net.bias.grad = torch.tensor([math.inf, 0.0])
    assert not math.isfinite(*(own.item() for own in one.gradient_norms()))
    one.fail("diverged")
    assert one.net.bias.grad is None and not one.active and one.reason == "diverged"


def test_the_lowest_loss_is_the_best_and_of_equals_the_first() -> None:
    one = arm(epochs=9, patience=3)
    for step, loss in enumerate([1.0, 0.5, 0.5, 0.6, 0.5], start=1):
        assert one.active
        one.steps = 10 * step
        with torch.no_grad():
            one.net.bias.fill_(step)
        one.record_validation(loss, 0.5, 6)
    assert one.status == "done" and (one.best_step, one.best_loss) == (20, 0.5)
    assert one.best is not None and one.best["bias"].tolist() == [2.0, 2.0]


def test_epochs_end_an_arm() -> None:
    one = arm(epochs=2)
    one.record_validation(1.0, 0.5, 6)
    assert one.active
    one.record_validation(0.9, 0.5, 6)
    assert one.status == "done"


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_validation_loss_that_is_not_finite_is_a_failure(loss: float) -> None:
    one = arm(epochs=5)
    one.steps = 7
    one.record_validation(1.0, 0.5, 6)
    one.record_validation(loss, 0.5, 6)
    assert one.status == "failed" and one.reason == f"diverged by step 7: validation loss {loss}" and one.best is None


def test_state_and_restore_are_inverse() -> None:
    one, other = arm(epochs=5), arm(epochs=5)
    one.steps = 3
    one.record_validation(0.7, 0.5, 6)
    with torch.no_grad():
        one.net.bias.fill_(9.0)
    other.restore(one.state(), 6)
    assert (
        other.net.bias.tolist() == [9.0, 9.0] and other.best is not None and other.best["bias"].tolist() == [0.0, 0.0]
    )
    assert (other.steps, other.losses, other.best_loss, other.best_step) == (3, [0.7], 0.7, 3)


def test_draws_are_the_keys_and_the_process_keeps_its_own() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with seed_generators(5, torch.device("cpu")):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seed_generators(5, torch.device("cpu")):
        assert torch.equal(torch.rand(3), first)


def test_fingerprint_sees_names_types_shapes_and_values() -> None:
    a = {"x": torch.arange(4.0), "y": torch.tensor(1)}
    assert fingerprint(a) == fingerprint(dict(reversed(a.items())))
    for other in (
        {**a, "x": torch.arange(4.0).reshape(2, 2)},
        {**a, "x": torch.arange(4)},
        {**a, "y": torch.tensor(2)},
        {"w": a["x"], "y": a["y"]},
    ):
        assert fingerprint(other) != fingerprint(a)


def test_the_rate_of_a_step_by_the_equation() -> None:
    """A ramp of two steps before the full rate, times half a cosine over all steps of three epochs of five."""
    one = arm(lr=0.5)
    for step in range(15):
        one.steps = step
        ramp, cosine = min(1.0, (step + 1) / 3), (1 + math.cos(math.pi * step / 15)) / 2
        assert one.rate(5) == pytest.approx(0.5 * ramp * cosine), step
