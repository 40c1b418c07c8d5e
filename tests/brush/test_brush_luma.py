"""Exchange two hues in a clip, write it, read it: its luma and its flow are the same bit for bit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from brush_fakes import FIELDS, KNOBS, brighter_hand, drawn, exchanged, other_places, scenes
from numpy.typing import NDArray

from fusionlab.data.brush.labels import PLACES
from fusionlab.data.brush.motions import RADIUS
from fusionlab.data.brush.palette import HIGH, LOW, palette
from fusionlab.data.brush.render import planes, render
from fusionlab.data.brush.scene import Scene
from fusionlab.video.decode import READERS, read, reader
from fusionlab.video.encode import write
from fusionlab.video.flow import Dis, Farneback, fields, gray

Exchange = Callable[[Scene], Scene]
SCENES = [scene for _, scene in scenes(30, FIELDS + 1, seed=1, shake=1.0)]  # every class


def as_read(folder: Path, frames: NDArray[np.uint8], by: str = "auto") -> NDArray[np.uint8]:
    write(folder / "v.avi", frames)
    return read(folder / "v.avi", reader(by))


@pytest.mark.parametrize("by", READERS)
@pytest.mark.parametrize("exchange", [exchanged, other_places])
def test_what_is_decoded_has_equal_luma(by: str, exchange: Exchange, tmp_path: Path) -> None:
    for scene in SCENES:
        before, after = (as_read(tmp_path, drawn(one), by) for one in (scene, exchange(scene)))
        np.testing.assert_array_equal(gray(before), gray(after))
        assert (before != after).any(axis=(1, 2, 3)).all(), "the hues of every frame did change"
        np.testing.assert_array_equal(before, drawn(scene))


@pytest.mark.parametrize("exchange", [exchanged, other_places])
@pytest.mark.parametrize("estimator", [Dis(), Farneback()], ids=["dis", "farneback"])
def test_estimated_flow_is_equal_too(exchange: Exchange, estimator: Dis | Farneback, tmp_path: Path) -> None:
    for scene in SCENES[:8]:
        flows = [np.stack(list(fields(estimator, as_read(tmp_path, drawn(one))))) for one in (scene, exchange(scene))]
        np.testing.assert_array_equal(*flows)
        assert np.abs(flows[0]).max() > 0.3, "and there is flow"


def test_any_renaming_of_hues_keeps_luma() -> None:
    for number, scene in enumerate(SCENES):
        lumas, hues = planes(scene, KNOBS.noise, KNOBS.clutter)
        for distance in (0.1, 1.0):
            table = palette(len(PLACES) + 2, distance)
            other = np.random.default_rng(number).permutation(len(table))
            np.testing.assert_array_equal(gray(table[hues, lumas]), lumas)
            np.testing.assert_array_equal(gray(table[other[hues], lumas]), lumas)


def test_a_brighter_hand_is_noticed(tmp_path: Path) -> None:
    scene = SCENES[0]
    before, after = (as_read(tmp_path, drawn(one, brighter_hand)) for one in (scene, exchanged(scene)))
    assert (gray(before) != gray(after)).any()


def test_luma_is_equal_also_where_the_two_discs_all_but_touch() -> None:
    draw = np.random.default_rng(0)
    nearest = np.inf
    for scene in SCENES:
        ahead = np.arctan2(*(scene.centres[1] - scene.centres[0])[::-1])
        angles = ahead + np.array([0, np.pi])[:, None] + draw.uniform(-0.5, 0.5, (2, FIELDS + 1))
        paths = scene.centres[:, None] + RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        meeting = replace(scene, paths=paths)
        nearest = min(nearest, np.linalg.norm(paths[0] - paths[1], axis=1).min())
        np.testing.assert_array_equal(planes(meeting)[0], planes(exchanged(meeting))[0])
    assert nearest < np.linalg.norm(scene.centres[0] - scene.centres[1]) - 2 * RADIUS + 0.1


def test_places_have_no_luma() -> None:
    for scene in SCENES:
        away = replace(scene, centres=scene.centres + 100)  # the places are gone, the movers stay
        np.testing.assert_array_equal(planes(scene, clutter=3)[0], planes(away, clutter=0)[0])


def test_luma_stays_where_every_hue_has_it_under_the_loudest_noise() -> None:
    lumas, _ = planes(SCENES[0], noise=40, clutter=3)
    assert lumas.min() >= LOW and lumas.max() <= HIGH


def test_a_frame_is_one_instant_without_blur() -> None:
    """Frame t depends on the positions at t alone, so that it carries nothing of a motion."""
    for scene in SCENES[:6]:
        still = replace(scene, paths=np.repeat(scene.paths[:, 3:4], FIELDS + 1, axis=1))
        frames = [render(one, KNOBS.noise, KNOBS.clutter)[3] for one in (scene, still)]
        np.testing.assert_array_equal(*frames)
