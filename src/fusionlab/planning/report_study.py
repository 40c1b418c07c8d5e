"""From a study's folder to its report: the table that was asked for, and why an arm has no record."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from fusionlab.config.catalogue import choice
from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.results.report import report
from fusionlab.study import plan as plans
from fusionlab.study.status import Status


def make_report(folder: str, table: str | None = None) -> str:
    """Write `folder`/report and return the table as text. `table`: a choice of conf/table; default: the study's own."""
    study = Path(folder)
    planned = (study / plans.FILE).is_file()
    if table is None and planned:
        spec = RunConfig.of(plans.read(study).jobs[0].config).table
    else:
        spec = tree({"table": choice("table", table or "all")}).get("run.table")
    return report(study, spec, study / "report", unfinished=_unfinished(study) if planned else None)


def _unfinished(study: Path) -> dict[str, tuple[str, str | None]]:
    """Arms without a record: the reason from their job, or from the one that it needs, and its log."""
    rows = Status(study).summary().arms
    return {row.name: (row.reason, row.log) for row in rows if row.state in ("failed", "blocked") and row.reason}


def stages(study: Path) -> str:
    """How long the jobs of each stage took, from claim to publication: `prepare 17 s, stream 4 × 25 s`."""
    took: dict[str, list[float]] = {}
    for job in plans.read(study).jobs:
        place = job.path(study)
        claims = sorted((place / "claims").glob("???.json"))
        if claims and (place / "published").is_dir():
            seconds = (place / "published").stat().st_mtime - claims[-1].stat().st_mtime
            took.setdefault(job.kind, []).append(seconds)
    times = {
        kind: (f"{len(all_)} × " if len(all_) > 1 else "") + f"{median(all_):.0f} s" for kind, all_ in took.items()
    }
    return ", ".join(f"{kind} {text}" for kind, text in times.items())
