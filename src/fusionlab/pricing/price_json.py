"""The price of a plan as one JSON object. Times are in hours, sizes in bytes; null: unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fusionlab.pricing.arm_states import TO_RUN
from fusionlab.pricing.study_price import JobPrice, StudyPrice, left_seconds, running_checkpoints, wall_seconds
from fusionlab.study.plan import STAGES

Numbers = dict[str, Any]


def price_json(price: StudyPrice) -> Numbers:
    plan, states = price.plan, price.states
    return {
        "study": str(price.folder),
        "signature": plan.signature,
        "machine": {**asdict(price.machine), "workers": price.workers, "memory_bound": price.bound,
                    "too_large": price.too_large},
        "states": {
            "arms": price.arm_counts,
            "jobs": states.job_counts,
        },
        "stages": {STAGES[kind]: _stage(price, jobs) for kind in STAGES if (jobs := price.of_kind(kind))},
        "disk": {
            "video_files": dict(price.archives),
            "keep": price.keep,
            "checkpoints_running": running_checkpoints(price.jobs, price.workers),
            "free_data": price.data_free,
            "free_root": price.root_free,
            "one_disk": price.one_disk,
        },
        "sharing": None if price.sharing is None else {
            "cells": price.sharing.cells,
            "cell_by_cell": {"hours": hours(price.sharing.seconds), "macs": price.sharing.macs},
            "this_plan": {"hours": hours(price.sharing.shared_seconds), "macs": price.sharing.shared_macs},
        },
        "sizes": [{"first": name, **asdict(one)} for name, one in price.sizes.items()],
        "equal": price.equal,
        "missing": list(price.missing),
        "untested": None if price.untested is None else {
            "arms": price.untested.arms, "tests": price.untested.tests, "macs": price.untested.macs,
            "hours": hours(price.untested.seconds),
        },
        "refused": [
            {"reason": reason, "cells": count} for reason, count in Counter(one.reason for one in plan.refused).items()
        ],
        "stale": dict(states.stale),
        "damaged": dict(states.damaged),
        "jobs": [_job(job) for job in price.jobs],
        "arms": [{"name": arm.name, "kind": arm.kind, "signature": arm.signature, "job": arm.job,
                  "state": states.arms[arm.name]} for arm in plan.arms],
    }  # fmt: skip


def hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 3600


def _stage(price: StudyPrice, jobs: Sequence[JobPrice]) -> Numbers:
    memories = [job.memory for job in jobs if job.memory is not None]
    return {
        "jobs": len(jobs),
        "to_run": sum(job.state in TO_RUN for job in jobs),
        "hours": hours(left_seconds(jobs)),
        "hours_on_this_machine": hours(wall_seconds(jobs, price.workers)),
        "memory": max(memories, default=None),
        "macs": sum(job.work.macs for job in jobs if job.work is not None) if jobs[0].kind != "prepare" else None,
        "disk": _disk(jobs),
    }


def _disk(jobs: Sequence[JobPrice]) -> int | None:
    if jobs[0].kind != "prepare":
        sizes = [job.disk for job in jobs]
        return None if None in sizes else sum(one or 0 for one in sizes)
    known = [job.store.bytes for job in jobs if job.store is not None]
    return sum(known) if len(known) == len(jobs) else None


def _job(job: JobPrice) -> Numbers:
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "arms": job.arms,
        "arms_left": job.arms_left,
        "hours": hours(job.seconds),
        "from": job.source,
        "memory": job.memory,
        "memory_measured": job.measured,
        "macs": None if job.work is None else job.work.macs,
        "work": None if job.work is None else asdict(job.work),
        "weights": job.weights,
        "checkpoint": job.checkpoint,
        "checkpoint_stays": job.stays,
        "store": None if job.store is None else asdict(job.store),
    }
