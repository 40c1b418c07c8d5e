"""A study's report with the chosen table, and with the reasons of arms that have no record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from fusionlab.config.catalogue import choice
from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.errors import UserError
from fusionlab.monitor.planned import FILE as PLANNED
from fusionlab.monitor.status import Status
from fusionlab.planning.mistake_strips import Strips
from fusionlab.records.files import write_text
from fusionlab.records.other_tests import Asked
from fusionlab.records.plan_file import has_plan
from fusionlab.results.chains import last_chain
from fusionlab.results.cross import make_cross
from fusionlab.results.load import load
from fusionlab.results.report import report
from fusionlab.results.test_table import sensitivity_table
from fusionlab.study import plan as plans
from fusionlab.study.attempt import Attempt

LONGEST = 200  # bytes of a folder's name that is made of several
CrossOptions = tuple[Sequence[str], Sequence[str], str, Mapping[str, Any]]  # what `make_cross` takes behind its table


def make_report(
    folders: str | Sequence[str],
    table: str | None = None,
    *,
    out: str | None = None,
    over: Sequence[str] | None = None,
    cross: CrossOptions | None = None,
    asked: Asked | None = None,
    **extra: bool,
) -> str:
    """Write the report of a study, or of several, and return the table as text.

    `out`: its folder; by default `report` in the study's. `over`: what rows are means over, instead of the table's own.
    `cross`: a table of one's own.
    `asked`: tests to show instead of those that the study asks for. `extra`: the switches of `report`, such as answers.
    """
    studies = [Path(folder) for folder in ([folders] if isinstance(folders, str) else folders)]
    first, *others = dict.fromkeys(studies)
    spec = with_means_over(table_spec(first, table), over)
    made = None if cross is None else lambda table: make_cross(table, *cross)
    place = Path(out or report_folder(studies))
    text = report(
        first,
        spec,
        place,
        unfinished=unfinished_arms(first),
        others={other: unfinished_arms(other) for other in others},
        asked=asked,
        cross=made,
        draw=Strips().draw,
        **extra,
    )
    sensitivity = "" if others or cross else _sensitivity(first, asked)
    if sensitivity:
        write_text(place / "sensitivity.md", sensitivity)
    return text + (f"\n{sensitivity}" if sensitivity else "")


def _sensitivity(study: Path, asked: Asked | None) -> str:
    """The table of arms with a stream taken away, where it is asked for: never rows of the other table."""
    if asked is None:
        asked = Asked.of(plans.read(study).jobs[0].config.get("run") or {}) if has_plan(study) else Asked()
    entries = last_chain(load(study, unfinished_arms(study), Asked())) if asked.ablate else []
    return f"{sensitivity_table(entries, asked)}\n" if asked.ablate else ""


def report_folder(studies: Sequence[Path]) -> Path:
    """The folder of a report: in the study; of several studies, in a folder of their names beside the first."""
    if len(studies) == 1:
        return studies[0] / "report"
    name = "+".join(study.resolve().name for study in studies)
    if len(name.encode()) > LONGEST:
        raise UserError("so many studies need a folder for their report", got=name, hint="out=runs/all")
    return studies[0].resolve().parent / name / "report"


def with_means_over(spec: Mapping[str, Any], over: Sequence[str] | None) -> Mapping[str, Any]:
    """The spec of a table with `over=split`: a row is always a mean over seeds, and it may be one over splits."""
    return spec if over is None else {**spec, "over": list(over)}


def price_line(folder: str | Path) -> str | None:
    """How wrong the times were that a sweep planned with, on one line; None if it had none."""
    study = Path(folder)
    if not (has_plan(study) and (study / PLANNED).is_file()):
        return None
    from fusionlab.pricing.planned_times import comparison  # imported late: it needs torch, and a report does not

    return comparison(study, plans.read(study).jobs)


def table_spec(study: Path, table: str | None = None) -> Mapping[str, Any]:
    """The chosen table of conf/table, with what the study selects and averages; by default the study's own."""
    own = RunConfig.of(plans.read(study).jobs[0].config).table if has_plan(study) else {}
    if table is None and own:
        return own
    spec: Mapping[str, Any] = tree({"table": choice("table", table or "all")}).get("run.table")
    return {**spec, **{name: spec.get(name) or own.get(name) for name in ("select", "over")}}


def unfinished_arms(study: Path) -> dict[str, tuple[str, str | None]]:
    """Arms without a record: {name: (reason, log)}; the reason is of their job, or of a job that it needs."""
    if not has_plan(study):
        return {}
    rows = Status(study).summary().arms
    return {row.name: (row.reason, row.log) for row in rows if row.state in ("failed", "blocked") and row.reason}


def stages(study: Path) -> str:
    """The time from claim to publication by stage: `prepare 17 s, stream 4 × 25 s, cohort 2 × 40 s`."""
    durations: dict[str, list[float]] = {}
    for job in plans.read(study).jobs:
        seconds = _seconds(job.path(study), job.published(study))
        if seconds is not None:
            durations.setdefault(job.kind, []).append(seconds)
    counts = {kind: f"{len(all_)} × " if len(all_) > 1 else "" for kind, all_ in durations.items()}
    return ", ".join(f"{kind} {counts[kind]}{median(all_):.0f} s" for kind, all_ in durations.items())


def _seconds(job: Path, published: Path) -> float | None:
    """Seconds to a job's last publication from the claim of the attempt that made it."""
    attempts = [Attempt(job, int(place.stem)) for place in (job / "claims").glob("[0-9][0-9][0-9].json")]
    if not published.is_dir():
        return None
    winners = [one for one in attempts if _won(one)]
    end = published.stat().st_mtime
    begun = [begin for one in winners or attempts if (begin := one.claim_file.stat().st_mtime) <= end]
    return end - max(begun) if begun else None


def _won(attempt: Attempt) -> bool:
    try:
        return any(done.won for done in attempt.publications().values())
    except UserError:  # damaged
        return False
