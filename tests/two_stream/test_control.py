"""The control's two tops against the towers' own layers, run by hand; where it is cut; what it refuses."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from two_stream_fakes import TRUNK, A, B, C, N, T, batch, deep, features, run

from fusionlab.backbones.vgg_m import VggM
from fusionlab.errors import UserError
from fusionlab.fusion.conv import Conv
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.temporal.pool3d import Pool3d
from fusionlab.temporal.temporal import TemporalFactory
from fusionlab.two_stream.control import ControlNet, control_layer
from fusionlab.two_stream.describe import describe
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import LateNet
from fusionlab.two_stream.scores import scores
from fusionlab.two_stream.trunk import Trunk


def control(temporal: TemporalFactory = Pool2d, layer: str = "relu5", **options: Any) -> ControlNet:
    return ControlNet(A, B, temporal, layer, **options).eval()


def maps(layer: str) -> tuple[Tensor, Tensor]:
    both = features(layer)
    return both["appearance"][layer], both["motion"][layer]


def by_frames(of: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function of maps (N, D, H, W) on each frame of (N, D, T, H, W)."""
    return torch.stack([of(one) for one in x.unbind(dim=2)], dim=2)


@pytest.mark.parametrize("layer", ["relu3", "relu5", "fc6", "fc7"])
def test_before_its_training_it_is_late_fusion(layer: str) -> None:
    given = TRUNK.features(batch(), {"appearance": (layer, "fc8"), "motion": (layer, "fc8")})
    torch.testing.assert_close(scores(control(layer=layer)(given)), scores(LateNet()(given)))


def test_the_scores_are_the_mean_of_two_softmaxes_and_the_loss_the_sum_of_two() -> None:
    label = torch.tensor([1, 3])
    logits = [
        by_frames(partial(run, one, after="relu3"), x).flatten(2) for one, x in zip((A, B), maps("relu3"), strict=True)
    ]
    p_a, p_b = (one.softmax(dim=1) for one in logits)
    net, given = control(layer="relu3"), features("relu3")
    torch.testing.assert_close(scores(net(given)), ((p_a + p_b) / 2).mean(dim=2))
    at = [p[torch.arange(N), label] for p in (p_a, p_b)]  # (N, T)
    torch.testing.assert_close(net.loss(given, label), -(at[0].log().mean() + at[1].log().mean()))
    joint = control(layer="relu3", joint=True)
    torch.testing.assert_close(joint.loss(given, label), -((at[0] + at[1]) / 2).log().mean())
    loss, correct = net.loss_and_correct(given, label)
    assert torch.equal(loss, net.loss(given, label))
    assert correct == (scores(net(given)).argmax(dim=1) == label).sum()


def test_the_same_head_stands_on_each_tower() -> None:
    for head in (Pool3d, Conv3d):
        net = control(head)
        given = features("relu5")
        logits = []
        for tower, top, x in zip((A, B), net.apart.values(), maps("relu5"), strict=True):
            if head is Conv3d:
                assert tuple(top.temporal.filters.weight.shape) == (8, 8, 3, 3, 3)
                x = F.conv3d(x, top.temporal.filters.weight, top.temporal.filters.bias, padding=1).relu()
            boxed = F.max_pool3d(x, (T, 3, 3), 2, ceil_mode=True)
            for name in tower.above("pool5")[:-1] if "pool5" in tower.taps else ("fc6", "relu6", "fc7", "relu7", "fc8"):
                boxed = by_frames(tower.get_submodule(name), boxed)
            logits.append(boxed.flatten(2))
        assert logits[0].shape == (N, C, 1)
        expected = (logits[0].softmax(dim=1) + logits[1].softmax(dim=1)) / 2
        torch.testing.assert_close(scores(net(given)), expected.mean(dim=2))


def test_a_head_above_the_lowest_meeting() -> None:
    net, given = control(Conv3d, "relu3+relu5"), features("relu3")
    above = control(Conv3d, "relu5")
    run_on = {
        stream: {"relu5": by_frames(partial(run, tower, after="relu3", until="relu5"), x)}
        for stream, tower, x in zip(("appearance", "motion"), (A, B), maps("relu3"), strict=True)
    }
    torch.testing.assert_close(net(given), above(run_on))
    lower = control(Conv3d, "relu3")  # the head at relu3 sees other maps
    assert lower(given).shape == net(given).shape and not torch.allclose(lower(given), net(given))


def test_a_relu_stands_behind_a_head_with_weights_at_rectified_taps_only() -> None:
    places = [(layer, head) for layer in ("relu5", "conv5") for head in (Pool3d, Conv3d)]
    has = {(layer, head): control(head, layer).motion.has_relu for layer, head in places}
    assert [place for place, relu in has.items() if relu] == [("relu5", Conv3d)]


@pytest.mark.parametrize(
    "layer, head, expected",
    [
        ("relu5", Pool2d, "relu5"),
        ("relu5", Pool3d, "relu5"),
        ("relu3+relu5+fc6", Pool2d, "relu3"),
        ("relu3+relu5+fc6", Pool3d, "relu3+relu5"),
        ("relu3+relu5+fc8", partial(Pool3d, extent=2), "relu3+relu5"),
        ("relu3+fc8", Pool3d, "relu3"),
        ("fc6", Pool2d, "fc6"),
        ("relu3:relu4", Conv3d, "relu3:relu4"),
        ("fc8", Pool2d, None),
        ("softmax", Pool2d, None),
    ],
)
def test_where_the_towers_are_cut(layer: str, head: TemporalFactory, expected: str | None) -> None:
    assert control_layer(layer, A, B, head) == expected


@pytest.mark.parametrize(
    "layer, head, message",
    [
        ("fc8", Pool2d, "fusion=late, which is the control there"),
        ("relu3+relu5", Pool2d, "layer=relu3"),
        ("relu3+relu4+relu5", Pool3d, r"layer=relu3\+relu5"),
        ("fc6", Pool3d, "pool3d needs a layer with a map: relu1 … relu5"),
    ],
)
def test_it_is_refused(layer: str, head: TemporalFactory, message: str) -> None:
    with pytest.raises(UserError, match=message):
        control(head, layer)


def test_fresh_layers_are_drawn_for_each_stream() -> None:
    one, other, next_seed = (control(above="fresh", seed=seed) for seed in (0, 0, 1))
    for name, weight in one.named_parameters():
        assert torch.equal(weight, other.get_parameter(name))
    own = {name: layer for name, layer in one.named_parameters() if name.endswith("weight")}
    assert all(not torch.equal(weight, next_seed.get_parameter(name)) for name, weight in own.items())
    assert not torch.equal(one.appearance.above["fc6"].weight, one.motion.above["fc6"].weight)
    assert not torch.equal(one.appearance.above["fc6"].weight, A.fc6.weight)
    assert torch.equal(control().motion.above["fc6"].weight, B.fc6.weight)


def test_options_without_effect_on_towers_that_stay_apart() -> None:
    said = control().no_effect([T])
    assert set(said) == {"into", "keep_motion", "tower_weight", "align", "above"}
    assert "above" not in control(above="fresh").no_effect([T])
    assert "temporal.weight_a" in control(partial(Conv3d, weight_a=0.5)).no_effect([T])


def test_unlike_towers_which_no_fusion_could_join() -> None:
    other = deep()  # relu5_3 with 9×9 places, where Tiny's relu5 has 8×8
    net = ControlNet(A, other, Pool3d, "relu2:relu5_3").eval()
    given = Trunk(A, other).features(batch(), {"appearance": ("relu2",), "motion": ("relu5_3",)})
    assert scores(net(given)).sum(dim=1).tolist() == pytest.approx([1.0] * N)
    assert net.needs == {"appearance": ("relu2",), "motion": ("relu5_3",)}


def test_a_head_that_leaves_other_channels_widens_the_layer_above() -> None:
    net = control(partial(Conv3d, channels=12, init="he"))
    assert [top.above["fc6"].in_channels for top in net.apart.values()] == [12, 12]  # type: ignore[union-attr,operator,index]
    assert scores(net(features("relu5"))).sum(dim=1).tolist() == pytest.approx([1.0] * N)
    with pytest.raises(UserError, match="8 to 12"):
        ControlNet(A, B, partial(Conv3d, channels=12), "relu5")


def test_parts_of_it() -> None:
    net = control()
    assert list(net.apart) == ["appearance", "motion"]
    assert not control(joint=True).apart and control(joint=True).keeps_apart
    assert sum(p.numel() for top in net.apart.values() for p in top.parameters()) == describe(net).trained_parameters
    whole = describe(net, A, B)
    assert whole.parameters == sum(p.numel() for tower in (A, B) for p in tower.parameters())
    assert (
        net.reach(T) == (*net.appearance.reach(T), *net.motion.reach(T)) == ([range(t, t + 1) for t in range(T)],) * 2
    )


def test_conv_with_both_towers_kept_has_the_filters_more_and_nothing_else() -> None:
    with torch.device("meta"):
        appearance, motion = (VggM(channels, 101) for channels in (3, 20))
        conv = FusedNet(appearance, motion, Conv, Pool2d, "relu5", keep=True)
        apart = ControlNet(appearance, motion, Pool2d, "relu5")
    sizes = [describe(net, appearance, motion).parameters for net in (conv, apart)]
    assert sizes[0] - sizes[1] == 524_800 == 512 * 1024 + 512
