"""Hues at equal luma, in the very arithmetic that flow reads."""

import itertools

import numpy as np
import pytest

from fusionlab.data.brush import palette as module
from fusionlab.data.brush.labels import PLACES
from fusionlab.data.brush.palette import CHROMA, HIGH, LOW, luma, palette
from fusionlab.video.flow import gray

HUES = len(PLACES) + 2  # the places', the hand's, the decoy's
LEVELS = np.arange(LOW, HIGH + 1)


def test_luma_is_what_flow_reads_for_every_colour_there_is() -> None:
    byte = np.arange(256, dtype=np.uint8)
    green_blue = np.stack(np.meshgrid(byte, byte, indexing="ij"), axis=-1)
    for red in range(256):
        colours = np.concatenate([np.full((256, 256, 1), red, np.uint8), green_blue], axis=-1)
        np.testing.assert_array_equal(luma(colours), gray(colours))


@pytest.mark.parametrize("hues", range(1, HUES + 2))
def test_every_hue_has_exactly_its_luma(hues: int) -> None:
    for distance in (0.1, 0.25, 0.37, 0.5, 0.75, 0.9, 1.0):
        table = palette(hues, distance)
        assert table.shape == (hues + 1, 256, 3)
        for row in gray(table):
            np.testing.assert_array_equal(row[LOW : HIGH + 1], LEVELS)
            assert (row[:LOW] == LOW).all() and (row[HIGH + 1 :] == HIGH).all()


def test_one_level_off_is_noticed() -> None:
    wrong = palette(HUES)[:, LOW : HIGH + 1].copy()
    wrong[2, 50, 1] += 2
    assert (gray(wrong) != LEVELS).sum() == 1


def test_row_0_is_grey_and_the_hues_stand_at_equal_angles() -> None:
    table = palette(HUES)[:, LOW : HIGH + 1].astype(float)
    assert (table[0] == LEVELS[:, None]).all()
    blue, red = (table[..., 2] - LEVELS) / 1.772, (table[..., 0] - LEVELS) / 1.402
    angles = np.unwrap(np.arctan2(red, blue)[1:], axis=0)
    assert np.abs(np.diff(angles, axis=0) - 2 * np.pi / HUES).max() < 0.05
    assert np.abs(np.hypot(red, blue)[1:] - CHROMA).max() < 1


def test_hues_differ_for_the_eye_at_every_level() -> None:
    for distance, least in ((1.0, 60), (0.5, 30), (0.1, 5)):
        table = palette(HUES, distance).astype(float)
        for one, other in itertools.combinations(range(HUES + 1), 2):
            assert np.linalg.norm(table[one] - table[other], axis=1).min() > least


def test_the_circle_is_as_large_as_the_gamut_allows() -> None:
    def inside(chroma: float) -> bool:
        angles = 2 * np.pi * (np.arange(HUES) + 0.5) / HUES
        cb, cr = chroma * np.cos(angles), chroma * np.sin(angles)
        channels = np.stack([1.402 * cr, 1.772 * cb, -(0.299 * 1.402 * cr + 0.114 * 1.772 * cb) / 0.587])
        return bool((LOW + channels).min() >= 0 and (HIGH + channels).max() <= 255)

    assert inside(CHROMA) and not inside(CHROMA + 1)


def test_a_hue_outside_the_gamut_is_our_own_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHROMA", 60.0)
    with pytest.raises(AssertionError, match="no integer colour"):
        palette.__wrapped__(HUES)
