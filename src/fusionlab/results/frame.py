"""Records as a pandas table, one line per arm, for notebooks and questions that no table asks."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from fusionlab.results.load import Entry
from fusionlab.results.statistics import wilson

_RESULT = ("accuracy", "val_loss", "best_step", "steps", "parameters", "trained_parameters", "layers")


def frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """Name, kind, status, axes, result, and per kind of question its share, Wilson's interval and ceiling."""
    lines = []
    for entry in entries:
        line = {
            "name": entry.name,
            "kind": entry.kind,
            "status": entry.status,
            "reason": entry.reason,
            **entry.axes,
        }
        line |= {key: entry.result[key] for key in _RESULT if key in entry.result}
        for kind, counts in entry.result.get("kinds", {}).items():
            if counts["total"]:
                share = counts["correct"] / counts["total"]
                line[kind] = share
                line[f"{kind}_low"], line[f"{kind}_high"] = wilson(share, counts["total"])
                line[f"{kind}_ceiling"] = entry.record.get("ceilings", {}).get(kind)
        line["seconds"] = entry.record.get("circumstances", {}).get("seconds")
        line["signature"] = entry.record.get("signature")
        lines.append(line)
    return pd.DataFrame(lines)
