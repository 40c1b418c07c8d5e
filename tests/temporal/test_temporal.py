"""Each yaml in conf/temporal is a head; pooling and filters against index loops from their equations."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from temporal_oracles import D, clip, filtered, maxima, means_of_maxima
from torch import nn

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.layers import Window
from fusionlab.errors import UserError
from fusionlab.fusion import cat
from fusionlab.temporal import conv3d, pool2d, pool3d
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.temporal.pool3d import Pool3d
from fusionlab.temporal.temporal import Temporal
from fusionlab.testing import load_parts
from fusionlab.testing import temporal_contract as contract

HEADS = load_parts(Path(__file__).parents[2] / "conf" / "temporal")


@pytest.mark.parametrize("name", list(HEADS))
def test_contract(name: str) -> None:
    contract.check(HEADS[name])


def test_a_head_that_says_nothing_sees_the_order_of_several_snippets() -> None:
    assert [Temporal.sees_order(snippets) for snippets in (1, 2, 5)] == [False, True, True]
    assert [Pool2d.sees_order(snippets) for snippets in (1, 2, 5)] == [False, False, False]


def test_the_papers_heads_are_there() -> None:
    assert {"pool2d", "pool3d", "conv3d", "pool3d_paper", "conv3d_paper"} <= set(HEADS)


def test_pooling() -> None:
    maxima(pool3d.pool)
    means_of_maxima(pool3d.pool)
    x, spatial = clip(), nn.MaxPool2d(2, 1)
    assert torch.equal(pool3d.pool(x, spatial, 1, 1), pool2d.pool(x, spatial))


def test_length_of_the_box() -> None:
    def steps(extent: int | str, frames: int) -> int:
        return Pool3d(D, D, nn.MaxPool2d(2), extent=extent).at_pool(clip()[:, :, :frames]).shape[2]

    assert [steps("all", frames) for frames in (1, 3, 5)] == [1, 1, 1]
    assert [steps(3, frames) for frames in (1, 2, 3, 5)] == [1, 1, 1, 2]
    for wrong in (0, "al", 2.5, True):
        with pytest.raises(UserError, match=r"temporal\.extent=all"):
            Pool3d(D, D, nn.MaxPool2d(2), extent=wrong)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="move on"):
        Pool3d(D, D, nn.MaxPool2d(2), stride=0)


def test_filters_in_time_and_space() -> None:
    filtered(conv3d.convolve)


def test_the_bell() -> None:
    g = conv3d.bell()
    assert g.sum().item() == pytest.approx(1)
    values = [g[1, 1, 1], g[0, 1, 1], g[0, 0, 1], g[0, 0, 0]]
    assert [round(v.item(), 7) for v in values] == [0.0922613, 0.0559593, 0.0339410, 0.0205863]


def test_start_on_constant_maps() -> None:
    a, b = 2.0, 5.0
    head = Conv3d(2 * D, D, nn.MaxPool2d(2))
    initialise(head, seed=0)
    stack = cat.fuse(torch.full((1, D, 5, 5, 5), a), torch.full((1, D, 5, 5, 5), b))
    y = head.at_fusion(stack)
    inside = 0.25 * a + 0.75 * b
    torch.testing.assert_close(y[:, :, 1:-1, 1:-1, 1:-1], torch.full((1, D, 3, 3, 3), inside))
    faces = (y[0, 0, 0, 2, 2], y[0, 0, 4, 2, 2], y[0, 0, 2, 0, 2], y[0, 0, 2, 2, 4])
    assert [round(v.item() / inside, 6) for v in faces] == [0.725931] * 4
    corners = (y[0, 1, 0, 0, 0], y[0, 1, 4, 4, 4], y[0, 1, 0, 4, 0])
    assert [round(v.item() / inside, 6) for v in corners] == [0.382549] * 3


def test_start_keeps_channels_apart_and_single_streams_whole() -> None:
    head = Conv3d(D, D, nn.MaxPool2d(2))
    initialise(head, seed=0)
    off_diagonal = head.filters.weight[0, 1]
    assert not off_diagonal.any()
    torch.testing.assert_close(head.filters.weight[0, 0], conv3d.bell())
    with pytest.raises(UserError, match="D or 2D"):
        Conv3d(3 * D, D, nn.MaxPool2d(2))


def test_filter_bank_of_the_papers_final_net() -> None:
    with torch.device("meta"):
        bank = Conv3d(1024, 512, nn.MaxPool2d(2)).filters
    assert bank.weight.shape == (512, 1024, 3, 3, 3)
    assert sum(p.numel() for p in bank.parameters()) == 14_156_288


# --- the box of the paper and the one of the released code ---

VGG16, VGG_M = nn.MaxPool2d(2, 2), nn.MaxPool2d(3, 2)  # their pool5


@pytest.mark.parametrize("name", ["pool3d_paper", "conv3d_paper"])
@pytest.mark.parametrize("own, places, left", [(VGG16, 14, 7), (VGG_M, 13, 6)])
def test_the_papers_box(name: str, own: nn.MaxPool2d, places: int, left: int) -> None:
    """3×3×3, two steps on: of five frames two boxes remain, and of the places as many as the tower expects."""
    x = torch.randn(1, D, 5, places, places, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = HEADS[name](D, D, own).at_pool(x)
    assert y.shape == (1, D, 2, left, left) == (1, D, 2, *own(x[:, :, 0]).shape[2:])
    for t in range(2):
        for i, j in ((0, 0), (1, 4), (left - 1, left - 1)):
            box = x[0, :, 2 * t : 2 * t + 3, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]  # cut at the end of the map
            assert torch.equal(y[0, :, t, i, j], box.amax(dim=(1, 2, 3)))


@pytest.mark.parametrize("name", ["pool3d", "conv3d"])
def test_the_released_box(name: str) -> None:
    """As long as the clip, as wide as the tower's own pooling."""
    x = torch.randn(1, D, 5, 14, 14, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = HEADS[name](D, D, VGG16).at_pool(x)
    assert torch.equal(y, VGG16(x.amax(dim=2))[:, :, None])


def test_a_shorter_clip_cuts_the_papers_box() -> None:
    x = torch.randn(1, D, 2, 13, 13, generator=torch.Generator().manual_seed(0))
    assert torch.equal(HEADS["pool3d_paper"](D, D, VGG_M).at_pool(x), HEADS["pool3d"](D, D, VGG_M).at_pool(x))


def test_places_are_counted_as_torch_counts_them() -> None:
    for size, stride, padding in (
        (1, 1, 0),
        (2, 2, 0),
        (2, 1, 1),
        (3, 2, 0),
        (3, 2, 1),
        (3, 3, 0),
        (5, 2, 2),
        (2, 3, 1),
    ):
        for up in (False, True):
            pool = nn.MaxPool2d(size, stride, padding, ceil_mode=up)
            window = Window.of(pool)
            assert window is not None
            counted = [window.places(side) for side in range(size, 20)]
            assert counted == [pool(torch.zeros(1, side, side)).shape[-1] for side in range(size, 20)]
    assert Window(5, 2, 0, False).places(2) == 0


def test_a_side_that_does_not_fit_the_layers_above_is_refused() -> None:
    wide = Pool3d(D, D, VGG16, side=5)
    with pytest.raises(UserError, match=r"expect 7×7") as refused:
        wide.fits(14)
    assert "leaves 6×6" in str(refused.value) and "temporal.side=3" in str(refused.value)
    for head in (Pool3d(D, D, VGG16, side=3), Pool3d(D, D, VGG_M, side=3), Pool3d(D, D, VGG_M), Pool2d(D, D, VGG16)):
        for side in range(2, 30):
            head.fits(side)
    for wrong in (0, "all", 2.5, True):
        with pytest.raises(UserError, match=r"temporal\.side=3"):
            Pool3d(D, D, VGG16, side=wrong)  # type: ignore[arg-type]


def test_above_a_mean_only_time_has_a_box() -> None:
    """A residual tower: the largest of all frames, and the tower's mean of it."""
    mean, x = nn.AvgPool2d(4, stride=1), clip()
    y = HEADS["pool3d"](D, D, mean).at_pool(x)
    torch.testing.assert_close(y, mean(x.amax(dim=2))[:, :, None])
    torch.testing.assert_close(HEADS["pool2d"](D, D, mean).at_pool(x)[:, :, 3], mean(x[:, :, 3]))
    for wrong in (nn.AvgPool2d(2, 1), nn.AvgPool2d(4, 2), nn.AvgPool2d(4, 1, 1), nn.AdaptiveAvgPool2d(1)):
        with pytest.raises(UserError, match=r"temporal=pool3d or conv3d"):
            HEADS["pool3d_paper"](D, D, wrong)


def test_above_a_mean_a_box_with_a_side_moves_place_by_place_and_the_mean_is_over_the_boxes() -> None:
    """A map as large as the tower expects leaves one prediction, and a larger one as many as before."""
    head, x = Pool3d(D, D, nn.AvgPool2d(4, 1), extent=3, side=3), clip()
    y = head.at_pool(x)
    assert y.shape == (1, D, 2, 1, 2) and x.shape[2:] == (5, 4, 5)
    for d, t, j in itertools.product(range(D), range(2), range(2)):
        boxes = [
            x[0, d, 2 * t : 2 * t + 3, p : p + 3, j + q : j + q + 3].max().item()
            for p, q in itertools.product(range(2), range(2))
        ]
        assert y[0, d, t, 0, j].item() == pytest.approx(sum(boxes) / 4, abs=1e-12)
    assert head.pool_text(5) == ("pool3d", "3×3×3/1, mean 2×2/1")
    head.fits(4)


def test_filters_to_any_number_of_channels_start_from_noise() -> None:
    for into in (2, 7, 40):
        head = Conv3d(3 * D, D, nn.MaxPool2d(2), channels=into, init="gaussian")
        initialise(head, seed=0)
        assert head.filters.weight.shape == (into, 3 * D, 3, 3, 3) and head.out_channels == into
        assert head.at_fusion(torch.zeros(1, 3 * D, 2, 4, 4)).shape == (1, into, 2, 4, 4)
        assert not head.filters.bias.any() and not head.keeps_channels
    assert head.filters.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert head.filters.weight.mean().abs() < 1e-3
    again = Conv3d(3 * D, D, nn.MaxPool2d(2), channels=40, init="gaussian")
    initialise(again, seed=0)
    assert torch.equal(again.filters.weight, head.filters.weight)
    wide = Conv3d(D, 4 * D, nn.MaxPool2d(2), channels=D)  # identities fit: D channels to D, whatever the tower has
    initialise(wide, seed=0)
    torch.testing.assert_close(wide.filters.weight[0, 0], conv3d.bell())
    assert wide.keeps_channels


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"channels": 0}, "temporal.channels=1"),
        ({"channels": 2.5}, "whole number"),
        ({"init": "gausian"}, "did you mean temporal.init=gaussian"),
        ({"channels": 5}, "temporal.init=gaussian"),
    ],
)
def test_numbers_that_filters_cannot_have(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as refused:
        Conv3d(2 * D, D, nn.MaxPool2d(2), **options)
    assert told in str(refused.value)


def test_numbers_of_filters_without_effect() -> None:
    pool = nn.MaxPool2d(2)
    assert set(Conv3d(2 * D, D, pool, channels=D).no_effect()) == {"channels"}
    assert set(Conv3d(2 * D, D, pool, init="he", weight_a=0.5).no_effect()) == {"weight_a"}
    assert set(Conv3d(D, D, pool, weight_b=0.5).no_effect()) == {"weight_b"}
    for ours in ({"weight_a": 0.5}, {"channels": 5, "init": "he"}, {"init": "gaussian"}):
        assert Conv3d(2 * D, D, pool, **ours).no_effect() == {}


def test_beside_a_fused_tower_the_box_stays_and_the_filters_go() -> None:
    head = HEADS["conv3d_paper"](2 * D, D, VGG16)
    beside = head.beside(3, VGG_M)
    assert isinstance(beside, Pool3d) and not isinstance(beside, Conv3d)
    assert (beside.extent, beside.stride, beside.side) == (3, 2, 3) and not list(beside.parameters())
    assert beside.at_pool(torch.zeros(1, 3, 5, 13, 13)).shape == (1, 3, 2, 6, 6)
    with pytest.raises(NotImplementedError):
        Temporal(D, D, VGG16).beside(D, VGG16)


@pytest.mark.parametrize(
    ("head", "own", "snippets", "sees"),
    [
        (Pool2d, {}, 5, False),
        (Pool3d, {}, 5, False),
        (Pool3d, {"extent": 3}, 5, True),
        (Pool3d, {"extent": 5}, 5, False),
        (Pool3d, {"extent": 9}, 5, False),
        (Conv3d, {}, 5, True),
        (Conv3d, {}, 1, False),
    ],
)
def test_a_head_sees_the_order_of_snippets_where_another_order_gives_another_map(
    head: type[Temporal], own: dict[str, object], snippets: int, sees: bool
) -> None:
    assert head.sees_order(snippets, **own) == sees
    made = head(D, D, nn.MaxPool2d(2), **own)
    initialise(made, 0)
    x = clip().float()[:, :, :snippets]
    one, other = (made(one).flatten(2).sort(dim=2).values for one in (x, x[:, :, torch.randperm(snippets)]))
    assert torch.equal(one, other) or sees


def test_the_box_beside_is_the_same_box() -> None:
    one = Pool3d(D, D, nn.MaxPool2d(2), extent=3, stride=1, side=3)
    other = one.beside(2 * D, nn.MaxPool2d(2))
    assert (other.extent, other.stride, other.side) == (3, 1, 3) and other.out_channels == 2 * D
