"""Which answers are held against which: pairs of arms of one seed and one test list, and why some make no pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.results.answers import TestList
from fusionlab.results.crossed import Comparison, compare
from fusionlab.results.load import TOGETHER, Entry
from fusionlab.results.squares import mean_weights

NO_PREDICTIONS = "no predictions"  # how an error begins that only a missing file gives
FROM_COUNTS = "there are no predictions next to the records"
_OWN_AXES = ("fusion", "layer", "temporal", "streams")  # in these a fused arm and its late fusion may differ

Pair = tuple[Entry, Entry]
Codes = NDArray[np.intp]


class Late:
    """The late fusions of a study, found by the seed and the streams of an arm."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._by_streams: dict[object, list[Entry]] = {}
        for entry in entries:
            if entry.kind == "late" and entry.status == "done":
                self._by_streams.setdefault(_streams(entry), []).append(entry)

    def partner(self, entry: Entry) -> Entry | None:
        """The one with the same seed and stage one, and with equal values on the other axes that both have."""
        for other in self._by_streams.get(_streams(entry), ()):
            shared = (set(entry.place) & set(other.place)) - set(_OWN_AXES)
            if all(entry.axes[axis] == other.axes[axis] for axis in shared):
                return other
        return None


def _streams(entry: Entry) -> object:
    return tuple(sorted(entry.record.get("stage_one", {}).items())), entry.seed


def compare_pairs(pairs: Sequence[Pair]) -> tuple[dict[str, Comparison], str | None]:
    """What the first of each pair gains over the second, by kind of question and together; or {} and the reason.

    A pair is of one seed. Without predictions the counts of the records give each seed's gain, and no interval.
    """
    try:
        return _compare_answers(pairs), None
    except UserError as error:
        if not error.what.startswith(NO_PREDICTIONS):
            return {}, error.brief
    compared = _compare_counts(pairs)
    return compared, None if compared else "the records count other test videos, so no pairs"


def _compare_answers(pairs: Sequence[Pair]) -> dict[str, Comparison]:
    lists, differences = [], []
    for one, other in pairs:
        if not one.answers.of.same_videos(other.answers.of):
            raise UserError("the test videos or labels differ, so no pairs", got=f"{one.name} and {other.name}")
        lists.append(with_groups([one.answers.of, other.answers.of])[0])
        differences.append(one.answers.right.astype(np.float64) - other.answers.right)
    kinds = dict.fromkeys(kind for tests in lists for kind in _places(tests))
    shared = [kind for kind in kinds if all(kind in _places(tests) for tests in lists)]
    return {kind: compare_lists(differences, lists, kind) for kind in shared}


def compare_lists(
    differences: Sequence[NDArray[np.float64]], lists: Sequence[TestList], kind: str = TOGETHER
) -> Comparison:
    """The comparison of one row of differences for each seed, on one kind of question."""
    lists = with_groups(lists)
    chosen = [row[_places(tests)[kind]] for row, tests in zip(differences, lists, strict=True)]
    groups = [None if tests.groups is None else _codes(tests, "groups", kind) for tests in lists]
    splits = [None if tests.splits is None else _codes(tests, "splits", kind) for tests in lists]
    if all(tests is lists[0] for tests in lists):
        return compare(np.array(chosen), groups[0], strata=splits[0])
    least = min(map(len, chosen))
    if any(len(row) != least for row in chosen) or any(not equal_codes(own, splits[0]) for own in splits):
        # Of lists of unlike lengths, or unlike splits, only the seeds' means are compared.
        shares = [
            row.mean() if own is None else mean_weights(own) @ row for row, own in zip(chosen, splits, strict=True)
        ]
        return replace(compare(np.array(shares)[:, None], None, own_videos=True), videos=least)
    known = [codes for codes in groups if codes is not None]
    own_groups = np.array(known) if len(known) == len(groups) else None
    return compare(np.array(chosen), own_groups, strata=splits[0], own_videos=True)


def equal_codes(one: Codes | None, other: Codes | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def with_groups(lists: Sequence[TestList]) -> list[TestList]:
    """The lists; those that are older than groups are replaced by one of the same videos that has them."""
    known = [tests for tests in lists if tests.groups is not None]
    return [next((one for one in known if one.same_videos(tests)), tests) for tests in lists]


def _codes(tests: TestList, name: str, kind: str) -> Codes:
    return list_codes(tests, name)[_places(tests)[kind]]


@lru_cache(maxsize=256)
def _places(tests: TestList) -> dict[str, Codes]:
    """Kind of question (and `all`) -> the places of its videos."""
    kinds: dict[str, list[int]] = {}
    for at, kind in enumerate(tests.kinds):
        if kind is not None:
            kinds.setdefault(kind, []).append(at)
    places = {kind: np.array(ats, dtype=np.intp) for kind, ats in kinds.items()}
    return {TOGETHER: np.arange(len(tests.videos), dtype=np.intp), **places}


@lru_cache(maxsize=256)
def list_codes(tests: TestList, name: str = "groups") -> Codes:
    """A number for each video, equal within a group, or a split."""
    return np.asarray(np.unique(np.array(getattr(tests, name)), return_inverse=True)[1], dtype=np.intp)


class Stack(NamedTuple):
    """The answers of some arms (arms, videos) to one list; the groups and splits of the videos, if they are known."""

    tests: TestList
    right: NDArray[np.bool_]
    groups: Codes | None
    splits: Codes | None


def stack_answers(entries: Sequence[Entry], kind: str = TOGETHER) -> Stack | None:
    """The answers of some arms to a kind of question; None if an arm has none, or others than the first."""
    try:
        answers = [entry.answers for entry in entries]
    except UserError:
        return None
    lists = with_groups([one.of for one in answers])
    if not lists or any(tests is not lists[0] for tests in lists):
        return None
    tests = lists[0]
    places = _places(tests).get(kind)
    if places is None:
        return None
    groups, splits = (
        None if getattr(tests, name) is None else _codes(tests, name, kind) for name in ("groups", "splits")
    )
    return Stack(tests, np.array([one.right[places] for one in answers]), groups, splits)


def _compare_counts(pairs: Sequence[Pair]) -> dict[str, Comparison]:
    """Differences of shares: on one test list they are those of the single answers."""
    counts = [(answer_counts(one), answer_counts(other)) for one, other in pairs]
    compared = {}
    for kind in counts[0][0]:
        if not all(kind in one and kind in other and one[kind][1] == other[kind][1] for one, other in counts):
            continue
        per_seed = tuple(float((one[kind][0] - other[kind][0]) / one[kind][1]) for one, other in counts)
        videos = min(one[kind][1] for one, _ in counts)
        compared[kind] = Comparison(fmean(per_seed), per_seed, videos, None, None, None, FROM_COUNTS)
    return compared


def answer_counts(entry: Entry) -> dict[str, tuple[int | Fraction, int]]:
    """kind -> (right answers, videos), also for `all`. Of joined splits they are the mean share × all videos."""
    by_kind = entry.result.get("kinds", {})
    counts = {
        kind: (one["correct"], one["total"]) for kind, one in by_kind.items() if kind != TOGETHER and one["total"]
    }
    if entry.result.get("total"):
        counts[TOGETHER] = (entry.result["correct"], entry.result["total"])
    return counts
