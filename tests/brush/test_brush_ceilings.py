"""The ceilings by brute force: every outcome of the generator, its probability, what a system makes of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fusionlab.data.brush import scene as module
from fusionlab.data.brush.brush import Brush
from fusionlab.data.brush.labels import ASKED, LABELS, PLACES, Label, ceilings
from fusionlab.data.brush.motions import MOTIONS
from fusionlab.data.brush.scene import Scene, compose
from fusionlab.data.brush.vocabulary import BRUSH

SYSTEMS = ("appearance", "motion", "late", "fused")
FRAMES = 4  # of clips with an exchange: 3 moments


class Scripted:
    """In place of a generator: follows a script, then takes the first option; notes how many there were."""

    def __init__(self, script: list[int]) -> None:
        self.script = script
        self.options: list[int] = []

    def _next(self, options: int) -> int:
        at = len(self.options)
        self.options.append(options)
        return self.script[at] if at < len(self.script) else 0

    def integers(self, low: int, high: int | None = None, size: int | None = None) -> Any:
        if high is None:
            low, high = 0, low
        if high - low > 1000:
            return 0  # the seed of the noise: nothing is read from it
        drawn = [low + self._next(high - low) for _ in range(size or 1)]
        return np.array(drawn) if size else drawn[0]

    def choice(self, options: tuple[float, ...]) -> float:
        return options[self._next(len(options))]

    def normal(self, mean: float, deviation: float, size: tuple[int, ...]) -> Any:
        return np.zeros(size)


@dataclass(frozen=True)
class Outcome:
    """A clip as far as anything can be read from it, with its probability within its kind."""

    label: Label
    hand: tuple[tuple[float, ...], ...]  # centre in each frame
    decoy: tuple[tuple[float, ...], ...]
    places: tuple[int, int]  # the hand's, the decoy's
    motions: tuple[int, int]
    p: Fraction

    def place(self, frame: int) -> Hashable:
        """What appearance sees in a frame."""
        return frozenset([(self.hand[frame], self.places[0], "hand"), (self.decoy[frame], self.places[1], "decoy")])

    def motion(self, frame: int) -> Hashable:
        """What flow shows around it."""
        return frozenset([(self.hand[frame], self.motions[0]), (self.decoy[frame], self.motions[1])])

    def sees(self, system: str) -> Hashable:
        place, motion = (tuple(look(frame) for frame in range(len(self.hand))) for look in (self.place, self.motion))
        return {"appearance": place, "motion": motion, "fused": (place, motion)}[system]


def scripts(run: Callable[[Scripted], None]) -> Iterator[Fraction]:
    """Every run of a function that draws, once, with its probability."""
    script: list[int] | None = []
    while script is not None:
        draw = Scripted(script)
        run(draw)
        chosen = [*script, *[0] * (len(draw.options) - len(script))]
        p = Fraction(1)
        for count in draw.options:
            p /= count
        yield p
        while chosen and chosen[-1] == draw.options[len(chosen) - 1] - 1:
            chosen.pop()
        script = [*chosen[:-1], chosen[-1] + 1] if chosen else None


@lru_cache
def outcomes(exchange: bool) -> list[Outcome]:
    """The joint distribution of all that `compose` draws; a motion's path is a constant that names it. Of clips of one
    frame, which stands for all, or of a few in which hand and decoy change sides.
    """
    frames = FRAMES if exchange else 1
    motions = [
        SimpleNamespace(path=lambda frames, draw, n=n: np.full((frames, 2), float(n))) for n in range(len(MOTIONS))
    ]
    words = replace(BRUSH, motions=motions)  # type: ignore[arg-type]
    found: list[Outcome] = []
    for label in LABELS:
        classes = sum(other.kind == label.kind for other in LABELS)
        drawn: list[Scene] = []

        def run(draw: Scripted, label: Label = label, drawn: list[Scene] = drawn) -> None:
            generators = SimpleNamespace(Generator=lambda _: draw, Philox=np.random.Philox)
            numpy = SimpleNamespace(**{**vars(np), "random": generators})
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(module, "np", numpy)
                drawn.append(compose(0, "v", 1, label, frames, 0.0, words, exchange=exchange))

        for p in scripts(run):
            scene = drawn[-1]
            centres = [scene.centres_at(frame) for frame in range(frames)]
            hand, decoy = (tuple(tuple(at[n].tolist()) for at in centres) for n in (0, 1))
            (named,) = {tuple(np.rint(scene.paths[:, n, 0] - at[:, 0]).astype(int)) for n, at in enumerate(centres)}
            found.append(Outcome(label, hand, decoy, scene.place_hues, named, p / classes))
    return found


@pytest.fixture(scope="module", params=["brush", "exchange"])
def joint(request: pytest.FixtureRequest) -> list[Outcome]:
    return outcomes(exchange=request.param == "exchange")


def posteriors(joint: list[Outcome], system: str) -> dict[Hashable, dict[Label, Fraction]]:
    """What is seen -> the probability of each class: the scores of a stream that has learnt all there is."""
    table: dict[Hashable, Counter[Label]] = defaultdict(Counter)
    for one in joint:
        table[one.sees(system)][one.label] += one.p  # type: ignore[assignment]
    return {seen: {c: Fraction(p) / sum(row.values()) for c, p in row.items()} for seen, row in table.items()}


def best(joint: list[Outcome], kind: str, seen: Callable[[Outcome], Hashable]) -> Fraction:
    """Accuracy of the best guess from what is seen."""
    table: dict[Hashable, Counter[Label]] = defaultdict(Counter)
    for one in joint:
        if one.label.kind == kind:
            table[seen(one)][one.label] += one.p  # type: ignore[assignment]
    return sum((Fraction(max(row.values())) for row in table.values()), Fraction(0))


def scores(joint: list[Outcome]) -> Callable[[Outcome], Hashable]:
    """The two streams' score vectors, nothing else."""
    a, b = posteriors(joint, "appearance"), posteriors(joint, "motion")

    def both(one: Outcome) -> Hashable:
        return tuple(frozenset(table[one.sees(s)].items()) for s, table in (("appearance", a), ("motion", b)))

    return both


def found(joint: list[Outcome], system: str, kind: str) -> Fraction:
    return best(joint, kind, scores(joint) if system == "late" else lambda one: one.sees(system))


def test_the_outcomes_are_all_and_of_probability_one(joint: list[Outcome]) -> None:
    for kind in ASKED:
        assert sum(one.p for one in joint if one.label.kind == kind) == 1
    for label in LABELS:
        of = [one for one in joint if one.label == label]
        assert {one.p for one in of} == {of[0].p}, "all alike"
        # decoy's place, a motion for who has none, decoy's motion, side, two jitters, the moment of the exchange
        moments = max(1, len(of[0].hand) - 1)
        assert len(of) == (len(PLACES) - 1) * len(MOTIONS) * (len(MOTIONS) - 1) * 2 * 9 * moments
        for one in of:
            assert one.places[0] == label.place != one.places[1] and one.motions[0] != one.motions[1]
            assert label.motion is None or one.motions[0] == label.motion


@pytest.mark.parametrize("kind", ASKED)
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_ceiling_is_what_the_best_guess_reaches(system: str, kind: str, joint: list[Outcome]) -> None:
    assert found(joint, system, kind) == ceilings(system)[kind] == Brush().ceilings(system)[kind]


def test_of_one_snippet_a_delay_leaves_what_is_said() -> None:
    """Frames that come d frames after their flow, of clips of F: max(1 − d/(F − 1), d/(F − 1)) of binding; and what is
    no matter of correspondence stays.
    """
    drawn = outcomes(exchange=True)
    for delay in range(FRAMES):
        other = Fraction(delay, FRAMES - 1)
        assert best(drawn, "binding", lambda o, d=delay: (o.place(d), o.motion(0))) == max(1 - other, other)  # type: ignore[misc]
        assert best(drawn, "what", lambda o, d=delay: (o.place(d), o.motion(0))) == 1  # type: ignore[misc]
        of_scores = best(drawn, "binding", lambda o, d=delay: (o.places, frozenset(o.motions)))  # type: ignore[misc]
        assert of_scores == ceilings("late")["binding"]


def test_the_table_in_numbers() -> None:
    half, third, quarter, sixth = (Fraction(1, n) for n in (2, 3, 4, 6))
    assert ceilings("appearance") == {"what": 1, "binding": quarter}
    assert ceilings("motion") == {"what": third, "binding": sixth}
    assert ceilings("late") == {"what": 1, "binding": half}
    assert ceilings("fused") == {"what": 1, "binding": 1}
    assert all(isinstance(value, Fraction) for system in SYSTEMS for value in ceilings(system).values())


def test_the_average_of_the_scores_reaches_the_ceiling_of_late(joint: list[Outcome]) -> None:
    tables = [(system, posteriors(joint, system)) for system in ("appearance", "motion")]
    right: Counter[str] = Counter()
    for one in joint:
        total: Counter[Label] = Counter()
        for system, table in tables:
            total.update(table[one.sees(system)])  # type: ignore[arg-type]
        tied = [label for label, score in total.items() if score == max(total.values())]
        right[one.label.kind] += one.p * Fraction(one.label in tied, len(tied))  # type: ignore[assignment]
    assert dict(right) == ceilings("late")


def test_both_streams_know_the_kind(joint: list[Outcome]) -> None:
    for system in ("appearance", "motion"):
        for row in posteriors(joint, system).values():
            assert len({label.kind for label in row}) == 1


LEAKS: dict[str, tuple[Callable[[Outcome], bool], str, str]] = {
    "the decoy's motion follows from the hand's": (
        lambda o: o.motions[1] == (o.motions[0] + 1) % len(MOTIONS), "late", "binding",
    ),
    "each place moves in its own way": (lambda o: o.motions[0] == o.places[0], "motion", "what"),
    "the decoy's place tells the hand's motion": (
        lambda o: (o.motions[0] < 2) == (o.places[1] == (o.places[0] + 1) % 3), "appearance", "binding",
    ),
    "the slower of the two is the hand": (lambda o: o.motions[0] < o.motions[1], "motion", "binding"),
    "a place has its own jitter": (
        lambda o: round(sum(o.hand[0]) + sum(o.decoy[0])) % 3 == o.places[0], "motion", "what",
    ),
}  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_lifts_its_ceiling(leak: str, joint: list[Outcome]) -> None:
    holds, system, kind = LEAKS[leak]
    left = [one for one in joint if holds(one)]
    whole = sum(one.p for one in left if one.label.kind == kind)
    assert found(left, system, kind) / whole > ceilings(system)[kind]


def test_the_classes() -> None:
    brush = Brush()
    names = [label.name for label in LABELS]
    assert brush.classes == names and len(set(names)) == len(names) == len(PLACES) * (1 + len(MOTIONS))
    assert Counter(brush.kinds.values()) == {"what": len(PLACES), "binding": len(PLACES) * len(MOTIONS)}
    assert list(brush.kinds) == names and set(brush.kinds.values()) == set(ASKED)
    assert names[:4] == ["HandTeeth", "HandHair", "HandShoes", "StrokeTeeth"]
    assert {(label.kind, label.place, label.motion) for label in LABELS} == {
        ("what", place, None) for place in range(3)
    } | {("binding", place, motion) for place in range(3) for motion in range(4)}


def test_an_unknown_system_is_our_own_bug() -> None:
    with pytest.raises(AssertionError):
        ceilings("clairvoyant")


def test_clips_show_what_frames_do_not() -> None:
    """Motion in frames; of flow only the order of motions, since its fields show each motion already."""
    kinds = ("what", "binding", "order", "how")
    for system, more in (("motion", {"order": 1}), ("late", {"order": 1})):
        assert ceilings(f"{system}_clips", kinds=kinds) == ceilings(system, kinds=kinds) | more
    assert set(ceilings("appearance_clips", kinds=kinds).values()) == {1}
    told = ceilings("motion_clips", kinds=kinds, speed_tells=True)
    assert told["binding"] == ceilings("motion", kinds=kinds, speed_tells=True)["binding"]
