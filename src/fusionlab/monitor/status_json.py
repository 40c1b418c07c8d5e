"""The view of a study as one JSON object. Times are in seconds, sizes in bytes; null: unknown."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fusionlab.monitor.live import View
from fusionlab.monitor.running import Running
from fusionlab.monitor.status import JobRow
from fusionlab.study.plan import Plan

RUNNING = (
    "host", "pid", "scheduler", "visible", "device", "memory", "device_memory", "part", "step", "steps",
)  # fmt: skip


def status_json(view: View, plan: Plan, folder: Path) -> dict[str, Any]:
    summary, running = view.summary, {one.job: one for one in view.running}
    return {
        "study": str(folder),
        "signature": plan.signature,
        "command": plan.command,
        "states": {"arms": summary.arm_counts, "jobs": summary.job_counts},
        "stages": summary.stages,
        "workers": [asdict(row) for row in view.workers],
        "queue_unknown": view.note,
        "time_left": {**asdict(view.left), "text": str(view.left)},
        "best": None if view.best is None else asdict(view.best),
        "failures": [
            {"name": one.name, "reason": one.reason, "log": one.log, "command": one.command} for one in summary.failures
        ],
        "refused": [
            {"reason": reason, "cells": count} for reason, count in Counter(one.reason for one in plan.refused).items()
        ],
        "other_code": {row.name: row.code for row in summary.arms if row.code},
        "jobs": [_job(row, running.get(row.id)) for row in summary.jobs],
        "arms": [
            {"name": row.name, "kind": row.kind, "job": row.job, "state": row.state, "reason": row.reason,
             "log": row.log} for row in summary.arms
        ],
    }  # fmt: skip


def _job(row: JobRow, running: Running | None) -> dict[str, Any]:
    own = {
        "id": row.id, "kind": row.kind, "state": row.state, "reason": row.reason, "log": row.log,
        "attempts": row.attempts, "arms": len(row.arms), "arms_done": row.done,
    }  # fmt: skip
    if running is None:
        return {**own, "running": None}
    since = None if running.since is None else datetime.fromtimestamp(running.since, UTC).isoformat(timespec="seconds")
    facts = {name: getattr(running, name) for name in RUNNING}
    return {**own, "running": {"since": since, "seconds": round(running.elapsed, 1), **facts}}
