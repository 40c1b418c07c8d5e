"""Known flow with one fault at a time: the verdict names it, and finds none in flow that is right."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from health_fakes import Scene, wander, warped

from fusionlab.health.flow_evidence import (
    HYPOTHESES,
    RIGHT,
    SYMMETRIES,
    Evidence,
    PairEstimates,
    estimate_pairs,
    evidence,
    evidence_by_own_method,
)
from fusionlab.health.flow_verdict import OF_SET, OF_VIDEO, Verdict, disagreements, verdict, verdict_by_own_method
from fusionlab.video.flow import Dis, Farneback
from fusionlab.video.quantise import quantise
from fusionlab.video.tvl1 import TvL1

BOUND = 8.0
Fault = Callable[[Scene, int], np.ndarray]  # the field that is stored at k

# The symmetries once more, by numpy's own functions: of fields (2, H, W) as of pictures, and of their vectors.
PLACES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda field: field,
    "flipped": lambda field: np.flip(field, axis=1),
    "mirrored": lambda field: np.flip(field, axis=2),
    "turned by 180°": lambda field: np.rot90(field, 2, axes=(1, 2)),
    "transposed": lambda field: field.transpose(0, 2, 1),
    "turned by −90°": lambda field: np.rot90(field, 1, axes=(1, 2)),  # numpy turns from rows to columns: to the left
    "turned by 90°": lambda field: np.rot90(field, -1, axes=(1, 2)),
    "transposed and turned by 180°": lambda field: np.rot90(field.transpose(0, 2, 1), 2, axes=(1, 2)),
}
VECTORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda field: field,
    "u negated": lambda field: np.stack([-field[0], field[1]]),
    "v negated": lambda field: np.stack([field[0], -field[1]]),
    "negated": lambda field: -field,
    "swapped": lambda field: np.stack([field[1], field[0]]),
    "swapped, u negated": lambda field: np.stack([-field[1], field[0]]),
    "swapped, v negated": lambda field: np.stack([field[1], -field[0]]),
    "swapped, negated": lambda field: np.stack([-field[1], -field[0]]),
}


def _faults() -> dict[str, Fault]:
    """hypothesis -> the fault."""
    faults: dict[str, Fault] = {}
    for (places, move), (vectors, change) in itertools.product(PLACES.items(), VECTORS.items()):
        name = ", ".join(filter(None, [places, vectors])) or RIGHT
        faults[name] = lambda scene, k, move=move, change=change: change(move(scene.flow[k]))  # type: ignore[misc]
    for by, side in itertools.product((1, 2, 3), (1, -1)):
        name = f"{by} " * (by > 1) + ("ahead" if side > 0 else "behind")
        faults[name] = lambda scene, k, by=by * side: scene.flow[k + by]  # type: ignore[misc]
    return {**faults, "backward": lambda scene, k: scene.back[k]}


FAULTS = _faults()
SOME = ("right", "flipped, v negated", "turned by 90°, swapped, u negated", "negated", "2 behind", "backward")


@pytest.fixture(scope="module")
def scenes() -> list[tuple[Scene, list[PairEstimates]]]:
    found = [wander(seed, frames=10, noise=2) for seed in range(5)]
    return [(scene, estimate_pairs(scene.frames)) for scene in found]


def judged(
    scenes: Sequence[tuple[Scene, list[PairEstimates]]], fault: Fault, bound: float = BOUND, jpeg: int | None = None
) -> Verdict:
    return verdict(gathered(scenes, fault, bound, jpeg))


def gathered(
    scenes: Sequence[tuple[Scene, list[PairEstimates]]], fault: Fault, bound: float = BOUND, jpeg: int | None = None
) -> list[Evidence]:
    found = []
    for number, (scene, seen) in enumerate(scenes):
        for k in range(3, len(seen) - 3) if len(seen) > 8 else range(1, len(seen) - 1):
            levels = quantise(np.ascontiguousarray(fault(scene, k)), bound)
            if jpeg is not None:
                coded = [cv2.imencode(".jpg", plane, [cv2.IMWRITE_JPEG_QUALITY, jpeg])[1] for plane in levels]
                levels = np.stack([cv2.imdecode(one, cv2.IMREAD_GRAYSCALE) for one in coded])
            found.append(evidence(f"video {number}", levels, bound, seen[k]))
    return found


def test_every_hypothesis_has_its_fault() -> None:
    assert set(FAULTS) == set(HYPOTHESES)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(scenes: list[tuple[Scene, list[PairEstimates]]], name: str) -> None:
    _is_named(scenes, name)


@pytest.mark.parametrize("name", SOME)
def test_a_fault_is_named_in_images_of_flow(scenes: list[tuple[Scene, list[PairEstimates]]], name: str) -> None:
    _is_named(scenes, name, jpeg=80)


def _is_named(scenes: list[tuple[Scene, list[PairEstimates]]], name: str, jpeg: int | None = None) -> None:
    found = judged(scenes, FAULTS[name], jpeg=jpeg)
    assert found.holds == name
    assert found.disagreement is not None and found.disagreement < 0.25
    assert set(found.judged) == set(HYPOTHESES) - {RIGHT}
    assert found.stretch == 1 and found.offset(BOUND) == (0, 0)
    if name != RIGHT:
        assert found.of_right is not None and found.of_right > 2 * found.disagreement


def test_fields_that_are_not_square_are_transposed_by_stretching() -> None:
    """Columns became rows, and the image was resized to what it was before: by an index loop."""
    shape, symmetry = (30, 50), SYMMETRIES[4]
    y, x = (axis.ravel() for axis in np.indices(shape))
    to_y, to_x = symmetry.source(y, x, shape)
    for index in range(len(y)):
        assert to_y[index] == round(x[index] * 29 / 49) and to_x[index] == round(y[index] * 49 / 29)


@pytest.mark.parametrize("name", ["negated", "swapped", "ahead"])
@pytest.mark.parametrize("bound", [4.0, 20.0])
def test_a_fault_is_named_whatever_the_bound(
    scenes: list[tuple[Scene, list[PairEstimates]]], name: str, bound: float
) -> None:
    assert judged(scenes, FAULTS[name], bound).holds == name


@pytest.mark.parametrize("times", [0.2, 0.5, 0.75, 4 / 3, 2.0])
def test_a_wrong_bound_is_measured(scenes: list[tuple[Scene, list[PairEstimates]]], times: float) -> None:
    """Levels that were made by `bound / times` and are read by `bound`."""
    found = judged(scenes, lambda scene, k: times * scene.flow[k], bound=20)
    assert found.holds == RIGHT and found.offset(20) == (0, 0)
    assert found.stretch == pytest.approx(times, rel=0.12)


@pytest.mark.parametrize("jpeg", [None, 95])
@pytest.mark.parametrize("times, bound", [(0.1, 4.0), (0.5, 20.0), (1.0, 20.0)])
def test_a_method_that_finds_too_little_finds_it_again(
    scenes: list[tuple[Scene, list[PairEstimates]]], times: float, bound: float, jpeg: int | None
) -> None:
    """A method that finds a part of each vector; and one of which a part of that part is stored. Frames come back from
    the store as they went there, or nearly.
    """

    def short(scene: Scene, k: int, seen: Callable[[np.ndarray], np.ndarray] = lambda frame: frame) -> np.ndarray:
        return np.float32(times) * Dis()(seen(scene.frames[k]), seen(scene.frames[k + 1]))

    def stored(frame: np.ndarray) -> np.ndarray:
        if jpeg is None:
            return frame
        coded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, jpeg])[1]
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))

    def anew(part: float) -> Verdict:
        found = []
        for scene, seen in scenes:
            for k in range(1, len(seen) - 1):
                levels = quantise(np.float32(part) * short(scene, k), bound)
                found.append(evidence_by_own_method("video", levels, bound, short(scene, k, stored)))
        return verdict_by_own_method(found)

    assert judged(scenes, short, bound).stretch == pytest.approx(times, rel=0.15)
    assert anew(1).stretch == 1 and anew(1).scale == pytest.approx((1, 1, 1), rel=0.1)
    assert anew(0.5).stretch == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("zero", [(1.0, 0.0), (0.0, -0.5), (-2.0, 3.0)])
def test_a_wrong_zero_is_measured(scenes: list[tuple[Scene, list[PairEstimates]]], zero: tuple[float, float]) -> None:
    add = np.array(zero, dtype=np.float32)[:, None, None]
    found = judged(scenes, lambda scene, k: scene.flow[k] + add, bound=20)
    assert found.holds == RIGHT and found.stretch == 1
    assert found.offset(20) == pytest.approx(zero, abs=0.1)


def test_half_a_level_is_no_wrong_zero(scenes: list[tuple[Scene, list[PairEstimates]]]) -> None:
    """128 for none is half a level too much, and 127 half a level too little."""
    for half in (20 / 255, -20 / 255):
        assert judged(scenes, lambda scene, k, half=half: scene.flow[k] + half, bound=20).offset(20) == (0, 0)  # type: ignore[misc]


@pytest.mark.parametrize(
    "other", [Dis(1, 8, 3, 25, 5), Farneback(9, 3, 3, 5, 1.1), TvL1()], ids=lambda one: type(one).__name__
)
def test_other_methods_are_not_alarmed_at(scenes: list[tuple[Scene, list[PairEstimates]]], other: Dis) -> None:
    """They smooth and lag, each in its way."""
    some = [(scene, seen) for scene, seen in scenes[:4]]
    found = judged(some, lambda scene, k: other(scene.frames[k], scene.frames[k + 1]), bound=20, jpeg=90)
    assert (found.holds, found.stretch, found.offset(20)) == (RIGHT, 1, (0, 0))


@pytest.mark.parametrize("how", [OF_SET, OF_VIDEO])
def test_still_videos_and_cuts_say_nothing(how: object) -> None:
    still = np.repeat(wander(1).frames[:1], 10, axis=0)
    cuts = np.stack([wander(seed).frames[0] for seed in range(10)])
    none = np.zeros((9, 2, *still.shape[1:]), dtype=np.float32)
    scenes = [(Scene(frames, none, none), estimate_pairs(frames)) for frames in (still, still, cuts)]
    found = verdict(gathered(scenes, FAULTS[RIGHT]), how)  # type: ignore[arg-type]
    assert (found.holds, found.stretch, found.offset(BOUND)) == (RIGHT, 1, (0, 0))
    assert not found.judged


@pytest.mark.parametrize("turn, zoom", [(0.05, 1.0), (0.0, 1.05)])
def test_turns_and_zooms(turn: float, zoom: float) -> None:
    """A turn is the same a frame later, a zoom the same in the mirror with u negated, and mirrored alone it is u
    negated: the first two cannot be told, and of the last two the simpler one is named.
    """
    scenes = [(scene, estimate_pairs(scene.frames)) for scene in (warped(seed, turn, zoom) for seed in range(4))]
    for name in ("right", "negated", "swapped", "u negated"):
        found = judged(scenes, FAULTS[name])
        assert name in (found.holds, found.rival) or name not in found.judged, name
    found = judged(scenes, FAULTS[RIGHT])
    assert not {"ahead", "behind"} & set(found.judged)
    assert ("mirrored, u negated" in found.judged) == bool(turn)


def test_flow_of_other_frames_is_like_nothing(scenes: list[tuple[Scene, list[PairEstimates]]]) -> None:
    others = [wander(100 + seed, frames=10) for seed in range(len(scenes))]
    mixed = [(other, seen) for other, (_, seen) in zip(others, scenes, strict=True)]
    assert judged(mixed, FAULTS[RIGHT]).holds is None


def test_one_bad_video_does_not_make_a_bad_set(scenes: list[tuple[Scene, list[PairEstimates]]]) -> None:
    seen = gathered(scenes[1:], FAULTS[RIGHT]) + gathered(scenes[:1], FAULTS["flipped"])
    assert verdict(seen).holds == RIGHT
    assert verdict(gathered(scenes[:1], FAULTS["flipped"]), OF_VIDEO).holds == "flipped"


def test_nothing_says_nothing() -> None:
    found = verdict([])
    assert (found.holds, found.pairs, found.zero, found.scale, found.judged) == (RIGHT, 0, None, None, ())


def test_disagreement_is_by_a_loop() -> None:
    draw = np.random.default_rng(0)
    one, other = draw.normal(0, 2, (2, 2, 300)).astype(np.float32)
    trusted = draw.random(300) < 0.7
    for change, got in zip(SYMMETRIES, disagreements(one, other, SYMMETRIES, trusted), strict=True):
        above = below = 0.0
        for a, (u, v), good in zip(one.T, other.T, trusted, strict=True):
            b = np.array([change.right * (v if change.exchanged else u), change.down * (u if change.exchanged else v)])
            if good and (np.hypot(*a) > 0.5 or np.hypot(*b) > 0.5):
                above += np.hypot(*(a - b))
                below += np.hypot(*a) + np.hypot(*b)
        assert got == pytest.approx(above / below, rel=1e-5)
    (same, opposite) = disagreements(one, one, (SYMMETRIES[0], SYMMETRIES[3]), trusted)
    assert same == 0 and opposite == pytest.approx(1)
    assert disagreements(one, 3 * one, SYMMETRIES[:1], trusted) == pytest.approx(0.5)
    assert np.isnan(disagreements(one[:, :30], other[:, :30], SYMMETRIES, trusted[:30])).all()


def test_clipped_levels_are_left_out() -> None:
    scene = wander(1)
    seen = estimate_pairs(scene.frames)[1]
    levels = quantise(np.full((2, *scene.frames.shape[1:]), 99.0), BOUND)
    assert not any(trusted.any() for _, trusted in evidence("a", levels, BOUND, seen).estimates.values())
