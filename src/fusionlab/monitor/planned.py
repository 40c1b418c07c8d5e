"""prices.json of a study: the seconds with which a sweep planned its jobs; and how long finished jobs took."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.files import read_json
from fusionlab.records.plan_file import PUBLISHED

FILE = "prices.json"
LARGEST = 64 << 20
SHORTEST, LONGEST = 0.001, 1e9  # seconds of a job that can have been planned


def read_planned(study: Path) -> dict[str, Any]:
    """Job -> what was planned for it; empty if the file is missing or damaged."""
    try:
        content = read_json(study / FILE, LARGEST)
    except UserError:
        return {}
    jobs = content.get("jobs") if isinstance(content, dict) else None
    return {str(job): one for job, one in jobs.items() if isinstance(one, dict)} if isinstance(jobs, dict) else {}


def planned_seconds(study: Path) -> dict[str, float]:
    """Job -> the seconds that were planned for it; jobs without a plausible number are left out."""
    planned = {job: one.get("seconds") for job, one in read_planned(study).items()}
    return {job: float(seconds) for job, seconds in planned.items() if is_time(seconds)}


def is_time(seconds: object) -> bool:
    return type(seconds) in (int, float) and SHORTEST <= seconds <= LONGEST  # type: ignore[operator]


def seconds_alone(job: str | os.PathLike[str]) -> float | None:
    """Seconds from the claim of a published job to its last publication; None if it had several attempts."""
    own = os.fspath(job)
    try:
        if os.path.exists(f"{own}/claims/002.json"):
            return None
        seconds = os.stat(f"{own}/{PUBLISHED}").st_mtime - os.stat(f"{own}/claims/001.json").st_mtime
    except OSError:
        return None
    return seconds if seconds > 0 else None
