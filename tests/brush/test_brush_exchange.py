"""Hand and decoy that change sides: what is seen stays what it was, but frames of another time tell less and less."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from brush_fakes import DECOY, FIELDS, HAND, exchanged, motion_of
from scipy import stats

from fusionlab.data import clips
from fusionlab.data.brush.brush import Brush, Knobs, composed
from fusionlab.data.brush.labels import LABELS
from fusionlab.data.brush.render import planes
from fusionlab.data.brush.scene import Scene
from fusionlab.errors import UserError
from fusionlab.health.brush_proof import take_samples
from fusionlab.preparation.prepare import prepare
from fusionlab.video.flow import Dis
from fusionlab.video.store import Store

CONF = Path(__file__).parents[2] / "conf"
FRAMES: int = yaml.safe_load((CONF / "data" / "brush_exchange.yaml").read_text(encoding="utf-8"))["dataset"]["frames"]
DELAYS: list[int] = yaml.safe_load((CONF / "experiment" / "dose_delay.yaml").read_text(encoding="utf-8"))["run"][
    "grid"
]["data.sampling.delay"]
KNOBS = Knobs(exchange=True, frames=FRAMES)


def scene(number: int) -> Scene:
    return composed(KNOBS, LABELS[number % len(LABELS)], f"v{number}", 1 + number % 24)


def moment(one: Scene) -> int:
    """The first frame of the other sides."""
    assert one.away is not None and len(one.away) == one.paths.shape[1] == FRAMES
    return int(one.away.argmax())


def test_they_change_sides_once_at_a_moment_that_is_uniform_and_tells_no_class() -> None:
    drawn = [(number % len(LABELS), scene(number)) for number in range(4000)]
    for _, one in drawn[:200]:
        assert one.away is not None and not one.away[0] and one.away[-1] and np.diff(one.away.astype(int)).sum() == 1
    moments = Counter(moment(one) for _, one in drawn)
    assert set(moments) == set(range(1, FRAMES))
    assert stats.chisquare(list(moments.values())).pvalue > 0.001
    thirds = np.array(
        [[sum(label == n and moment(one) * 3 // FRAMES == third for label, one in drawn) for third in range(3)]
         for n in range(len(LABELS))]
    )  # fmt: skip
    assert stats.chi2_contingency(thirds).pvalue > 0.001


def test_each_keeps_its_motion_before_and_after() -> None:
    checked = 0
    for number in range(60):
        one = scene(number)
        at = moment(one)
        for part, centres in ((one.paths[:, :at], one.centres), (one.paths[:, at:], one.centres[::-1])):
            if part.shape[1] > 4:
                checked += 1
                assert [motion_of(path) for path in part - centres[:, None]] == list(one.motions)
    assert checked > 60


def test_the_places_go_with_the_movers_and_hues_say_which_is_which() -> None:
    for number in range(20):
        one = scene(number)
        hues = planes(one)[1]
        for frame in range(0, FRAMES, 3):
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


def test_where_either_lands_on_its_circle_is_drawn_anew() -> None:
    """So the jump in luma is the same in law whoever is who: no angle before it tells one behind it."""
    angles = []
    for number in range(600):
        one = scene(number)
        at = moment(one)
        before, after = one.paths[:, at - 1] - one.centres, one.paths[:, at] - one.centres[::-1]
        turned = np.arctan2(after[:, 1], after[:, 0]) - np.arctan2(before[::-1, 1], before[::-1, 0])
        angles.extend((turned % (2 * np.pi)).tolist())
    assert stats.kstest(np.array(angles) / (2 * np.pi), "uniform").pvalue > 0.001


def test_a_delay_of_d_frames_finds_them_elsewhere_in_d_of_all_moments() -> None:
    """The dose, by enumeration of what may be drawn; and each dose of the experiment is still in the clip."""
    (centre,) = clips.even(FRAMES, 1, FIELDS)
    first, last = clips.valid_centres(FRAMES, FIELDS)
    assert centre + max(DELAYS) <= FRAMES - 1 and first + max(DELAYS) <= last
    for delay in DELAYS:
        other = sum((centre >= at) != (centre + delay >= at) for at in range(1, FRAMES))
        assert other == delay, "of FRAMES - 1"


def test_without_exchange_nothing_changes() -> None:
    one = composed(Knobs(), LABELS[5], "v", 1)
    assert one.away is None and one.paths.shape[1] == Knobs().frames
    np.testing.assert_array_equal(one.centres_at(9), one.centres)


def test_the_truth_of_a_probe_is_that_of_its_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window lies wholly before or behind the moment, and the frame's patch is where the hand then is."""
    monkeypatch.setattr("fusionlab.data.brush.brush.GROUPS", 3)
    brush = Brush(what=0, binding=1, exchange=True, frames=FRAMES)
    brush.make(tmp_path / "videos", say=lambda _: None)
    store = Store.open(prepare(brush, tmp_path / "stores", Dis(), recipe={"test": 1}, bound=4.0, say=lambda _: None))
    seen = take_samples(brush, store, "binding", FIELDS)
    names = brush.videos()
    assert len(names) == len(seen.frame)
    late = 0
    for (name, label), centres, frame, flow in zip(names, seen.centres, seen.frame, seen.flow, strict=True):
        one = brush.scene(name, label)
        start = FRAMES - 1 - FIELDS if moment(one) <= FRAMES // 2 else 0
        late += start > 0
        assert moment(one) <= start or moment(one) > start + FIELDS
        np.testing.assert_array_equal(frame, store.frames(name, [start + FIELDS // 2])[0].transpose(2, 0, 1))
        np.testing.assert_array_equal(flow, np.concatenate(list(store.flow(name, start, FIELDS))))
        assert np.linalg.norm(one.paths[0, start + FIELDS // 2] - centres[0]) < 7
    assert 0 < late < len(names)


@pytest.mark.parametrize("wrong", ["maybe", 1, None])
def test_it_is_or_it_is_not(wrong: object) -> None:
    with pytest.raises(UserError, match="exchange") as error:
        Brush(exchange=wrong)  # type: ignore[arg-type]
    assert error.value.allowed == ("true", "false")
