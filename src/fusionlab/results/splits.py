"""The splits of a data set as strata: the arms of one place and one seed, one for each split, joined into one arm.

The share of a joined arm is the mean of its splits' shares, and its answers know the split of each video, so that gains
are compared within each split. An arm that lacks a split is not done, and its reason names the split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from statistics import fmean
from typing import Any

from fusionlab.records.signature import canonical
from fusionlab.results.formatting import as_typed
from fusionlab.results.load import REFUSED, Entry
from fusionlab.results.spec import natural

SPLIT = "split"


def join_splits(entries: Sequence[Entry], over: Sequence[str]) -> list[Entry]:
    """The entries with one for all splits; as they are where `over` has no split, or the entries have one split."""
    splits = sorted({entry.axes[SPLIT] for entry in entries if SPLIT in entry.axes}, key=natural)
    if SPLIT not in over or len(splits) < 2:
        return list(entries)
    joined: dict[object, list[Entry]] = {}
    for entry in entries:
        axes = {axis: value for axis, value in entry.axes.items() if axis != SPLIT}
        key = (entry.kind, canonical(axes)) if SPLIT in entry.axes else id(entry)
        joined.setdefault(key, []).append(entry)
    return [_join(group, splits) if SPLIT in group[0].axes else group[0] for group in joined.values()]


def _join(group: Sequence[Entry], splits: Sequence[Any]) -> Entry:
    parts: dict[Any, Entry] = {}
    lacking: dict[str, str] = {}  # what is said of a split -> the status of the arm
    for split in splits:
        own = [entry for entry in group if entry.axes[SPLIT] == split]
        done = {str(entry.record["signature"]): entry for entry in reversed(own) if entry.status == "done"}
        if len(done) > 1:
            lacking[f"split {as_typed(split)}: {len(done)} arms with equal axes"] = "failed"
        elif done:
            parts[split] = next(iter(done.values()))
        elif own:
            lacking[f"split {as_typed(split)}: {own[0].reason}"] = own[0].status
        else:
            lacking[f"split {as_typed(split)}: no arm of these records"] = "missing"
    if not lacking:
        return _joined(list(parts.values()))
    first, statuses = group[0], set(lacking.values())
    status = next((one for one in ("failed", "missing") if one in statuses), REFUSED)
    if status == REFUSED and parts:  # no arm of this place can have all splits, but some are there
        status = "failed"
    log = next((entry.log for entry in group if entry.log), None)
    reasons = [entry.reason for entry in group]
    alike = status == REFUSED and len(set(reasons)) == 1 and len(group) == len(splits)
    reason = reasons[0] if alike else "; ".join(lacking)
    axes = _without_split(first.axes)
    return replace(first, axes=axes, status=status, reason=reason, log=log, parts=tuple(group))


def _joined(parts: Sequence[Entry]) -> Entry:
    first, results = parts[0], [part.result for part in parts]
    losses: list[Any] = [result.get("val_loss") for result in results]
    ends = [result.get("converged") for result in results]
    seconds = [part.record.get("circumstances", {}).get("seconds") for part in parts]
    controls = [part.record.get("control") for part in parts]
    kinds = [result.get("kinds", {}) for result in results]
    shared = [kind for kind in kinds[0] if all(kind in own for own in kinds)]
    result = {
        **first.result,
        **_mean_counts(results),
        "kinds": {kind: _mean_counts([own[kind] for own in kinds]) for kind in shared},
        "val_loss": None if None in losses else fmean(losses),
        "converged": False if False in ends else None if None in ends else True,
    }
    record = {
        **first.record,
        "signature": " ".join(str(part.record["signature"]) for part in parts),
        "control": None if None in controls else controls[0],
        "stage_one": {
            f"{part.axes[SPLIT]} {stream}": one
            for part in parts
            for stream, one in part.record.get("stage_one", {}).items()
        },
        "circumstances": {
            **first.record.get("circumstances", {}),
            "seconds": None if None in seconds else sum(seconds),
        },
        "result": result,
    }
    return replace(first, axes=_without_split(first.axes), record=record, parts=tuple(parts))


def _without_split(axes: Mapping[str, Any]) -> dict[str, Any]:
    return {axis: value for axis, value in axes.items() if axis != SPLIT}


def _mean_counts(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All videos of the splits, and as many right answers as make the mean of the splits' shares, an exact fraction."""
    if any(not one.get("total") for one in counts):
        return {"correct": 0, "total": 0}
    total = sum(one["total"] for one in counts)
    share = sum((Fraction(one["correct"], one["total"]) for one in counts), Fraction(0)) / len(counts)
    return {"accuracy": float(share), "correct": share * total, "total": total}
