"""Fusion at several layers at once, against the same thing written out by hand from the towers' own layers."""

from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from two_stream_fakes import TRUNK, A, B, C, N, T, batch, features, fused, run

from fusionlab.backbones.tiny import Tiny
from fusionlab.errors import UserError
from fusionlab.fusion.bilinear import Bilinear
from fusionlab.fusion.cat import Cat
from fusionlab.fusion.conv import Conv
from fusionlab.fusion.max import Max
from fusionlab.fusion.sum import Sum
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.temporal.pool3d import Pool3d
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.scores import scores


def frames(layer: str) -> tuple[Tensor, Tensor]:
    """Both towers' maps, time folded away: (N T, D, H, W)."""
    maps = features(layer)
    x_a, x_b = (maps[stream][layer].transpose(1, 2).flatten(0, 1) for stream in ("appearance", "motion"))
    return x_a, x_b


def clips(x: Tensor) -> Tensor:
    """(N T, C, 1, 1) -> (N, C, T)."""
    return x.unflatten(0, (N, T)).transpose(1, 2).flatten(2)


def test_three_meetings_written_out() -> None:
    a, b = frames("relu3")
    x = run(A, a + b, "relu3", "relu5") + run(B, b, "relu3", "relu5")
    x = run(A, x, "relu5", "fc6") + run(B, b, "relu3", "fc6")
    expected = clips(run(A, x, "fc6"))
    net = fused(Sum, layer="relu3+relu5+fc6").eval()
    torch.testing.assert_close(net(features("relu3")), expected)


def test_into_motion_written_out() -> None:
    a, b = frames("relu3")
    x = torch.maximum(run(A, a, "relu3", "relu5"), run(B, torch.maximum(a, b), "relu3", "relu5"))
    expected = clips(run(B, x, "relu5"))
    net = fused(Max, layer="relu3+relu5", into="motion", above="motion").eval()
    torch.testing.assert_close(net(features("relu3")), expected)


def test_the_fusions_take_the_streams_by_position_whoever_goes_on() -> None:
    for into in ("appearance", "motion"):
        net = fused(Conv, layer="relu3+relu5", into=into, above=into).eval()
        for fusion in (net.fusion, *net.further.values()):
            with torch.no_grad():
                fusion.filters.weight.copy_(torch.cat((torch.eye(8), torch.zeros(8, 8)), dim=1)[:, :, None, None])
        a, _ = frames("relu3")
        if into == "appearance":  # what comes up in appearance is appearance's, and motion's is not looked at
            expected = clips(run(A, a, "relu3"))
        else:  # at relu5 appearance's own map takes the place of what came up
            expected = clips(run(B, run(A, a, "relu3", "relu5"), "relu5"))
        torch.testing.assert_close(net(features("relu3")), expected)


@pytest.mark.parametrize("into", ["appearance", "motion"])
def test_the_fusions_are_made_from_the_streams_channels_by_position(into: Any) -> None:
    counts = []

    class Counting(Conv):
        def __init__(self, channels_a: int, channels_b: int) -> None:
            super().__init__(channels_a, channels_b, init="he")
            counts.append((channels_a, channels_b))

    wide = Tiny(4, C, size=32, width=16)
    net = FusedNet(A, wide, Counting, Pool2d, "relu3+relu5", into=into, above=into)
    assert counts == [(8, 16)] * 2 and net.fusion.out_channels == {"appearance": 8, "motion": 16}[into]


def test_a_stack_at_each_of_two_meetings() -> None:
    a, b = frames("relu3")
    conv4 = torch.cat((A.conv4.weight, B.conv4.weight), dim=1)
    fc6 = torch.cat((A.fc6.weight, B.fc6.weight), dim=1)
    x = torch.nn.functional.conv2d(torch.cat((a, b), dim=1), conv4, A.conv4.bias, padding=1)
    x = torch.cat((run(A, x, "conv4", "relu5"), run(B, b, "relu3", "relu5")), dim=1)
    x = torch.nn.functional.conv2d(A.pool5(x), fc6, A.fc6.bias)
    expected = clips(run(A, x.relu(), "fc6"))
    net = fused(Cat, layer="relu3+relu5").eval()
    torch.testing.assert_close(net(features("relu3")), expected)


def test_a_stack_that_meets_the_next_fusion_unwidened_is_told_apart() -> None:
    """Between conv5 and relu5 nothing takes the stack's channels, so the sum at relu5 is of 16 and 8."""
    with pytest.raises(UserError, match="channel by channel"):
        fused(_StackThenSum(), layer="conv5+relu5")


class _StackThenSum:
    """cat at its first call, sum after it."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, channels_a: int, channels_b: int) -> Cat | Sum:
        self.calls += 1
        return Cat(channels_a, channels_b) if self.calls == 1 else Sum(channels_a, channels_b)


def test_a_stack_of_a_stack_starts_nowhere_and_is_not_drawn_in_silence() -> None:
    with pytest.raises(UserError, match="above=fresh"):
        fused(Cat, layer="conv5+relu5")
    assert fused(Cat, layer="conv5+relu5", above="fresh").above["fc6"].in_channels == 24


def test_time_is_pooled_in_both_columns() -> None:
    """At fc6, above the temporal head's box, one step of each is left."""
    net = fused(Sum, Pool3d, layer="relu5+fc6").eval()
    maps = features("relu5")
    longest = [maps[s]["relu5"].amax(dim=2) for s in ("appearance", "motion")]
    x = run(A, (maps["appearance"]["relu5"] + maps["motion"]["relu5"]).amax(dim=2), "relu5", "fc6")
    expected = run(A, x + run(B, longest[1], "relu5", "fc6"), "fc6").flatten(2)
    assert net(maps).shape == (N, C, 1)
    torch.testing.assert_close(net(maps), expected)


def test_the_head_belongs_to_the_last_meeting_with_a_map() -> None:
    net = fused(Cat, Conv3d, layer="relu3+relu5")
    assert net.headed == 1 and net.temporal.filters.in_channels == 16
    assert net.above["conv4"].in_channels == 16 and net.above["fc6"].in_channels == 8
    assert fused(Sum, Conv3d, layer="relu3+fc6").headed == 0


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("options", [{"keep": True}, {"layer": "relu5+fc8"}])
def test_correct_clips_are_those_of_both_towers_together(options: dict[str, Any], weight: float) -> None:
    net, maps = fused(Sum, tower_weight=weight, **options).eval(), features("relu5")
    best = scores(net(maps)).argmax(dim=1)
    assert [int(net.loss_and_correct(maps, (best + away) % C)[1]) for away in (0, 1)] == [N, 0]
    first, second = (scores(one).argmax(dim=1) for one in net.heads(maps))
    assert (first != second).any(), "else one tower alone would do"


def test_the_heads_filters_follow_the_last_fusion_with_a_map() -> None:
    """Random ones: a bell of an identity would be much the same wherever it stands."""
    net, maps = fused(Sum, Conv3d, layer="relu3+relu5").eval(), features("relu3")
    f = torch.randn(net.temporal.filters.weight.shape, generator=torch.Generator().manual_seed(2)) / 8
    with torch.no_grad():
        net.temporal.filters.weight.copy_(f)
    a, b = frames("relu3")
    x = run(A, a + b, "relu3", "relu5") + run(B, b, "relu3", "relu5")
    x = torch.nn.functional.conv3d(x.unflatten(0, (N, T)).transpose(1, 2), f, padding=1)
    torch.testing.assert_close(net(maps), run(A, x.relu().amax(dim=2), "relu5").flatten(2))


def test_a_kept_tower_has_its_own_pooling_below_the_maximum_in_time() -> None:
    motion = deepcopy(B)
    motion.pool5 = torch.nn.AvgPool2d(3, 2, ceil_mode=True)
    maps = features("relu5")
    net = FusedNet(A, motion, Sum, Pool3d, "relu5", keep=True).eval()
    expected = run(motion, maps["motion"]["relu5"].amax(dim=2), "relu5").flatten(2)
    torch.testing.assert_close(net.heads(maps)[1], expected)


def test_each_of_two_heads_says_what_it_sees() -> None:
    boxes = [range(2), range(1, 3)]
    assert fused(Sum, partial(Pool3d, extent=2, stride=1)).reach(3) == (boxes,)
    assert fused(Sum, partial(Pool3d, extent=2, stride=1), keep=True).reach(3) == (boxes, boxes)
    around = [range(3), range(3)]  # conv3d's filters see one snippet more on either side
    assert fused(Sum, partial(Conv3d, extent=2, stride=1), keep=True).reach(3) == (around, boxes)


def test_the_head_is_shown_at_its_own_storey() -> None:
    storeys = fused(Sum, Conv3d, layer="relu3+relu5").storeys()
    shown = [[(one.part, one.name) for one in storey.above if one.part == "temporal"] for storey in storeys]
    assert shown == [[], [("temporal", "conv3d"), ("temporal", "pool5")]]


def test_everything_above_the_lowest_meeting_learns() -> None:
    net = fused(Conv, layer="relu3+relu5+fc6")
    net.loss(features("relu3"), torch.zeros(N, dtype=torch.int64)).backward()
    parts = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    assert parts == {"fusion", "further", "above", "beside"}
    assert set(net.beside) == {"conv4", "relu4", "conv5", "relu5", "fc6", "relu6"}  # and the head for pool5
    assert all(p.grad is None for p in TRUNK.parameters())


def test_noise_differs_from_meeting_to_meeting() -> None:
    net = fused(lambda a, b: Conv(a, b, init="gaussian"), layer="relu3+relu5")
    assert not torch.equal(net.fusion.filters.weight, net.further["relu5"].filters.weight)
    first = fused(lambda a, b: Conv(a, b, init="gaussian"), layer="relu5").fusion.filters.weight
    assert torch.equal(net.fusion.filters.weight, first)  # arms of a seed share their draws


def test_a_descriptor_ends_the_net() -> None:
    with pytest.raises(UserError, match="nothing can be fused above it"):
        fused(Bilinear, layer="relu3+relu5")


# -- two towers, two losses


def test_both_towers_kept_and_averaged_by_their_scores() -> None:
    for weight in (0.5, 0.25):
        net = fused(Sum, keep=True, tower_weight=weight).eval()
        maps = features("relu5")
        alone = scores(fused(Sum).eval()(maps))
        motion = scores(clips(run(B, frames("relu5")[1], "relu5")))
        torch.testing.assert_close(scores(net(maps)), weight * alone + (1 - weight) * motion)


def test_the_kept_tower_is_the_one_that_is_fused_from() -> None:
    net = fused(Sum, into="motion", above="motion", keep=True, tower_weight=0.0).eval()
    appearance = scores(clips(run(A, frames("relu5")[0], "relu5")))
    torch.testing.assert_close(scores(net(features("relu5"))), appearance)


@pytest.mark.parametrize("weight", [0.5, 0.2])
def test_at_fc8_the_logits_are_averaged(weight: float) -> None:
    maps = features("relu5")
    fused_logits = fused(Sum).eval()(maps).mean(dim=2)
    motion_logits = clips(run(B, frames("relu5")[1], "relu5")).mean(dim=2)
    at_fc8 = fused(Sum, layer="relu5+fc8", tower_weight=weight).eval()(maps)
    torch.testing.assert_close(at_fc8[..., 0], weight * fused_logits + (1 - weight) * motion_logits)
    assert not torch.allclose(scores(at_fc8), scores(fused(Sum, keep=True, tower_weight=weight).eval()(maps)))


def test_two_losses_and_no_average_in_training() -> None:
    label = torch.tensor([1, 3])
    maps = features("relu5")
    for options in ({"keep": True}, {"layer": "relu5+fc8"}):
        net = fused(Conv, **options).eval()
        heads = net.heads(maps)
        assert len(heads) == 2
        by_hand = 0.0
        for logits in heads:
            for n in range(N):
                for t in range(T):
                    by_hand -= logits[n, :, t].log_softmax(0)[label[n]].item() / (N * T)
        assert net.loss(maps, label).item() == pytest.approx(by_hand, rel=1e-5)


def test_the_kept_towers_loss_reaches_its_own_layers_only() -> None:
    net = fused(Conv, keep=True).eval()
    _, motion = net.heads(features("relu5"))
    motion.sum().backward()
    reached = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
    assert reached == {"beside"}


def test_the_kept_tower_has_its_own_box_in_time_and_no_filters() -> None:
    maps = features("relu5")
    pooled = run(B, maps["motion"]["relu5"].amax(dim=2), "relu5").flatten(2)
    for head in (Pool3d, Conv3d):
        net = fused(Sum, head, keep=True).eval()
        torch.testing.assert_close(net.heads(maps)[1], pooled)
    assert not list(net.beside_head.parameters())
    torch.testing.assert_close(
        fused(Sum, Pool2d, keep=True).eval().heads(maps)[1], clips(run(B, frames("relu5")[1], "relu5"))
    )


def test_a_box_that_leaves_too_little_is_refused_when_the_net_is_built() -> None:
    with pytest.raises(UserError, match=r"temporal\.side"):
        fused(Sum, partial(Pool3d, side=9))


def test_a_descriptor_beside_a_kept_tower() -> None:
    net = fused(Bilinear, keep=True)
    net.loss(features("relu5"), torch.zeros(N, dtype=torch.int64)).backward()
    assert {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None} == {"svm", "beside"}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layer": "fc8", "keep": True}, "no layers of a tower are above its class scores"),
        ({"layer": "relu5+fc8", "keep": True}, "also fused at its class scores is kept"),
        ({"layer": "relu5+softmax"}, "layer=relu5 keep_motion=true; or layer=relu5+fc8"),
        ({"layer": "relu5+fc8:softmax"}, "class scores of the same kind"),
        ({"tower_weight": 1.5}, "tower_weight lies between 0 and 1"),
        ({"into": "motoin"}, "into=motion"),
    ],
)
def test_refusals_teach(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as refusal:
        fused(Sum, **options)
    assert message in str(refusal.value)
    assert "\n  try: " in str(refusal.value)


def test_a_net_travels_as_a_state_dict_without_the_towers() -> None:
    net = fused(Conv, layer="relu3+relu5+fc8")
    again = fused(Conv, layer="relu3+relu5+fc8", above="fresh", seed=5)
    again.load_state_dict(net.state_dict())
    maps = TRUNK.features(batch(), net.needs)
    assert torch.equal(net.eval()(maps), again.eval()(maps))
    names = {name.split(".")[0] for name in net.state_dict()}
    assert names == {"fusion", "further", "above", "beside"}
    assert not any(module is A or module is B for module in net.modules())
