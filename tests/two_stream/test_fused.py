"""Fused nets: every layer × fusion × temporal head, what they start from, and where their gradients go."""

import math
from copy import deepcopy
from itertools import product as combinations
from typing import Any

import pytest
import torch
from torch import Tensor
from two_stream_fakes import FUSIONS, HEADS, LAYERS, TRUNK, A, B, C, N, T, features, fused, run

from fusionlab.backbones.tiny import Tiny
from fusionlab.errors import UserError
from fusionlab.fusion.cat import Cat
from fusionlab.fusion.conv import Conv
from fusionlab.fusion.late import Late
from fusionlab.fusion.sum import Sum
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.temporal.pool3d import Pool3d
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import LateNet
from fusionlab.two_stream.scores import scores


@pytest.mark.parametrize("layer, fusion, temporal", list(combinations(LAYERS, FUSIONS, HEADS)))
def test_builds_and_learns_or_says_why_not(layer: str, fusion: str, temporal: str) -> None:
    try:
        net = fused(FUSIONS[fusion], HEADS[temporal], layer)
    except UserError as error:
        refused = str(error)
    else:
        learns(net, layer)
        return
    assert "\n  got: " in refused
    assert "\n  try: " in refused
    assert layer not in ("relu3", "relu4", "relu5") or fusion in ("late", "bilinear", "compact")


def learns(net: FusedNet, layer: str) -> None:
    logits = net.train()(features(layer))
    steps = 1 if net.temporal.needs_map else T
    assert logits.shape == (N, C, steps)
    torch.testing.assert_close(scores(logits).sum(dim=1), torch.ones(N))
    trained = dict(net.named_parameters())
    if trained:
        # the class that is thought least likely: no gradient is lost because a net happens to be right
        torch.nn.functional.cross_entropy(logits, logits.detach().argmin(dim=1)).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trained.values())
        assert any(p.grad.any() for p in trained.values() if p.grad is not None)


@pytest.mark.parametrize(
    "fusion, temporal, layer, message",
    [
        (Sum, Pool3d, "fc7", "pool3d needs a layer with a map: relu1 … relu5"),
        (Sum, Conv3d, "fc6", "conv3d needs a layer with a map: relu1 … relu5"),
        (FUSIONS["bilinear"], Pool3d, "relu5", "bilinear fusion leaves none"),
        (Cat, Pool2d, "fc8", "cat fusion leaves 10 channels"),
        (Late, Pool2d, "relu5", "layer=fc8"),
        (Sum, Pool2d, "rleu5", "layer=relu5"),
    ],
)
def test_refusals_teach(fusion: Any, temporal: Any, layer: str, message: str) -> None:
    with pytest.raises(UserError) as refusal:
        fused(fusion, temporal, layer)
    assert message in str(refusal.value)


def test_maps_of_unequal_size_are_refused() -> None:
    with pytest.raises(UserError, match=r"8×8 \(stride 4\) of appearance, 16×16 \(stride 4\) of motion"):
        FusedNet(Tiny(3, C, size=32), Tiny(4, C, size=64), Sum, Pool2d, "relu5")


def test_a_wrong_start_is_refused() -> None:
    with pytest.raises(UserError, match="above=motion"):
        fused(Sum, above="motoin")


def test_conv_starts_as_sum() -> None:
    maps = features("relu5", "conv5", "fc8")
    for layer in ("relu5", "conv5", "fc8"):
        torch.testing.assert_close(fused(Conv, layer=layer).eval()(maps), fused(Sum, layer=layer).eval()(maps))


def filtered(net: FusedNet, x_a: Tensor, x_b: Tensor) -> Tensor:
    """y_d = Σ_c f_dc [a, b]_c + bias_d at every place, as a loop over the channels of stack and map."""
    f, bias = net.fusion.filters.weight[:, :, 0, 0].tolist(), net.fusion.filters.bias.tolist()
    stacked = [*x_a.unbind(1), *x_b.unbind(1)]
    return torch.stack([bias[d] + sum(f[d][c] * x for c, x in enumerate(stacked)) for d in range(len(f))], dim=1)


def filtered_in_time(head: Conv3d, x: Tensor) -> Tensor:
    """y(t, i, j) = Σ_δ f(δ) x((t, i, j) + δ) + bias, as a loop over the 27 neighbours."""
    _, _, frames, height, width = x.shape
    around = torch.nn.functional.pad(x, (1, 1, 1, 1, 1, 1))
    y = head.filters.bias[:, None, None, None].expand(-1, frames, height, width)[None]
    for k, p, q in combinations(range(3), range(3), range(3)):
        neighbour = around[:, :, k : k + frames, p : p + height, q : q + width]
        y = y + torch.einsum("dc,ncthw->ndthw", head.filters.weight[:, :, k, p, q], neighbour)
    return y


def with_signs(part: Any) -> None:
    """Filters of both signs, so that a ReLU behind them is seen."""
    with torch.no_grad():
        part.filters.weight.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(3))
        part.filters.bias.fill_(-0.1)


@pytest.mark.parametrize(("layer", "rectified"), [("relu5", True), ("conv5", False), ("fc6", True), ("fc8", False)])
def test_a_relu_follows_the_filters_only_where_the_tap_is_rectified(layer: str, rectified: bool) -> None:
    net, maps = fused(Conv, layer=layer).eval(), features(layer)
    with_signs(net.fusion)
    y = filtered(net, maps["appearance"][layer], maps["motion"][layer])
    y = torch.where(y > 0, y, 0.0) if rectified else y
    frames = y.transpose(1, 2).flatten(0, 1)
    expected = run(A, frames, layer) if layer != "fc8" else frames
    torch.testing.assert_close(net(maps), expected.unflatten(0, (N, T)).transpose(1, 2).flatten(2))


@pytest.mark.parametrize("fusion", [Sum, Cat, Conv])
def test_a_relu_follows_the_filters_of_a_temporal_head(fusion: Any) -> None:
    """Behind conv3d, and before it only where the fusion has filters itself; then the maximum in time."""
    net, maps = fused(fusion, Conv3d).eval(), features("relu5")
    with_signs(net.temporal)
    x_a, x_b = maps["appearance"]["relu5"], maps["motion"]["relu5"]
    if fusion is Conv:
        with_signs(net.fusion)
        y = filtered(net, x_a, x_b)
        y = torch.where(y > 0, y, 0.0)
    else:
        y = x_a + x_b if fusion is Sum else torch.cat((x_a, x_b), dim=1)
    y = filtered_in_time(net.temporal, y)
    assert (y < 0).float().mean() > 0.3, "much to rectify"
    y = torch.where(y > 0, y, 0.0).amax(dim=2)
    torch.testing.assert_close(net(maps), run(A, y, "relu5").flatten(2))


def test_stack_starts_from_both_towers() -> None:
    net = fused(Cat).eval()
    assert torch.equal(net.above["fc6"].weight, torch.cat((A.fc6.weight, B.fc6.weight), dim=1))
    assert torch.equal(net.above["fc6"].bias, A.fc6.bias)
    maps = features("relu5")
    stacked = net.above["fc6"](net.temporal.pool(torch.cat([maps[s]["relu5"][:, :, 0] for s in maps], dim=1)))
    apart = [tower.fc6(tower.pool5(maps[s]["relu5"][:, :, 0])) for s, tower in (("appearance", A), ("motion", B))]
    torch.testing.assert_close(stacked, apart[0] + apart[1])


@pytest.mark.parametrize("into", ["appearance", "motion"])
@pytest.mark.parametrize("above", ["appearance", "motion"])
def test_a_stack_has_the_bias_of_the_tower_that_the_layers_above_start_from(above: str, into: Any) -> None:
    towers = {"appearance": deepcopy(A), "motion": deepcopy(B)}
    for place, tower in enumerate(towers.values()):
        torch.nn.init.constant_(tower.fc6.bias, 1.0 + place)
    net = FusedNet(*towers.values(), Cat, Pool2d, "relu5", above=above, into=into)
    assert torch.equal(net.above["fc6"].bias, towers[above].fc6.bias)
    assert torch.equal(net.above["fc6"].weight, torch.cat((A.fc6.weight, B.fc6.weight), dim=1))


@pytest.mark.parametrize("above", ["appearance", "motion", "fresh"])
def test_what_stands_above(above: str) -> None:
    sources = {"appearance": A, "motion": B}
    net = fused(Sum, layer="relu3", above=above)
    for name in ("conv4", "conv5", "fc6", "fc7", "fc8"):
        for other, tower in sources.items():
            copied = torch.equal(net.above[name].weight, tower.get_submodule(name).weight)
            assert copied == (other == above), f"{name} from {other}"
    again = fused(Sum, layer="relu3", above=above)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), again.parameters(), strict=True))


def test_arms_of_a_seed_share_their_draws() -> None:
    nets = [fused(fusion, above="fresh", seed=seed) for fusion, seed in ((Sum, 3), (Conv, 3), (Sum, 4))]
    assert torch.equal(nets[0].above["fc6"].weight, nets[1].above["fc6"].weight)
    assert not torch.equal(nets[0].above["fc6"].weight, nets[2].above["fc6"].weight)


def test_training_a_net_leaves_the_towers_alone() -> None:
    before = deepcopy(TRUNK.state_dict())
    net = fused(Sum)
    net(features("relu5")).sum().backward()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    assert all(torch.equal(value, before[name]) for name, value in TRUNK.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in TRUNK.parameters())


def test_swapped_streams_change_the_net() -> None:
    for fusion in (Sum, Cat):
        net, maps = fused(fusion).eval(), features("relu5")
        swapped = {"appearance": maps["motion"], "motion": maps["appearance"]}
        assert torch.allclose(net(maps), net(swapped)) == (fusion is Sum)


def test_late_is_the_average_of_both_streams_scores() -> None:
    maps = features("fc8", "softmax")
    late = scores(LateNet()(maps))
    apart = [scores(maps[stream]["fc8"].flatten(2)) for stream in ("appearance", "motion")]
    torch.testing.assert_close(late, (apart[0] + apart[1]) / 2)
    torch.testing.assert_close(scores(fused(Late, layer="fc8")(maps)), late)
    torch.testing.assert_close(scores(fused(Sum, layer="softmax")(maps)), late)


def test_filters_over_class_scores_keep_a_slope_at_zero() -> None:
    """Conv starts as sum, but for scores below 0.1, which follow the logarithm's tangent: same order, no dead end."""
    maps = features("softmax")
    net = fused(Conv, layer="softmax").train()
    y = sum(maps[stream]["softmax"] for stream in ("appearance", "motion")).flatten(2)
    expected = torch.where(y > 0.1, y.log(), math.log(0.1) + (y - 0.1) / 0.1)
    logits = net(maps)
    torch.testing.assert_close(logits, expected)
    with torch.no_grad():
        net.fusion.filters.bias.sub_(1.0)  # everything below zero
    net.loss(maps, torch.zeros(N, dtype=torch.int64)).backward()
    assert net.fusion.filters.weight.grad.abs().max() > 0


def test_the_head_stands_for_the_next_pooling_only() -> None:
    """At relu1 that is pool1: behind it time is gone, and pool5 is the tower's own."""
    net = fused(Sum, Pool3d, "relu1").eval()
    assert net.above.replaced == "pool1" and "pool5" in net.above
    assert fused(Sum, Pool3d, "relu2").above.replaced == "pool5"


def test_one_frame_needs_no_temporal_head() -> None:
    maps = {s: {"relu5": m["relu5"][:, :, :1]} for s, m in features("relu5").items()}
    torch.testing.assert_close(fused(Sum, Pool3d).eval()(maps), fused(Sum, Pool2d).eval()(maps))


def test_larger_frames_give_more_predictions() -> None:
    maps = {s: {"relu5": torch.rand(N, 8, T, 16, 16)} for s in ("appearance", "motion")}
    assert fused(Sum).eval()(maps).shape == (N, C, T * 5 * 5)


def test_a_net_travels_as_a_state_dict() -> None:
    net, other = fused(Conv, Conv3d).eval(), fused(Conv, Conv3d, above="fresh", seed=9).eval()
    other.load_state_dict(net.state_dict())
    maps = features("relu5")
    assert torch.equal(net(maps), other(maps))


def test_a_fusion_that_leaves_other_channels_gets_a_fresh_layer() -> None:
    class Twice(Cat):
        def __init__(self, channels_a: int, channels_b: int) -> None:
            super().__init__(channels_a, channels_b)
            self.out_channels = 4 * channels_a

        def forward(self, x_a: Tensor, x_b: Tensor) -> Tensor:
            return torch.cat((x_a, x_b, x_a, x_b), dim=1)

    net = fused(Twice)
    assert net.above["fc6"].in_channels == 32
    assert net.above["fc6"].weight.std().item() == pytest.approx((2 / (32 * 16)) ** 0.5, rel=0.1)
    assert torch.equal(net.above["fc7"].weight, A.fc7.weight)
    assert net(features("relu5")).shape == (N, C, T)


def conv3d_to(channels: int | None, init: str) -> Any:
    return lambda *one: Conv3d(*one, channels=channels, init=init)


@pytest.mark.parametrize("channels", [3, 8, 16, 20])
@pytest.mark.parametrize("above", ["appearance", "fresh"])
def test_filters_to_other_channels_meet_a_layer_that_takes_them(channels: int, above: Any) -> None:
    """As in the 3D fusion that I3D is compared with: 2D channels to fewer or more than the tower has."""
    net = fused(Cat, conv3d_to(channels if channels != 8 else None, "gaussian"), above=above).eval()
    assert net.temporal.filters.weight.shape[:2] == (channels, 16) and net.above["fc6"].in_channels == channels
    maps = features("relu5")
    x = torch.nn.functional.conv3d(
        torch.cat([maps["appearance"]["relu5"], maps["motion"]["relu5"]], dim=1),
        net.temporal.filters.weight, net.temporal.filters.bias, padding=1,
    ).relu()  # fmt: skip
    x = A.pool5(x.amax(dim=2))
    for name in A.above("relu5")[A.above("relu5").index("pool5") + 1 :]:
        x = net.above[name](x)
    torch.testing.assert_close(net(maps), x.flatten(2))
    own = net.above["fc6"].weight
    if channels == 8 and above == "appearance":
        assert torch.equal(own, A.fc6.weight)
    else:  # drawn: no tower has filters for noise, not even where it has as many channels as a stack
        assert own.std().item() == pytest.approx((2 / (channels * 16)) ** 0.5, rel=0.15)
        assert channels != 16 or not torch.equal(own[:, :8], A.fc6.weight)
    learns(net, "relu5")


def test_identities_leave_a_stack_a_stack() -> None:
    net = fused(Cat, conv3d_to(16, "identity"))
    assert torch.equal(net.above["fc6"].weight[:, :8], A.fc6.weight)
    assert torch.equal(net.above["fc6"].weight[:, 8:], B.fc6.weight)


def test_towers_that_differ_above_can_only_start_fresh() -> None:
    wider = Tiny(4, C, size=32, width=8)
    wider.fc6 = torch.nn.Conv2d(8, 40, 4)
    with pytest.raises(UserError, match="above=fresh"):
        FusedNet(A, wider, Cat, Pool2d, "relu5")
    assert FusedNet(A, wider, Cat, Pool2d, "relu5", above="fresh").above["fc6"].in_channels == 16
