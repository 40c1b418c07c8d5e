"""What is seen of a study now: its state, running jobs, workers, the best arm so far, the time left.

All of it comes from the study's folder, but for the workers, which their launchers list. A look costs what has changed
and what runs; jobs and records are read once each, some in each look.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fusionlab.errors import UserError
from fusionlab.monitor.planned import planned_seconds, seconds_alone
from fusionlab.monitor.running import Running, WorkerRow, read_claim, running_job, worker_rows
from fusionlab.monitor.status import Status, Summary
from fusionlab.monitor.time_left import Finished, Left, TimeLeft, time_left
from fusionlab.records.plan_file import PUBLISHED
from fusionlab.records.record import read_record
from fusionlab.study.attempt import Attempt
from fusionlab.study.launchers import Worker
from fusionlab.study.plan import JOB_KINDS

EVERY = 1.0  # seconds between two looks at the files of running jobs
ESTIMATE = 3.0  # seconds between two estimates of the time left
MOST_FINISHED = 300  # jobs that are compared with their plan
RECORDS = 50  # that are read in one look


@dataclass(frozen=True)
class Best:
    """The fused arm with the lowest validation loss: choices are made on validation clips, never on test clips."""

    arm: str
    val_loss: float


@dataclass(frozen=True)
class View:
    """`note`: why the workers of a queue are not known."""

    summary: Summary
    running: tuple[Running, ...] = ()
    workers: tuple[WorkerRow, ...] = ()
    note: str | None = None
    best: Best | None = None
    left: TimeLeft = field(default_factory=TimeLeft)


class Live:
    """Looks at a study. `again`: more looks follow, so that many records can be read by and by."""

    def __init__(self, status: Status, *, again: bool = True) -> None:
        self.status, self.again = status, again
        self.planned = planned_seconds(status.study)
        self._claims: dict[tuple[str, int], dict[str, Any]] = {}
        self._finished: dict[str, Finished | None] = {}
        self._read: set[str] = set()
        self._best: Best | None = None
        self._view: View | None = None
        self._left = TimeLeft()
        self._next = self._next_estimate = 0.0

    def look(self, workers: Sequence[Worker] = (), note: str | None = None) -> View:
        summary, now = self.status.summary(), time.monotonic()
        if self._view is None or summary is not self._view.summary or now >= self._next:
            self._next = now + EVERY
            self._view = View(summary, tuple(self._running(summary)), best=self._best_arm(summary))
        rows = worker_rows(workers, self._view.running, socket.gethostname())
        if now >= self._next_estimate:
            self._next_estimate = now + ESTIMATE
            working = sum(row.state == "running" for row in rows)
            self._left = self._time_left(summary, self._view.running, working)
        return replace(self._view, workers=rows, note=note, left=self._left)

    def _running(self, summary: Summary) -> list[Running]:
        found = []
        for row in (row for row in summary.jobs if row.state == "running"):
            attempt = Attempt(self.status.ledger.folder(row.id), row.attempts)
            key = row.id, row.attempts
            if key not in self._claims:
                self._claims[key] = read_claim(attempt)
            found.append(running_job(attempt, row.id, self._claims[key]))
        return found

    def _time_left(self, summary: Summary, running: Sequence[Running], workers: int) -> TimeLeft:
        known = len(self._finished)
        left, facts = [], {one.job: one for one in running}
        for row, job in zip(summary.jobs, self.status.plan.jobs, strict=True):
            planned = self.planned.get(row.id)
            if row.state in ("running", "ready", "waiting"):
                one = facts.get(row.id)
                elapsed = one.elapsed if one else 0.0 if row.state == "running" else None
                left.append(Left(row.id, row.kind, planned, job.needs, elapsed, one.share if one else None))
            elif row.state == "published" and row.id not in self._finished and known < MOST_FINISHED:
                seconds = seconds_alone(self.status.ledger.folder(row.id))
                self._finished[row.id] = Finished(row.kind, seconds, planned) if seconds else None
                known += 1
        left.sort(key=lambda job: JOB_KINDS.index(job.kind))  # as they are claimed
        return time_left([one for one in self._finished.values() if one], left, workers)

    def _best_arm(self, summary: Summary) -> Best | None:
        """The best of all published arms; None until all of their records are read: 10,000 take seconds."""
        unread = [
            row for row in summary.arms if row.kind == "fused" and row.state == "done" and row.name not in self._read
        ]
        if len(unread) > RECORDS and not self.again:
            return None
        for row in unread[:RECORDS]:
            self._read.add(row.name)
            try:
                record = read_record(self.status.ledger.folder(row.job) / PUBLISHED / row.name)
            except UserError:  # the status names it
                continue
            loss = record["result"].get("val_loss")
            if loss is not None and (self._best is None or loss < self._best.val_loss):
                self._best = Best(row.name, loss)
        return self._best if len(unread) <= RECORDS else None
