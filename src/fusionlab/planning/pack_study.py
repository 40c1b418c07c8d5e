"""The cohorts of a study as jobs for this machine: by its memory and workers, beside what was begun in the folder.

A cohort that is whole keeps the id of its job, `cohort-<signature>`; pieces are `cohort-<signature>-1of2`. The plan's
signature does not change, so a study may be continued with other workers, or on a machine with less memory: arms of
jobs that were begun keep their jobs, the others are packed anew. While somebody works on the study, all arms keep
their jobs, so that no arm is trained twice.

Under `run.workers=auto` there are as many jobs at a time as have the memory for the largest job that cannot be divided:
a stream, or one arm of a cohort. What cannot be measured limits nothing. Each GPU has its own memory, for
`run.per_device` jobs at a time.

Times are from multiply-adds, and only compared with each other and with a few seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from fusionlab.config.run_config import AUTO, RunConfig
from fusionlab.config.schema import config_of
from fusionlab.errors import UserError, one_line, show
from fusionlab.planning.grid import PlannedStudy
from fusionlab.planning.packing import Cohort, Pieces, pack
from fusionlab.preparation.disk_space import size
from fusionlab.pricing.calibrate import sample
from fusionlab.pricing.clip_counts import USUAL, Clips, DataSets
from fusionlab.pricing.job_work import net_macs, work_of
from fusionlab.pricing.machine_class import Machine
from fusionlab.pricing.past_jobs import PastJob, past_jobs
from fusionlab.records.plan_file import has_plan
from fusionlab.sizes.memory_bound import GIB, count_memories, memory_bound
from fusionlab.sizes.sizing import Sizes, content_key
from fusionlab.study import plan as plans
from fusionlab.study.forked import in_fork
from fusionlab.study.launchers.local import Local
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import Arm, Job, Plan

RATE = 2e10  # multiply-adds a second of one thread: a core of a server
GPU_RATE = 5e12  # of a GPU in float32
START = 3.0  # seconds of a job before its first step
UNKNOWN = Clips(9000, 1000, 4000, None, USUAL)  # of a data set that is not there yet: as large as most
MARGIN = 1.1  # over estimates of memory: convolutions' workspace, fragments; 1.09 was the most that was measured
TRIED = 12  # arms from which the memory of a large cohort is first judged, with
Kept = dict[tuple[str, str], Job]  # kind and signature of an arm -> the job in which it stays
MORE = 4  # times what any of them adds: others may add more


@dataclass(frozen=True)
class PackedStudy(PlannedStudy):
    """A study whose plan is packed for this machine."""

    workers: int = 1  # jobs at a time
    bound: int | None = None  # bytes that a job may use; None: unknown
    too_large: str | None = None  # a line about jobs that need more


@dataclass(frozen=True)
class Packing:
    """How a study is packed; numbers and texts only, since a fork may have found it."""

    workers: int
    bound: int | None
    pieces: Mapping[str, int] = field(default_factory=dict)  # arm -> number of its piece; others stay together
    too_large: str | None = None
    undivided: tuple[str, ...] = ()  # lines about cohorts that stay whole

    def divide(self, cohorts: Sequence[Cohort]) -> list[Pieces]:
        divided = []
        for arms in cohorts:
            pieces: dict[int, list[Arm]] = {}
            for arm in arms:
                pieces.setdefault(self.pieces.get(arm.name, -1), []).append(arm)
            divided.append([pieces[number] for number in sorted(pieces)])
        return divided


def usual_workers(run: RunConfig, threads: int, jobs: int) -> int:
    """`run.workers`; or one for each core and thread, on GPUs `run.per_device` for each, elsewhere one for each job."""
    if run.workers != AUTO:
        return int(run.workers)
    if run.remote:
        return max(1, jobs)
    return count_memories(run) * run.per_device if run.on_gpu else max(1, run.processes // max(1, threads))


def pack_study(study: PlannedStudy, sizes: Sizes | None = None) -> PackedStudy:
    """The study with its cohorts packed into jobs, and the number of jobs at a time.

    Networks are measured, so parts of the user run: in a fork, and if that fails, cohorts stay whole. `sizes`: takes
    what is measured, for a price, which says what is wrong; then it is done here.
    """
    kept = _kept_jobs(study.folder)
    if sizes is not None:
        packing = _packing(study, kept, sizes)
    else:
        try:
            packing = in_fork(lambda: _packing(study, kept, Sizes()))
        except UserError as error:
            usual = usual_workers(study.run, study.threads, len(study.plan.jobs))
            why = f"cohorts are not divided: {error.brief}"
            packing = Packing(usual, memory_bound(study.run, usual), undivided=(why,))
        for line in (*packing.undivided, packing.too_large):
            if line:
                show(one_line(line))
    own = {one.name: getattr(study, one.name) for one in fields(PlannedStudy)}
    own["plan"] = packed(study.plan, study.folder, packing.divide, kept)
    return PackedStudy(**own, workers=packing.workers, bound=packing.bound, too_large=packing.too_large)


def _packing(study: PlannedStudy, kept: Kept, sizes: Sizes) -> Packing:
    run, at_once = study.run, usual_workers(study.run, study.threads, len(study.plan.jobs))
    bound, whole = memory_bound(run, at_once), memory_bound(run, 1)
    costs = CohortCosts(run, study.threads, bound, sizes)
    if bound is not None and whole is not None and run.workers == run.memory == AUTO and at_once > 1:
        plan, fixed = packed(study.plan, study.folder, Packing(1, None).divide, kept), {one.id for one in kept.values()}
        largest = max((costs.largest(arms, job.id in fixed) for job, arms in _to_run(plan, study.folder)), default=0)
        at_once = min(at_once, count_memories(run) * max(1, whole // max(1, largest)))
        bound = max(1, whole // -(-at_once // count_memories(run)))
    # Jobs on one GPU share it, so that dividing a cohort for them saves no time. Where each job gets a worker, none is
    # idle.
    units = min(at_once, count_memories(run)) if run.on_gpu else at_once
    units = 1 if run.remote and run.workers == AUTO else units
    pieces: dict[str, int] = {}
    undivided: list[str] = []

    def divide(cohorts: Sequence[Cohort]) -> list[Pieces]:
        left = list(cohorts)
        while True:
            try:
                made = pack(
                    left, workers=units, bound=bound,
                    memory=costs.memory, weight=costs.weight, seconds=costs.seconds,
                )  # fmt: skip
                break
            except UserError:
                failures = [sizes.failure(arms) for arms in left]
                if not any(failures):
                    raise
                undivided.extend(f"a cohort is not divided: {why}" for why in failures if why)
                left = [arms for arms, why in zip(left, failures, strict=True) if why is None]
        for number, piece in enumerate(piece for own in made for piece in own):
            pieces.update(dict.fromkeys((arm.name for arm in piece), number))
        return Packing(at_once, bound, pieces).divide(cohorts)

    plan = packed(study.plan, study.folder, divide, kept)
    needs = [costs.largest(arms, fixed=True) for _, arms in _to_run(plan, study.folder)]
    over = [need for need in needs if bound is not None and need > bound]
    text = _too_large(over, bound, whole, run) if over and bound is not None and whole is not None else None
    return Packing(at_once, bound, pieces, text, tuple(undivided))


def _too_large(needs: Sequence[int], bound: int, whole: int, run: RunConfig) -> str:
    """What to type where jobs need more memory than they may use. `whole`: bytes for a single job."""
    least, most = size(min(needs)), size(max(needs))
    if run.memory != AUTO:
        hint = f"run.memory={math.ceil(10 * max(needs) / GIB) / 10:g}, if there is so much"
    elif whole >= max(needs):
        hint = f"run.workers={count_memories(run) * (whole // max(needs))}"
    else:
        hint = "optim.streams.micro_batch=16 optim.fusion.micro_batch=16, or less"
    jobs = "1 job needs" if len(needs) == 1 else f"{len(needs)} jobs need"
    need = least if least == most else f"{least} … {most}"
    return f"{jobs} {need} with a margin, and may use {size(bound)} each: type {hint}"


def _to_run(plan: Plan, folder: Path) -> Iterator[tuple[Job, list[Arm]]]:
    """The jobs that train, with their arms that are not published."""
    for job in plan.jobs:
        published, arms = job.published(folder), job.arms
        if published.is_dir():
            arms = tuple(name for name in arms if job.kind == "cohort" and not (published / name).is_dir())
        if arms:
            yield job, [plan.arm(name) for name in arms]


def packed(
    plan: Plan, folder: Path, divide: Callable[[Sequence[Cohort]], list[Pieces]], kept: Kept | None = None
) -> Plan:
    """The plan with each cohort divided into jobs; arms that are kept in a job of the study's folder stay there.

    `kept`: the jobs of these arms, where they were read before.
    """
    kept = _kept_jobs(folder) if kept is None else kept
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
    return Plan.of(plan.command, plans.needing_first(made, arms), arms, plan.refused)


def _key(arm: Arm) -> tuple[str, str]:
    return arm.kind, arm.signature


def _free(name: str, taken: set[str]) -> str:
    """The name of a piece, with a number where an earlier packing had a piece of this name."""
    names = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 2))]
    return next(one for one in names if one not in taken)


def _kept_jobs(folder: Path) -> Kept:
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

    def largest(self, arms: Cohort, fixed: bool) -> int:
        """The memory of the largest job that cannot be divided: of all arms if `fixed` or if they fit, else of one.

        0 where it is unknown.
        """
        try:
            if self.bound is None:
                return 0
            need = self.memory(arms)
            return need if fixed or need <= self.bound else max(self.memory([arm]) for arm in arms)
        except UserError:
            return 0

    def weight(self, arm: Arm) -> float:
        """Multiply-adds of the arm's own layers for a clip, 0 if it is not trained."""
        sized = self.sizes.of(arm)
        return float(net_macs(sized.trained)) if sized.size.trained_parameters else 0.0

    def seconds(self, arms: Cohort) -> float:
        """The time of a job, by its multiply-adds."""
        key = self._key(arms)
        if key not in self._seconds:
            clips = self.data.clips(config_of(arms[0])) or UNKNOWN
            work = work_of([self.sizes.of(arm) for arm in arms], self.sizes, clips, self.run.asked)
            assert work is not None, "the number of clips is known"
            rate = GPU_RATE if self.run.on_gpu else RATE * self.threads
            self._seconds[key] = START + work.macs / rate
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
        return round(MARGIN * self.sizes.cohort_memory(arms, on_gpu=self.run.on_gpu))

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
