"""The drawing of a net: what stands where, and that it fits a page."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
import torch

from fusionlab.backbones.resnet import ResNet50
from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.vgg16 import Vgg16
from fusionlab.backbones.vgg_m import VggM
from fusionlab.fusion.bilinear import Bilinear
from fusionlab.fusion.cat import Cat
from fusionlab.fusion.conv import Conv
from fusionlab.fusion.sum import Sum
from fusionlab.sizes.costs import measure
from fusionlab.summaries.drawing import draw
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.temporal.pool3d import Pool3d
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import STREAMS, LateNet, Net, StreamNet
from fusionlab.two_stream.whole import WholeNet

TOWERS: dict[str, Callable[[int], Tower]] = {
    "tiny": lambda channels: Tiny(channels, 24),
    "vgg_m": lambda channels: VggM(channels, 101),
    "vgg16": lambda channels: Vgg16(channels, 101),
    "resnet50": lambda channels: ResNet50(channels, 101),
}
# towers, fusion, temporal head, layer, options
NETS: dict[str, tuple[str, str, Any, Any, str, dict[str, Any]]] = {
    "tiny": ("tiny", "tiny", Conv, Pool2d, "relu5", {}),
    "conv": ("vgg_m", "vgg_m", Conv, Pool2d, "relu5", {}),
    "sum": ("vgg_m", "vgg_m", Sum, Pool2d, "relu5", {}),
    "lower": ("vgg_m", "vgg_m", Conv, Pool2d, "relu3", {}),
    "pool3d": ("vgg_m", "vgg_m", Conv, Pool3d, "relu5", {}),
    "pool3d of 3": ("vgg_m", "vgg_m", Conv, partial(Pool3d, extent=3), "relu5", {}),
    "two": ("vgg_m", "vgg_m", Conv, Pool2d, "relu5+fc8", {}),
    "three": ("vgg_m", "vgg_m", Conv, Pool2d, "relu3+relu5+fc6", {}),
    "kept": ("vgg16", "vgg_m", Cat, Conv3d, "relu5", {"keep": True, "tower_weight": 0.75}),
    "unequal": ("vgg16", "vgg_m", Sum, Pool3d, "relu5", {}),
    "into motion": ("vgg16", "vgg_m", Sum, Pool3d, "relu5", {"into": "motion", "above": "motion"}),
    "kept, into motion": ("vgg_m", "vgg16", Sum, Pool3d, "relu5", {"into": "motion", "above": "motion", "keep": True}),
    "residual": ("resnet50", "resnet50", Cat, Pool2d, "layer3", {}),
    "pair": ("resnet50", "vgg16", partial(Conv, init="he"), Pool2d, "layer3:relu5_3", {}),
    "bilinear": ("vgg_m", "vgg_m", Bilinear, Pool2d, "relu5", {}),
    "class scores": ("vgg_m", "vgg_m", Sum, Pool2d, "softmax", {}),
}  # fmt: skip
ALL = [*NETS, "late", "appearance", "motion"]


@cache
def tower(name: str, channels: int) -> Tower:
    with torch.device("meta"):
        return TOWERS[name](channels)


@cache
def drawn(name: str, snippets: int = 5) -> str:
    a, b, *made = NETS.get(name, ("vgg_m", "vgg_m"))
    towers = (tower(a, 3), tower(b, 20))
    net: Net
    with torch.device("meta"):
        if name in NETS:
            net = FusedNet(*towers, *made[:3], **made[3])
        elif name == "late":
            net = LateNet()
        else:
            net, towers = StreamNet(towers[name == "motion"], name), ()  # type: ignore[arg-type, assignment]
        return draw(net, measure(net, *towers, snippets=snippets), *towers)


def place(text: str, word: str) -> tuple[int, int]:
    """Line and column of a word that stands in the drawing once."""
    found = [(n, line.index(word)) for n, line in enumerate(text.splitlines()) if word in line]
    assert len(found) == 1, f"{word} stands in {len(found)} lines"
    return found[0]


def line(text: str, word: str) -> int:
    return place(text, word)[0]


@pytest.mark.parametrize("name", ALL)
def test_it_fits_a_page(name: str) -> None:
    for snippets in (5, 25):
        lines = drawn(name, snippets).splitlines()
        assert max(map(len, lines)) <= 100 and len(lines) <= 45
        assert all(line == line.rstrip() for line in lines)
        assert "…" not in drawn(name, snippets).replace(" … ", " "), "nothing is cut off"


def test_other_nets_are_drawn_otherwise_and_the_same_alike() -> None:
    drawings = {name: drawn(name) for name in ALL}
    assert len(set(drawings.values())) == len(ALL)
    again = drawings["three"]
    drawn.cache_clear()
    assert drawn("three") == again


def test_the_whole_of_a_small_one() -> None:
    assert (
        "\n" + drawn("tiny", 3) + "\n"
        == """
           scores of 24 classes
     softmax, mean over 3 predictions
                     │
┏━━━━━━━━━━━━━━━━━━━━┷━━━━━━━━━━━━━━━━━━━━┓
┃ fc8               1×1/1        24×3×1×1 ┃
┃ fc7               1×1/1        64×3×1×1 ┃
┃ fc6               6×6/1       128×3×1×1 ┃
┃ pool2d for pool5  3×3/2        32×3×6×6 ┃
┗━━━━━━━━━━━━━━━━━━━━┯━━━━━━━━━━━━━━━━━━━━┛
┏━━━━━━━━━━━━━━━━━━━━┷━━━━━━━━━━━━━━━━━━━━┓
┃ conv fusion, relu  1×1/1     32×3×12×12 ┃◀────────────────────────────────┐
┗━━━━━━━━━━━━━━━━━━━━┯━━━━━━━━━━━━━━━━━━━━┛                                 │
                     │ relu5                                                │ relu5
┌────────────────────┴────────────────────┐            ┌────────────────────┴────────────────────┐
│ conv2 … conv5  3×3/1         32×3×12×12 │            │ conv2 … conv5  3×3/1         32×3×12×12 │
│ pool1          3×3/2         16×3×12×12 │            │ pool1          3×3/2         16×3×12×12 │
│ conv1          3×3/2         16×3×24×24 │            │ conv1          3×3/2         16×3×24×24 │
└────────────────────┬────────────────────┘            └────────────────────┬────────────────────┘
                     │                                                      │
             frames 3×3×48×48                                        flow 20×3×48×48
             appearance, Tiny                                         motion, Tiny
"""
    )


def test_each_meeting_has_its_fusion_and_its_arrow() -> None:
    three = drawn("three")
    assert three.count("conv fusion, relu") == three.count("◀") == 3
    for lower, higher in (("relu3", "relu5"), ("relu5", "fc6")):
        assert max(n for n, text in enumerate(three.splitlines()) if f"│ {higher}" in text) < min(
            n for n, text in enumerate(three.splitlines()) if f"│ {lower}" in text
        )
    arrows = [text for text in three.splitlines() if "◀" in text]
    assert [text[-1] for text in arrows] == ["┐", "┤", "┤"], "the motion tower ends at the highest"


def test_a_tower_that_is_cut_ends_and_one_that_is_kept_goes_on() -> None:
    cut, kept = drawn("unequal"), drawn("kept")
    assert "◀────────────────────────────────┐" in cut and "◀────────────────────────────────┤" in kept
    assert cut.count("fc8") == 1 and kept.count("fc8") == 2
    assert (cut.count("loss"), kept.count("│ loss")) == (0, 2)
    assert "0.75 · softmax(fused) + 0.25 · softmax(motion)" in kept
    assert "0.5 · softmax(appearance) + 0.5 · softmax(fused)" in drawn("kept, into motion")
    assert "0.5 · logits(fused) + 0.5 · logits(motion), then softmax" in drawn("two")


def test_the_arrow_points_to_the_tower_that_goes_on() -> None:
    there, back = drawn("unequal"), drawn("into motion")
    assert "◀" in there and "▶" not in there and "▶" in back and "◀" not in back
    assert place(there, "sum fusion")[1] < 43 < place(back, "sum fusion")[1]
    assert place(there, "fc8")[1] < 43 < place(back, "fc8")[1]


def test_the_temporal_head_has_its_place() -> None:
    kept = drawn("kept")
    conv3d = line(kept, "conv3d, relu")
    assert line(kept, "cat fusion") > conv3d, "right above the fusion"
    pools = [n for n, text in enumerate(kept.splitlines()) if "pool3d for pool5" in text]
    assert pools == [conv3d - 1, conv3d], "then its box; in the kept tower its own"
    assert "5×2×2/2     512×1×7×7" in kept and "5×3×3/2     512×1×6×6" in kept
    assert "pool3d for pool5  3×3×3/2     512×2×6×6" in drawn("pool3d of 3")


def test_smaller_maps_are_filled_up() -> None:
    assert "│ relu5 + zeros: 14×14" in drawn("unequal") and "│ relu5_3" in drawn("unequal")
    assert "zeros" not in drawn("conv")


def test_frozen_is_thin_and_the_arm_s_own_thick() -> None:
    late, alone = drawn("late"), drawn("appearance")
    assert "┏" not in late and "┌" not in alone and "┏" in alone
    assert "½ softmax(appearance) + ½ softmax(motion)" in late
    assert "flow" not in alone and "frames" not in drawn("motion")
    lines = drawn("lower").splitlines()
    meeting = line(drawn("lower"), "conv fusion, relu")
    assert any("conv4, conv5" in text and "┃" in text for text in lines[:meeting])
    assert all("┃" not in text for text in lines[meeting + 2 :])


def test_nothing_is_rectified_at_class_scores() -> None:
    assert "sum fusion" in drawn("class scores") and "relu" not in drawn("class scores").partition("fusion")[2][:20]
    assert "classifier" in drawn("bilinear") and "fc8" not in drawn("bilinear")


@pytest.mark.parametrize("name", ["conv", "lower", "three"])
def test_towers_that_are_trained_too_are_thick_to_the_pixels(name: str) -> None:
    a, b, fusion, head, layer, options = NETS[name]
    towers = (tower(a, 3), tower(b, 20))
    with torch.device("meta"):
        net = WholeNet.copied(
            FusedNet(*towers, fusion, head, layer, **options), dict(zip(STREAMS, towers, strict=True))
        )
        whole = draw(net, measure(net, snippets=5))
    usual = drawn(name).splitlines()
    boxes = next(n for n, text in enumerate(usual) if text.startswith("┌"))
    thick = [text.translate(str.maketrans("┌┐└┘─│┴┬", "┏┓┗┛━┃┷┯")) for text in usual[boxes:-3]]
    assert whole.splitlines() == [*usual[:boxes], *thick, *usual[-3:]]
