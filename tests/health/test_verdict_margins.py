"""Each margin of a verdict, from both of its sides."""

from __future__ import annotations

import numpy as np
import pytest
from verdict_fakes import ahead_of, pair

from fusionlab.health.flow_evidence import RIGHT, Evidence, Hypothesis
from fusionlab.health.flow_verdict import AS_OTHERS, OF_SET, OF_VIDEO, Strictness, Verdict, verdict

# Written once more: (pairs, wins of as many, ratio, margin, unlike)
MARGINS = {"set": (OF_SET, 6, 0.8, 0.7, 0.05, 0.45), "video": (OF_VIDEO, 3, 1.0, 0.5, 0.15, 0.6)}


@pytest.mark.parametrize("name", MARGINS)
def test_pairs_that_are_needed(name: str) -> None:
    how, pairs, *_ = MARGINS[name]
    one = pair(0.4, ahead_of(0.4, 0.0))
    assert verdict([one] * (pairs - 1), how).holds == RIGHT
    assert verdict([one] * pairs, how).holds == "ahead"


@pytest.mark.parametrize("name", MARGINS)
def test_wins_that_are_needed(name: str) -> None:
    """Of ten pairs, some are nearer to what is right."""
    how, _, wins, *_ = MARGINS[name]
    for nearer in range(6, 11):
        seen = [pair(0.4, ahead_of(0.4, 0.0))] * nearer + [pair(0.05, 0.4)] * (10 - nearer)
        assert verdict(seen, how).holds == ("ahead" if nearer / 10 >= wins else RIGHT), nearer


@pytest.mark.parametrize("name", MARGINS)
def test_the_ratio_that_is_needed(name: str) -> None:
    how, pairs, _, ratio, _, unlike = MARGINS[name]
    stored = unlike - 0.03
    for part, holds in ((ratio - 0.03, "ahead"), (ratio + 0.03, RIGHT)):
        assert verdict([pair(stored, ahead_of(stored, stored * part))] * pairs, how, {"ahead"}).holds == holds, part


@pytest.mark.parametrize("name", MARGINS)
def test_the_difference_that_is_needed(name: str) -> None:
    """The next frames' flow disagrees with right by a tenth at least, or it would not be told from it."""
    how, pairs, _, _, margin, _ = MARGINS[name]
    for difference, holds in ((margin + 0.01, "ahead"), (margin - 0.01, RIGHT)):
        stored = 0.05 + difference  # far from the ratio
        assert verdict([pair(stored, ahead_of(stored, 0.05))] * pairs, how).holds == holds


@pytest.mark.parametrize("name", MARGINS)
def test_the_bound_of_unlike(name: str) -> None:
    how, pairs, *_, unlike = MARGINS[name]
    for stored, holds in ((unlike - 0.01, RIGHT), (unlike + 0.01, None)):
        assert verdict([pair(stored)] * pairs, how, ()).holds == holds
    assert verdict([pair(unlike + 0.01)] * (pairs - 1), how, ()).holds == RIGHT  # too few pairs


def test_a_hypothesis_has_to_fit() -> None:
    for nearer, holds in ((0.44, "ahead"), (0.52, None)):
        assert verdict([pair(0.8, ahead_of(0.8, nearer))] * 9, OF_SET, {"ahead"}).holds == holds


@pytest.mark.parametrize("contrast, judged", [(0.09, False), (0.11, True)])
def test_a_pair_tells_where_hypotheses_differ(contrast: float, judged: bool) -> None:
    found = verdict([pair(0.0, contrast)] * 9)
    assert ("ahead" in found.judged) == ("ahead" in found.excluded) == judged


@pytest.mark.parametrize("places, pairs", [(39, 0), (40, 9)])
def test_places_that_move(places: int, pairs: int) -> None:
    assert verdict([pair(0.1, places=places)] * 9).pairs == pairs


@pytest.mark.parametrize("long, pairs", [(0.45, 0), (0.55, 9)])
def test_what_moves(long: float, pairs: int) -> None:
    assert verdict([pair(0.1, long=long)] * 9).pairs == pairs


def test_what_is_excluded() -> None:
    """Six pairs of a set, one of a video; stored flow is nearer to right in four of five."""
    right, wrong = pair(0.05, 0.4), pair(0.4, ahead_of(0.4, 0.0))
    assert "ahead" in verdict([right] * 6).excluded and "ahead" not in verdict([right] * 5).excluded
    assert "ahead" in verdict([right] * 8 + [wrong] * 2).excluded
    assert "ahead" not in verdict([right] * 7 + [wrong] * 3).excluded
    assert "ahead" in verdict([right], OF_VIDEO).excluded and "ahead" not in verdict([wrong], OF_VIDEO).excluded


def test_a_fault_of_others_needs_one_pair() -> None:
    one = [pair(0.4, ahead_of(0.4, 0.0))]
    assert verdict(one, OF_VIDEO).holds == RIGHT
    assert verdict(one, AS_OTHERS, {"ahead"}).holds == "ahead" and verdict(one, AS_OTHERS, {"behind"}).holds == RIGHT


@pytest.mark.parametrize(
    "scale, stretch",
    [
        ((1.2, 1.2, 1.2), 1.0),
        ((1.3, 1.4, 1.5), 1.4),
        ((0.81,) * 3, 1.0),
        ((0.79,) * 3, 0.79),
        ((0.5, 1.5, 2.0), 1.0),
        ((1.1, 2.0, 3.0), 1.0),
    ],
)
def test_the_bound_is_wrong_where_all_speeds_say_so(scale: tuple[float, float, float], stretch: float) -> None:
    assert Verdict(scale=scale).stretch == pytest.approx(stretch)


@pytest.mark.parametrize("zero, bound, offset", [(0.09, 4.0, 0.0), (0.11, 4.0, 0.11), (0.23, 20.0, 0.0),
                                                 (0.24, 20.0, 0.24), (-0.24, 20.0, -0.24)])  # fmt: skip
def test_the_zero_is_wrong_by_a_level_and_a_half(zero: float, bound: float, offset: float) -> None:
    assert Verdict(zero=(zero, 0.0)).offset(bound) == (offset, 0.0)
    assert Verdict(zero=(0.0, zero)).offset(bound) == (0.0, offset)


def test_equal_hypotheses_are_named_by_the_simpler_one() -> None:
    """Flow of the next frames, and another one that disagrees with it by less, or by more."""
    behind = Hypothesis(shift=-1)

    def seen(other: float) -> list[Evidence]:
        one = pair(0.4, ahead_of(0.4, other))
        return [
            Evidence(
                one.video,
                one.stored,
                one.step,
                {**one.estimates, behind: (one.stored.astype(np.float16), one.right[1])},
            )
        ] * 9

    for other, holds, rival in ((0.007, "ahead", "behind"), (0.015, "behind", "ahead"), (0.04, "behind", None)):
        found = verdict(seen(other))
        assert (found.holds, found.rival) == (holds, rival)


def test_strictness_has_no_other_margins() -> None:
    assert set(Strictness.__dataclass_fields__) == {"pairs", "wins", "ratio", "margin", "unlike", "clears"}
