"""The price of a plan: for each job its time, memory, work and disk; by stage; and what sharing saves.

Nothing is run, written or allocated: sizes come from shapes, times from earlier records of this machine class or from
a calibration. What is unknown is None, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import SourceConfig, config_of
from fusionlab.errors import UserError, one_line
from fusionlab.jobs.job_data import VIDEOS
from fusionlab.pricing import disk_sizes
from fusionlab.pricing.arm_states import TO_RUN, States, states_of
from fusionlab.pricing.calibrate import Calibration, calibrate, read_calibration
from fusionlab.pricing.calibrate_store import calibrate_store, read_rates
from fusionlab.pricing.clip_counts import DataSets
from fusionlab.pricing.job_work import Work, other_tests, videos_of, work_of
from fusionlab.pricing.machine_class import Machine
from fusionlab.pricing.missing_tests import MissingTests, missing_tests
from fusionlab.pricing.past_jobs import PastJob, past_jobs
from fusionlab.pricing.speeds import Speed, Speeds
from fusionlab.pricing.store_time import store_seconds
from fusionlab.records.other_tests import Asked
from fusionlab.sizes.memory_bound import memory_bound
from fusionlab.sizes.sizing import Sized, Sizes, checkpoint_bytes, content_key, state_bytes
from fusionlab.study.plan import Arm, Job, Plan
from fusionlab.video.codecs import RAW
from fusionlab.video.store import Coding, Store

COMPACT = Coding("jpeg", "lz4")  # what is shown beside a store that takes much
NO_CLIPS = "unknown: the lists of this data set are not there, so the number of clips is not known"
NO_RECORD = "unknown: no record of these towers on this machine class; add calibrate=true"


@dataclass(frozen=True)
class JobPrice:
    """One job. `seconds`: None if unknown, and `source` then says why. `disk`: bytes that stay when it is done."""

    id: str
    kind: str
    state: str
    arms: int
    arms_left: int
    seconds: float | None  # of the arms that are left
    whole: float | None  # of all of its arms, as if nothing were done
    source: str
    memory: int | None
    measured: bool  # whether the memory is one that earlier jobs had
    work: Work | None  # of all of its arms
    weights: int | None  # bytes of weights and predictions that it keeps
    checkpoint: int | None  # bytes of its last checkpoint; 0: it writes none
    stays: bool  # whether its checkpoint stays when it is done
    store: disk_sizes.StoreSize | None = None

    @property
    def disk(self) -> int | None:
        """Bytes that a job which trains leaves behind."""
        return None if self.weights is None or self.checkpoint is None else self.weights + self.stays * self.checkpoint


@dataclass(frozen=True)
class Sharing:
    """One process for each cell, with two streams and a trunk of its own, against this plan. None: unknown."""

    cells: int
    macs: int
    shared_macs: int
    seconds: float | None
    shared_seconds: float | None


@dataclass(frozen=True)
class StudyPrice:
    """`sizes`: of the first of all arms that differ in their seeds only."""

    plan: Plan
    folder: Path
    states: States
    machine: Machine
    workers: int
    bound: int | None  # bytes that a job may use
    jobs: tuple[JobPrice, ...]
    sharing: Sharing | None
    sizes: Mapping[str, ArmSize]
    compact: Mapping[str, disk_sizes.StoreSize]  # store's job -> its size with COMPACT
    archives: Mapping[str, int]  # data set that is not there -> bytes of its video files, where they are known
    data_free: int | None
    root_free: int | None
    one_disk: bool  # whether run.data and run.root lie on one
    equal: int = 0  # cells that are the same arm as another one
    keep: str = "best"  # run.keep
    too_large: str | None = None  # a line about jobs that need more memory than `bound`
    missing: tuple[str, ...] = ()  # lines about files of weights
    asked: Asked = field(default_factory=Asked)  # other tests of each net
    untested: MissingTests | None = None  # those of arms that are done; None: none

    @property
    def arm_counts(self) -> dict[str, int]:
        """State -> number of arms, with the refused cells."""
        refused = len(self.plan.refused)
        return self.states.arm_counts | ({"refused": refused} if refused else {})

    def of_kind(self, kind: str) -> list[JobPrice]:
        return [job for job in self.jobs if job.kind == kind]


@dataclass(frozen=True)
class ArmSize:
    """Numbers of an arm and of all that differ from it in their seeds only."""

    kind: str
    arms: int
    parameters: int
    trained_parameters: int
    macs: int


@dataclass(frozen=True)
class Measured:
    """What is known of arms that one job trains."""

    work: Work | None = None
    memory: int | None = None
    weights: int | None = None
    checkpoint: int | None = None
    why: str | None = None


class Pricing:
    """Prices the jobs of one plan. `speeds`: where times come from."""

    def __init__(self, plan: Plan, folder: Path, run: RunConfig, *, workers: int, sizes: Sizes | None = None) -> None:
        """`sizes`: those that have been measured already."""
        self.plan, self.folder, self.run, self.workers = plan, folder, run, workers
        self.machine = Machine.here(run)
        self.sizes, self.data = sizes or Sizes(), DataSets(run)
        self.by_name = {arm.name: arm for arm in plan.arms}
        self.contents = {arm.name: content_key(arm) for arm in plan.arms}
        self._measured: dict[tuple[str, ...], Measured] = {}
        self._times: dict[tuple[str, ...], tuple[float | None, str, Speed | None]] = {}

    @cached_property
    def past(self) -> list[PastJob]:
        return past_jobs(self.run.root, self.machine)

    @property
    def has_history(self) -> bool:
        """Whether anything has run here before."""
        return bool(self.past or self.stores or self.calibration.jobs)

    @cached_property
    def calibration(self) -> Calibration:
        """What was calibrated on this machine class before."""
        return read_calibration(self.run.root, self.machine.name)

    def calibrate(self, say: Callable[[str], None]) -> None:
        """Measure the jobs that are to run, except those whose arms have run before."""
        jobs = [job for job in self.plan.jobs if job.kind != "prepare" and not self.speeds.knows(self._arms_of(job))]
        self.calibration = calibrate(replace(self.plan, jobs=tuple(jobs)), self.run, self.machine.name, say=say)
        del self.speeds
        for source in map(source_of, (job for job in self.plan.jobs if job.kind == "prepare")):
            extent = self.data.extent(source)
            if self.data.store(source) is None and extent is not None and extent.size is not None:
                calibrate_store(source, self.run, self.machine.name, extent.size, say)

    @cached_property
    def speeds(self) -> Speeds:
        return Speeds(self.past, self.calibration, self.sizes, self.data)

    def _arms_of(self, job: Job) -> list[Arm]:
        return [self.by_name[name] for name in job.arms]

    @cached_property
    def stores(self) -> list[Store]:
        return disk_sizes.stores_below(self.run.data)

    def price(self) -> StudyPrice:
        states = states_of(self.plan, self.folder, self.run, self.data)
        jobs = tuple(self._prepare(job, states) if job.kind == "prepare" else self._train(job, states)
                     for job in self.plan.jobs)  # fmt: skip
        return StudyPrice(
            self.plan, self.folder, states, self.machine, self.workers, memory_bound(self.run, self.workers), jobs,
            self._sharing(jobs), self._arm_sizes(), self._compact(), self._archives(),
            disk_sizes.free_bytes(self.run.data), disk_sizes.free_bytes(self.run.root),
            disk_sizes.on_one_disk(self.run.data, self.run.root), keep=self.run.keep,
            asked=self.run.asked,
            untested=missing_tests(self.plan, states, self.run.asked, self.sizes, self.speeds),
        )  # fmt: skip

    # -- jobs

    def _train(self, job: Job, states: States) -> JobPrice:
        arms, left = self._arms_of(job), [self.by_name[name] for name in states.left(job)]
        own = self._measure(arms)
        whole, source, speed = self._seconds(job, arms)
        seconds = 0.0 if not left else whole if len(left) == len(arms) else self._seconds(job, left)[0]
        peak = speed.peak if speed is not None and speed.same else None
        measured = peak is not None and speed is not None and not speed.tried
        memory = peak if measured else max((size for size in (peak, own.memory) if size is not None), default=None)
        return JobPrice(
            job.id, job.kind, states.jobs[job.id], len(arms), len(left), seconds, whole, source, memory,
            measured, own.work, own.weights, own.checkpoint if self._writes(own.work, whole) else 0,
            self.run.keep == "last",
        )  # fmt: skip

    def _writes(self, work: Work | None, seconds: float | None) -> bool:
        return self.run.checkpoints.expected(None if work is None else work.steps, seconds)

    def _seconds(self, job: Job, arms: Sequence[Arm]) -> tuple[float | None, str, Speed | None]:
        """The time of these arms together, where it comes from, and the speed; once for all seeds."""
        whole = self._arms_of(job)
        key = tuple(self.contents[arm.name] for arm in arms)
        if key not in self._times:
            own = self._measure(arms)
            speed = None if own.work is None else self.speeds.of(arms, whole)
            seconds = None if own.work is None or speed is None else speed.seconds(own.work)
            if speed is None or seconds is None:
                reason = self.calibration.reason(whole)
                why = own.why or (f"unknown: its calibration: {reason}" if reason else NO_RECORD)
                self._times[key] = None, why, None
            else:
                self._times[key] = seconds, speed.source, speed
        return self._times[key]

    def _measure(self, arms: Sequence[Arm]) -> Measured:
        """Once for all seeds. A user's part may not run without weights; then nothing is known of its job."""
        key = tuple(self.contents[arm.name] for arm in arms)
        if key not in self._measured:
            try:
                self._measured[key] = self._on_shapes(arms)
            except UserError as error:
                why = self.sizes.failure(arms) or one_line(error.brief)
                self._measured[key] = Measured(why=f"unknown: {why}")
        return self._measured[key]

    def _on_shapes(self, arms: Sequence[Arm]) -> Measured:
        sized = [self.sizes.of(arm) for arm in arms]
        clips = self.data.clips(config_of(arms[0]))
        memory = self.sizes.cohort_memory(arms, on_gpu=self.on_gpu)
        listed = 0 if clips is None else clips.test, classes_of(sized[0])
        rows = disk_sizes.prediction_bytes(*listed)
        heads = sum(disk_sizes.heads_bytes(*listed, len(one.net.head_names)) for one in sized)
        kept = arms[0].kind == "stream" or self.run.keep != "none"
        if clips is not None:
            heads += sum(
                disk_sizes.test_bytes(videos_of(test, clips), listed[1], one.net)
                for test, own in other_tests(sized, self.run.asked).items()
                for one in own
            )
        weights = heads + sum(kept * state_bytes(one.net) + rows * (1 + len(one.net.apart)) for one in sized)
        work, why = work_of(sized, self.sizes, clips, self.run.asked), None if clips is not None else NO_CLIPS
        return Measured(work, memory, weights, checkpoint_bytes(sized), why)

    @cached_property
    def on_gpu(self) -> bool:
        return self.run.on_gpu

    def _prepare(self, job: Job, states: States) -> JobPrice:
        source = source_of(job)
        packed, extent = self.data.store(source), self.data.extent(source)
        size = disk_sizes.store_size(source, extent, packed, self.stores)
        rates = read_rates(self.run.root, self.machine.name)
        seconds, text = store_seconds(source, extent, self.stores, rates, self.run.processes)
        left, text = (seconds, text) if packed is None else (0.0, "it is packed")
        state = states.jobs[job.id] if packed is None else "done"
        return JobPrice(job.id, job.kind, state, 0, 0, left, seconds, text, None, False, None, 0, 0, False, size)

    # -- all of it

    def _sharing(self, jobs: Sequence[JobPrice]) -> Sharing | None:
        """Cell by cell: an arm above two streams trains these two itself."""
        plan_macs = [job.work.macs if job.work is not None else None for job in jobs if job.kind != "prepare"]
        if None in plan_macs:
            return None
        streams = {self.by_name[job.arms[0]].signature: job for job in self.plan.jobs if job.kind == "stream"}
        macs, seconds, cells = 0, 0.0, 0
        known: dict[Any, tuple[int, float | None]] = {}
        unknown = False
        by_id = {job.id: job for job in self.plan.jobs}
        for arm in self.plan.arms:
            below = [self.by_name[streams[one].arms[0]] for one in arm.config.get("stage_one", {}).values()]
            for one in (*below, arm):
                key = self.contents[one.name]
                if key not in known:
                    work = self._measure([one]).work
                    known[key] = 0 if work is None else work.macs, self._seconds(by_id[one.job], [one])[0]
                macs += known[key][0]
                unknown |= known[key][1] is None
                seconds += known[key][1] or 0.0
            cells += 1
        trained = [job.whole for job in jobs if job.kind != "prepare"]
        ours = None if None in trained else sum(one or 0.0 for one in trained)
        return Sharing(cells, macs, sum(one or 0 for one in plan_macs), None if unknown else seconds, ours)

    def _arm_sizes(self) -> dict[str, ArmSize]:
        groups: dict[str, list[Arm]] = {}
        for arm in self.plan.arms:
            groups.setdefault(self.contents[arm.name], []).append(arm)
        sizes = {}
        for arms in groups.values():
            if self._measure(arms[:1]).memory is None:
                continue
            one = self.sizes.of(arms[0])
            numbers = one.size.parameters, one.size.trained_parameters, one.costs.macs
            sizes[arms[0].name] = ArmSize(arms[0].kind, len(arms), *numbers)
        return sizes

    def _compact(self) -> dict[str, disk_sizes.StoreSize]:
        """Of stores that are not packed, and not compact: what they would take if they were."""
        found: dict[str, disk_sizes.StoreSize] = {}
        for job in self.plan.jobs:
            if job.kind != "prepare":
                continue
            source = source_of(job)
            size = disk_sizes.store_size(source, self.data.extent(source), None, self.stores, COMPACT)
            if size is not None and self.data.store(source) is None and source.store.codec.frames == RAW:
                found[job.id] = size
        return found

    def _archives(self) -> dict[str, int]:
        """Data sets whose folder is not there yet."""
        found: dict[str, int] = {}
        for job in self.plan.jobs:
            if job.kind == "prepare":
                source = source_of(job)
                extent, name = self.data.extent(source), str(source.dataset.get("name"))
                if extent is not None and extent.archive and not (Path(self.run.data) / VIDEOS / name).exists():
                    found[name] = extent.archive
        return found


def source_of(job: Job) -> SourceConfig:
    """What a job that prepares packs."""
    return SourceConfig.of(job.config, RunConfig.of(job.config).quarantine)


def classes_of(one: Sized) -> int:
    return next(iter(one.towers.values())).classes


def left_seconds(jobs: Sequence[JobPrice]) -> float | None:
    """Of all jobs that are left, one after the other; None if one of them is unknown."""
    times = [job.seconds for job in jobs if job.state in TO_RUN]
    return None if None in times else sum(one or 0.0 for one in times)


def running_checkpoints(jobs: Sequence[JobPrice], workers: int) -> int:
    """Bytes of checkpoints while `workers` jobs run, beyond those that stay: a new one lies beside the old one."""
    sizes = [(2 - job.stays) * (job.checkpoint or 0) for job in jobs if job.state in TO_RUN]
    return sum(sorted(sizes)[-workers:])


def wall_seconds(jobs: Sequence[JobPrice], workers: int) -> float | None:
    """Of all jobs of one stage that are left, `workers` at a time; a store is packed by all processes together."""
    total, times = left_seconds(jobs), [job.seconds or 0.0 for job in jobs if job.state in TO_RUN]
    if total is None or not times or jobs[0].kind == "prepare":
        return total
    return max(total / workers, *times)
