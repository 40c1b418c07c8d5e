"""The states of a plan's jobs in memory: from each job's own state, and those of the jobs that it needs.

A change costs what it changes: the job, and what waits for it. No files are read here.

A cohort that needs cohorts chooses among their arms (chain B of `val.then=retrain`). It waits until each has ended, and
needs one published arm: a rate that diverged is no choice, and stops nothing.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fusionlab.study.plan import JOB_KINDS, Job
from fusionlab.study.process_id import ProcessId

OPEN = ("ready", "running", "waiting")  # something is still to be done, now or later


@dataclass(frozen=True)
class Failure:
    """Why an arm is not tried again in this session, and its log."""

    reason: str
    log: Path


@dataclass(frozen=True)
class State:
    """published | running (by) | failed (reason, log) | ready | waiting (needs) | blocked (through).

    `failed`: arm -> why; the others of a job may be ready, or running.
    """

    name: str
    by: ProcessId | None = None
    reason: str | None = None
    log: Path | None = None
    attempts: int = 0
    needs: tuple[str, ...] = ()
    through: str | None = None
    failed: Mapping[str, Failure] = field(default_factory=dict)
    published: frozenset[str] = frozenset()


READY = State("ready")  # of a job that nobody has begun
RUNNING = State("running")  # of a job of which only this is known


class JobStates:
    """`known`: job -> its state, in the plan's order; the rest is what a worker asks, kept up to date."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = {job.id: job for job in jobs}
        self._places = {job.id: place for place, job in enumerate(jobs)}
        self._ids = list(self._jobs)
        self._own = dict.fromkeys(self._jobs, READY)
        self._waiting: dict[tuple[str, ...], State] = {}
        self._ready: dict[str, list[int]] = {kind: [] for kind in JOB_KINDS}  # places of ready jobs, sorted
        self._counts: Counter[tuple[str, str]] = Counter()  # kind and name of a state -> jobs
        self.running: dict[str, None] = {}  # in the order in which they should be looked at
        self.needed_by: dict[str, list[str]] = {}
        for job in jobs:
            for need in job.needs:
                self.needed_by.setdefault(need, []).append(job.id)
        # Nothing is published at first, so a job is ready if it needs none.
        self.known = {job.id: self._wait(job.needs) if job.needs else READY for job in jobs}
        for job_id, state in self.known.items():
            self._count(job_id, None, state)

    def own(self, job_id: str) -> State:
        return self._own[job_id]

    def set(self, job_id: str, own: State) -> None:
        """Set a job's own state, and with it the states of those that need it."""
        if own is self._own[job_id] or own == self._own[job_id]:
            return
        self._own[job_id] = own
        changed = [job_id]
        while changed:
            one = changed.pop()
            before, now = self.known[one], self._settle(one)
            if now == before:
                continue
            self.known[one] = now
            self._count(one, before, now)
            if _effect(now) != _effect(before) or _effect(now) == "blocks":
                changed += self.needed_by.get(one, ())

    def count(self, name: str, kinds: Collection[str] = JOB_KINDS) -> int:
        """The number of jobs of these kinds in this state."""
        return sum(self._counts[kind, name] for kind in kinds)

    def open(self, kinds: Collection[str]) -> int:
        """The number of jobs of these kinds of which something is left to be done."""
        return sum(self.count(name, kinds) for name in OPEN)

    def ready(self, kind: str, first: int) -> list[str]:
        """The first ready jobs of a kind, in the plan's order."""
        return [self._ids[place] for place in self._ready[kind][:first]]

    def _settle(self, job_id: str) -> State:
        """A job's own state; if it is ready, its needs decide."""
        own = self._own[job_id]
        if own.name != "ready":
            return own
        open_needs = tuple(need for need in self._jobs[job_id].needs if self.known[need].name != "published")
        if self._jobs[job_id].kind == "cohort":
            open_needs = self._without_ended_choices(self._jobs[job_id].needs, open_needs)
        for need in open_needs:
            state = self.known[need]
            if _effect(state) == "blocks":
                through = state.through or need
                return replace(own, name="blocked", reason=state.reason, log=state.log, through=through)
        if not open_needs:
            return own
        return self._wait(open_needs) if own is READY else replace(own, name="waiting", needs=open_needs)

    def _without_ended_choices(self, needs: Sequence[str], open_needs: tuple[str, ...]) -> tuple[str, ...]:
        """The open needs without failed cohorts, if another one has a published arm, or may still have."""
        choices = {need: self.known[need] for need in needs if self._jobs[need].kind == "cohort"}
        if not any(one.published or one.name in OPEN for one in choices.values()):
            return open_needs
        return tuple(need for need in open_needs if need not in choices or choices[need].name != "failed")

    def _wait(self, needs: tuple[str, ...]) -> State:
        return self._waiting.setdefault(needs, State("waiting", needs=needs))

    def _count(self, job_id: str, before: State | None, now: State) -> None:
        kind, place = self._jobs[job_id].kind, self._places[job_id]
        if before is not None:
            self._counts[kind, before.name] -= 1
            if before.name == "ready":
                del self._ready[kind][bisect_left(self._ready[kind], place)]
            if before.name == "running":
                self.running.pop(job_id, None)
        self._counts[kind, now.name] += 1
        if now.name == "ready":
            insort(self._ready[kind], place)
        if now.name == "running":
            self.running[job_id] = None


def _effect(state: State) -> str:
    """The effect on jobs that need this one."""
    return {"published": "frees", "failed": "blocks", "blocked": "blocks"}.get(state.name, "holds")
