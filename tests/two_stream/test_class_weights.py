"""Weights of classes in the losses: against torch's, against clips that are repeated, and in micro-batches."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from training_fakes import block
from two_stream_fakes import TRUNK, A, B, fused

from fusionlab.config.stage import StageConfig
from fusionlab.errors import UserError
from fusionlab.fusion.bilinear import Bilinear
from fusionlab.fusion.sum import Sum
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.training.arm import ArmModule
from fusionlab.training.recipe import parse_recipe
from fusionlab.two_stream.control import ControlNet
from fusionlab.two_stream.net import Net
from fusionlab.two_stream.scores import balanced_weights, cross_entropy, hinge
from fusionlab.two_stream.whole import WholeNet

N, C, T = 6, 3, 2
LABEL = torch.tensor([0, 0, 0, 1, 1, 2])
COUNTS = [3, 2, 1]
CLIPS = {"appearance": (N, 3, T, 32, 32), "motion": (N, 4, T, 32, 32)}
NETS: dict[str, Any] = {
    "sum": partial(fused, Sum),
    "kept": partial(fused, Sum, keep=True),
    "svm": partial(fused, partial(Bilinear, classifier="svm"), keep=True),
    "control": partial(ControlNet, A, B, Pool2d, "relu5"),
    "joint": partial(ControlNet, A, B, Pool2d, "relu5", joint=True),
    "whole": lambda: WholeNet.copied(fused(Sum), {"appearance": A, "motion": B}),
}


def logits() -> Tensor:
    return 2 * torch.randn(N, C, T, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def maps(net: Net) -> Any:
    draw = torch.Generator().manual_seed(1)
    batch = {k: torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8) for k, shape in CLIPS.items()}
    return {s: {"input": x} for s, x in batch.items()} if net.own_towers else TRUNK.features(batch, net.needs)


def chosen(of: Any, rows: Tensor) -> Any:
    return {stream: {layer: x[rows] for layer, x in layers.items()} for stream, layers in of.items()}


def test_equation() -> None:
    assert balanced_weights(COUNTS).tolist() == pytest.approx([6 / (3 * 3), 6 / (3 * 2), 6 / (3 * 1)])
    weights = balanced_weights(COUNTS)
    assert float(weights[LABEL].mean()) == pytest.approx(1), "the loss keeps its size"
    assert balanced_weights([4, 4]).tolist() == [1, 1]
    assert balanced_weights([2, 0, 6]).tolist() == pytest.approx([2, 0, 2 / 3]), "a class without a clip"


def test_torch_divides_by_the_sum_of_the_weights() -> None:
    x, weights = logits(), torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
    labels = LABEL[:, None].expand(-1, T)
    expected = F.cross_entropy(x, labels, weight=weights) * weights[LABEL].sum() / N
    torch.testing.assert_close(cross_entropy(x, LABEL, weights[LABEL]), expected, rtol=1e-12, atol=0)
    summed = F.cross_entropy(x, labels, weight=weights, reduction="sum") / (N * T)
    torch.testing.assert_close(cross_entropy(x, LABEL, weights[LABEL]), summed, rtol=1e-12, atol=0)


@pytest.mark.parametrize("loss", [cross_entropy, hinge])
def test_a_weight_is_a_number_of_repetitions(loss: Any) -> None:
    x, times = logits(), torch.tensor([1, 3, 2])
    rows = torch.arange(N).repeat_interleave(times[LABEL])
    expected = loss(x[rows], LABEL[rows]) * len(rows) / N
    torch.testing.assert_close(loss(x, LABEL, times[LABEL].double()), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(loss(x, LABEL, torch.ones(N, dtype=torch.float64)), loss(x, LABEL))


@pytest.mark.parametrize("name", NETS)
def test_each_head_of_a_net_has_it(name: str) -> None:
    """As if every clip of class 1 was there three times, and of class 2 twice."""
    net = NETS[name]().eval()
    given, times = maps(net), torch.tensor([1, 3, 2, 1, 1])
    rows = torch.arange(N).repeat_interleave(times[LABEL])
    expected = net.loss_and_correct(chosen(given, rows), LABEL[rows])[0] * len(rows) / N
    loss, correct = net.loss_and_correct(given, LABEL, times[LABEL].float())
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    assert correct == net.loss_and_correct(given, LABEL)[1] and not torch.allclose(loss, net.loss(given, LABEL))


def arm(**recipe: Any) -> ArmModule:
    return ArmModule("arm", fused(Sum).eval(), parse_recipe(block(**recipe)))


def test_micro_batches_add_up_and_validations_have_no_weights() -> None:
    one, usual = arm(class_weights="balanced"), arm()
    for each in (one, usual):
        each.weigh_classes([*COUNTS, 0, 0])
    assert usual.class_weights is None and one.class_weights is not None
    given = maps(one.net)
    whole, _ = one.measure(given, LABEL)
    assert not torch.allclose(whole, usual.measure(given, LABEL)[0])
    parts = [(rows, one.measure(chosen(given, rows), LABEL[rows])[0]) for rows in (torch.arange(4), torch.arange(4, 6))]
    torch.testing.assert_close(sum(len(rows) / N * loss for rows, loss in parts), whole, rtol=1e-5, atol=0)
    for measure in ("loss", "nll"):
        one, usual = arm(class_weights="balanced", measure=measure), arm(measure=measure)
        one.weigh_classes([*COUNTS, 0, 0])
        assert torch.equal(one.validate(given, LABEL)[0], usual.validate(given, LABEL)[0])
    assert "class_weights" not in one.state_dict(), "they follow from the list"


def test_an_arm_that_was_not_told_the_counts_says_so() -> None:
    one = arm(class_weights="balanced")
    with pytest.raises(AssertionError, match="weigh_classes"):
        one.measure(maps(one.net), LABEL)


def test_classes_that_are_drawn_equally_often_have_no_weights() -> None:
    numbers = block(class_weights="balanced", draws="classes")
    with pytest.raises(UserError, match="one weight where their clips are drawn equally often"):
        StageConfig.of(numbers, "optim.fusion")
    with pytest.raises(UserError, match="class_weights"):
        StageConfig.of(block(class_weights="some"), "optim.fusion")
