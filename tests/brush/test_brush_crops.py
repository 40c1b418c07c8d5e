"""Whatever a protocol cuts out, both places are in it, whole; and what shakes shows no edge."""

import itertools
from dataclasses import replace

import numpy as np
from brush_fakes import CONF, FIELDS, KNOBS, scenes
from numpy.typing import NDArray

from fusionlab.data import crops
from fusionlab.data.brush.labels import LABELS
from fusionlab.data.brush.motions import RADIUS
from fusionlab.data.brush.render import DISC, PAD, planes
from fusionlab.data.brush.scene import CROP, GROUND, JITTER, REACH, SHAKE_MOST, SIZE, Scene, compose

OFFSETS = range(SIZE - CROP + 1)
SHAKES = np.array(list(itertools.product(range(-SHAKE_MOST, SHAKE_MOST + 1), repeat=2)))
TURNS = np.linspace(0, 2 * np.pi, len(SHAKES), endpoint=False)


def extremes() -> list[Scene]:
    """Both layouts, both sides, every jitter; in the frames every shake, the movers all around."""
    found = []
    some = next(iter(scenes(1, len(SHAKES))))[1]
    for axis, first, *jitter in itertools.product(
        ((1.0, 0.0), (0.0, 1.0)), (-1.0, 1.0), *[range(-JITTER, JITTER + 1)] * 2
    ):
        middle = SIZE / 2 - 0.5 + np.array(jitter)
        centres = middle + REACH * first * np.stack([axis, -np.array(axis)])
        circle = RADIUS * np.stack([np.cos(TURNS), np.sin(TURNS)], axis=1)
        found.append(replace(some, centres=centres, paths=centres[:, None] + circle, shake=SHAKES))
    return found


def test_the_generator_draws_these_extremes_and_nothing_else() -> None:
    wanted = {tuple(scene.centres.ravel()) for scene in extremes()}
    drawn = [scene for _, scene in scenes(600, 2, shake=1.0)]
    assert {tuple(scene.centres.ravel()) for scene in drawn} == wanted
    assert {tuple(s) for scene in drawn for s in scene.shake.tolist()} == {tuple(s) for s in SHAKES.tolist()}
    assert not any(scene.shake.any() for _, scene in scenes(20, 5, shake=0.0))


def test_the_protocol_draws_these_offsets_and_nothing_else() -> None:
    assert CONF["sampling"]["crop"] == CROP and CONF["store"]["size"] is None
    draw = np.random.default_rng(0)
    found = {(crop.y, crop.x) for crop in (crops.drawn(SIZE, SIZE, CROP, draw) for _ in range(400))}
    assert found == set(itertools.product(OFFSETS, OFFSETS))
    middle = crops.centre(SIZE, SIZE, CROP)
    assert (middle.y, middle.x) in found


def cut_places(scene: Scene) -> int:
    """In how many crops and frames a pixel of a place or of a mover is missing."""
    hues = planes(scene)[1]
    y, x = np.mgrid[-20:21, -20:21] + 0.5
    whole = int((x**2 + y**2 < GROUND**2).sum())  # of one place; hand and decoy lie on theirs
    shown: NDArray[np.int64] = np.array(
        [(hues[:, y : y + CROP, x : x + CROP] > 0).sum(axis=(1, 2)) for y in OFFSETS for x in OFFSETS]
    )
    return int((shown != 2 * whole).sum())


def test_every_crop_holds_both_places_whole() -> None:
    assert sum(cut_places(scene) for scene in extremes()) == 0


def test_a_place_two_pixels_further_out_would_be_cut() -> None:
    far = [replace(s, centres=s.centres + 3.0, paths=s.paths + 3.0) for s in extremes()]
    assert sum(cut_places(scene) for scene in far) > 0


def test_the_luma_of_the_movers_is_in_every_crop_too() -> None:
    """The soft edge reaches half a pixel beyond the disc."""
    reach = RADIUS + DISC + 0.5
    least = min((s.centres - reach).min() for s in extremes()) - SHAKE_MOST
    most = max((s.centres + reach).max() for s in extremes()) + SHAKE_MOST
    assert least >= SIZE - CROP - 1 and most <= CROP


def test_places_do_not_overlap_and_hold_their_circles() -> None:
    assert RADIUS + DISC <= GROUND <= REACH
    assert REACH + JITTER + GROUND + SHAKE_MOST + (SIZE - CROP) <= SIZE / 2
    for scene in extremes():
        assert np.linalg.norm(scene.centres[0] - scene.centres[1]) == 2 * REACH
        assert np.linalg.norm(scene.paths[0] - scene.paths[1], axis=1).min() >= 2 * DISC


def test_a_shaken_frame_is_cut_from_a_larger_picture() -> None:
    """The frames of all shakes agree where they overlap, and together they show a ring of ground PAD wide."""
    (_, scene), *_ = scenes(1, len(SHAKES), seed=5)
    scene = replace(scene, paths=np.repeat(scene.paths[:, :1], len(SHAKES), axis=1), shake=SHAKES)
    for plane in planes(scene, clutter=KNOBS.clutter):
        canvas = np.full((SIZE + 2 * PAD, SIZE + 2 * PAD), -1)
        for (dx, dy), frame in zip(SHAKES, plane, strict=True):
            there = canvas[PAD + dy : PAD + dy + SIZE, PAD + dx : PAD + dx + SIZE]
            assert ((there == -1) | (there == frame)).all()
            there[:] = frame
        assert (canvas >= 0).all()
    luma = planes(scene)[0].astype(float)
    border = np.concatenate([luma[:, 0], luma[:, -1], luma[:, :, 0], luma[:, :, -1]], axis=1)
    assert np.abs(border.mean(axis=1) - luma.mean()).max() < 12 and border.std(axis=1).min() > 4  # no flat edge


def test_shake_and_noise_do_not_change_what_happens() -> None:
    for number, label in enumerate(LABELS):
        still, shaken = (compose(0, f"v{number}", 1, label, 17, shake) for shake in (0.0, 1.0))
        np.testing.assert_array_equal(still.paths, shaken.paths)
        assert (still.place_hues, still.ground_seed, still.noise_seed) == (
            shaken.place_hues, shaken.ground_seed, shaken.noise_seed,
        )  # fmt: skip


def test_the_windows_of_a_clip_fit_into_its_frames() -> None:
    how = CONF["sampling"]
    assert CONF["dataset"]["frames"] >= (how["snippets"] - 1) * how["stride"] + FIELDS + 1
