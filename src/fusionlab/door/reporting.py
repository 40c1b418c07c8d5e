"""From a study's folder to its report: the table that was asked for, and why an arm has no record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionlab.door.compose import tree
from fusionlab.door.conf import choice
from fusionlab.records.record import read_records
from fusionlab.results.report import report
from fusionlab.study import plan as plans
from fusionlab.study.status import Status


def make_report(folder: str, table: str | None = None) -> str:
    """Write `folder`/report and return the table as text. `table`: a choice of conf/table; default: the study's own."""
    study = Path(folder)
    planned = (study / plans.FILE).is_file()
    if table is None and planned:
        spec: Mapping[str, Any] = plans.read(study).jobs[0].config["run"]["table"]
    else:
        spec = tree({"table": choice("table", table or "all")}).get("run.table")
    return report(study, spec, study / "report", unfinished=_unfinished(study) if planned else None)


def _unfinished(study: Path) -> dict[str, tuple[str, str | None]]:
    """Arms without a record: what their job, or the one that it needs, says of it."""
    rows = Status(study).summary().arms
    return {row.name: (row.reason, row.log) for row in rows if row.state in ("failed", "blocked") and row.reason}


def stages(study: Path) -> str:
    """Seconds that the jobs of each stage took, the longest of each: `prepare 20, streams 40, cohorts 50`."""
    longest: dict[str, float] = defaultdict(float)
    for job in plans.read(study).jobs:
        place = job.path(study) / "published"
        if job.kind == "prepare" or not place.is_dir():
            continue
        for record in read_records(place):
            longest[job.kind] = max(longest[job.kind], record["circumstances"].get("seconds", 0.0))
    return ", ".join(f"{kind} {seconds:.0f}" for kind, seconds in longest.items())
