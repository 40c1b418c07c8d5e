"""The cohorts of a study as jobs for this machine: by its memory and workers, beside what was begun in the folder.

A cohort that is whole keeps the id of its job, `cohort-<signature>`; pieces are `cohort-<signature>-1of2`. The plan's
signature does not change, so a study may be continued with other workers, or on a machine with less memory: arms of
jobs that were begun keep their jobs, the others are packed anew. While somebody works on the study, all arms keep
their jobs, so that no arm is trained twice.

Times are from multiply-adds, and only compared with each other and with a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fusionlab.config.run_config import AUTO, RunConfig
from fusionlab.config.schema import config_of
from fusionlab.errors import UserError, one_line, show
from fusionlab.planning.grid import PlannedStudy
from fusionlab.planning.packing import Cohort, pack
from fusionlab.pricing.calibrate import sample
from fusionlab.pricing.clips import USUAL, Clips, DataSets
from fusionlab.pricing.history import PastJob, past_jobs
from fusionlab.pricing.machine import Machine
from fusionlab.pricing.work import net_macs, work_of
from fusionlab.records.plan_file import has_plan
from fusionlab.sizes.memory_bound import memory_bound
from fusionlab.sizes.sizing import Sizes, content_key
from fusionlab.study import plan as plans
from fusionlab.study.forked import in_fork
from fusionlab.study.launchers.local import Local
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import Arm, Job, Plan

RATE = 2e10  # multiply-adds a second of one thread: a core of a server
START = 3.0  # seconds of a job before its first step
UNKNOWN = Clips(9000, 1000, 4000, None, USUAL)  # of a data set that is not there yet: as large as most
MARGIN = 1.1  # over estimates of memory: convolutions' workspace, fragments; 1.09 was the most that was measured
TRIED = 12  # arms from which the memory of a large cohort is first judged, with
MORE = 4  # times what any of them adds: others may add more


def workers(run: RunConfig, threads: int) -> int:
    """The number of parallel jobs: `run.workers`, or one for each core and thread; on a GPU one."""
    if run.workers == AUTO and run.on_gpu:
        return 1
    return run.processes if run.workers != AUTO else max(1, run.processes // max(1, threads))


def pack_study(study: PlannedStudy, sizes: Sizes | None = None) -> PlannedStudy:
    """The study with its cohorts packed into jobs.

    Networks are measured, so parts of the user run: in a fork, and if that fails, cohorts stay whole. `sizes`: takes
    what is measured, for others to use; then it is done here.
    """
    at_once = workers(study.run, study.threads)
    bound = memory_bound(study.run, at_once)

    def pieces(cohorts: Sequence[Cohort]) -> list[list[list[Arm]]]:
        costs = CohortCosts(study.run, study.threads, bound, sizes)
        # jobs on one GPU share it, so that dividing a cohort saves no time
        return pack(
            cohorts, workers=1 if study.run.on_gpu else at_once, bound=bound,
            memory=costs.memory, weight=costs.weight, seconds=costs.seconds,
        )  # fmt: skip

    def divide(cohorts: Sequence[Cohort]) -> list[list[list[Arm]]]:
        known = {arm.name: arm for arms in cohorts for arm in arms}
        try:
            if sizes is not None:
                return pieces(cohorts)
            names = in_fork(lambda: [[[arm.name for arm in piece] for piece in own] for own in pieces(cohorts)])
        except UserError as error:
            if sizes is not None:  # its price says so
                return [[list(arms)] for arms in cohorts]
            show(one_line(f"cohorts are not divided: {error.what} ({error.got})"))
            return [[list(arms)] for arms in cohorts]
        return [[[known[name] for name in piece] for piece in own] for own in names]

    return replace(study, plan=packed(study.plan, study.folder, divide))


def packed(plan: Plan, folder: Path, divide: Callable[[Sequence[Cohort]], list[list[list[Arm]]]]) -> Plan:
    """The plan with each cohort divided into jobs; arms that are kept in a job of the study's folder stay there."""
    kept = _kept_jobs(folder)
    members: dict[str, list[Arm]] = {}
    for arm in plan.arms:
        members.setdefault(arm.job, []).append(arm)
    whole = [job for job in plan.jobs if job.kind == "cohort"]
    left = {job.id: [arm for arm in members[job.id] if _key(arm) not in kept] for job in whole}
    packable = [job for job in whole if left[job.id]]
    divided = dict(zip([job.id for job in packable], divide([left[job.id] for job in packable]), strict=True))
    job_of = {arm.name: kept[_key(arm)].id for job in whole for arm in members[job.id] if _key(arm) in kept}
    jobs: dict[str, Job] = {}
    taken = {job.id for job in kept.values()}
    for job in plan.jobs:
        if job.kind != "cohort":
            jobs[job.id] = job
            continue
        for arm in members[job.id]:
            if _key(arm) in kept:
                own = kept[_key(arm)]
                jobs.setdefault(own.id, replace(job, id=own.id, folder=own.folder, arms=()))
        pieces = divided.get(job.id, [])
        for place, piece in enumerate(pieces, start=1):
            name = job.id if len(pieces) == 1 else _free(f"{job.id}-{place}of{len(pieces)}", taken)
            jobs.setdefault(name, replace(job, id=name, folder=f"jobs/{name}", arms=()))
            job_of |= dict.fromkeys((arm.name for arm in piece), name)
    if all(job_of[arm.name] == arm.job for job in whole for arm in members[job.id]):
        return plan
    arms = [replace(arm, job=job_of.get(arm.name, arm.job)) for arm in plan.arms]
    names: dict[str, list[str]] = {}
    for arm in arms:
        names.setdefault(arm.job, []).append(arm.name)
    made = [replace(job, arms=tuple(names[job.id])) if job.kind == "cohort" else job for job in jobs.values()]
    return Plan.of(plan.command, made, arms, plan.refused)


def _key(arm: Arm) -> tuple[str, str]:
    return arm.kind, arm.signature


def _free(name: str, taken: set[str]) -> str:
    """The name of a piece, with a number where an earlier packing had a piece of this name."""
    names = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 2))]
    return next(one for one in names if one not in taken)


def _kept_jobs(folder: Path) -> dict[tuple[str, str], Job]:
    """The arms of the study in this folder that keep their jobs: of begun ones, of all while somebody works on it."""
    if not has_plan(folder):
        return {}
    old = plans.read(folder)
    busy = bool(Local().list(folder)) or any(state.name == "running" for state in Ledger(folder, old).states().values())
    cohorts = [job for job in old.jobs if job.kind == "cohort" and (busy or (job.path(folder) / "claims").is_dir())]
    return {_key(old.arm(name)): job for job in cohorts for name in job.arms}


class CohortCosts:
    """Memory and time of arms that one job trains together; each content is measured once, and only if it matters."""

    def __init__(self, run: RunConfig, threads: int, bound: int | None, sizes: Sizes | None = None) -> None:
        self.run, self.threads, self.bound = run, threads, bound
        self.sizes, self.data = sizes or Sizes(), DataSets(run)
        self._contents: dict[str, str] = {}  # signature of an arm -> its content
        self._memory: dict[tuple[str, ...], int] = {}
        self._seconds: dict[tuple[str, ...], float] = {}
        self._past: list[PastJob] | None = None

    def memory(self, arms: Cohort) -> int:
        """Bytes: as an earlier job of these arms had, else as estimated, or more if jobs of some of them had more."""
        key = self._key(arms)
        if key not in self._memory:
            self._memory[key] = self._measured_memory(arms)
        return self._memory[key]

    def weight(self, arm: Arm) -> float:
        """Multiply-adds of the arm's own layers for a clip, 0 if it is not trained."""
        sized = self.sizes.of(arm)
        return float(net_macs(sized.trained)) if sized.size.trained_parameters else 0.0

    def seconds(self, arms: Cohort) -> float:
        """The time of a job, by its multiply-adds."""
        key = self._key(arms)
        if key not in self._seconds:
            clips = self.data.clips(config_of(arms[0])) or UNKNOWN
            work = work_of([self.sizes.of(arm) for arm in arms], self.sizes, clips)
            assert work is not None, "the number of clips is known"
            self._seconds[key] = START + work.macs / (RATE * self.threads)
        return self._seconds[key]

    def _key(self, arms: Cohort) -> tuple[str, ...]:
        for arm in arms:
            if arm.signature not in self._contents:
                self._contents[arm.signature] = content_key(arm)
        return tuple(self._contents[arm.signature] for arm in arms)

    def _measured_memory(self, arms: Cohort) -> int:
        assert self.bound is not None, "without a bound nobody asks"
        if len(arms) > TRIED:  # to measure hundreds of arms takes seconds, and most cohorts are small
            tried = sample(arms, TRIED)
            first = max(self._estimate([arm]) for arm in tried)
            another = max(self._estimate([arm, arm]) - self._estimate([arm]) for arm in tried)
            if (most := first + MORE * (len(arms) - 1) * another) <= self.bound:
                return most
        estimate = self._estimate(arms)
        return self._corrected(arms, estimate) if 2 * estimate > self.bound else estimate

    def _estimate(self, arms: Cohort) -> int:
        writes = self.run.checkpoint_every > 0
        return round(MARGIN * self.sizes.cohort_memory(arms, on_gpu=self.run.on_gpu, checkpoints=writes))

    def _corrected(self, arms: Cohort, estimate: int) -> int:
        if self._past is None:
            self._past = past_jobs(self.run.root, Machine.here(self.run))
        contents, most = set(self._key(arms)), 1.0
        same: list[int] = []
        for job in self._past:
            own = set(map(content_key, job.arms))
            if job.peak is None or not own <= contents:
                continue
            same += [job.peak] if own == contents else []
            most = max(most, job.peak / self._estimate(job.arms))
        return max(same) if same else round(estimate * most)
