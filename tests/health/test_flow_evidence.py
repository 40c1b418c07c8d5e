"""Flow that is estimated anew, against flow that is known, and where it says that it can be trusted."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from health_fakes import SIDE, texture, wander, warped

from fusionlab.health.field_checks import pairs_compared, windows
from fusionlab.health.flow_evidence import consistent, estimate_pairs, looks_alike, method, textured


@pytest.mark.parametrize("seed", range(3))
def test_what_is_trusted_is_right(seed: int) -> None:
    scene = wander(seed, noise=2)
    for k, one in enumerate(estimate_pairs(scene.frames)):
        for trusted, truth in ((one.here, scene.flow[k]), (one.back, scene.back[k])):
            off = np.hypot(*(trusted.field - truth))[trusted.where]
            assert trusted.where.mean() > 0.4
            assert np.quantile(off, 0.9) < 0.3, k


@pytest.mark.parametrize("turn, zoom", [(0.05, 1.0), (0.0, 1.05), (-0.03, 0.97)])
def test_turns_and_zooms_are_followed(turn: float, zoom: float) -> None:
    scene = warped(1, turn, zoom)
    here = estimate_pairs(scene.frames[:2])[0].here
    assert np.quantile(np.hypot(*(here.field - scene.flow[0]))[here.where], 0.9) < 0.3


def test_neighbours_are_those_in_time() -> None:
    scene = wander(5)
    seen = estimate_pairs(scene.frames)
    assert [sorted(one.shifted) for one in seen[:3]] == [[1, 2, 3], [-1, 1, 2, 3], [-2, -1, 1, 2, 3]]
    for k, one in enumerate(seen):
        assert all(other is seen[k + by].here for by, other in one.shifted.items())


def test_pairs_that_are_compared_have_most_neighbours() -> None:
    expected = {1: [0], 2: [0, 1], 3: [1], 4: [1, 2], 5: [1, 2, 3], 6: [1, 2, 3, 4], 7: [2, 3, 4], 9: [3, 4, 5]}
    assert {count: [*pairs_compared(count)] for count in expected} == expected


def test_a_cut_is_hardly_trusted() -> None:
    frames = np.stack([wander(1).frames[0], wander(2).frames[0]])
    assert estimate_pairs(frames)[0].here.where.mean() < 0.05


def test_bare_places_and_edges_have_no_texture() -> None:
    bare = np.full(SIDE, 90, dtype=np.uint8)
    edge = bare.copy()
    edge[:, 44:] = 200  # to be followed across, and not along
    assert not textured(bare).any() and not textured(edge).any()
    assert textured(texture(np.random.default_rng(0), *SIDE).astype(np.uint8)).mean() > 0.9


def test_there_and_back_is_followed_by_a_loop() -> None:
    """The index loop: whole steps, so that nothing is between pixels."""
    draw = np.random.default_rng(3)
    there, back = draw.integers(-3, 4, (2, 2, 9, 11)).astype(np.float32)
    got = consistent(there, back)
    for y in range(9):
        for x in range(11):
            to_y, to_x = int(y + there[1, y, x]), int(x + there[0, y, x])
            inside = 0 <= to_y < 9 and 0 <= to_x < 11
            sums = [there[c, y, x] + back[c, to_y, to_x] for c in (0, 1)] if inside else [99, 99]
            assert got[y, x] == (inside and np.hypot(*sums) < 0.3 + 0.1 * np.hypot(*there[:, y, x]))
    assert got.any() and not got.all()


def test_what_is_found_again_looks_alike() -> None:
    """Where the square was covers ground that is not there in the next frame."""
    scene = wander(2)
    moving = np.hypot(*scene.flow[3]) > 0
    inner = cv2.erode(moving.astype(np.uint8), np.ones((7, 7))) > 0  # the window looks at nothing else
    assert looks_alike(scene.frames[3], scene.frames[4], scene.flow[3])[inner].all()
    assert looks_alike(scene.frames[3], scene.frames[4], -scene.flow[3])[inner].mean() < 0.1


def test_small_pictures_are_searched_at_full_resolution() -> None:
    assert method(56, 56).describe()["finest_scale"] == 0
    assert method(256, 340).describe()["finest_scale"] == 1


@pytest.mark.parametrize("motion", [None, 0, 1])
@pytest.mark.parametrize("frames", [2, 3, 9, 10, 19, 20, 21, 29, 30, 31, 500])
def test_windows_lie_in_the_video_and_not_on_each_other(frames: int, motion: int | None) -> None:
    found = windows(frames, None if motion is None else np.random.default_rng(motion).random(frames - 1))
    assert 1 <= len(found) <= 3 and all(0 <= start < stop <= frames for start, stop in found)
    assert all(stop - start == min(10, frames) for start, stop in found)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(found))
    if len(found) > 1 and motion is None:
        assert found[0][0] == 0 and found[-1][1] == frames


def test_windows_lie_where_most_moves_and_not_at_a_cut() -> None:
    motion = np.full(89, 0.1)
    motion[5] = 99  # a cut: one field
    motion[14:24] = 2
    motion[70:80] = 1
    first, middle, last = windows(90, motion)
    assert first in ((14, 24), (15, 25)) and last in ((70, 80), (71, 81)) and 30 <= middle[0] < middle[1] <= 60
