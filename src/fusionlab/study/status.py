"""The state of a study: one state per job and arm, with reason and log."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.records.record import readable_records
from fusionlab.study.job_states import State
from fusionlab.study.lease import LEASE
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import Arm, read

NO_RECORD = "its job was published without a record of it"
ARM_STATES = ("done", "failed", "blocked", "running", "waiting")


@dataclass(frozen=True)
class JobRow:
    id: str
    kind: str
    state: str  # published | running | failed | ready | waiting | blocked
    reason: str | None
    log: str | None
    by: str | None
    attempts: int
    arms: tuple[str, ...]


@dataclass(frozen=True)
class ArmRow:
    name: str
    kind: str
    state: str  # one of ARM_STATES
    reason: str | None
    log: str | None
    job: str


@dataclass(frozen=True)
class Summary:
    jobs: tuple[JobRow, ...]
    arms: tuple[ArmRow, ...]
    refusals: tuple[str, ...] = ()  # of cells of the grid, which have no arms

    @property
    def job_counts(self) -> dict[str, int]:
        return dict(Counter(row.state for row in self.jobs))

    @property
    def arm_counts(self) -> dict[str, int]:
        return dict(Counter(row.state for row in self.arms))

    @property
    def settled(self) -> int:
        """The number of arms that are done, failed or blocked: they do not change in this session."""
        return sum(row.state in ("done", "failed", "blocked") for row in self.arms)


class Status:
    """Watches a study; reads each published record once."""

    def __init__(
        self,
        study: str | os.PathLike[str],
        *,
        session: str | None = None,
        retries: int = 0,
        lease_s: float = LEASE,
    ) -> None:
        self.study = Path(study).absolute()
        self.plan = read(self.study)
        self.ledger = Ledger(self.study, self.plan, session=session, retries=retries, lease_s=lease_s)
        self._names = {arm.name for arm in self.plan.arms}
        self._refusals = tuple(self.plan.refusals)
        # Job -> number of published arms, their records, and the reasons of those that cannot be read.
        self._records: dict[str, tuple[int, dict[Path, dict[str, Any]], dict[Path, str]]] = {}

    def summary(self) -> Summary:
        states = self.ledger.states()
        jobs = tuple(
            JobRow(
                job.id,
                job.kind,
                state.name,
                state.reason or ("waits for " + ", ".join(state.needs) if state.needs else None),
                None if state.log is None else str(state.log),
                None if state.by is None else str(state.by),
                state.attempts,
                job.arms,
            )
            for job, state in zip(self.plan.jobs, states.values(), strict=True)
        )
        arms = tuple(self._arm(arm, states[arm.job]) for arm in self.plan.arms)
        return Summary(jobs, arms, self._refusals)

    def _arm(self, arm: Arm, job: State) -> ArmRow:
        if arm.name in job.failed:
            failed = job.failed[arm.name]
            return ArmRow(arm.name, arm.kind, "failed", failed.reason, str(failed.log), arm.job)
        log = None if job.log is None else str(job.log)
        if arm.name not in job.published:
            state = {"ready": "waiting"}.get(job.name, job.name)
            reason = job.reason
            if job.through:
                reason = f"{job.through} failed: {job.reason}"
            return ArmRow(arm.name, arm.kind, state, reason, log, arm.job)
        records, damaged = self._published(arm.job, len(job.published))
        own = arm.find(records)
        if own is None:
            why = arm.damage(damaged, self._names) or NO_RECORD
            return ArmRow(arm.name, arm.kind, "failed", why, log, arm.job)
        _, record = own
        return ArmRow(arm.name, arm.kind, record["status"], record["reason"], record["log"], arm.job)

    def _published(self, job_id: str, count: int) -> tuple[dict[Path, dict[str, Any]], dict[Path, str]]:
        """The records of a job, read again if there are more."""
        if self._records.get(job_id, (-1, {}, {}))[0] != count:
            self._records[job_id] = count, *readable_records(self.ledger.folder(job_id) / "published")
        return self._records[job_id][1:]


def summary(study: str | os.PathLike[str]) -> Summary:
    """The state of a study now."""
    return Status(study).summary()
