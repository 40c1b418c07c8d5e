"""Order: no single window of flow tells the sense of a cycle, nor any number of frames; neighbouring segments do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from brush_fakes import CONF, scenes
from numpy.typing import NDArray

from fusionlab.data import clips
from fusionlab.data.brush.brush import Brush, Knobs, drawn
from fusionlab.data.brush.cycle import Cycle
from fusionlab.data.brush.labels import KINDS, SYSTEMS, Label, ceilings, labels
from fusionlab.data.brush.motions import MOTIONS, MOTIONS2, RADIUS
from fusionlab.data.brush.scene import CROP, GROUND, SIZE, Scene, compose
from fusionlab.data.brush.vocabulary import BRUSH, BRUSH2, Vocabulary
from fusionlab.errors import UserError
from fusionlab.records.signature import signature

CYCLES = [Cycle(), Cycle(3, 2, 3), Cycle(5, 4, 4), Cycle(2, 3, 6)]
SENSES = (1, -1)
ORDER = labels(BRUSH, ["order"])

Window = bytes
Shows = Callable[[Cycle, int, int], NDArray[np.float64]]


def names(starts: float = 0.0) -> list[Any]:
    """Three motions that nothing is drawn for: each moves at its own speed, from one angle."""

    def at(speed: float) -> Any:
        return SimpleNamespace(angles=lambda frames, draw: starts + speed * np.arange(frames))

    return [at(speed) for speed in (0.01, 0.03, 0.09)]


def path(cycle: Cycle, sense: int, first: int) -> NDArray[np.float64]:
    """The turn of the hand in each field: what flow sees of it wherever it is on the circle, and that is uniform. A
    field in which it is put down elsewhere turns it by anything (see the test of independence): 99.
    """
    offsets = cycle.path(names(), sense, first, np.random.default_rng(0))
    turns = np.diff(np.unwrap(np.arctan2(offsets[:, 1], offsets[:, 0]))).round(6)
    rest = np.arange(len(turns)) % cycle.period >= cycle.segment
    turns[rest & (turns != 0)] = 99
    return np.asarray(turns)


def in_window(cycle: Cycle, sense: int, at: int, fields: int, shown: Shows = path) -> Counter[Window]:
    """What is seen in the fields from `at` on, over all that may be drawn: what the cycle begins with."""
    return Counter(shown(cycle, sense, first)[at : at + fields].tobytes() for first in range(3))


@pytest.mark.parametrize("cycle", CYCLES, ids=str)
def test_one_window_has_the_same_distribution_under_both_senses(cycle: Cycle) -> None:
    for fields in range(1, cycle.pause + 1):
        for at in range(cycle.frames - fields):
            one, other = (in_window(cycle, sense, at, fields) for sense in SENSES)
            assert one == other, (at, fields)


@pytest.mark.parametrize("cycle", CYCLES, ids=str)
def test_a_window_that_spans_two_motions_would_tell(cycle: Cycle) -> None:
    """The planted leak: a window that is longer than a pause by two fields, at the end of a segment."""
    at = cycle.segment - 1
    one, other = (in_window(cycle, sense, at, cycle.pause + 2) for sense in SENSES)
    assert not set(one) & set(other)


def test_a_segment_that_is_longer_than_the_others_would_tell_nothing_in_one_window_but_is_seen() -> None:
    """One kind of order that begins a field later than the other is found by its windows."""

    def later(cycle: Cycle, sense: int, first: int) -> NDArray[np.float64]:
        found = path(cycle, sense, first)
        return np.concatenate([found[:1], found[:-1]]) if sense == 1 else found

    cycle = Cycle()
    assert any(
        in_window(cycle, 1, at, 6, later) != in_window(cycle, -1, at, 6, later) for at in range(cycle.frames - 6)
    )


@pytest.mark.parametrize("cycle", CYCLES, ids=str)
def test_two_neighbouring_segments_tell_the_sense(cycle: Cycle) -> None:
    seen = {
        sense: {
            tuple(path(cycle, sense, first)[n * cycle.period :][: cycle.segment].tobytes() for n in (0, 1))
            for first in range(3)
        }
        for sense in SENSES
    }
    assert not seen[1] & seen[-1]


def test_what_treats_snippets_as_a_set_sees_all_three_motions_whatever_the_sense() -> None:
    cycle, sets = Cycle(), set()
    for sense in SENSES:
        for first in range(3):
            whole = path(cycle, sense, first)
            sets.add(frozenset(whole[n * cycle.period :][: cycle.segment].tobytes() for n in range(3)))
    assert len(sets) == 1


def test_snippets_of_training_and_of_testing_lie_each_in_a_segment_of_its_own_all_in_motion() -> None:
    cycle, fields = Cycle(), CONF["sampling"]["fields"]
    draw = np.random.default_rng(0)
    cut = [clips.drawn(cycle.frames, 3, fields, (cycle.period,) * 2, draw) for _ in range(50)]
    starts = {int(one[0]) for one in cut}
    assert len(starts) == cycle.segment - fields + 1
    for centres in (*cut, clips.even(cycle.frames, 3, fields)):
        for number, centre in enumerate(centres):
            window = clips.window(int(centre), cycle.frames, fields)
            begins = number * cycle.period
            assert begins <= window.start and window.start + window.count <= begins + cycle.segment
            assert window.front == window.back == 0


def test_frames_of_two_segments_are_independent() -> None:
    """Each segment has an angle of its own, drawn anew and put down amid the pause."""
    draw, cycle = np.random.default_rng(3), Cycle()
    found = np.stack([cycle.path(BRUSH.in_cycle(), 1, n % 3, draw) for n in range(4000)])
    angle = np.arctan2(found[..., 1], found[..., 0])
    np.testing.assert_allclose(np.hypot(found[..., 0], found[..., 1]), RADIUS)
    for number in range(3):
        at = number * cycle.period + 4
        assert abs(np.exp(1j * angle[:, at]).mean()) < 0.05, "uniform on the circle"
    between = np.exp(1j * (angle[:, 4] - angle[:, 4 + cycle.period]))
    assert abs(between.mean()) < 0.05 and abs((between**2).mean()) < 0.05
    inside = np.exp(1j * (angle[:, 4] - angle[:, 5]))
    assert abs(inside.mean()) > 0.5, "within a segment they are not"
    still = np.abs(np.diff(found, axis=1)).sum(-1)
    pause = still[:, cycle.segment : cycle.period]
    assert ((pause > 1e-9).sum(1) == 1).all(), "one field of a pause moves: where the hand is put down"


def test_hand_and_decoy_go_through_the_same_cycle_and_the_layout_is_a_diagonal() -> None:
    diagonals, places = set(), set()
    for n in range(80):
        label = ORDER[n % 2]
        scene = compose(0, f"v{n}", 1 + n % 24, label, 0, 0.0, BRUSH, Cycle())
        speeds = np.abs(np.diff(np.unwrap(np.arctan2(*(scene.paths - scene.centres[:, None]).T[::-1]), axis=0), axis=0))
        for segment in range(3):
            begins = segment * Cycle().period
            hand, decoy = speeds[begins : begins + Cycle().segment].T
            np.testing.assert_allclose(hand, decoy, atol=1e-6)
        apart = scene.centres[0] - scene.centres[1]
        assert abs(apart[0]) == pytest.approx(abs(apart[1])) and np.hypot(*apart) == pytest.approx(2 * GROUND)
        diagonals.add(bool(apart[0] * apart[1] > 0))
        places.add(scene.place_hues)
    assert len(diagonals) == 2 and len(places) == 6


@pytest.mark.parametrize("label", ORDER, ids=lambda label: label.name)
def test_a_cycle_begins_with_each_of_its_motions_equally_often(label: Label) -> None:
    """Else the motion in one window would tell the sense."""
    begins = Counter(compose(0, f"v{n}", 1, label, 0, 0.0, BRUSH, Cycle()).motions[0] for n in range(300))
    assert set(begins) == set(BRUSH.cycle) and min(begins.values()) >= 75


def test_the_ceilings_of_order() -> None:
    """By enumeration: what each system can tell of (sense, first motion) in the three snippets of a clip."""
    outcomes = [(sense, first) for sense in SENSES for first in range(3)]

    def shown(sense: int, first: int) -> list[int]:
        return [(first + sense * number) % 3 for number in range(3)]

    systems: dict[str, Callable[[int, int], Any]] = {
        "appearance": lambda sense, first: None,
        "motion": lambda sense, first: frozenset(shown(sense, first)),
        "late": lambda sense, first: frozenset(shown(sense, first)),
        "fused": lambda sense, first: frozenset(shown(sense, first)),
        "ordered": lambda sense, first: tuple(shown(sense, first)),
    }
    for system, sees in systems.items():
        told: dict[Any, Counter[int]] = {}
        for sense, first in outcomes:
            told.setdefault(sees(sense, first), Counter())[sense] += 1
        best = Fraction(sum(max(one.values()) for one in told.values()), len(outcomes))
        assert ceilings(system, kinds=KINDS)["order"] == best == Brush(order=1).ceilings(system)["order"]


def test_the_ceilings_of_brush2_and_of_still_pictures() -> None:
    assert ceilings("motion", BRUSH2, KINDS) == {
        "what": Fraction(1, 4), "binding": Fraction(1, 8), "order": Fraction(1, 2), "how": 1, "still": Fraction(1, 4),
    }  # fmt: skip
    assert ceilings("appearance", BRUSH2, ["how"]) == {"how": Fraction(1, 4)}
    assert ceilings("appearance", BRUSH2, ["binding"]) == {"binding": Fraction(1, 4)}
    for system in SYSTEMS:
        assert set(Brush(what=0, still=2).ceilings(system)) == {"binding", "still"}
    with pytest.raises(AssertionError):
        ceilings("clairvoyant")


def test_a_decoy_at_its_own_speed_tells_whose_a_motion_is_and_the_ceilings_say_so() -> None:
    brush = Brush(decoy_speed=0.8)
    assert brush.ceilings("motion") == {"what": Fraction(1, 3), "binding": Fraction(1, 3)}
    assert brush.ceilings("late") == {"what": 1, "binding": 1}
    assert brush.ceilings("appearance") == Brush().ceilings("appearance")
    label = labels(BRUSH, ["binding"])[4]
    same, slower = (compose(0, "v", 1, label, 9, 0.0, decoy_speed=speed) for speed in (1.0, 0.8))
    np.testing.assert_array_equal(same.paths[0], slower.paths[0])
    steps = [np.abs(np.diff(np.unwrap(np.arctan2(*(one.paths[1] - one.centres[1]).T[::-1])))) for one in (same, slower)]
    np.testing.assert_allclose(steps[1], 0.8 * steps[0])


def test_brush2_shares_no_place_motion_or_number_with_brush() -> None:
    assert not set(BRUSH.places) & set(BRUSH2.places)
    assert not {m.name for m in MOTIONS} & {m.name for m in MOTIONS2}
    assert not {m.speed for m in MOTIONS} & {m.speed for m in MOTIONS2}
    assert not {m.turn for m in MOTIONS} & {m.turn for m in MOTIONS2}
    one, other = Brush(), Brush(vocabulary="brush2")
    assert not set(one.classes) & set(other.classes) and len(other.classes) == 4 + 16


def test_a_still_clip_is_one_place_anywhere_and_nothing_moves() -> None:
    knobs = Knobs(what=0, binding=0, still=2, noise=0.0)
    places = []
    for number, label in enumerate(labels(BRUSH, ["still"]) * 20):
        film = drawn(knobs, label, f"v{number}", 1 + number % 24)
        assert film.shape == (2, SIZE, SIZE, 3)
        np.testing.assert_array_equal(film[0], film[1])
        scene = compose(0, f"v{number}", 1, label, 2, 0.0)
        assert scene.place_hues == (label.place,)
        places.append(scene.centres[0])
    assert np.ptp(np.array(places), axis=0).min() > 15


def test_a_crop_never_loses_a_place() -> None:
    off = SIZE - CROP
    for kind in ("order", "still"):
        for number in range(300):
            label = labels(BRUSH, [kind])[number % 2]
            scene = compose(1, f"v{number}", 1, label, 2, 0.0, BRUSH, Cycle())
            if kind == "order":
                assert (scene.centres - GROUND >= off - 0.5).all() and (scene.centres + GROUND <= CROP + 0.5).all()
            else:
                assert (scene.centres >= off).all() and (scene.centres <= CROP).all()


def test_a_set_is_known_by_what_determines_it() -> None:
    assert signature(Knobs().recipe()) == "ed0a38b54c8bccde"
    assert signature(Knobs(segment=9).recipe()) == "ed0a38b54c8bccde", "the cycle is nothing where there is none"
    assert len({signature(Knobs(order=1, **{name: 5}).recipe()) for name in ("segment", "pause", "segments")}) == 3  # type: ignore[arg-type]


def test_names_of_the_classes() -> None:
    assert [label.name for label in ORDER] == ["StrokeWhirlScrub", "StrokeScrubWhirl"]
    kinds = [label.kind for label in labels(BRUSH, KINDS)]
    assert Counter(kinds) == {"what": 3, "binding": 12, "order": 2, "how": 4, "still": 3}
    assert list(dict.fromkeys(kinds)) == list(KINDS)


# -- bad input


@pytest.mark.parametrize(
    "how, told",
    [
        ((3, 7, (14, 14)), "a window of flow is longer"),
        ((3, 6, (4, 4)), "must fall into neighbouring segments"),
        ((3, 6, (13, 14)), "must fall into neighbouring segments"),
        ((3, 6, (0, 0)), "one in each segment of the video"),
        ((2, 6, (14, 14)), "must fall into neighbouring segments"),
        ((5, 6, (14, 14)), "must fall into neighbouring segments"),
    ],
)
def test_what_does_not_fit_the_cycle_is_told_with_what_fits(how: tuple[int, int, tuple[int, int]], told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        Brush(order=2).expect_sampling(*how)
    assert error.value.allowed and error.value.hint
    Brush().expect_sampling(*how)


def test_what_fits_the_cycle() -> None:
    Brush(order=2).expect_sampling(3, 6, (14, 14))
    Brush(order=2).expect_sampling(1, 6, (4, 4))  # a stream alone, of single windows
    Brush(order=2, segment=5, pause=4, segments=4).expect_sampling(4, 4, (9, 9))


def test_a_set_that_asks_nothing_is_told() -> None:
    with pytest.raises(UserError, match="at least one kind"):
        Brush(what=0, binding=0)
    with pytest.raises(UserError, match="vocabulary") as error:
        Brush(vocabulary="brush3")
    assert error.value.allowed == ("brush", "brush2")


def test_labels_that_ask_nothing_of_place_or_motion_leave_them_open() -> None:
    seen: list[tuple[Label, Scene]] = list(scenes(4, 6))
    assert all(label.sense is None for label, _ in seen)
    assert all(label.place is None and label.motion is None for label in ORDER)


@pytest.mark.parametrize("words", [BRUSH, BRUSH2], ids=["brush", "brush2"])
def test_binding_asks_for_the_motions_of_order_and_so_does_the_set(words: Vocabulary) -> None:
    """So streams that were trained first, and are frozen then, have learnt to tell them apart."""
    asked = [label for label in labels(words, ["binding", "order"]) if label.kind == "binding"]
    for place in range(len(words.places)):
        told = [label.name for label in asked if label.place == place and label.motion in words.cycle]
        assert len(set(told)) == len(words.cycle) == 3, "a class of its own for each, at each place"
    conf = Path(__file__).parents[2] / "conf" / "data" / "brush_order.yaml"
    knobs = yaml.safe_load(conf.read_text(encoding="utf-8"))["dataset"]
    assert knobs["binding"] and knobs["order"]
