"""Nets under bfloat16's autocast: a loss in float32, and numbers that float32 gives too."""

from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from two_stream_fakes import FUSIONS, TRUNK, A, B, batch, fused

from fusionlab.fusion.conv import Conv
from fusionlab.fusion.sum import Sum
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.temporal.pool3d import Pool3d
from fusionlab.two_stream.control import ControlNet
from fusionlab.two_stream.net import Net, StreamNet
from fusionlab.two_stream.trunk import Trunk
from fusionlab.two_stream.whole import WholeNet

LABEL, WEIGHTS = torch.tensor([1, 3]), torch.tensor([0.5, 2.0])
NETS: dict[str, Any] = {
    **{name: partial(fused, one) for name, one in FUSIONS.items() if name != "late"},
    "behind the softmax": partial(fused, Conv, layer="softmax"),
    "averaged logits": partial(fused, Sum, layer="relu5+fc8"),
    "consensus": partial(fused, Sum, consensus="logits"),
    "kept": partial(fused, Conv, Conv3d, keep=True),
    "control": partial(ControlNet, A, B, Pool3d, "relu5"),
    "joint": partial(ControlNet, A, B, Pool2d, "relu5", joint=True),
}


def numbers(net: Net, given: Any, half: bool) -> tuple[torch.Tensor, ...]:
    """The loss, the NLL of the scores, and the norm of the gradient."""
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss, _ = net.eval().loss_and_correct(given, LABEL, WEIGHTS)
        nll, _ = net.nll_and_correct(given, LABEL)
    net.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    assert loss.dtype == nll.dtype == torch.float32 and {one.dtype for one in gradients} == {torch.float32}
    return loss.detach(), nll.detach(), torch.stack([one.norm() for one in gradients]).norm()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_numbers_are_near_those_of_float32(name: str, whole: bool) -> None:
    net = NETS[name]()
    given: Any = TRUNK.features(batch(), net.needs)
    if whole:
        net = WholeNet.copied(net, {"appearance": A, "motion": B})
        given = Trunk().features(batch(), net.needs)
    exact, half = (numbers(net, given, on) for on in (False, True))
    torch.testing.assert_close(half, exact, rtol=0.05, atol=0.01)
    assert half != exact, "it is in bfloat16"


def test_a_stream_alone() -> None:
    net, given = StreamNet(deepcopy(A), "appearance"), Trunk().features(batch(), {"appearance": ("input",)})
    net.requires_grad_(True)
    torch.testing.assert_close(numbers(net, given, True), numbers(net, given, False), rtol=0.05, atol=0.01)
