"""The streams trained on: each control's two towers as entries of their own, with their own scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fusionlab.results.load import Entry

# What the control's record says of both towers.
_SHARED = ("classes", "data", "decoder", "flow", "val_loss", "steps", "best_step", "converged", "chosen", "quarantined")


def tower_entries(entries: Sequence[Entry]) -> Iterable[Entry]:
    """Two for each control that is done, with the axes of the control but its fusion."""
    for entry in entries:
        for stream, own in entry.result.get("towers", {}).items() if entry.kind == "control" else ():
            shared = {name: entry.result[name] for name in _SHARED if name in entry.result}
            record = {
                **entry.record,
                "result": {**shared, **own},
                "ceilings": own.get("ceilings", {}),
                "titles": {},
            }
            axes = {axis: value for axis, value in entry.axes.items() if axis != "fusion"} | {"streams": stream}
            name = f"{entry.name}/{stream}"  # its column in answers.csv
            yield replace(entry, name=name, kind="tower", axes=axes, record=record, file=f"{stream}.csv")
