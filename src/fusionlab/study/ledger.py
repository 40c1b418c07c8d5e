"""The ledger: which job is ready, and which worker may run it. It consists of files on a shared file system.

Attempt n+1 may be claimed only when attempt n has ended or is dead; if several workers try at once, the exclusive
create of the claim decides. Nobody deletes a claim, an end or a publication, only what no attempt needs: a job its
checkpoints when each of its arms is published, and `prune` what is left behind. The order of stages, retries, resuming,
detached workers and two sweeps on one folder all follow from this rule.

A job is done when each of its arms is published. An attempt takes the arms that are left; after a death half as many,
down to one, so that an arm which kills its process stops only itself.

States are kept in memory. Each change leaves a line in a file (`changes`), by which others know where to look again. As
such a line may be lost, jobs that seem to run are looked at in turns, each claim is decided by the job's own files, and
that nothing is left is only said after a look at every job.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.crash import crash_point
from fusionlab.records.environment import code_version
from fusionlab.records.files import create_exclusive, disk_errors, read_json, to_json
from fusionlab.records.signature import differing
from fusionlab.study.attempt import Attempt, claimed_arms, failure_reason, names_arms, refuse_links
from fusionlab.study.changes import CLAIM, DONE, END, Changes, note
from fusionlab.study.job_states import READY, RUNNING, Failure, JobStates, State
from fusionlab.study.lease import LEASE, Leases
from fusionlab.study.past import Past, next_arms
from fusionlab.study.plan import JOB_KINDS, Job, Plan, common_recipe, has_plan
from fusionlab.study.process_id import ProcessId, scheduled

SHARE = 0.02  # of the time, at most, for looks at all jobs in `states`
TURNS = 10  # looks after which each running job was looked at

_CLAIM = re.compile(r"(\d+)\.json")


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
        self._jobs = {job.id: job for job in plan.jobs}
        # Paths as text: a look at a job takes some 50 µs, and `Path` would be half of it.
        self._folders = {job.id: os.path.normpath(os.path.join(self.study, job.folder)) for job in plan.jobs}
        self._by_folder = {folder: job_id for job_id, folder in self._folders.items()}
        self._beside: dict[str, dict[str, str]] = {}  # folder of jobs' folders -> name of a job's folder -> job
        for job_id, folder in self._folders.items():
            above, name = os.path.split(folder)
            self._beside.setdefault(above, {})[name] = job_id
        self._states = JobStates(plan.jobs)
        self._changes = Changes(self._beside)
        self._changed: set[str] = set()  # since they were looked at
        self._ended: dict[str, str] = {}  # of these, those that may be ready again, or free others; and the word
        self._said_done: dict[str, set[str]] = {kind: set() for kind in JOB_KINDS}
        self._next_look = 0.0
        self._leases = Leases(lease_s)
        self._verified: set[str] = set()
        self._done: set[str] = set()  # published jobs stay published
        self._sound: set[tuple[str, str]] = set()  # job, arm: older versions published failed records too
        self._read: dict[Path, dict[str, Any]] = {}  # claims and ends never change

    def folder(self, job_id: str) -> Path:
        return Path(self._folders[job_id])

    def attempts(self, job_id: str) -> list[Attempt]:
        """All attempts at a job, oldest first."""
        try:
            names = os.listdir(f"{self._folders[job_id]}/claims")
        except FileNotFoundError:
            return []
        folder = self.folder(job_id)
        numbers = sorted(int(hit[1]) for hit in map(_CLAIM.fullmatch, names) if hit)
        return [Attempt(folder, number) for number in numbers]

    def states(self) -> dict[str, State]:
        """The state of every job, in the plan's order."""
        self._listen()
        if time.monotonic() >= self._next_look:
            self.look()
        for job_id in tuple(self._changed):
            self._look(job_id)
        self._watch()
        return dict(self._states.known)

    def state(self, job_id: str) -> State:
        """A job's state, by a look at its files and at those of the jobs that it needs."""
        wanted, seen = [job_id], {job_id}
        while wanted:
            one = wanted.pop()
            self._verify(one)
            self._look(one)
            needs = [need for need in self._jobs[one].needs if need not in seen and need not in self._done]
            wanted += needs
            seen.update(needs)
        return self._states.known[job_id]

    def look(self) -> None:
        """Look at the files of every job that is begun and not done."""
        begun = time.monotonic()
        self._changes.skip()  # before the look, so that a change meanwhile is heard
        for folder, jobs in self._beside.items():
            try:
                names = frozenset(os.listdir(folder))
            except FileNotFoundError:
                names = frozenset()
            for name, job_id in jobs.items():
                if name in names:
                    self._look(job_id)
                elif self._states.own(job_id) is not READY and job_id not in self._done:
                    self._saw(job_id, READY)
        now = time.monotonic()
        self._next_look = now + (now - begun) / SHARE

    def count(self, state: str, kinds: Collection[str] = JOB_KINDS) -> int:
        """The number of jobs of these kinds that seem to be in this state."""
        self._listen()
        return self._states.count(state, kinds)

    def left(self, kinds: Collection[str] = JOB_KINDS) -> bool:
        """Whether a job of these kinds is ready, runs or waits; "no" only after a look at every job."""
        self._listen()
        if self._states.open(kinds) <= sum(len(self._said_done[kind]) for kind in kinds):
            self.look()
        return self._states.open(kinds) > 0

    def _listen(self) -> None:
        """Read which jobs have changed; the first time look at all."""
        lines = self._changes.new() if self._next_look else None
        if lines is None:  # the first time, or lines were lost
            self.look()
        for folder, word in lines or ():
            job_id = self._by_folder.get(folder)
            if job_id is None or job_id in self._done:
                continue
            self._changed.add(job_id)
            if word == CLAIM and self._states.own(job_id).name == "ready":
                self._states.set(job_id, RUNNING)
            elif word == END or (word == DONE and job_id in self._states.needed_by):
                self._ended[job_id] = word
            elif word == DONE:  # each worker would look at each of these
                self._said_done[self._jobs[job_id].kind].add(job_id)
                self._states.running.pop(job_id, None)

    def _watch(self) -> None:
        """Look at some of the jobs that run, at all of them in a few turns: their workers may be dead."""
        running = self._states.running
        for job_id in list(running)[: -(-len(running) // TURNS)]:
            del running[job_id]
            running[job_id] = None  # to the end
            self._look(job_id)

    def _look(self, job_id: str) -> None:
        if job_id not in self._done:
            self._saw(job_id, self._own(job_id))

    def _saw(self, job_id: str, own: State) -> None:
        self._changed.discard(job_id)
        self._ended.pop(job_id, None)
        self._said_done[self._jobs[job_id].kind].discard(job_id)
        self._states.set(job_id, own)
        if own.name == "running":  # `set` does this only if the state is another one
            self._states.running.setdefault(job_id)

    def _own(self, job_id: str) -> State:
        """A job's own state by its files."""
        job = self._jobs[job_id]
        # In the study's own folder the plan was accepted, and a claim verifies its job; other studies write elsewhere.
        if not self._folders[job_id].startswith(f"{self.study}/"):
            self._verify(job_id)
        if self._is_whole(job):
            self._done.add(job_id)
            return State("published", published=frozenset(job.arms))
        attempts = self.attempts(job_id)
        if len(done := self._published(job, attempts)) < len(units(job)):
            # Claims and ends are read before publications. An attempt publishes before it ends, so if its end is seen
            # here, its publications are seen too and the job does not start again.
            last = attempts[-1] if attempts else None
            living = last if last and self._end(last) is None and self.lives(last) else None
            past = self._past(job, attempts)
            done = self._published(job, attempts)
        left = [arm for arm in units(job) if arm not in done]
        if not left:
            self._done.add(job_id)
            return State("published", published=done)
        failed = self._failed(job, past, left)
        known = State("ready", attempts=last.number if last else 0, failed=failed, published=done)
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

    def _is_whole(self, job: Job) -> bool:
        """Whether a cohort is done, by few calls: each worker asks this of each job before it ends."""
        if job.kind != "cohort" or not job.arms:
            return False
        folder, number = self._folders[job.id], 1
        try:
            whole = frozenset(os.listdir(f"{folder}/published")).issuperset(job.arms)
        except OSError:
            return False
        while whole and (names := names_arms(folder, number)) is not None:
            whole, number = names, number + 1
        return whole and number > 1

    def _published(self, job: Job, attempts: Sequence[Attempt]) -> frozenset[str]:
        """The published arms; a failed record, as older versions published, does not count."""
        try:
            names = frozenset(os.listdir(f"{self._folders[job.id]}/published"))
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        if job.kind != "cohort" or not job.arms:  # a store, or a shared stream, which may have the name that another
            return frozenset(units(job)) if names else frozenset()  # study gave it
        present = names.intersection(job.arms)
        if attempts and all(names_arms(self._folders[job.id], one.number) for one in attempts):
            return present
        folder = self.folder(job.id) / "published"
        unknown = [arm for arm in present if (job.id, arm) not in self._sound]
        self._sound.update((job.id, arm) for arm in unknown if failure_reason(folder / arm) is None)
        return frozenset(arm for arm in present if (job.id, arm) in self._sound)

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

    def deaths(self, job_id: str, arms: Sequence[str]) -> int:
        """The number of attempts with all of these arms that died in this session."""
        past = self._past(self._jobs[job_id], self.attempts(job_id))
        return sum(one.outcome == "died" and set(arms) <= set(one.arms) for one in past)

    def unpublished(self, job_id: str, arms: Sequence[str]) -> list[str]:
        """The arms (for a job without arms: the job) that are not published."""
        job = self._jobs[job_id]
        done = self._published(job, self.attempts(job_id))
        return [arm for arm in arms or units(job) if arm not in done]

    def owner(self, attempt: Attempt) -> ProcessId:
        return ProcessId.from_dict(self._claim(attempt))

    def lives(self, attempt: Attempt) -> bool:
        """Whether its process is alive."""
        return self._leases.lives(attempt, self._claim(attempt))

    def claim_next(self, kinds: Collection[str] = JOB_KINDS) -> tuple[Attempt, str] | None:
        """Claim a ready job of these kinds, the first kinds first; None if there seems to be none."""
        self._listen()
        for job_id in [job_id for job_id, word in self._ended.items() if word == END]:
            self._look(job_id)
        for look in (int, self._look_at_ended, self._watch):  # int: none, at first
            look()
            if taken := self._claim_ready(kinds):
                return taken
        return None

    def _look_at_ended(self) -> None:
        for job_id in tuple(self._ended):
            self._look(job_id)

    def _claim_ready(self, kinds: Collection[str]) -> tuple[Attempt, str] | None:
        """Each lost race doubles the number of jobs to choose from: few workers keep the order, many spread at once."""
        for kind in (kind for kind in JOB_KINDS if kind in kinds):
            spread = 1
            while ready := self._states.ready(kind, spread):
                job_id = ready[uuid.uuid4().int % len(ready)]
                if attempt := self.claim(job_id):
                    return attempt, job_id
                spread *= 2
        return None

    def claim(self, job_id: str) -> Attempt | None:
        """Claim a ready job; None if another worker was faster or it is not ready."""
        if (state := self.state(job_id)).name != "ready":
            return None
        if not has_plan(self.study):
            raise UserError("the study's folder is gone", got=self.study, hint="do not move it while it has workers")
        job, folder = self._jobs[job_id], self.folder(job_id)
        refuse_links(folder)
        self._write_job_file(job)
        attempt = Attempt(folder, state.attempts + 1)
        with disk_errors(attempt.claim_file):
            attempt.claim_file.parent.mkdir(exist_ok=True)
        scheduler = scheduled()
        claim = {
            **ProcessId.here().to_dict(),
            "device": os.environ.get("CUDA_VISIBLE_DEVICES") or "cpu",
            **({"scheduler": scheduler} if scheduler else {}),
            "code": code_version(),
            "session": self.session,
            "study": str(self.study),
            "inode": attempt.claim_file.parent.stat().st_ino,
            "arms": next_arms(job, self._past(job, self.attempts(job_id)[: state.attempts]), state),
            "token": uuid.uuid4().hex,
        }
        crash_point("ledger.before_claim")
        # The number is that of the look above, so of all who saw the same, one gets it.
        if not create_exclusive(attempt.claim_file, to_json(claim)):
            self._changed.add(job_id)
            self._states.set(job_id, RUNNING)
            return None
        crash_point("ledger.before_open")
        attempt.open()
        note(folder, CLAIM)
        self._saw(job_id, replace(state, name="running", by=ProcessId.from_dict(claim), log=attempt.log))
        crash_point("ledger.after_claim")
        return attempt

    def _write_job_file(self, job: Job) -> None:
        """Write job.json, which identifies the job of a folder that studies share."""
        place = self.folder(job.id) / "job.json"
        if not place.is_file():
            create_exclusive(place, to_json({"id": job.id, "kind": job.kind, "config": self.plan.recipe(job)}))
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
