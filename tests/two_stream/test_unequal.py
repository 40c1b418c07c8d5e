"""Towers whose maps differ by a row and a column: zeros below and to the right of the smaller one."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from two_stream_fakes import A, C, N, T, deep, run

from fusionlab.backbones.tiny import Tiny
from fusionlab.errors import UserError
from fusionlab.fusion.cat import Cat
from fusionlab.fusion.conv import Conv
from fusionlab.fusion.sum import Sum
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.fusion_point import pad_to_match
from fusionlab.two_stream.net import LateNet, StreamNet
from fusionlab.two_stream.scores import scores


def larger() -> torch.nn.Module:
    tower = deep()
    StreamNet(tower, "motion", seed=1)
    return tower


B = larger()


def maps(side_a: int = 8, side_b: int = 9) -> dict[str, dict[str, Tensor]]:
    draw = torch.Generator().manual_seed(0)
    x_a = torch.rand(N, 8, T, side_a, side_a, generator=draw)
    x_b = torch.rand(N, 8, T, side_b, side_b, generator=draw)
    return {"appearance": {"relu5": x_a}, "motion": {"relu5_3": x_b}}


def test_zeros_below_and_to_the_right() -> None:
    x_a, x_b = torch.ones(1, 2, 1, 3, 4), torch.ones(1, 2, 1, 4, 4)
    a, b = pad_to_match(x_a, x_b)
    assert a.shape == b.shape == x_b.shape
    assert torch.equal(a[..., :3, :], x_a) and not a[..., 3, :].any()
    assert b is x_b
    a, b = pad_to_match(x_b, torch.ones(1, 2, 1, 3, 5))  # each is the smaller one in one direction
    assert a.shape == b.shape == (1, 2, 1, 4, 5) and not a[..., 4].any() and not b[..., 3, :].any()


def test_maps_that_differ_by_more_are_left_for_the_fusion_to_refuse() -> None:
    x_a, x_b = torch.ones(1, 2, 1, 3, 3), torch.ones(1, 2, 1, 5, 5)
    assert pad_to_match(x_a, x_b) == (x_a, x_b)
    net = FusedNet(A, B, Sum, Pool2d, "relu5")
    with pytest.raises(UserError, match="of one shape"):
        net(maps(8, 11))


@pytest.mark.parametrize("into, tower", [("appearance", A), ("motion", B)])
def test_fused_with_zeros_written_out(into: str, tower: torch.nn.Module) -> None:
    net = FusedNet(A, B, Sum, Pool2d, "relu5", into=into, above=into).eval()
    both = maps()
    x = both["motion"]["relu5_3"].clone()
    x[..., :8, :8] += both["appearance"]["relu5"]
    x = run(tower, x.transpose(1, 2).flatten(0, 1), "relu5" if into == "appearance" else "relu5_3")
    expected = x.unflatten(0, (N, T)).transpose(1, 2).flatten(2)
    torch.testing.assert_close(net(both), expected)
    assert net.needs == {"appearance": ("relu5",), "motion": ("relu5_3",)}


def test_where_the_smaller_map_ends_the_sum_is_the_larger_one() -> None:
    net = FusedNet(A, B, Conv, Pool2d, "relu5").eval()
    both = maps()
    x = net._fused(0, both["appearance"]["relu5"], both["motion"]["relu5_3"])
    torch.testing.assert_close(x[..., 8, :], both["motion"]["relu5_3"][..., 8, :])
    torch.testing.assert_close(x[..., 8], both["motion"]["relu5_3"][..., 8])


def test_the_papers_final_shape_of_net_learns() -> None:
    """3D conv fusion of unlike towers, both kept, two losses."""
    net = FusedNet(A, B, Cat, Conv3d, "relu5", keep=True)
    loss = net.loss(maps(), torch.zeros(N, dtype=torch.int64))
    loss.backward()
    assert all(p.grad is not None for p in net.parameters())
    assert net.eval()(maps()).shape == (N, C, 1)


def test_unlike_layers_above_can_start_from_their_own_tower_or_fresh() -> None:
    with pytest.raises(UserError) as refusal:
        FusedNet(A, B, Sum, Pool2d, "relu5", above="motion")
    assert "cannot start from the motion tower's: they differ" in str(refusal.value)
    assert "fc7 is missing" in str(refusal.value) and "above=appearance" in str(refusal.value)
    with pytest.raises(UserError, match="above=fresh"):
        FusedNet(A, B, Cat, Pool2d, "relu5")
    assert FusedNet(A, B, Cat, Pool2d, "relu5", above="fresh").above["fc6"].in_channels == 16


def test_refused_pairs_name_both_shapes_both_strides_and_a_pair_that_fits() -> None:
    with pytest.raises(UserError) as refusal:
        FusedNet(A, Tiny(4, C, size=32, width=8), Sum, Pool2d, "relu5:relu1")
    told = str(refusal.value)
    assert "8×8 (stride 4) of appearance, 16×16 (stride 2) of motion" in told
    assert "\n  try:      layer=" in told
    pair = told.rpartition("layer=")[2].strip()
    FusedNet(A, Tiny(4, C, size=32, width=8), Cat, Pool2d, pair, above="fresh")


def test_unlike_towers_whose_maps_differ_on_larger_frames_only() -> None:
    """Equal at the frames they are made for; a place apart at others."""
    net = FusedNet(A, Tiny(4, C, size=32, width=8), Sum, Pool2d, "relu5").eval()
    both = {
        "appearance": {"relu5": maps(9)["appearance"]["relu5"]},
        "motion": {"relu5": maps(8)["appearance"]["relu5"]},
    }
    wide = F.pad(both["motion"]["relu5"], (0, 1, 0, 1))
    torch.testing.assert_close(net(both), net({**both, "motion": {"relu5": wide}}))


def test_the_filters_leave_what_the_tower_expects_that_goes_on() -> None:
    """From noise, conv fusion takes unlike numbers of channels; nothing above is drawn in silence."""
    wider = Tiny(4, C, size=32, width=12)
    StreamNet(wider, "motion", seed=2)
    for into, tower, channels in (("appearance", A, 8), ("motion", wider, 12)):
        net = FusedNet(A, wider, partial(Conv, init="he"), Pool2d, "relu5", into=into, above=into)
        assert net.fusion.out_channels == channels and net.fusion.filters.weight.shape[:2] == (channels, 20)
        assert torch.equal(net.above["fc6"].weight, tower.fc6.weight)


def test_late_fusion_of_towers_that_leave_unlike_numbers_of_predictions() -> None:
    x_a, x_b = torch.randn(N, C, T, 1, 1), torch.randn(N, C, T, 2, 2)
    net = LateNet("fc8", "fc8")
    late = scores(net({"appearance": {"fc8": x_a}, "motion": {"fc8": x_b}}))
    torch.testing.assert_close(late, (scores(x_a.flatten(2)) + scores(x_b.flatten(2))) / 2)
