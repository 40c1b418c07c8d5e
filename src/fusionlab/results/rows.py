"""Entries -> rows: a row is the mean over the seeds of one place in the grid, and over nothing else.

A row's gains are those over its control, whose towers were trained on as long, on the same draws, without fusion. Where
a table selects a value of one axis (a learning rate), a row has the arms of the chosen value and lists all trials.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from fusionlab.records.signature import canonical
from fusionlab.results.chains import chosen_rates, last_chain
from fusionlab.results.crossed import Comparison
from fusionlab.results.formatting import as_typed
from fusionlab.results.gains import Late, compare_pairs
from fusionlab.results.load import DAMAGED, REFUSED, TOGETHER, Entry, follows_seed
from fusionlab.results.selection import BUDGET, Trial, chosen_trial, has_ended, make_trials
from fusionlab.results.shares import Share, Worth, make_shares
from fusionlab.results.spec import NAMES, PaperRow, Spec, matches
from fusionlab.results.splits import join_splits
from fusionlab.results.towers import tower_entries

CEILING = "ceiling"  # the kind of a row that shows what could be reached
PAPER = "paper"  # the kind of a row of the paper's that was not run here
RECIPE = "recipe"
NO_CONTROL = "its records name no control"
KINDS = ("stream", "tower", "late", "control", "fused", DAMAGED)  # in the order of their rows
_TRAINED = ("tower", "control", "fused")  # kinds on which an option of the fusions' training has an effect
_IN_METHOD = ("streams", "fusion")  # axes that the method's name shows


@dataclass(frozen=True, eq=False)
class Row:
    """One place in the grid, or a ceiling. `done`: its arms in the order of seeds; `undone`: the others.

    `refused`: the cells of a place that cannot be trained. A refusal does not depend on the seed.
    """

    kind: str
    axes: Mapping[str, Any]
    done: tuple[Entry, ...] = ()
    undone: tuple[Entry, ...] = ()
    shares: Mapping[str, Share] = field(default_factory=dict)  # kind of question (and `all`) -> share
    surplus: tuple[Entry, ...] = ()  # further arms of a seed, with another signature; not shown
    paper: PaperRow | None = None
    refused: tuple[Entry, ...] = ()
    control: Row | None = None
    gains: Mapping[str, Comparison] = field(default_factory=dict)  # over the control
    no_gain: str | None = None  # why there is none
    over_late: Mapping[str, Comparison] = field(default_factory=dict)
    no_late: str | None = None
    trials: tuple[Trial, ...] = ()  # of the axis that the table selects
    doubled: tuple[Entry, ...] = ()  # arms of this place with a multiple of the budget

    @property
    def method(self) -> str:
        kind = self.kind
        if kind == PAPER and self.paper is not None:
            if self.paper.cited:
                return f"{self.paper.cited} (cited)"
            if self.paper.name:
                return self.paper.name
            kind = self.paper.key.get("kind", "fused")
        if kind in ("stream", "tower"):
            stream = str(self.axes.get("streams", "stream"))
            return f"{stream[:1].upper()}{stream[1:]} {'alone' if kind == 'stream' else 'trained on'}"
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
    def tried(self) -> tuple[Trial, ...]:
        """The trials of an arm that is trained with the selected axis; streams and late fusion only share its grid."""
        return self.trials if self.kind in ("control", "fused") else ()

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

    @property
    def saw_test(self) -> bool:
        """Whether its arms were validated on the test list."""
        return any(entry.saw_test for entry in self.done)

    def number(self, name: str) -> int | None:
        """An integer of the result that all seeds share, such as layers."""
        return max((int(entry.result[name]) for entry in self.done if entry.result.get(name) is not None), default=None)


def make_rows(entries: Sequence[Entry], spec: Spec) -> list[Row]:
    """The rows of a table in its order: the streams, late fusion, the control, then the fusions."""
    entries = last_chain(entries)
    every = join_splits([*entries, *tower_entries(entries)], spec.over)
    entries = [entry for entry in every if entry.kind != "tower"]
    normal = [entry for entry in every if entry.axes.get(BUDGET, 1) == 1]
    places = [place for key in _places(normal, spec).items() for place in _split(*key)]
    doubled: dict[tuple[str, str], list[Entry]] = {}
    for entry in every:
        if entry.axes.get(BUDGET, 1) != 1:
            doubled.setdefault(_key(entry, spec), []).append(entry)
    late, worth = Late(entries), Worth([place.entries for place in places])
    rows = [_row(place, late, worth, doubled, spec) for place in places if place.kind not in ("fused", DAMAGED)]
    home = {
        str(entry.record["signature"]): row
        for row in reversed(rows)
        if row.kind in ("control", "late")
        for joined in _all_entries(row)
        for entry in joined.arms
        if "signature" in entry.record
    }
    fused = [_row(place, late, worth, doubled, spec, home) for place in places if place.kind in ("fused", DAMAGED)]
    controls = {id(row.control) for row in fused}
    kept = [row for row in rows if row.kind != "control" or id(row) in controls or _wanted(row, spec)]
    layers = {canonical(row.axes) for row in kept if row.kind == "control"}
    kept = [row for row in kept if row.kind != "tower" or canonical(_of_control(row)) in layers]
    return sorted([*kept, *fused], key=lambda row: _order(row, spec))


@dataclass(frozen=True)
class _Place:
    """The entries of a row, before any of them are held against others."""

    kind: str
    axes: dict[str, Any]
    entries: list[Entry]
    trials: tuple[Trial, ...]
    key: tuple[str, str]
    waiting: tuple[Entry, ...] = ()  # arms of the trials that were not chosen, which have not ended


def _key(entry: Entry, spec: Spec) -> tuple[str, str]:
    return entry.kind, canonical(_place(entry, spec))


def _place(entry: Entry, spec: Spec) -> dict[str, Any]:
    return {axis: value for axis, value in entry.place.items() if axis not in (spec.select, BUDGET)}


def _places(entries: Iterable[Entry], spec: Spec) -> dict[tuple[str, str], _Place]:
    """The places of a table, with the chosen trials of each."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if _belongs(entry, spec.where):
            groups.setdefault(_key(entry, spec), []).append(entry)
    places = {}
    for key, group in groups.items():
        axes = _place(group[0], spec)
        trials: tuple[Trial, ...] = ()
        waiting: list[Entry] = []
        if spec.select and all(spec.select in entry.axes for entry in group):
            trials = make_trials([entry for entry in group if entry.status != REFUSED], spec.select)
            if chosen := chosen_trial(trials):
                group = [*chosen.entries, *(entry for entry in group if entry.status == REFUSED)]
                if key[0] in _TRAINED:
                    axes[spec.select] = chosen.value
                    others = [entry for trial in trials if trial is not chosen for entry in trial.entries]
                    waiting = [entry for entry in others if not has_ended(entry)]
            else:  # no value has all seeds yet
                group = [entry for entry in group if entry.status != "done"]
        elif spec.select and key[0] in _TRAINED and (rates := chosen_rates(group)) is not None:
            axes[spec.select] = rates
        places[key] = _Place(key[0], axes, group, trials, key, tuple(waiting))
    return places


def _belongs(entry: Entry, where: Mapping[str, Any]) -> bool:
    """Whether an arm is of the table. Of the baselines, `streams` alone leaves one out, the other stream."""
    if entry.kind == "stream":
        where = {axis: one for axis, one in where.items() if axis == "streams"}
    return entry.kind not in ("fused", "stream") or matches(entry, where)


def _split(key: tuple[str, str], place: _Place) -> list[_Place]:
    """One place, or one for each recipe where one seed was trained by several; the recipe's hash separates them."""
    by_seed: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in place.entries:
        if entry.status != REFUSED:  # it has no recipe
            by_seed.setdefault(entry.seed, []).append(entry)
    twice = [entries for entries in by_seed.values() if len(entries) > 1]
    if all(len({recipe(entry) for entry in entries}) == 1 for entries in twice):
        return [place]
    recipes: dict[str, list[Entry]] = {}
    for entry in place.entries:
        recipes.setdefault(recipe(entry)[:6], []).append(entry)
    return [
        _Place(place.kind, {**place.axes, RECIPE: one}, own, (), key, place.waiting) for one, own in recipes.items()
    ]


def recipe(entry: Entry) -> str:
    """A hash of the config without its seeds; the arms of one row share it."""
    leaves = {name: value for name, value in entry.leaves.items() if not follows_seed(name)}
    return hashlib.sha256(canonical(leaves).encode()).hexdigest()


def _row(
    place: _Place,
    late: Late,
    worth: Worth,
    doubled: Mapping[tuple[str, str], Sequence[Entry]],
    spec: Spec,
    home: Mapping[str, Row] | None = None,
) -> Row:
    done: dict[tuple[Any, ...], Entry] = {}
    surplus: list[Entry] = []
    for entry in sorted(place.entries, key=lambda one: tuple(str(value).zfill(12) for value in one.seed)):
        if entry.status == "done":
            first = done.setdefault(entry.seed, entry)
            if first.record["signature"] != entry.record["signature"]:
                surplus.append(entry)  # with the same signature it is one arm in two studies below one folder
    refused = tuple(entry for entry in place.entries if entry.status == REFUSED)
    undone = tuple(entry for entry in place.entries if entry.status not in ("done", REFUSED) and entry.seed not in done)
    arms = tuple(done.values())
    rows = spec.paper.rows if spec.paper else ()
    shares = make_shares(arms, worth)
    control, gains, no_gain = _against_control(arms, home or {}) if place.kind == "fused" else (None, {}, None)
    over_late, no_late = _against_late(arms, late) if place.kind in ("fused", "control") else ({}, None)
    return Row(
        kind=place.kind,
        axes=place.axes,
        done=arms,
        undone=(*undone, *place.waiting),
        shares=shares,
        surplus=tuple(surplus),
        paper=next((row for row in rows if matches(place.entries[0], row.conditions)), None) if place.entries else None,
        refused=refused,
        control=control,
        gains={kind: gain for kind, gain in gains.items() if kind in shares},  # counts and predictions may disagree
        no_gain=no_gain,
        over_late={kind: gain for kind, gain in over_late.items() if kind in shares},
        no_late=no_late,
        trials=place.trials,
        doubled=tuple(_own_rate(doubled.get(place.key, ()), place.axes, spec)),
    )


def _own_rate(entries: Iterable[Entry], axes: Mapping[str, Any], spec: Spec) -> Iterable[Entry]:
    """Those with the chosen value of the selected axis."""
    return (entry for entry in entries if not spec.select or entry.axes.get(spec.select) == axes.get(spec.select))


def _all_entries(row: Row) -> list[Entry]:
    """Every arm of a row, with those of the trials that were not chosen."""
    return [*row.done, *row.undone, *row.surplus, *(entry for trial in row.trials for entry in trial.entries)]


def _against_control(
    done: Sequence[Entry], home: Mapping[str, Row]
) -> tuple[Row | None, dict[str, Comparison], str | None]:
    """The control's row, the gains over it, and the reason if there are none. Arms are paired by seed."""
    if not done:
        return None, {}, None
    named = [entry.record.get("control") for entry in done]
    if not any(named):
        return None, {}, NO_CONTROL
    rows = [home.get(str(signature)) for signature in named]
    first = next((row for row in rows if row is not None), None)
    if first is None:
        return None, {}, "its control is not among these records"
    pairs = [
        (entry, other)
        for entry, row in zip(done, rows, strict=True)
        if row is not None and (other := next((one for one in row.done if one.seed == entry.seed), None))
    ]
    if not pairs:
        reason = next((entry.reason for entry in first.undone), None)
        return first, {}, "its control has no arm of the same seed" + (f" ({reason})" if reason else "")
    gains, reason = compare_pairs(pairs)
    return first, gains, reason


def _against_late(done: Sequence[Entry], late: Late) -> tuple[dict[str, Comparison], str | None]:
    """The gains over late fusion of the same seed, the same frozen streams and the same videos."""
    if not done:
        return {}, None
    pairs = [(entry, other) for entry in done if (other := late.partner(entry)) is not None]
    if not pairs:
        return {}, "there is no late fusion of the same seed and the same streams to compare with"
    return compare_pairs(pairs)


def _wanted(row: Row, spec: Spec) -> bool:
    """Whether a control that no row is held against fits the table: on the axes that it has."""
    wanted = {axis: value for axis, value in spec.where.items() if axis in row.axes and axis != "fusion"}
    entries = _all_entries(row)
    return bool(entries) and matches(entries[0], wanted)


def _of_control(row: Row) -> dict[str, Any]:
    """The axes of a tower's control."""
    own = {axis: value for axis, value in row.axes.items() if axis not in _IN_METHOD}
    return {"streams": "both", "fusion": "control", **own}


def _order(row: Row, spec: Spec) -> tuple[Any, ...]:
    axes = [
        *spec.rows,
        *(axis for axis in ("streams", "fusion", "layer", "temporal") if axis not in spec.rows),
    ]
    axes += sorted(axis for axis in row.axes if axis not in axes)
    place = tuple((axis not in row.axes, spec.place(axis, row.axes.get(axis))) for axis in axes)
    accuracy = row.shares[TOGETHER].mean if spec.rank and row.kind == "fused" and TOGETHER in row.shares else 2.0
    return (KINDS.index(row.kind), -accuracy, *place)


def shown_axes(rows: Sequence[Row], spec: Spec) -> list[str]:
    """The axes with a column: the spec's that some row has, then all others that vary."""
    shown = [axis for axis in spec.rows if axis not in _IN_METHOD and any(axis in row.axes for row in rows)]
    every = dict.fromkeys(axis for row in rows for axis in row.axes)
    return shown + [axis for axis in every if axis not in shown and axis not in _IN_METHOD and varies(axis, rows)]


def varies(axis: str, rows: Sequence[Row]) -> bool:
    """Whether rows differ in an axis. Some fusions may lack it, those of another study for example."""
    values = {canonical(row.axes[axis]) for row in rows if axis in row.axes}
    return len(values) > 1 or len({axis in row.axes for row in rows if row.kind == "fused"}) > 1


def constant_axes(rows: Sequence[Row], spec: Spec) -> dict[str, str]:
    """Axes without a column, as text: all rows that have them share the value."""
    shown = {*shown_axes(rows, spec), *_IN_METHOD}
    return {axis: text for row in rows for axis in row.axes if axis not in shown and (text := row.text(axis))}
