"""Where two towers meet: how it is typed, what is meant, and what is answered to what cannot be."""

from dataclasses import replace

import pytest
import torch
from two_stream_fakes import A, B, deep

from fusionlab.backbones.tiny import Tiny
from fusionlab.errors import UserError
from fusionlab.two_stream.fusion_point import fits, nearest, read, spell


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("relu5", "relu5"),
        ("ReLU_5", "relu5"),
        ("relu5:relu5", "relu5"),
        ("relu4:relu5", "relu4:relu5"),
        ("relu5+fc8", "relu5+fc8"),
        ("FC8+relu5", "relu5+fc8"),
        ("fc6+relu3+relu5", "relu3+relu5+fc6"),
        ("relu3:relu2+fc6", "relu3:relu2+fc6"),
    ],
)
def test_one_spelling_of_all_that_mean_the_same(typed: str, meant: str) -> None:
    assert spell(typed, A, B) == meant
    assert spell(meant, A, B) == meant


def test_one_name_for_the_last_of_several_layers_of_a_block() -> None:
    assert spell("relu5", deep(3), B) == spell("relu5_3:relu5", deep(3), B) == "relu5_3"
    assert spell("relu5", A, deep()) == "relu5"
    (point,) = read("relu5", A, deep())
    assert (point.a.layer, point.b.layer) == ("relu5", "relu5_3")
    assert spell("relu5:relu5_1", A, deep()) == "relu5:relu5_1"


@pytest.mark.parametrize(
    "typed, message",
    [
        ("relu6", "relu5"),
        ("relu55", "unknown layer"),
        ("relu5_9", "unknown layer"),
        ("relu5_1", "unknown layer"),
        ("relu5+relu5", "lie above the one before"),
        ("relu3:relu5+relu5:relu3", "lie above the one before"),
        ("relu5+", "unknown layer"),
        ("relu5+fc8+softmax", "class scores can be fused once"),
        ("", "unknown layer"),
        ("relu5:", "unknown layer"),
        ("a:b:c", "unknown layer"),
    ],
)
def test_what_cannot_be_meant(typed: str, message: str) -> None:
    with pytest.raises(UserError) as refusal:
        read(typed, A, B)
    assert message in str(refusal.value)


def test_a_layer_that_only_one_tower_has_is_answered_with_a_pair() -> None:
    with pytest.raises(UserError) as refusal:
        read("relu3", A, deep())
    assert "the motion tower has no layer relu3" in str(refusal.value)
    assert "layer=relu3:relu5_3 (appearance:motion)" in str(refusal.value)
    with pytest.raises(UserError) as refusal:
        read("relu3", deep(3), B)
    assert "layer=relu5_3:relu3 (appearance:motion)" in str(refusal.value)


def test_what_fits() -> None:
    taps, other = A.taps, deep().taps
    assert taps["relu5"].side + 1 == other["relu5_3"].side and taps["relu5"].stride == other["relu5_3"].stride
    assert fits(taps["relu5"], other["relu5_3"]) and fits(other["relu5_3"], taps["relu5"])
    assert not fits(taps["relu5"], replace(other["relu5_3"], stride=8))
    assert fits(taps["fc6"], taps["fc8"])  # vectors
    assert not fits(taps["relu1"], taps["relu5"])
    assert not fits(taps["relu5"], taps["fc6"])


def test_the_nearest_pair_lies_the_fewest_layers_away() -> None:
    (point,) = read("relu1:relu5", A, B)
    found = nearest(point)
    assert found is not None
    (pair,) = read(found, A, B)
    assert fits(pair.a.tap, pair.b.tap) and pair.a.tap.rectified and pair.b.tap.rectified
    away = abs(pair.a.depth - point.a.depth) + abs(pair.b.depth - point.b.depth)
    for one in A.taps:
        for two in B.taps:
            a, b = A.taps[one], B.taps[two]
            if fits(a, b) and a.spatial and a.rectified and b.rectified and a.channels == b.channels:
                (other,) = read(f"{one}:{two}", A, B)
                assert away <= abs(other.a.depth - point.a.depth) + abs(other.b.depth - point.b.depth)


def test_no_pair_fits() -> None:
    with torch.device("meta"):
        (point,) = read("relu5", A, Tiny(4, 5, size=320))
    assert point.a.tap.side != point.b.tap.side
    assert nearest(point) is None


def test_taps_of_tiny_are_spelled_as_they_are() -> None:
    assert len(A.taps) == 14 and [spell(tap, A, B) for tap in A.taps] == list(A.taps)
