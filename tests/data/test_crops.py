from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fusionlab.data import crops
from fusionlab.errors import UserError
from fusionlab.video.quantise import mirror


def planted(y: int, x: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames (2, 12, 14, 3) and flow (3, 2, 12, 14) that are 0 but for one pixel, the same in all."""
    frames, flow = np.zeros((2, 12, 14, 3), np.uint8), np.zeros((3, 2, 12, 14), np.uint8)
    frames[:, y, x] = (10, 20, 30)
    flow[:, 0, y, x], flow[:, 1, y, x] = 200, 77
    return frames, flow


def test_a_pixel_planted_in_frames_and_flow_stays_together() -> None:
    draw = np.random.default_rng(0)
    seen = {True: 0, False: 0}
    for _ in range(300):
        crop = crops.drawn(12, 14, 8, draw)
        y, x = int(draw.integers(12)), int(draw.integers(14))
        frames, flow = planted(y, x)
        picture, motion = np.empty((3, 2, 8, 8), np.uint8), np.empty((3, 2, 8, 8), np.uint8)
        crop.frames(frames, picture)
        crop.flow(flow, motion)
        at = [tuple(int(n) for n in place) for place in np.argwhere(picture[0, 0])]
        inside = crop.y <= y < crop.y + 8 and crop.x <= x < crop.x + 8
        assert len(at) == int(inside)
        for row, column in at:
            assert row == y - crop.y
            assert column == (7 - (x - crop.x) if crop.flip else x - crop.x)
            assert (picture[:, :, row, column] == np.array([[10], [20], [30]])).all()
            assert (motion[:, 0, row, column] == (255 - 200 if crop.flip else 200)).all()
            assert (motion[:, 1, row, column] == 77).all()
            seen[crop.flip] += 1
        still = np.ones((8, 8), bool)
        for row, column in at:
            still[row, column] = False
        assert (motion[:, 0][:, still] == (255 if crop.flip else 0)).all()
    assert min(seen.values()) > 30


def test_every_place_and_both_mirrors_are_drawn() -> None:
    draw = np.random.default_rng(0)
    drawn = {crops.drawn(10, 9, 8, draw) for _ in range(300)}
    assert {(c.y, c.x, c.flip) for c in drawn} == {(y, x, f) for y in range(3) for x in range(2) for f in (True, False)}


def test_the_centre_and_its_mirror() -> None:
    assert crops.centre(56, 60, 48) == crops.Crop(4, 6, 48, 48, False)
    assert crops.centre(56, 60, 48, flip=True) == crops.Crop(4, 6, 48, 48, True)


def test_the_corners_come_row_by_row_then_the_middle() -> None:
    found = [crops.at(place, 56, 60, 48) for place in range(crops.PLACES)]
    assert [(c.y, c.x) for c in found] == [(0, 0), (0, 12), (8, 0), (8, 12), (4, 6)]


def test_a_crop_that_does_not_fit_is_told() -> None:
    with pytest.raises(UserError, match="larger than the video"):
        crops.centre(40, 60, 48)


# -- what is drawn


def resized(side: int) -> range:
    """Heights that a side of 224 is jittered to, cut to the frame."""
    return range(168, min(280, side) + 1)


def many(kind: str, height: int, width: int, size: int = 224, times: int = 3000) -> list[crops.Crop]:
    draw = np.random.default_rng(0)
    return [crops.DRAWN[kind](height, width, size, draw) for _ in range(times)]


@pytest.mark.parametrize("kind", crops.DRAWN)
@pytest.mark.parametrize(("height", "width"), [(256, 342), (342, 256), (900, 600)])
def test_what_is_drawn_lies_in_the_frame_and_comes_out_as_a_square(kind: str, height: int, width: int) -> None:
    found = many(kind, height, width)
    assert all(0 <= c.y <= height - c.height and 0 <= c.x <= width - c.width and c.shape == (224, 224) for c in found)
    assert 0.45 < np.mean([c.flip for c in found]) < 0.55


@pytest.mark.parametrize("kind", ["jitter", "jitter_released"])
def test_height_and_width_are_jittered_by_a_quarter_each_by_itself(kind: str) -> None:
    found = many(kind, 900, 600)
    for sides in ([c.height for c in found], [c.width for c in found]):
        assert set(sides) <= set(resized(900)) and min(sides) == 168 and max(sides) == 280
        assert abs(np.mean(sides) - 224) < 2
    assert abs(np.corrcoef([c.height for c in found], [c.width for c in found])[0, 1]) < 0.06
    assert max(c.height for c in many(kind, 256, 342)) == 256, "no more than there is"


def test_jittered_crops_lie_near_a_border_and_at_all_corners() -> None:
    found = many("jitter", 900, 600)
    gaps = [(min(c.y, 900 - c.height - c.y), min(c.x, 600 - c.width - c.x)) for c in found]
    assert max(y for y, _ in gaps) <= 225 and max(x for _, x in gaps) <= 150
    assert max(y for y, _ in gaps) > 215 and max(x for _, x in gaps) > 140
    corners = {(c.y < 450 - c.height / 2, c.x < 300 - c.width / 2) for c in found}
    assert len(corners) == 4


def test_each_place_near_a_border_comes_as_often_as_any_other() -> None:
    draw, counts = np.random.default_rng(0), np.zeros(14, int)
    for _ in range(6000):
        counts[crops._near_a_border(16, 3, draw)] += 1  # room 13, a quarter is 4: 0 … 4 and 9 … 13
    assert list(np.flatnonzero(counts)) == [0, 1, 2, 3, 4, 9, 10, 11, 12, 13]
    assert counts[counts > 0].min() > 520 and counts.max() < 680
    # Where all places are near enough: a room of 6, a quarter is 4.
    assert {crops._near_a_border(16, 10, draw) for _ in range(300)} == set(range(7))
    assert {crops._near_a_border(16, 16, draw) for _ in range(9)} == {0}


def test_released_jitter_reaches_two_corners_only() -> None:
    found = many("jitter_released", 900, 600)
    parts = np.array([(c.y / (900 - c.height), c.x / (600 - c.width)) for c in found])
    low, high = (parts <= 0.26).all(axis=1), (parts >= 0.74).all(axis=1)
    assert (low | high).all() and 0.45 < low.mean() < 0.55
    assert parts.min() == 0 and parts.max() == 1, "up to the borders"


def test_corners_are_four_sizes_each_and_five_places() -> None:
    found = many("corners", 600, 900)
    sizes = {256, 224, 192, 168}
    assert {(c.height, c.width) for c in found} == {(h, w) for h in sizes for w in sizes}
    for height, width in ((256, 168), (224, 224)):
        at = {(c.y, c.x) for c in found if (c.height, c.width) == (height, width)}
        y, x = 600 - height, 900 - width
        assert at == {(0, 0), (0, x), (y, 0), (y, x), (y // 2, x // 2)}
    assert {c.height for c in many("corners", 240, 320)} == {240, 224, 192, 168}
    assert {c.width for c in many("corners", 100, 100, size=48)} == {55, 48, 41, 36}


def test_draws_never_change() -> None:
    """Of a stream of numbers that never changes, in this order."""

    def first(kind: str) -> crops.Crop:
        return crops.DRAWN[kind](256, 342, 224, np.random.Generator(np.random.Philox(key=7)))

    assert {kind: first(kind) for kind in crops.DRAWN} == {
        "square": crops.Crop(5, 103, 224, 224, True),
        "jitter": crops.Crop(0, 44, 256, 201, False, 224),
        "jitter_released": crops.Crop(0, 2, 256, 201, False, 224),
        "corners": crops.Crop(0, 87, 256, 168, False, 224),
    }


# -- what is cut out


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("height", "width"), [(7, 12), (12, 5), (8, 8)])
def test_a_rectangle_is_cut_then_resized_then_mirrored(height: int, width: int, flip: bool) -> None:
    """torch's bilinear is another one's; cv2 rounds its weights, so a level is allowed."""
    draw = np.random.default_rng(0)
    frames = draw.integers(0, 256, (2, 12, 14, 3), dtype=np.uint8)
    fields = draw.integers(0, 256, (3, 2, 12, 14), dtype=np.uint8)
    crop = crops.Crop(0, 1, height, width, flip, 8)
    picture, motion = np.empty((3, 2, 8, 8), np.uint8), np.empty((3, 2, 8, 8), np.uint8)
    crop.frames(frames, picture)
    crop.flow(fields, motion)
    planes = [*frames.transpose(0, 3, 1, 2).reshape(6, 12, 14), *fields.reshape(6, 12, 14)]
    found = [*picture.transpose(1, 0, 2, 3).reshape(6, 8, 8), *motion.reshape(6, 8, 8)]
    for number, (plane, out) in enumerate(zip(planes, found, strict=True)):
        cut = torch.from_numpy(plane[0:height, 1 : 1 + width].astype(np.float64))[None, None]
        expected = F.interpolate(cut, size=(8, 8), mode="bilinear", align_corners=False)[0, 0].numpy()
        if flip:
            expected = expected[:, ::-1]
            if number in (6, 8, 10):  # u
                expected = 255 - expected
        assert np.abs(out.astype(np.float64) - expected).max() <= 1
        if (height, width) == (8, 8):
            np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("kind", crops.DRAWN)
def test_the_mirror_of_a_drawn_crop_is_exact_and_values_of_flow_are_not_rescaled(kind: str) -> None:
    fields = np.full((1, 2, 40, 60), 200, np.uint8)
    noise = np.random.default_rng(1).integers(0, 256, (1, 2, 40, 60), dtype=np.uint8)
    for crop in many(kind, 40, 60, size=32, times=40):
        out, plain, flipped = (np.empty((1, 2, 32, 32), np.uint8) for _ in range(3))
        crop.flow(fields, out)
        assert (out[:, 0] == (55 if crop.flip else 200)).all() and (out[:, 1] == 200).all()
        replace(crop, flip=False).flow(noise, plain)
        replace(crop, flip=True).flow(noise, flipped)
        np.testing.assert_array_equal(flipped, mirror(plain))


def test_a_smaller_frame_is_resized_where_training_resizes() -> None:
    for kind in ("jitter", "jitter_released", "corners"):
        for crop in many(kind, 20, 50, size=48, times=50):
            assert crop.height == 20 and crop.shape == (48, 48)
    assert crops.at(crops.MIDDLE, 20, 50, 48, capped=True) == crops.Crop(0, 1, 20, 48, False, 48)
    assert crops.at(3, 60, 50, 48, capped=True) == crops.Crop(12, 2, 48, 48)
    with pytest.raises(UserError, match="larger than the video"):
        crops.drawn(20, 50, 48, np.random.default_rng(0))


def test_a_whole_frame_and_one_that_is_too_small() -> None:
    assert crops.whole(56, 60, 48, flip=True) == crops.Crop(0, 0, 56, 60, True)
    with pytest.raises(UserError, match="no whole frame") as refused:
        crops.whole(40, 60, 48)
    assert "data.sampling.test=middle" in str(refused.value)
