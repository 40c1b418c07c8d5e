"""The ledger: which job is ready, and who may do it. Files only: workers may be anywhere on one file system.

Attempt n+1 may be claimed only when n has ended or is dead, and the exclusive create of its claim decides
between those who saw that at once. No contender deletes anything. Order of stages, retry, resume, detaching
and two sweeps on one folder are all this one rule.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.crash import crash_point
from fusionlab.records.files import create_exclusive, folder_clock, read_json, to_json
from fusionlab.records.signature import differing
from fusionlab.study.attempt import Attempt
from fusionlab.study.holder import Holder
from fusionlab.study.plan import Job, Plan

LEASE = 60.0  # seconds without a beat after which a holder that cannot be seen counts as dead

_CLAIM = re.compile(r"(\d+)\.json")


@dataclass(frozen=True)
class State:
    """published | running (by) | failed (reason, log) | ready | waiting (needs) | blocked (through)."""

    name: str
    by: Holder | None = None
    reason: str | None = None
    log: Path | None = None
    attempts: int = 0
    needs: tuple[str, ...] = ()
    through: str | None = None


class Ledger:
    """The jobs of one plan in their folders.

    A `session` is one typed command with all its workers. Failures count only against the session they
    happened in: the same command typed again tries failed jobs again. Without a session (for looking on) the
    last failure stands.
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
        self._verified: set[str] = set()
        self._published: set[str] = set()  # what is published stays so
        self._read: dict[Path, dict[str, Any]] = {}  # claims and ends never change

    def folder(self, job_id: str) -> Path:
        return self._jobs[job_id].path(self.study)

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
        """A job's own state; and where it has none yet, what its needs say."""
        if job.id not in known:
            own = self._own(job.id)
            if own.name == "ready" and job.needs:
                needs = {need: self._settle(self._jobs[need], known) for need in job.needs}
                open_needs = tuple(need for need, state in needs.items() if state.name != "published")
                for need in open_needs:
                    if needs[need].name in ("failed", "blocked"):
                        through = needs[need].through or need
                        known[job.id] = State(
                            "blocked", reason=needs[need].reason, log=needs[need].log, through=through
                        )
                        return known[job.id]
                if open_needs:
                    own = State("waiting", needs=open_needs, attempts=own.attempts)
            known[job.id] = own
        return known[job.id]

    def _own(self, job_id: str) -> State:
        if job_id in self._published:
            return State("published")
        self._verify(job_id)
        # Claims and ends first, then `published`: who publishes does so before the end, so a job whose end is
        # seen here is seen published too, and is not begun again.
        attempts = self.attempts(job_id)
        last = attempts[-1] if attempts else None
        end = self._end(last) if last else None
        living = last if last and end is None and self.lives(last) else None
        if (self.folder(job_id) / "published").is_dir():
            self._published.add(job_id)
            return State("published")
        if living:
            return State("running", by=self.holder(living), attempts=len(attempts), log=living.log)
        failures = self.count(attempts, "failed") if self.session else int(bool(end and end["outcome"] == "failed"))
        if failures > (self.retries if self.session else 0):
            reasons = [(one, ended) for one in attempts if (ended := self._end(one)) and ended["outcome"] == "failed"]
            failed, why = reasons[-1]
            return State("failed", reason=why["reason"], log=failed.log, attempts=len(attempts))
        return State("ready", attempts=len(attempts))

    def count(self, attempts: list[Attempt], outcome: str) -> int:
        """How many of these attempts ended so in this session."""
        ends = [(one, self._end(one)) for one in attempts]
        return sum(
            bool(end and end["outcome"] == outcome and self._claim(one).get("session") == self.session)
            for one, end in ends
        )

    def holder(self, attempt: Attempt) -> Holder:
        return Holder.from_dict(self._claim(attempt))

    def lives(self, attempt: Attempt) -> bool:
        """Whether its holder lives: as seen on this host, else by its lease's age on the folder's clock."""
        seen = self.holder(attempt).alive()
        if seen is not None:
            return seen
        try:
            now = folder_clock(attempt.claim_file.parent)
        except UserError:
            now = time.time()  # only looking on, in a folder that cannot be written
        return now - _stamp(attempt) < self.lease_s

    def claim(self, job_id: str) -> Attempt | None:
        """Take a ready job; None where another was faster or there is nothing to take."""
        if self.state(job_id).name != "ready":
            return None
        job, folder = self._jobs[job_id], self.folder(job_id)
        self._note(job)
        before = self.attempts(job_id)
        if before and self._end(before[-1]) is None and self.lives(before[-1]):
            return None
        if (folder / "published").is_dir():
            return None
        attempt = Attempt(folder, before[-1].number + 1 if before else 1)
        claim = {
            **Holder.here().to_dict(),
            "session": self.session,
            "study": str(self.study),
            "token": uuid.uuid4().hex,
        }
        if not create_exclusive(attempt.claim_file, to_json(claim)):
            return None
        attempt.open()
        crash_point("ledger.after_claim")
        return attempt

    def _note(self, job: Job) -> None:
        """Write job.json, so that a folder that studies share says whose it is."""
        create_exclusive(
            self.folder(job.id) / "job.json",
            to_json({"id": job.id, "kind": job.kind, "config": job.recipe()}),
        )
        self._verify(job.id)

    def _verify(self, job_id: str) -> None:
        """See that the folder is this very job's, before anything in it is taken for the job's own."""
        place = self.folder(job_id) / "job.json"
        if job_id in self._verified or not place.is_file():
            return
        job, there = self._jobs[job_id], read_json(place)
        told = [leaf for leaf, _, _ in differing(there.get("config", {}), job.recipe())]
        if there.get("kind") != job.kind or told:
            raise UserError(
                f"the folder belongs to another job: {place.parent}",
                got=f"{job.kind} {job.id}" + (f", which differs in {', '.join(told[:5])}" if told else ""),
                allowed=[f"{there.get('kind')} {there.get('id')}"],
                hint="another folder for this study",
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


def _stamp(attempt: Attempt) -> float:
    """The time of the last beat; of the claim where it was not yet given."""
    for path in (attempt.beat_file, attempt.claim_file):
        try:
            with path.open("rb") as file:  # opening makes a network file system ask its server anew
                return os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            continue
    return 0.0
