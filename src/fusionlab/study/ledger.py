"""The ledger: which job is ready, and which worker may run it. It consists of files on a shared file system.

Attempt n+1 may be claimed only when attempt n has ended or is dead; if several workers try at once, the exclusive
create of the claim decides. Nobody deletes anything. The order of stages, retries, resuming, detached workers and two
sweeps on one folder all follow from this rule.

A job is done when each of its arms is published. An attempt takes the arms that are left; after a death half as many,
down to one, so that an arm which kills its process stops only itself.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.crash import crash_point
from fusionlab.records.files import create_exclusive, folder_clock, read_json, to_json
from fusionlab.records.signature import differing
from fusionlab.study.attempt import Attempt, claimed_arms, failure_reason
from fusionlab.study.plan import JOB_KINDS, Job, Plan, common_recipe
from fusionlab.study.process_id import ProcessId, scheduled

LEASE = 60.0  # seconds without a beat after which an owner on another host counts as dead
CLOCK = 5.0  # seconds by which a beat may be later than the folder's clock

_CLAIM = re.compile(r"(\d+)\.json")


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


@dataclass(frozen=True)
class Past:
    """An attempt that has ended: its arms, its outcome, and the reasons of arms that failed."""

    attempt: Attempt
    arms: tuple[str, ...]
    end: Mapping[str, Any]

    @property
    def outcome(self) -> str:
        return str(self.end["outcome"])

    def lost(self) -> dict[str, Failure]:
        """The arms that failed in it; ends of older versions do not name them, so all of its arms."""
        if self.outcome != "failed":
            return {}
        reasons = self.end.get("arms") or dict.fromkeys(self.arms, self.end["reason"])
        return {arm: Failure(str(reason), self.attempt.log) for arm, reason in reasons.items()}


class Ledger:
    """The jobs of one plan in their folders.

    A `session` is one typed command with all its workers. Failures count only in their own session: typing the command
    again retries failed jobs. Without a session (for `status`) the last failure counts.
    """

    def __init__(
        self,
        study: str | os.PathLike[str],
        plan: Plan,
        *,
        session: str | None = None,
        retries: int = 0,
        lease_s: float = LEASE,
    ) -> None:
        self.study = Path(study).absolute()
        self.plan = plan
        self.session = session
        self.retries = retries
        self.lease_s = lease_s
        self._jobs = {job.id: job for job in plan.jobs}
        self._folders = {job.id: job.path(self.study) for job in plan.jobs}
        self._verified: set[str] = set()
        self._done: set[str] = set()  # published jobs stay published
        self._published: set[tuple[str, str]] = set()  # job, arm
        self._read: dict[Path, dict[str, Any]] = {}  # claims and ends never change
        self._future_beats: dict[Path, tuple[float, float]] = {}  # beat file -> its time, and when that was first seen

    def folder(self, job_id: str) -> Path:
        return self._folders[job_id]

    def attempts(self, job_id: str) -> list[Attempt]:
        """All attempts at a job, oldest first."""
        folder = self.folder(job_id)
        try:
            names = [path.name for path in (folder / "claims").iterdir()]
        except FileNotFoundError:
            return []
        numbers = sorted(int(hit[1]) for hit in map(_CLAIM.fullmatch, names) if hit)
        return [Attempt(folder, number) for number in numbers]

    def states(self) -> dict[str, State]:
        """The state of every job, in the plan's order."""
        known: dict[str, State] = {}
        for job in self.plan.jobs:
            self._settle(job, known)
        return {job.id: known[job.id] for job in self.plan.jobs}

    def state(self, job_id: str) -> State:
        known: dict[str, State] = {}
        return self._settle(self._jobs[job_id], known)

    def _settle(self, job: Job, known: dict[str, State]) -> State:
        """A job's own state; if it is ready, its needs decide."""
        if job.id not in known:
            own = self._own(job.id)
            if own.name == "ready" and job.needs:
                needs = {need: self._settle(self._jobs[need], known) for need in job.needs}
                open_needs = tuple(need for need, state in needs.items() if state.name != "published")
                for need in open_needs:
                    if needs[need].name in ("failed", "blocked"):
                        through = needs[need].through or need
                        known[job.id] = replace(
                            own, name="blocked", reason=needs[need].reason, log=needs[need].log, through=through
                        )
                        return known[job.id]
                if open_needs:
                    own = replace(own, name="waiting", needs=open_needs)
            known[job.id] = own
        return known[job.id]

    def _own(self, job_id: str) -> State:
        job = self._jobs[job_id]
        if job_id in self._done:
            return State("published", published=frozenset(units(job)))
        self._verify(job_id)
        # Claims and ends are read before publications. An attempt publishes before it ends, so if its end is seen here,
        # its publications are seen too and the job does not start again.
        attempts = self.attempts(job_id)
        last = attempts[-1] if attempts else None
        living = last if last and self._end(last) is None and self.lives(last) else None
        past = self._past(job, attempts)
        some = (self.folder(job_id) / "published").is_dir()  # one look instead of one for each of 10,000 arms
        done = frozenset(arm for arm in units(job) if some and self._is_published(job, arm))
        left = [arm for arm in units(job) if arm not in done]
        if not left:
            self._done.add(job_id)
            return State("published", published=done)
        failed = self._failed(job, past, left)
        known = State("ready", attempts=len(attempts), failed=failed, published=done)
        if living:
            return replace(known, name="running", by=self.owner(living), log=living.log)
        if len(failed) < len(left):
            return known
        arm = next(reversed(failed))
        reason = failed[arm].reason if len(units(job)) == 1 else f"{arm}: {failed[arm].reason}"
        return replace(known, name="failed", reason=reason, log=failed[arm].log)

    def _past(self, job: Job, attempts: Sequence[Attempt]) -> list[Past]:
        """The attempts that have ended, oldest first; if there is a session, only its own."""
        past = []
        for attempt in attempts:
            end = self._end(attempt)
            if end is None or (self.session and self._claim(attempt).get("session") != self.session):
                continue
            past.append(Past(attempt, claimed_arms(self._claim(attempt)) or units(job), end))
        return past

    def _is_published(self, job: Job, arm: str) -> bool:
        """Whether an arm is published; a failed record, as older versions published, does not count."""
        if (job.id, arm) not in self._published:
            folder = self.folder(job.id) / "published"
            if job.kind == "cohort" and job.arms:
                exists = (folder / arm).is_dir() and failure_reason(folder / arm) is None
            else:  # a store, or a shared stream, which may have the name that another study gave it
                exists = folder.is_dir() and any(folder.iterdir())
            if not exists:
                return False
            self._published.add((job.id, arm))
        return True

    def _failed(self, job: Job, past: Sequence[Past], left: Sequence[str]) -> dict[str, Failure]:
        """The arms that are not tried again in this session; without a session, those whose last attempt failed."""
        failures: dict[str, list[Failure]] = {}
        for one in past:
            lost = one.lost()
            for arm in one.arms:
                if arm in lost:
                    failures.setdefault(arm, []).append(lost[arm])
                elif not self.session:
                    failures.pop(arm, None)  # a later attempt was interrupted
        most = self.retries if self.session else 0
        failed = {arm: all_[-1] for arm, all_ in failures.items() if arm in left and len(all_) > most}
        published = self.folder(job.id) / "published"
        for arm in left if not self.session and published.is_dir() else ():
            if arm not in failed and (reason := failure_reason(published / arm)) is not None:
                failed[arm] = Failure(reason, published / arm)
        return failed

    def _take(self, job: Job, attempts: Sequence[Attempt], state: State) -> list[str]:
        """The arms that the next attempt takes."""
        left = [arm for arm in job.arms if arm not in state.published and arm not in state.failed]
        past = self._past(job, attempts)
        culprits = {one.arms[0] for one in past if len(one.arms) == 1 and one.outcome == "failed"}
        # An arm that died alone explains the deaths of attempts with several arms.
        deaths = [one for one in past if one.outcome == "died" and not culprits & set(one.arms)]
        most = min((max(1, len(one.end.get("arms") or one.arms) // 2) for one in deaths), default=len(left))
        survived = any(one.outcome == "done" or (one.outcome == "failed" and len(one.arms) > 1) for one in past)
        return left[: 1 if culprits and not survived and len(job.arms) > 1 else most]

    def deaths(self, job_id: str, arms: Sequence[str]) -> int:
        """The number of attempts with all of these arms that died in this session."""
        past = self._past(self._jobs[job_id], self.attempts(job_id))
        return sum(one.outcome == "died" and set(arms) <= set(one.arms) for one in past)

    def unpublished(self, job_id: str, arms: Sequence[str]) -> list[str]:
        """The arms (for a job without arms: the job) that are not published."""
        job = self._jobs[job_id]
        return [arm for arm in arms or units(job) if not self._is_published(job, arm)]

    def owner(self, attempt: Attempt) -> ProcessId:
        return ProcessId.from_dict(self._claim(attempt))

    def lives(self, attempt: Attempt) -> bool:
        """Whether its process is alive: by pid on this host, else by the age of the lease on the folder's clock.

        The pid does not count in a copied folder: that process works in the original folder.
        """
        seen = self.owner(attempt).alive()
        inode = self._claim(attempt).get("inode")
        if seen is not None and (inode is None or inode == attempt.claim_file.parent.stat().st_ino):
            return seen
        try:
            now = folder_clock(attempt.claim_file.parent)
        except UserError:
            now = time.time()  # `status` in a read-only folder
        stamp = _stamp(attempt)
        if stamp <= now + CLOCK:
            return now - stamp < self.lease_s
        # A clock was set back, or somebody touched the file: only a beat that changes counts.
        before, since = self._future_beats.get(attempt.beat_file, (None, 0.0))
        if before != stamp:
            since = time.monotonic()
            self._future_beats[attempt.beat_file] = (stamp, since)
        return time.monotonic() - since < self.lease_s

    def claim_next(self, kinds: Sequence[str] = JOB_KINDS) -> tuple[Attempt, str] | None:
        """Claim a ready job of these kinds; None if there is none."""
        for job_id, state in self.states().items():
            ready = state.name == "ready" and self._jobs[job_id].kind in kinds
            if ready and (attempt := self.claim(job_id)):
                return attempt, job_id
        return None

    def claim(self, job_id: str) -> Attempt | None:
        """Claim a ready job; None if another worker was faster or it is not ready."""
        if self.state(job_id).name != "ready":
            return None
        job, folder = self._jobs[job_id], self.folder(job_id)
        refuse_links(folder)
        self._write_job_file(job)
        before = self.attempts(job_id)
        state = self.state(job_id)  # again, since others may have claimed meanwhile
        if state.name != "ready" or state.attempts != len(before):
            return None
        attempt = Attempt(folder, before[-1].number + 1 if before else 1)
        attempt.claim_file.parent.mkdir(exist_ok=True)
        scheduler = scheduled()
        claim = {
            **ProcessId.here().to_dict(),
            "device": os.environ.get("CUDA_VISIBLE_DEVICES") or "cpu",
            **({"scheduler": scheduler} if scheduler else {}),
            "session": self.session,
            "study": str(self.study),
            "inode": attempt.claim_file.parent.stat().st_ino,
            "arms": self._take(job, before, state),
            "token": uuid.uuid4().hex,
        }
        if not create_exclusive(attempt.claim_file, to_json(claim)):
            return None
        attempt.open()
        crash_point("ledger.after_claim")
        return attempt

    def _write_job_file(self, job: Job) -> None:
        """Write job.json, which identifies the job of a folder that studies share."""
        create_exclusive(
            self.folder(job.id) / "job.json",
            to_json({"id": job.id, "kind": job.kind, "config": self.plan.recipe(job)}),
        )
        self._verify(job.id)

    def _verify(self, job_id: str) -> None:
        """Check that the folder belongs to this job, before anything in it is used."""
        place = self.folder(job_id) / "job.json"
        if job_id in self._verified or not place.is_file():
            return
        job, other = self._jobs[job_id], read_json(place)
        leaves = [leaf for leaf, _, _ in differing(common_recipe(other.get("config", {})), self.plan.recipe(job))]
        if other.get("kind") != job.kind or leaves:
            raise UserError(
                f"the folder belongs to another job: {place.parent}",
                got=f"{job.kind} {job.id}" + (f", which differs in {', '.join(leaves[:5])}" if leaves else ""),
                allowed=[f"{other.get('kind')} {other.get('id')}"],
                hint="use another folder for this study",
            )
        self._verified.add(job_id)

    def _claim(self, attempt: Attempt) -> dict[str, Any]:
        return self._once(attempt.claim_file)

    def _end(self, attempt: Attempt) -> dict[str, Any] | None:
        if attempt.end_file in self._read or attempt.end_file.is_file():
            return self._once(attempt.end_file)
        return None

    def _once(self, path: Path) -> dict[str, Any]:
        if path not in self._read:
            self._read[path] = read_json(path)
        return self._read[path]


def units(job: Job) -> tuple[str, ...]:
    """The units of publication: the job's arms, or the job itself if it has none."""
    return job.arms or (job.id,)


def refuse_links(job: Path) -> None:
    """Refuse a job's folder if it or a folder in it is a link."""
    for place in (job, *(job / name for name in ("claims", "attempts", "published"))):
        if place.is_symlink():
            raise UserError("a job's folder is a link", got=f"{place} -> {place.readlink()}", hint="use a real folder")


def _stamp(attempt: Attempt) -> float:
    """The time of the last beat, or of the claim before the first beat."""
    for path in (attempt.beat_file, attempt.claim_file):
        try:
            with path.open("rb") as file:  # opening makes a network file system ask its server again
                return os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            continue
    return 0.0
