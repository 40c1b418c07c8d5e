"""The jobs that run: where, since when, and how far; from the files of their attempts, so on any host.

Claims and progress files may come from strangers: only numbers and texts that are plausible are taken.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError, one_line
from fusionlab.monitor.time_left import duration
from fusionlab.records.activity import read_progress
from fusionlab.records.files import read_json
from fusionlab.study.attempt import Attempt
from fusionlab.study.launchers import Worker


@dataclass(frozen=True)
class Running:
    """A running job. `device` is a product name, `visible` what CUDA_VISIBLE_DEVICES says; memory in bytes."""

    job: str
    log: Path
    since: float | None = None  # seconds since 1970
    host: str | None = None
    pid: int | None = None  # of its worker
    scheduler: str | None = None  # the scheduler's id of its worker
    visible: str | None = None
    device: str | None = None
    memory: int | None = None
    device_memory: int | None = None
    part: str | None = None
    step: int | None = None
    steps: int | None = None

    @property
    def elapsed(self) -> float:
        return 0.0 if self.since is None else max(0.0, time.time() - self.since)  # another host's clock may be ahead

    @property
    def share(self) -> float | None:
        """The share of its steps that is done."""
        return self.step / self.steps if self.step is not None and self.steps else None

    @property
    def progress(self) -> str:
        """`train 120/400, 3 min`."""
        steps = f" {self.step}/{self.steps}" if self.share is not None and self.part != "prepare" else ""
        return f"{self.part or 'starts'}{steps}, {duration(self.elapsed)}"

    @property
    def place(self) -> str:
        """`node1, job 12_3, NVIDIA H200 (0), 3.1 GiB, 20.0 GiB of the device`."""
        pinned = f" ({self.visible})" if self.visible not in (None, "cpu") else ""
        return ", ".join(
            filter(None, (
                self.host, self.worker, f"{self.device or 'device'}{pinned}" if self.device or pinned else None,
                None if self.memory is None else _size(self.memory),
                None if self.device_memory is None else f"{_size(self.device_memory)} of the device",
            ))
        )  # fmt: skip

    @property
    def worker(self) -> str | None:
        return f"job {self.scheduler}" if self.scheduler else None if self.pid is None else f"pid {self.pid}"


@dataclass(frozen=True)
class WorkerRow:
    """A worker that runs or is queued (with the queue's reason), and its job."""

    name: str
    state: str
    host: str | None = None
    reason: str | None = None
    log: str | None = None
    job: str | None = None


def running_job(attempt: Attempt, job: str, claim: Mapping[str, Any]) -> Running:
    """The facts of an attempt now."""
    facts = read_progress(attempt.progress_file)
    scheduler = claim.get("scheduler")
    try:
        since = attempt.claim_file.stat().st_mtime
    except OSError:
        since = None
    return Running(
        job, attempt.log, since, _text(claim, "host"), _count(claim, "pid"),
        _text(scheduler, "job") if isinstance(scheduler, Mapping) else None, _text(claim, "device"),
        _text(facts, "device"), _count(facts, "memory"), _count(facts, "device_memory"), _text(facts, "part"),
        _count(facts, "step"), _count(facts, "steps"),
    )  # fmt: skip


def read_claim(attempt: Attempt) -> dict[str, Any]:
    """The content of a claim; {} if it cannot be read."""
    try:
        claim = read_json(attempt.claim_file)
    except UserError:
        return {}
    return claim if isinstance(claim, dict) else {}


def worker_rows(workers: Sequence[Worker], running: Sequence[Running], here: str) -> tuple[WorkerRow, ...]:
    """The workers that a launcher knows, with their jobs, and those of which only a running job tells.

    The name of a local worker is its pid on `here`, that of a worker in a queue the scheduler's id. Local workers may
    have a scheduler's id, too: all that were started in one allocation have the same.
    """
    names = {worker.name for worker in workers}
    processes = {(one.host, one.pid, one.scheduler): one for one in running}.values()
    own = {str(one.pid): one for one in processes if one.host == here and str(one.pid) in names}
    listed, left = {one.job for one in own.values()}, names - own.keys()
    for one in processes:
        if one.job not in listed and one.scheduler and one.scheduler in left:
            own[one.scheduler] = one
            listed.add(one.job)
    rows = []
    for worker in workers:
        host = worker.host or (here if worker.state == "running" else None)
        reason = None if worker.reason == "None" else worker.reason  # SLURM's word before it has looked at a job
        job = own[worker.name].job if worker.name in own else None
        rows.append(WorkerRow(worker.name, worker.state, host, reason, str(worker.log), job))
    others = [one for one in processes if one.job not in listed]
    return (*rows, *(WorkerRow(one.scheduler or str(one.pid), "running", one.host, job=one.job) for one in others))


def workers_text(rows: Sequence[WorkerRow]) -> str:
    """`running 3, queued 5: Resources (4), Priority`."""
    running = sum(row.state == "running" for row in rows)
    reasons: dict[str, int] = {}
    for row in rows:
        if row.state != "running":
            reasons[row.reason or ""] = reasons.get(row.reason or "", 0) + 1
    texts = [f"{reason} ({count})" if len(reasons) > 1 else reason for reason, count in reasons.items() if reason]
    why = f": {', '.join(texts)}" if texts else ""
    return one_line(f"running {running}" + (f", queued {len(rows) - running}{why}" if reasons else ""))


def _text(source: Mapping[str, Any], name: str) -> str | None:
    value = source.get(name)
    return value[:200] if isinstance(value, str) and value else None


def _count(source: Mapping[str, Any], name: str) -> int | None:
    value = source.get(name)
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
