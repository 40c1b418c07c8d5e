"""The times that a sweep planned with, in its study's `prices.json`, and how wrong they were.

The first time that is written for a job stays, so that the comparison is with what was said before it ran. A study
without the file, as of older versions, has no comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusionlab.config.run_config import RunConfig
from fusionlab.errors import show
from fusionlab.monitor.planned import FILE as FILE
from fusionlab.monitor.planned import planned_seconds
from fusionlab.monitor.planned import read_planned as read_planned
from fusionlab.monitor.time_left import duration
from fusionlab.pricing.disk_need import too_small
from fusionlab.pricing.past_jobs import LONGEST, MOST_JOBS, PARTS, number, took
from fusionlab.pricing.study_price import Pricing, StudyPrice
from fusionlab.records.files import write_json
from fusionlab.records.lock import alone
from fusionlab.records.plan_file import Job
from fusionlab.records.record import readable_records
from fusionlab.sizes.sizing import Sizes
from fusionlab.study.plan import STAGES, Plan


def remember_prices(plan: Plan, folder: Path, run: RunConfig, workers: int, sizes: Sizes | None = None) -> list[str]:
    """Write the times with which a sweep begins, if there are earlier jobs to tell them.

    Returns a line for each disk that is too small.
    """
    pricing = Pricing(plan, folder, run, workers=workers, sizes=sizes)
    price = pricing.price()
    if pricing.has_history:
        write_planned(price)
    return too_small(price)


def write_planned(price: StudyPrice) -> None:
    """Add the jobs that are to run, whole, and whose time is known; a job that is there already stays."""
    planned = {
        job.id: {"seconds": round(job.seconds, 3), "memory": job.memory, "from": job.source}
        for job in price.jobs
        if job.seconds and job.arms_left == job.arms and job.state == "to run"
    }
    if not planned:
        return
    with alone(price.folder / ".prices.lock", show, "the prices"):
        known = read_planned(price.folder)
        if planned.keys() - known.keys():
            write_json(price.folder / FILE, {"schema": 1, "jobs": {**planned, **known}})


def comparison(study: Path, jobs: Sequence[Job]) -> str | None:
    """`planned 22 s of streams, took 25 s (× 1.14); planned 0.4 h of fusion, …`; None if nothing can be compared."""
    planned = planned_seconds(study)
    times: dict[str, list[tuple[float, float]]] = {}
    for job in [job for job in jobs if job.id in planned][:MOST_JOBS]:
        if real := _took(study, job):
            times.setdefault(job.kind, []).append((planned[job.id], real))
    texts = []
    for kind, pairs in times.items():
        expected, real = (sum(column) for column in zip(*pairs, strict=True))
        texts.append(f"planned {duration(expected)} of {STAGES[kind]}, took {duration(real)} (× {real / expected:.2f})")
    return "; ".join(texts) or None


def _took(study: Path, job: Job) -> float | None:
    """Seconds of a job that one attempt has done whole."""
    published = job.published(study)
    if len(list((published.parent / "claims").glob("???.json"))) != 1 or not published.is_dir():
        return None
    records = list(readable_records(published)[0].values())
    if job.kind == "prepare":
        return took(published, 0.0, LONGEST) or None
    if not records or len(records) < len(job.arms):
        return None
    return took(published, max(_known(record["circumstances"]) for record in records)) or None


def _known(around: Mapping[str, Any]) -> float:
    """What a record itself tells of its job so far."""
    job = around.get("job")
    parts = [number(job, f"{part}_s") or 0.0 for part in PARTS] if isinstance(job, Mapping) else []
    return max(sum(parts), number(around, "seconds") or 0.0)
