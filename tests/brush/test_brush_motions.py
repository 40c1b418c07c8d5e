"""The four motions: one frame tells none of them, a mirror gives the same one, a window of flow tells all."""

import itertools
from typing import Any

import numpy as np
import pytest
from brush_fakes import CONF, FIELDS, motion_of, motions_of, scenes, scrub_is_narrow
from numpy.typing import NDArray
from scipy import stats

from fusionlab.data.brush.motions import FAST, MOTIONS, RADIUS, SLOW, TURN, Motion
from fusionlab.data.brush.scene import Scene

FRAMES = 17
SENSES, PHASES = (-1.0, 1.0), range(2 * TURN)


class Told:
    """In place of a generator: θ₀, sense and phase as told, in the one order in which they are drawn."""

    def __init__(self, start: float, sense: float, phase: int) -> None:
        self.start, self.sense, self.phase = start, sense, phase
        self.asked: list[Any] = []

    def uniform(self, low: float, high: float) -> float:
        self.asked.append(("uniform", low, high))
        return self.start

    def integers(self, high: int) -> int:
        self.asked.append(("integers", high))
        return SENSES.index(self.sense) if high == 2 else self.phase


def angles(motion: Motion, start: float, sense: float, phase: int) -> NDArray[np.float64]:
    told = Told(start, sense, phase)
    found = motion.angles(FRAMES, told)  # type: ignore[arg-type]
    assert told.asked == [("uniform", 0, 2 * np.pi), ("integers", 2), ("integers", 2 * TURN)]
    return found


@pytest.mark.parametrize("motion", MOTIONS, ids=lambda m: m.name)
def test_the_start_is_uniform_and_only_turns_the_whole_path(motion: Motion) -> None:
    """Exact: θ(t) = θ₀ + g(t; sense, phase) with θ₀ uniform on the circle and independent of g. So θ(t) mod
    2π is uniform at every t, whatever g is, and the position on the circle has one law for all motions.
    """
    for sense, phase in itertools.product(SENSES, PHASES):
        shifts = [angles(motion, start, sense, phase) - start for start in np.linspace(0, 2 * np.pi, 9)]
        assert np.ptp(shifts, axis=0).max() < 1e-12
    paths = {tuple(angles(motion, 0.0, sense, phase).round(9)) for sense in SENSES for phase in PHASES}
    assert len(paths) == (len(SENSES) * len(PHASES) if motion.rocking else len(SENSES))
    path = motion.path(FRAMES, np.random.default_rng(0))
    np.testing.assert_allclose(np.hypot(*path.T), RADIUS, rtol=1e-12)


@pytest.fixture(scope="module")
def many() -> list[Scene]:
    return [scene for _, scene in scenes(5000, FIELDS + 1, seed=3)]


def placed(many: list[Scene]) -> dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Motion -> (angle / 2π, radius) of each mover with it at each frame, as the generator composes them."""
    found: dict[int, list[NDArray[np.float64]]] = {motion: [] for motion in range(len(MOTIONS))}
    for scene in many:
        for mover, motion in enumerate(motions_of(scene)):
            found[motion].append(scene.paths[mover] - scene.centres[mover])
    offsets = {motion: np.stack(paths) for motion, paths in found.items()}
    return {
        motion: (np.arctan2(o[..., 1], o[..., 0]) / (2 * np.pi) % 1, np.hypot(o[..., 0], o[..., 1]))
        for motion, o in offsets.items()
    }


def test_the_position_has_one_distribution_at_every_frame(many: list[Scene]) -> None:
    drawn = placed(many)
    least = []
    for turn, radius in drawn.values():
        assert len(turn) > 2000
        np.testing.assert_allclose(radius, RADIUS)
        least += [stats.kstest(turn[:, t], "uniform").pvalue for t in range(FIELDS + 1)]
    for one, other in itertools.combinations(drawn, 2):
        for t in (0, FIELDS // 2, FIELDS):
            least.append(stats.ks_2samp(drawn[one][0][:, t], drawn[other][0][:, t]).pvalue)
    assert min(least) > 0.01 / len(least)


def test_hand_and_decoy_lie_on_their_circles_independently(many: list[Scene]) -> None:
    offsets = np.stack([scene.paths - scene.centres[:, None] for scene in many])
    turn = np.arctan2(offsets[..., 1], offsets[..., 0]) / (2 * np.pi)
    same = np.array([motions_of(scene)[0] < motions_of(scene)[1] for scene in many])
    for t in (0, FIELDS // 2, FIELDS):
        between = (turn[:, 0, t] - turn[:, 1, t]) % 1
        assert stats.kstest(between[same], "uniform").pvalue > 1e-3
        assert stats.kstest(between[~same], "uniform").pvalue > 1e-3


def test_these_tests_see_a_narrow_circle_and_a_start_that_is_not_uniform(many: list[Scene]) -> None:
    narrow = np.array([np.hypot(*(scene.paths - scene.centres[:, None])[..., 3, :].T)
                       for scene in map(scrub_is_narrow, many[:200])])  # fmt: skip
    assert len(np.unique(narrow.round(6))) == 2
    turn = placed(many)[0][0][:, 0]
    assert stats.kstest(0.9 * turn, "uniform").pvalue < 1e-6  # a start that leaves out the last 36 degrees


@pytest.mark.parametrize("motion", MOTIONS, ids=lambda m: m.name)
def test_the_mirrored_path_is_a_path_of_the_same_motion(motion: Motion) -> None:
    """(x, y) → (−x, y) takes θ to π − θ: the draw (π − θ₀, −s, φ), as likely as (θ₀, s, φ)."""
    for start, sense, phase in itertools.product((0.3, 2.0, 5.5), SENSES, PHASES):
        mirrored = np.pi - angles(motion, start, sense, phase)
        again = angles(motion, np.pi - start, -sense, phase)
        np.testing.assert_allclose(mirrored, again, atol=1e-12)
        offsets = RADIUS * np.stack([np.cos(mirrored), np.sin(mirrored)], axis=1)
        assert MOTIONS[motion_of(offsets)] == motion


def test_speeds_are_well_apart_and_within_the_bound_of_stored_flow() -> None:
    assert FAST / SLOW >= 2.5
    assert {motion.speed for motion in MOTIONS} == {SLOW, FAST}
    assert len(set(MOTIONS)) == len({motion.name for motion in MOTIONS}) == 4
    assert {(motion.speed, motion.rocking) for motion in MOTIONS} == set(itertools.product((SLOW, FAST), (False, True)))
    assert CONF["store"]["bound"] > RADIUS * FAST


@pytest.mark.parametrize("motion", MOTIONS, ids=lambda m: m.name)
def test_every_window_holds_a_turn_if_the_motion_rocks_and_none_if_not(motion: Motion) -> None:
    assert FIELDS >= TURN + 1
    for length in (TURN + 1, FIELDS):
        for sense, phase in itertools.product(SENSES, PHASES):
            steps = np.diff(angles(motion, 1.0, sense, phase))
            np.testing.assert_allclose(np.abs(steps), motion.speed)
            windows = np.lib.stride_tricks.sliding_window_view(np.sign(steps), length)
            turns = (np.diff(windows, axis=1) != 0).any(axis=1)
            assert turns.all() if motion.rocking else not turns.any()


def test_a_shorter_window_would_not() -> None:
    rocking = next(motion for motion in MOTIONS if motion.rocking)
    steps = np.sign(np.diff(angles(rocking, 1.0, 1.0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(steps, TURN)
    assert not (np.diff(windows, axis=1) != 0).any(axis=1).all()
