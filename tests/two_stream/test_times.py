"""Fusion of maps with unlike time strides, and what predictions of towers of clips see."""

import pytest
import torch
from torch import Tensor, nn

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError
from fusionlab.fusion.cat import Cat
from fusionlab.fusion.conv import Conv
from fusionlab.fusion.fusion import FusionFactory
from fusionlab.fusion.product import Product
from fusionlab.fusion.sum import Sum
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.two_stream.fused import Above, FusedNet
from fusionlab.two_stream.fusion_point import pool_time, read
from fusionlab.two_stream.net import LateNet, StreamNet, frames_seen
from fusionlab.two_stream.refuse import refuse_unlike_steps

SIZE, FRAMES, CLASSES = 48, 8, 5


def in_clips(channels: int, *, stride: int = 4, kernel: int = 4, padding: int = 0) -> Tower:
    """A tower of clips with Tiny's channels and places at relu2, and a step every `stride` frames."""
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv3d(channels, 16, (kernel, 3, 3), (stride, 2, 2), padding=(padding, 1, 1)),
        "pool1": nn.MaxPool3d((1, 3, 3), (1, 2, 2), ceil_mode=True),
        "conv2": nn.Conv3d(16, 32, (1, 3, 3), padding=(0, 1, 1)),
        "relu2": nn.ReLU(),
        "pool5": nn.AvgPool3d((1, 12, 12)),
        "fc8": nn.Conv3d(32, CLASSES, 1),
        "softmax": nn.Softmax(dim=1),
    }
    made = Tower(layers, {name: name for name in ("conv1", "relu2", "fc8", "softmax")}, channels, SIZE)
    initialise(made, 0)
    return made.eval()


def tiny(channels: int) -> Tower:
    made = Tiny(channels, CLASSES)
    initialise(made, 1)
    return made.eval()


def maps(net: FusedNet, a: Tower, b: Tower) -> dict[str, dict[str, Tensor]]:
    draw = torch.Generator().manual_seed(2)
    x_a, x_b = (torch.randn(2, t.in_channels, FRAMES, SIZE, SIZE, generator=draw) for t in (a, b))
    return {"appearance": a.collect(x_a, net.needs["appearance"]), "motion": b.collect(x_b, net.needs["motion"])}


def test_time_is_pooled_as_an_index_loop_pools_it() -> None:
    x = torch.randn(2, 3, 7, 2, 2, generator=torch.Generator().manual_seed(0))
    for steps in range(1, 8):
        torch.testing.assert_close(pool_time(x, steps), nn.functional.adaptive_avg_pool3d(x, (steps, 2, 2)))
        for i in range(steps):
            within = [t for t in range(7) if t * steps < (i + 1) * 7 and (t + 1) * steps > i * 7]
            torch.testing.assert_close(pool_time(x, steps)[:, :, i], x[:, :, within].mean(dim=2))


@pytest.mark.parametrize("fusion", [Sum, Conv, Cat, Product])
def test_a_tower_of_frames_meets_one_of_clips_where_time_is_pooled(fusion: FusionFactory) -> None:
    a, b = in_clips(3), tiny(2)
    with pytest.raises(UserError, match="differ in time stride") as refused:
        FusedNet(a, b, fusion, Pool2d, "relu2")
    assert refused.value.got == "a step every 4 frames of appearance, every 1 of motion"
    assert "align=pool" in str(refused.value.hint)
    above: Above = "fresh" if fusion is Cat else "appearance"  # a stack starts from both towers' filters, unlike here
    net = FusedNet(a, b, fusion, Pool2d, "relu2", align="pool", above=above).eval()
    features = maps(net, a, b)
    logits = net(features)
    assert logits.shape == (2, CLASSES, FRAMES // 4)
    pooled = {**features, "motion": {"relu2": pool_time(features["motion"]["relu2"], FRAMES // 4)}}
    assert torch.equal(net(pooled), logits), "only the finer map is changed, once"
    logits.sum().backward()
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)


def test_into_the_tower_of_frames() -> None:
    a, b = in_clips(3), tiny(2)
    net = FusedNet(a, b, Conv, Pool2d, "relu2", into="motion", above="motion", align="pool").eval()
    assert net(maps(net, a, b)).shape == (2, CLASSES, FRAMES // 4)


def test_align_without_effect_is_said_to_be_so() -> None:
    assert "align" in FusedNet(tiny(3), tiny(2), Sum, Pool2d, "relu2", align="pool").no_effect([FRAMES])
    assert "align" not in FusedNet(in_clips(3), tiny(2), Sum, Pool2d, "relu2", align="pool").no_effect([FRAMES])
    with pytest.raises(UserError, match="unknown way to align"):
        FusedNet(tiny(3), tiny(2), Sum, Pool2d, "relu2", align="pol")


def test_equal_strides_can_leave_unlike_steps() -> None:
    a, b = in_clips(3, stride=2, kernel=2), in_clips(2, stride=2, kernel=3, padding=0)
    points = read("relu2", a, b)
    assert [a.steps("relu2", FRAMES), b.steps("relu2", FRAMES)] == [4, 3]
    with pytest.raises(UserError, match="differ in time steps") as refused:
        refuse_unlike_steps(points, FRAMES, "refuse")
    assert refused.value.got == "4 of appearance, 3 of motion, in clips of 8 frames"
    refuse_unlike_steps(points, FRAMES, "pool")
    refuse_unlike_steps(points, FRAMES + 1, "refuse")
    net = FusedNet(a, b, Sum, Pool2d, "relu2", align="pool")
    assert "align" not in net.no_effect([FRAMES]), "what is advised is not refused"
    assert "align" in net.no_effect([FRAMES + 1]) and "align" not in net.no_effect(range(FRAMES + 1, 2 * FRAMES))


def test_unlike_steps_of_averaged_scores_need_no_alignment() -> None:
    """At fc8 above another fusion the logits of each tower are averaged over time first."""
    a, b = tiny(3), tiny(2)
    assert [point.name for point in FusedNet(a, b, Sum, Pool2d, "relu2+fc8").points] == ["relu2"]


def test_the_frames_that_a_prediction_sees() -> None:
    """By gradients: of a tower whose steps overlap."""
    tower = in_clips(3, stride=2, kernel=4, padding=1)
    x = torch.randn(1, 3, FRAMES, SIZE, SIZE, requires_grad=True)
    y = tower(x)
    found = []
    for t in range(y.shape[2]):
        (gradient,) = torch.autograd.grad(y[:, :, t].square().sum(), x, retain_graph=True)
        frames = gradient.abs().sum(dim=(0, 1, 3, 4)).nonzero().flatten().tolist()
        found.append(range(frames[0], frames[-1] + 1))
    assert frames_seen(tower, "fc8", FRAMES) == found == [range(3), range(1, 5), range(3, 7), range(5, 8)]
    assert StreamNet(tower, "appearance").reach(FRAMES) == (found,)
    assert FusedNet(tower, in_clips(2, stride=2, padding=1), Sum, Pool2d, "relu2").reach(FRAMES) == (found,)
    assert FusedNet(tiny(3), tiny(2), Sum, Pool2d, "relu2").reach(2) == ([range(1), range(1, 2)],)
    assert LateNet("fc8", "fc8", below=(tower, tower)).reach(FRAMES) == (found,)
    assert LateNet("fc8", "fc8", below=(tower, tiny(2))).reach(FRAMES) == ([range(FRAMES)],)
    assert LateNet("fc8", "fc8", below=(tiny(3), tiny(2))).reach(2) == LateNet().reach(2)
