"""Entries -> rows: a row is the mean over the seeds of one place in the grid, and over nothing else.

Ceilings, what each system could reach at best, are rows below the others. Records carry the ceilings of their own
system, exact fractions by kind of question; a system without an arm in the table has no row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from fusionlab.records.signature import canonical
from fusionlab.results.formatting import as_typed
from fusionlab.results.load import DAMAGED, REFUSED, TOGETHER, Entry, follows_seed
from fusionlab.results.spec import NAMES, PaperRow, Spec, matches
from fusionlab.results.statistics import Difference, gains, mean, sd, wilson

CEILING = "ceiling"  # the kind of a row that shows what could be reached
PAPER = "paper"  # the kind of a row of the paper's that was not run here
ORDER = "order"  # the kind of question that asks for the order of frames
SCORES = "any function of the two streams' scores"
RECIPE = "recipe"
_IN_METHOD = ("streams", "fusion")  # axes that the method's name shows


@dataclass(frozen=True)
class Share:
    """A share of right answers over seeds; `low` and `high` are Wilson's interval at its mean, for `videos`."""

    mean: float
    sd: float | None
    low: float
    high: float
    videos: int
    ceiling: Fraction | None
    per_seed: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """One place in the grid, or a ceiling. `done`: its arms in the order of seeds; `undone`: the others.

    `refused`: the cells of a place that cannot be trained. A refusal does not depend on the seed.
    """

    kind: str
    axes: Mapping[str, Any]
    done: tuple[Entry, ...]
    undone: tuple[Entry, ...]
    shares: Mapping[str, Share]  # kind of question (and `all`) -> share
    gains: Mapping[str, Difference]  # over late fusion; {} for the baselines
    no_gain: str | None  # why there is none
    surplus: tuple[Entry, ...]  # further arms of a seed, with another signature; not shown
    paper: PaperRow | None
    refused: tuple[Entry, ...] = ()

    @property
    def method(self) -> str:
        kind = self.kind
        if kind == PAPER and self.paper is not None:
            if self.paper.name:
                return self.paper.name
            kind = self.paper.key.get("kind", "fused")
        if kind == "stream":
            stream = str(self.axes.get("streams", "stream"))
            return f"{stream[:1].upper()}{stream[1:]} alone"
        if self.kind == CEILING:
            return f"Ceiling: {self.axes['system']}"
        fusion = str(self.axes.get("fusion"))
        return self.titles.get("fusion") or NAMES.get("late" if kind == "late" else fusion, fusion)

    @property
    def titles(self) -> Mapping[str, str]:
        """The titles of the parts (fusion, temporal), as the records give them; older records have none."""
        return next((titles for entry in (*self.done, *self.undone) if (titles := entry.record.get("titles"))), {})

    def text(self, axis: str) -> str | None:
        """The value of an axis as tables show it: the title of the part, else as it is typed; None without one."""
        value = self.axes.get(axis)
        if axis in ("data", "weights") and axis not in self.axes:  # a study of one data set, or of one start
            value = next((entry.value(axis) for entry in (*self.done, *self.undone)), None)
        return None if value is None else self.titles.get(axis) or as_typed(value)

    @property
    def accuracy(self) -> Share | None:
        return self.shares.get(TOGETHER)

    @property
    def ceilings(self) -> dict[str, Fraction]:
        """The known ceilings by kind of question."""
        ceilings = {kind: share.ceiling for kind, share in self.shares.items() if kind != TOGETHER}
        return {kind: most for kind, most in ceilings.items() if most is not None}

    @property
    def seeds(self) -> tuple[tuple[Any, ...], ...]:
        return tuple(entry.seed for entry in self.done)

    def number(self, name: str) -> int | None:
        """An integer of the result that all seeds share, such as layers."""
        return max((int(entry.result[name]) for entry in self.done if entry.result.get(name) is not None), default=None)


def make_rows(entries: Sequence[Entry], spec: Spec) -> list[Row]:
    """The rows of a table in its order: appearance, motion, late, then the fusions."""
    kept = [entry for entry in entries if entry.kind != "fused" or matches(entry, spec.where)]
    split = _clashing(kept)
    places: dict[tuple[str, str], list[Entry]] = {}
    axes: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in kept:
        place = dict(entry.place)
        if _where(entry) in split:
            place[RECIPE] = recipe(entry)[:6]
        key = (entry.kind, canonical(place))
        places.setdefault(key, []).append(entry)
        axes[key] = place
    late = [entry for entry in entries if entry.kind == "late" and entry.status == "done"]
    rows = [_row(key[0], axes[key], group, late, spec) for key, group in places.items()]
    return sorted(rows, key=lambda row: _order(row, spec))


def _where(entry: Entry) -> tuple[str, str]:
    return entry.kind, canonical(entry.place)


def recipe(entry: Entry) -> str:
    """A hash of the config without its seeds; the arms of one row share it."""
    leaves = {name: value for name, value in entry.leaves.items() if not follows_seed(name)}
    return hashlib.sha256(canonical(leaves).encode()).hexdigest()


def _clashing(entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """Places where one seed was trained by several recipes; the recipe's hash then separates the rows."""
    seen: dict[tuple[Any, ...], set[str]] = {}
    for entry in entries:
        if entry.status == REFUSED:  # it has no recipe
            continue
        seen.setdefault((*_where(entry), entry.seed), set()).add(recipe(entry))
    return {(key[0], key[1]) for key, recipes in seen.items() if len(recipes) > 1}


def _row(kind: str, axes: Mapping[str, Any], group: Sequence[Entry], late: Sequence[Entry], spec: Spec) -> Row:
    done: dict[tuple[Any, ...], Entry] = {}
    surplus: list[Entry] = []
    for entry in sorted(group, key=lambda one: tuple(str(value).zfill(12) for value in one.seed)):
        if entry.status == "done":
            first = done.setdefault(entry.seed, entry)
            if first.record["signature"] != entry.record["signature"]:
                surplus.append(entry)  # with the same signature it is one arm in two studies below one folder
    refused = tuple(entry for entry in group if entry.status == REFUSED)
    undone = tuple(entry for entry in group if entry.status not in ("done", REFUSED) and entry.seed not in done)
    gained, reason = gains(tuple(done.values()), late) if kind == "fused" and done else ({}, None)
    shares = _shares(tuple(done.values()))
    rows = spec.paper.rows if spec.paper else ()
    return Row(
        kind=kind,
        axes=axes,
        done=tuple(done.values()),
        undone=undone,
        shares=shares,
        gains={kind: gain for kind, gain in gained.items() if kind in shares},  # counts and predictions may disagree
        no_gain=reason,
        surplus=tuple(surplus),
        paper=next((row for row in rows if matches(group[0], row.conditions)), None),
        refused=refused,
    )


def _shares(done: Sequence[Entry]) -> dict[str, Share]:
    """Per kind of question and together; only kinds that all seeds have."""
    counts = [answer_counts(entry) for entry in done]
    shared = [kind for kind in counts[0] if all(kind in one for one in counts)] if counts else []
    ceilings = done[0].record.get("ceilings", {}) if done else {}
    shares = {}
    for kind in shared:
        per_seed = tuple(right / total for right, total in (one[kind] for one in counts))
        videos = min(one[kind][1] for one in counts)
        most = Fraction(ceilings[kind]) if kind in ceilings else None
        if kind == TOGETHER:
            most = _ceiling_of_all(counts[0], ceilings)
        centre = mean(per_seed)
        shares[kind] = Share(centre, sd(per_seed), *wilson(centre, videos), videos, most, per_seed)
    return shares


def answer_counts(entry: Entry) -> dict[str, tuple[int, int]]:
    """kind -> (right answers, videos), also for `all`."""
    by_kind = entry.result.get("kinds", {})
    counts = {
        kind: (one["correct"], one["total"]) for kind, one in by_kind.items() if kind != TOGETHER and one["total"]
    }
    if entry.result.get("total"):
        counts[TOGETHER] = (entry.result["correct"], entry.result["total"])
    return counts


def _ceiling_of_all(counts: Mapping[str, tuple[int, int]], ceilings: Mapping[str, str]) -> Fraction | None:
    """The mean of the kinds' ceilings, weighted by their videos."""
    questions = [kind for kind in counts if kind != TOGETHER]
    if not questions or any(kind not in ceilings for kind in questions):
        return None
    total = sum(counts[kind][1] for kind in questions)
    return sum((Fraction(ceilings[kind]) * counts[kind][1] / total for kind in questions), Fraction(0))


def _order(row: Row, spec: Spec) -> tuple[Any, ...]:
    system = ("stream", "late", "control", "fused", DAMAGED).index(row.kind)
    axes = [
        *spec.rows,
        *(axis for axis in ("streams", "fusion", "layer", "temporal") if axis not in spec.rows),
    ]
    axes += sorted(axis for axis in row.axes if axis not in axes)
    return (system, *((axis not in row.axes, spec.place(axis, row.axes.get(axis))) for axis in axes))


def shown_axes(rows: Sequence[Row], spec: Spec) -> list[str]:
    """The axes with a column: the spec's that some row has, then all others that vary."""
    shown = [axis for axis in spec.rows if axis not in _IN_METHOD and any(axis in row.axes for row in rows)]
    every = dict.fromkeys(axis for row in rows for axis in row.axes)
    return shown + [axis for axis in every if axis not in shown and axis not in _IN_METHOD and varies(axis, rows)]


def varies(axis: str, rows: Sequence[Row]) -> bool:
    return len({canonical(row.axes[axis]) for row in rows if axis in row.axes}) > 1


def constant_axes(rows: Sequence[Row], spec: Spec) -> dict[str, str]:
    """Axes without a column, as text: all rows that have them share the value."""
    shown = {*shown_axes(rows, spec), *_IN_METHOD}
    return {axis: text for row in rows for axis in row.axes if axis not in shown and (text := row.text(axis))}


def ceiling_rows(rows: Sequence[Row]) -> list[Row]:
    """A row per system with known ceilings: each stream, late fusion, and fusions blind to order or aware of it."""
    systems: list[tuple[str, Row]] = []
    for row in rows:
        if row.kind in ("stream", "late") and row.ceilings:
            systems.append((row.method if row.kind == "stream" else SCORES, row))
    seen = [row.ceilings for _, row in systems]
    fused = []
    for row in rows:
        if row.kind == "fused" and row.ceilings and row.ceilings not in seen:
            seen.append(row.ceilings)
            fused.append(row)
    fused.sort(key=lambda row: sum(row.ceilings.values()))
    systems += [(_fused_system(row), row) for row in fused]
    first: dict[tuple[str, str], tuple[str, Row]] = {}  # of rows with one name and equal ceilings
    for name, row in systems:
        first.setdefault((name, str(sorted(row.ceilings.items()))), (name, row))
    return [
        replace(row, kind=CEILING, axes={"system": name}, undone=(), gains={}, surplus=(), paper=None)
        for name, row in first.values()
    ]


def paper_rows(rows: Sequence[Row], spec: Spec) -> list[Row]:
    """The paper's rows that were not run here, if the table is to have them and has another row of the paper."""
    shown = [row.paper for row in rows if row.paper]
    if spec.paper is None or spec.paper.absent != "rows" or not shown:
        return []
    return [
        Row(PAPER, _axes_of(row), (), (), shares={}, gains={}, no_gain=None, surplus=(), paper=row)
        for row in spec.paper.rows
        if row.figures and row not in shown
    ]


def _axes_of(row: PaperRow) -> dict[str, Any]:
    """A key's axes; of a list the first value, which is the usual one."""
    values = {axis: value[0] if isinstance(value, list) else value for axis, value in row.key.items() if axis != "kind"}
    return {axis: value for axis, value in values.items() if value is not None}


def _fused_system(row: Row) -> str:
    """If a kind of question asks for order, it matters whether a fusion sees it."""
    known = row.ceilings
    if ORDER not in known:
        return "any fusion"
    return "any fusion that sees order" if known[ORDER] == 1 else "any fusion that is blind to order"
