import numpy as np
import pytest

from fusionlab.data import crops
from fusionlab.errors import UserError


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


def test_a_crop_that_does_not_fit_is_told() -> None:
    with pytest.raises(UserError, match="larger than the video"):
        crops.centre(40, 60, 48)
