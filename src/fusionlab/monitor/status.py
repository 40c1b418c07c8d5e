"""The state of a study: one state per job and arm, with reason and log."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fusionlab.records.environment import code_version
from fusionlab.records.record import FILE, readable_records
from fusionlab.study.attempt import claimed_code
from fusionlab.study.job_states import State
from fusionlab.study.lease import LEASE
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import STAGES, Arm, Job, read

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
    done: int = 0  # of its arms


@dataclass(frozen=True)
class ArmRow:
    name: str
    kind: str
    state: str  # one of ARM_STATES
    reason: str | None
    log: str | None
    job: str
    code: str | None = None  # of a done arm: the version of the code that trained it, if it is another one than here


@dataclass(frozen=True)
class Failed:
    """A failed arm, or a failed job without arms."""

    name: str
    reason: str | None
    log: str | None

    @property
    def command(self) -> str | None:
        """What shows the end of its log, where commands are typed now."""
        if not self.log:
            return None
        near = os.path.relpath(self.log)
        return f"tail -n 50 {shlex.quote(min(f'./{near}' if near[0] == '-' else near, self.log, key=len))}"


@dataclass(frozen=True)
class Summary:
    jobs: tuple[JobRow, ...]
    arms: tuple[ArmRow, ...]
    refusals: tuple[str, ...] = ()  # of cells of the grid, which have no arms
    command: str = ""

    @property
    def by_other_code(self) -> str | None:
        """What is known of arms that other code has trained, and the command that trains them again elsewhere."""
        count = sum(row.code is not None for row in self.arms)
        if not count:
            return None
        are = f"{count} arm{'s were' if count > 1 else ' was'} trained by other code than is here ({code_version()})"
        try:
            words = [word for word in shlex.split(self.command) if not word.startswith(("run.root=", "run.folder="))]
            again = shlex.join([*words, "run.root=again"])
        except ValueError:  # the command was written by a stranger, or by an older version
            again = "its command with run.root=again"
        return f"{are}, and kept. To train all again in another folder: {again}"

    @cached_property
    def job_counts(self) -> dict[str, int]:
        return dict(Counter(row.state for row in self.jobs))

    @cached_property
    def arm_counts(self) -> dict[str, int]:
        return dict(Counter(row.state for row in self.arms))

    @cached_property
    def stages(self) -> dict[str, dict[str, int]]:
        """Stage -> state -> number of jobs."""
        counts: dict[str, dict[str, int]] = {}
        for (kind, state), count in Counter((row.kind, row.state) for row in self.jobs).items():
            counts.setdefault(kind, {})[state] = count
        return {stage: counts[kind] for kind, stage in STAGES.items() if kind in counts}

    @cached_property
    def failures(self) -> tuple[Failed, ...]:
        """What failed itself: arms, and jobs without arms. What is blocked by them is not in it."""
        jobs = [row for row in self.jobs if row.state == "failed" and not row.arms]
        arms = [row for row in self.arms if row.state == "failed"]
        return (
            *(Failed(row.id, row.reason, row.log) for row in jobs),
            *(Failed(row.name, row.reason, row.log) for row in arms),
        )

    @cached_property
    def settled(self) -> int:
        """The number of arms that are done, failed or blocked: they do not change in this session."""
        return sum(self.arm_counts.get(state, 0) for state in ("done", "failed", "blocked"))


class Status:
    """Watches a study. A look costs what has changed: rows are made anew only of jobs whose states are others."""

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
        self._seen: dict[str, State] = {}
        self._jobs: dict[str, JobRow] = {}
        self._arms: dict[str, ArmRow] = {}
        self._of: dict[str, list[Arm]] = {job.id: [] for job in self.plan.jobs}
        for arm in self.plan.arms:
            self._of[arm.job].append(arm)
        self._summary: Summary | None = None
        # Job -> number of published arms, their records, and the reasons of those that cannot be read.
        self._records: dict[str, tuple[int, dict[Path, dict[str, Any]], dict[Path, str]]] = {}

    def summary(self) -> Summary:
        """The state now; the same object if nothing has changed."""
        states = self.ledger.states()
        changed = [job for job in self.plan.jobs if self._seen.get(job.id) is not states[job.id]]
        for job in changed:
            self._seen[job.id] = state = states[job.id]
            published = self.ledger.attempts(job.id) if state.published else []
            self._jobs[job.id] = _job_row(job, state, max(state.attempts, len(published)))
            for row in self._rows(job, state, {claimed_code(attempt) for attempt in published}):
                self._arms[row.name] = row
        if changed or self._summary is None:
            jobs = tuple(self._jobs[job.id] for job in self.plan.jobs)
            arms = tuple(self._arms[arm.name] for arm in self.plan.arms)
            self._summary = Summary(jobs, arms, tuple(self.plan.refusals), self.plan.command)
        return self._summary

    def _rows(self, job: Job, state: State, codes: set[str | None]) -> Iterator[ArmRow]:
        """`codes`: the versions of the code of all attempts at a job; None: one of an older version."""
        log = None if state.log is None else str(state.log)
        published = str(self.ledger.folder(job.id) / "published")
        for arm in self._of[job.id]:
            if arm.name in state.failed:
                failed = state.failed[arm.name]
                yield ArmRow(arm.name, arm.kind, "failed", failed.reason, str(failed.log), arm.job)
            elif arm.name in state.published:
                yield self._published(job, arm, published, len(state.published), codes)
            else:
                name = {"ready": "waiting"}.get(state.name, state.name)
                reason = f"{state.through} failed: {state.reason}" if state.through else state.reason
                yield ArmRow(arm.name, arm.kind, name, reason, log, arm.job)

    def _published(self, job: Job, arm: Arm, folder: str, count: int, codes: set[str | None]) -> ArmRow:
        """A published arm. A record is read only where that is needed: 10,000 of them take seconds."""
        if job.kind == "cohort" and len(codes) == 1 and _is_complete(f"{folder}/{arm.name}/{FILE}"):
            return ArmRow(arm.name, arm.kind, "done", None, None, arm.job, _other(*codes))
        records, damaged = self._read(job.id, count)
        own = arm.find(records)
        if own is None:
            return ArmRow(arm.name, arm.kind, "failed", arm.damage(damaged, self._names) or NO_RECORD, None, arm.job)
        _, record = own
        code = _other(record["circumstances"].get("code"))
        return ArmRow(arm.name, arm.kind, record["status"], record["reason"], record["log"], arm.job, code)

    def _read(self, job_id: str, count: int) -> tuple[dict[Path, dict[str, Any]], dict[Path, str]]:
        """The records of a job, read again if there are more."""
        if self._records.get(job_id, (-1, {}, {}))[0] != count:
            self._records[job_id] = count, *readable_records(self.ledger.folder(job_id) / "published")
        return self._records[job_id][1:]


def _job_row(job: Job, state: State, attempts: int) -> JobRow:
    return JobRow(
        job.id,
        job.kind,
        state.name,
        state.reason or ("waits for " + ", ".join(state.needs) if state.needs else None),
        None if state.log is None else str(state.log),
        None if state.by is None else str(state.by),
        attempts,
        job.arms,
        len(state.published.intersection(job.arms)),
    )


def _other(code: object) -> str | None:
    """The version of the code, if it is known and not that of here."""
    return code if isinstance(code, str) and code != code_version() else None


def _is_complete(record: str) -> bool:
    """Whether a record is there and has its end."""
    try:
        handle = os.open(record, os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.lseek(handle, -2, os.SEEK_END)
            return os.read(handle, 2) == b"}\n"
        finally:
            os.close(handle)
    except OSError:  # missing, or shorter
        return False


def summary(study: str | os.PathLike[str]) -> Summary:
    """The state of a study now."""
    return Status(study).summary()
