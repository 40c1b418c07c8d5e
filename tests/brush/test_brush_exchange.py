"""Hand and decoy that may change sides: what is seen stays what it was, but frames of another time tell nothing."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from brush_fakes import CONF, DECOY, FIELDS, HAND, exchanged, motion_of
from scipy import stats

from fusionlab.data import clips
from fusionlab.data.brush.brush import Brush, Knobs, composed
from fusionlab.data.brush.cycle import Cycle
from fusionlab.data.brush.labels import LABELS
from fusionlab.data.brush.proof import look
from fusionlab.data.brush.render import planes
from fusionlab.data.brush.scene import Scene
from fusionlab.data.prepare import prepare
from fusionlab.errors import UserError
from fusionlab.video.flow import Dis
from fusionlab.video.store import Store

KNOBS = Knobs(exchange=True)
CYCLE = Cycle()
BETWEEN = [n * CYCLE.period - CYCLE.pause // 2 for n in range(1, CYCLE.segments)]  # the first frames of other sides


def scene(number: int, label: int | None = None) -> Scene:
    chosen = LABELS[number % len(LABELS) if label is None else label]
    return composed(KNOBS, chosen, f"v{number}", 1 + number % 24)


def sides(one: Scene) -> tuple[bool, ...]:
    """In each segment: away from where they began?"""
    assert one.away is not None
    return tuple(bool(one.away[n * CYCLE.period]) for n in range(CYCLE.segments))


def test_they_change_sides_in_the_middle_of_a_pause_and_at_no_other_time() -> None:
    seen = set()
    for number in range(60):
        away = scene(number).away
        assert away is not None and len(away) == CYCLE.frames and not away[0]
        seen |= {at + 1 for at, (one, next_one) in enumerate(pairwise(away.tolist())) if one != next_one}
    assert seen == set(BETWEEN) == {11, 25}


def test_each_keeps_its_motion_in_every_segment_and_rests_between() -> None:
    for number in range(45):
        one = scene(number)
        for segment in range(CYCLE.segments):
            at = segment * CYCLE.period
            moving = one.paths[:, at : at + CYCLE.segment + 1] - one.centres_at(at)[:, None]
            assert [motion_of(path) for path in moving] == list(one.motions)
        for at in BETWEEN:
            rest = one.paths[:, at - CYCLE.pause // 2 : at], one.paths[:, at : at + CYCLE.pause // 2 + 1]
            assert all((np.ptp(path, axis=1) == 0).all() for path in rest)


def test_the_places_go_with_the_movers_and_hues_say_which_is_which() -> None:
    for number in range(20):
        one = scene(number)
        hues = planes(one)[1]
        for frame in range(0, CYCLE.frames, 3):
            for mover, (hue, place) in enumerate(zip((HAND, DECOY), one.place_hues, strict=True)):
                x, y = np.rint(one.paths[mover, frame]).astype(int)
                assert hues[frame, y, x] == hue
                x, y = np.rint(one.centres_at(frame)[mover]).astype(int)
                around = hues[frame, y - 6 : y + 7, x - 6 : x + 7]
                assert set(np.unique(around)) <= {hue, 1 + place} and (around == 1 + place).sum() > 50


def test_luma_does_not_say_whose_a_motion_is() -> None:
    for number in range(20):
        one = scene(number)
        np.testing.assert_array_equal(planes(one, 2.0, 3)[0], planes(exchanged(one), 2.0, 3)[0])
        assert (planes(one)[1] != planes(exchanged(one))[1]).any(axis=(1, 2)).all()


def test_sides_are_a_coin_s_whatever_the_class_so_a_period_later_nothing_is_told() -> None:
    drawn = [(number % len(LABELS), sides(scene(number))) for number in range(3000)]
    pairs = Counter(pair for _, one in drawn for pair in pairwise(one[1:]))
    assert len(pairs) == 4 and stats.chisquare(list(pairs.values())).pvalue > 0.001
    table = np.array([[sum(label == n and one[1:] == (a, b) for label, one in drawn) for a in (False, True)
                       for b in (False, True)] for n in range(len(LABELS))])  # fmt: skip
    assert stats.chi2_contingency(table).pvalue > 0.001


def test_a_tested_window_lies_in_motion_and_frames_are_of_its_time_for_six_frames() -> None:
    (centre,) = clips.even(CYCLE.frames, 1, FIELDS)
    window = clips.window(int(centre), CYCLE.frames, FIELDS)
    begins = CYCLE.period
    assert begins <= window.start and window.start + window.count <= begins + CYCLE.segment
    assert (CYCLE.numbers[centre : centre + 7] == 1).all() and CYCLE.numbers[centre + 7] == 2
    assert centre + CYCLE.period < CYCLE.frames, "a frame that comes a period later is still in the clip"


def test_without_exchange_nothing_changes() -> None:
    one = composed(Knobs(), LABELS[5], "v", 1)
    assert one.away is None and one.paths.shape[1] == Knobs().frames
    np.testing.assert_array_equal(one.centres_at(9), one.centres)


def test_the_truth_of_a_probe_is_that_of_its_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frame's patch at the hand's place is the one with the hand in it, in each clip."""
    monkeypatch.setattr("fusionlab.data.brush.brush.GROUPS", 3)
    brush = Brush(what=0, binding=1, exchange=True, clutter=0, noise=0.0)
    brush.make(tmp_path / "videos", say=lambda _: None)
    store = Store.open(prepare(brush, tmp_path / "stores", Dis(), recipe={"test": 1}, bound=4.0, say=lambda _: None))
    seen = look(brush, store, "binding", FIELDS)
    scenes = [brush.scene(name, label) for name, label in brush.videos()]
    assert {sides(one)[-1] for one in scenes} == {False, True}
    at = (CYCLE.segments - 1) * CYCLE.period + (CYCLE.segment - FIELDS) // 2 + FIELDS // 2
    for one, centres, frame in zip(scenes, seen.centres, seen.frame, strict=True):
        hue = planes(one)[1][at]
        x, y = np.rint(one.paths[0, at]).astype(int)
        assert hue[y, x] == HAND and np.linalg.norm(one.paths[0, at] - centres[0]) < 7
        assert frame.shape == (3, *hue.shape)


def test_what_is_cut_otherwise_than_the_clips_go_is_told() -> None:
    brush = Brush(exchange=True)
    brush.expect_sampling(1, FIELDS, (14, 14))
    with pytest.raises(UserError, match="neighbouring segments"):
        brush.expect_sampling(CONF["sampling"]["snippets"], FIELDS, (4, 4))
    with pytest.raises(UserError, match="window of flow is longer"):
        brush.expect_sampling(1, CYCLE.pause + 1, (14, 14))


@pytest.mark.parametrize("wrong", ["maybe", 1, None])
def test_it_is_or_it_is_not(wrong: object) -> None:
    with pytest.raises(UserError, match="exchange") as error:
        Brush(exchange=wrong)  # type: ignore[arg-type]
    assert error.value.allowed == ("true", "false")
