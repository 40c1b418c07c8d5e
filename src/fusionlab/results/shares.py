"""Shares of right answers over seeds, by kind of question, with Wilson's interval and the ceiling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import fmean, stdev

import numpy as np

from fusionlab.results.accuracy import design_effect, effective_videos, wilson
from fusionlab.results.crossed import FEWEST_GROUPS
from fusionlab.results.gains import Stack, answer_counts, stack_answers
from fusionlab.results.load import TOGETHER, Entry
from fusionlab.results.squares import group_codes


@dataclass(frozen=True)
class Share:
    """A share of right answers over seeds; `low` and `high` are Wilson's interval at its mean."""

    mean: float
    sd: float | None
    low: float
    high: float
    videos: int
    ceiling: Fraction | None
    per_seed: tuple[float, ...]
    effective: float | None = None  # as many independent videos as the groups are worth; None: groups are not known


class Worth:
    """The number of independent videos that a test list is worth to a row, whose videos come in groups."""

    def __init__(self, column: Sequence[Sequence[Entry]]) -> None:
        self._column = column
        self._designs: dict[tuple[int, str], float | None] = {}

    def __call__(self, done: Sequence[Entry], kind: str) -> float | None:
        """None if the groups are not known, or if each seed has its own videos."""
        found = stack_answers(done, kind)
        if found is None or found.groups is None:
            return None
        right, groups, splits = found.right, found.groups, found.splits
        count = len(np.unique(groups if splits is None else group_codes(splits, groups)))
        if count < FEWEST_GROUPS:
            return float(count)  # as if each group were one video: they are too few to show how much they are worth
        sure = right.all() or not right.any()
        design = self._design(found, kind) if sure else None
        return effective_videos(right.astype(np.float64), groups, strata=splits, design=design)

    def _design(self, one: Stack, kind: str) -> float | None:
        """The design effect of the whole column, for rows in which nothing varies."""
        tests = id(one.tests)
        if (tests, kind) not in self._designs:
            stacks = [
                stack_answers([entry for entry in entries if entry.status == "done"], kind) for entries in self._column
            ]
            rows = [own.right.astype(np.float64) for own in stacks if own is not None and own.tests is one.tests]
            assert one.groups is not None
            self._designs[tests, kind] = design_effect(rows, one.groups, strata=one.splits)
        return self._designs[tests, kind]


def make_shares(done: Sequence[Entry], worth: Worth) -> dict[str, Share]:
    """Per kind of question and together; only kinds that all seeds have."""
    counts = [answer_counts(entry) for entry in done]
    shared = [kind for kind in counts[0] if all(kind in one for one in counts)] if counts else []
    ceilings = done[0].record.get("ceilings", {}) if done else {}
    shares = {}
    for kind in shared:
        per_seed = tuple(float(right / total) for right, total in (one[kind] for one in counts))
        videos = min(one[kind][1] for one in counts)
        most = Fraction(ceilings[kind]) if kind in ceilings else None
        if kind == TOGETHER:
            most = _ceiling_of_all(counts[0], ceilings)
        centre = fmean(per_seed)
        spread = stdev(per_seed) if len(per_seed) > 1 else None  # with n − 1
        effective = worth(done, kind)
        low, high = wilson(centre, videos if effective is None else effective)
        shares[kind] = Share(centre, spread, low, high, videos, most, per_seed, effective)
    return shares


def _ceiling_of_all(counts: Mapping[str, tuple[int | Fraction, int]], ceilings: Mapping[str, str]) -> Fraction | None:
    """The mean of the kinds' ceilings, weighted by their videos."""
    questions = [kind for kind in counts if kind != TOGETHER]
    if not questions or any(kind not in ceilings for kind in questions):
        return None
    total = sum(counts[kind][1] for kind in questions)
    return sum((Fraction(ceilings[kind]) * counts[kind][1] / total for kind in questions), Fraction(0))
