"""The two chains of `val.then=retrain` in tables: rows show chain B, whose arms name those of chain A that chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fusionlab.records.plan_file import KEEP, RETRAIN, THEN
from fusionlab.results.load import Entry


def last_chain(entries: Sequence[Entry]) -> list[Entry]:
    """The entries without those of chain A; those of chain B lose the axis, and get their arms of chain A."""
    if not any(entry.axes.get(THEN) == RETRAIN for entry in entries):
        return list(entries)
    first = {entry.record.get("signature"): entry for entry in entries if entry.axes.get(THEN) == KEEP}
    return [_last(entry, first) for entry in entries if entry.axes.get(THEN) != KEEP]


def _last(entry: Entry, first: dict[Any, Entry]) -> Entry:
    named = (entry.record.get("config", {}).get("chosen_by") or {}).values()
    axes = {axis: value for axis, value in entry.axes.items() if axis != THEN}
    return replace(entry, axes=axes, first=tuple(first[one] for one in named if one in first))


def is_chosen(first: Entry, last: Entry) -> bool:
    """Whether an arm of chain A is the one that an arm of chain B repeats."""
    return repeated(last).get("signature") == first.record.get("signature")


def repeated(entry: Entry) -> Mapping[str, Any]:
    """What an arm of chain B repeats; a test, such as an SVM's, has other choices under this name."""
    chosen: Mapping[str, Any] = entry.result.get("chosen") or {}
    return chosen if "signature" in chosen else {}


def chosen_rates(entries: Sequence[Entry]) -> Any:
    """The rate that the arms of a row of chain B repeat, or the rates of its seeds; None of other rows."""
    rates = dict.fromkeys(chosen["rate"] for entry in entries for arm in entry.arms if (chosen := repeated(arm)))
    return next(iter(rates), None) if len(rates) < 2 else "/".join(str(rate) for rate in sorted(rates))
