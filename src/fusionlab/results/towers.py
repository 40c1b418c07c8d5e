"""The streams trained on: each control's two towers as entries of their own, with their own scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fusionlab.results.load import Entry

# What the control's record says of both towers.
_SHARED = ("classes", "data", "decoder", "flow", "val_loss", "steps", "best_step", "converged", "quarantined")


def tower_entries(entries: Sequence[Entry]) -> Iterable[Entry]:
    """Two for each control that is done. They have the ceilings of the streams that they started from."""
    ceilings = {
        entry.record["signature"]: entry.record.get("ceilings", {})
        for entry in entries
        if entry.kind == "stream" and entry.status == "done"
    }
    for entry in entries:
        if entry.kind != "control":
            continue
        for stream, own in entry.result.get("towers", {}).items():
            shared = {name: entry.result[name] for name in _SHARED if name in entry.result}
            axes = {axis: value for axis, value in entry.axes.items() if axis != "fusion"} | {"streams": stream}
            record = {
                **entry.record,
                "result": {**shared, **own},
                "ceilings": ceilings.get(entry.record.get("stage_one", {}).get(stream), {}),
                "titles": {},
            }
            yield replace(
                entry, name=f"{entry.name}, {stream}", kind="tower", axes=axes, record=record, file=f"{stream}.csv"
            )
