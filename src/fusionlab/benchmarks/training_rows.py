"""Rows on training: a small store of brush, its loader, a cohort's step, a stream's step, two halves, a publication.

All of them use the cohort's own steps, see `cohort_case`. Times are those of one thread.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from statistics import median

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.tower import Tower
from fusionlab.benchmarks import bare_stream
from fusionlab.benchmarks.cohort_case import BatchesInMemory, CohortCase, GivenMaps, needs_of, stepper
from fusionlab.benchmarks.measure import BenchRow
from fusionlab.benchmarks.side_by_side import interval, side_by_side
from fusionlab.benchmarks.step_servers import StepServers
from fusionlab.config import build
from fusionlab.data.processes import keep_memory
from fusionlab.jobs.job_cost import JobCost
from fusionlab.jobs.recorder import Recorder
from fusionlab.jobs.stages import record_cohort
from fusionlab.planning.packing import balanced
from fusionlab.study.attempt import Attempt
from fusionlab.training.cohort import Batch, Cohort
from fusionlab.training.evaluate import evaluate_cohort
from fusionlab.training.fit import Outcome, fit
from fusionlab.training.recipe import FLOAT32, configure_torch
from fusionlab.two_stream.net import Stream, StreamNet
from fusionlab.two_stream.trunk import Trunk

SECONDS = 20.0  # a comparison
STREAM_STEPS = 150  # of the epoch of stage one; with fewer, the start of Lightning's loop would be measured
COHORT_STEPS = 5  # for each request to a process
PUBLICATIONS = 11


def rows() -> Iterator[BenchRow]:
    configure_torch(FLOAT32, threads=1)  # also for the processes that are started here
    keep_memory()
    with tempfile.TemporaryDirectory() as folder:
        case = CohortCase(Path(folder))
        yield _making(case)
        yield _reading(case)
        yield _company(case)
        yield _stream(case)
        yield _halves(case)
        yield from _publication(case)


def _making(case: CohortCase) -> BenchRow:
    begun = time.perf_counter()
    videos = len(case.data.store.videos)
    made = time.perf_counter() - begun
    what = f"making brush: draw, encode, decode, flow, pack ({len(os.sched_getaffinity(0))} processes)"
    return BenchRow(what, 1000 * made / videos, "ms a clip")


def _reading(case: CohortCase) -> BenchRow:
    module, batch = case.module(), _batch(case)
    step = stepper(case.cohort(), itertools.repeat(batch))
    ratio = side_by_side(lambda: next(iter(module.train_dataloader())), step, SECONDS / 2)
    what = f"reading a batch of {len(batch['label'])} clips, relative to a step of {len(case.arms)} arms"
    return BenchRow(f"{what}: {ratio.pairs} pairs", ratio.median, "×", 0.2, ratio.interval)


def _company(case: CohortCase) -> BenchRow:
    """What a cohort costs beyond what its arms share: below 1, since it also shares the calls of a step."""
    batch, trunk = _batch(case), case.trunk()
    cohort = case.cohort()
    needs = needs_of(cohort)
    maps = GivenMaps(trunk.features(batch, needs))
    alone = [stepper(case.cohort([name], maps), itertools.repeat(batch)) for name in case.arms]

    def apart() -> None:
        trunk.features(batch, needs)
        for step in alone:
            step()

    ratio = side_by_side(stepper(cohort, itertools.repeat(batch)), apart, SECONDS, clock=time.process_time)
    what = f"step of {len(case.arms)} arms in one cohort, relative to the trunk and each arm's own step"
    return BenchRow(f"{what}: CPU time, {ratio.pairs} pairs", ratio.median, "×", 0.92, ratio.interval)


def _stream(case: CohortCase) -> BenchRow:
    epoch = StreamEpoch(case, "motion", STREAM_STEPS)
    ratio = side_by_side(epoch.ours, epoch.bare, SECONDS, untimed=2, clock=time.process_time)
    what = f"epoch of stage one ({STREAM_STEPS} steps of the motion stream), relative to a bare loop, channels-last"
    return BenchRow(f"{what}: CPU time, {ratio.pairs} pairs", ratio.median, "×", 1.25, ratio.interval)


class StreamEpoch:
    """An epoch of stage one as a job trains it, and by a bare loop, on the same batches in memory."""

    def __init__(self, case: CohortCase, stream: Stream, steps: int) -> None:
        config, self.stream = case.stream(stream), stream
        self.tower = build.tower(config.tower, stream, config.data, len(case.data.dataset.classes))
        initialise(self.tower, 0, prefix=f"{stream}.")
        self.recipe = replace(config.stage.recipe, epochs=1, steps=None, validations=0, measure="loss")
        module = case.data.module(config, config.data.sampling.stream_snippets)
        batches = list(module.train_dataloader())
        whole = [batch for batch in batches if len(batch["label"]) == config.stage.batch_size]
        self.train = list(itertools.islice(itertools.cycle(whole), steps))
        self.validation = list(module.val_dataloader())[:1]

    def ours(self) -> Outcome:
        net = StreamNet(deepcopy(self.tower), self.stream)
        cohort = Cohort(Trunk(), {self.stream: net}, self.recipe, seed=0)
        return fit(cohort, BatchesInMemory(self.train, self.validation), job="stream")[self.stream]

    def bare(self) -> tuple[Tower, float]:
        return bare_stream.train(self.tower, self.stream, self.recipe, self.train, self.validation)


def _halves(case: CohortCase) -> BenchRow:
    """The speed-up by dividing a cohort over two workers, as `planning.packing` does where one would be idle."""
    arms = list(case.arms.values())
    halves = [[arm.name for arm in piece] for piece in balanced(arms, 2, lambda _: 1.0)]
    what = f"{len(arms)} arms, stage two, two workers: a step of one cohort, relative to two halves at the same time"
    if len(os.sched_getaffinity(0)) < 2:
        return BenchRow(what, None, "×", missing="this is one core", least=1.45)
    with StepServers(case, [list(case.arms)]) as one, StepServers(case, halves) as two:
        ratio = side_by_side(lambda: one.train(COHORT_STEPS), lambda: two.train(COHORT_STEPS), SECONDS)
    return BenchRow(f"{what}: wall time, {ratio.pairs} pairs", ratio.median, "×", None, ratio.interval, least=1.45)


def _publication(case: CohortCase) -> Iterator[BenchRow]:
    """The time after the last test batch of a cohort, per arm; files are synced."""
    for names in (list(case.arms)[:1], list(case.arms)):
        took = publications(case, names, PUBLICATIONS)
        what = "from an arm's last test batch to its publication"
        if len(names) > 1:
            what = f"the same of {len(names)} arms of one cohort, per arm"
        yield BenchRow(f"{what}: {len(took)} times", median(took), "ms", 50.0, interval(took))


def publications(case: CohortCase, names: Sequence[str], times: int) -> list[float]:
    """The milliseconds per arm, `times` times, of a cohort that was trained for a step."""
    loaders, cohort = case.module(), case.cohort(names)
    loaders.setup()
    for arm in cohort.arms.values():
        arm.recipe = replace(arm.recipe, epochs=1, steps=None, validations=0)
    outcomes = fit(cohort, BatchesInMemory([_batch(case)], list(loaders.val_dataloader())[:1]))
    videos = [video for video, _ in loaders.entries["test"]]
    took = []
    with tempfile.TemporaryDirectory(dir=case.run.root) as folder:
        for number in range(times):
            attempt = Attempt(Path(folder, str(number)), 1)
            attempt.claim_file.parent.mkdir(parents=True)
            attempt.open()
            cost = JobCost("bench", batch=case.config.stage.batch_size, threads=1)
            recorder = Recorder(attempt, case.data, case.run, cost)
            for name in names:
                recorder.prepare(case.arms[name])
            ended: list[float] = []
            scores = evaluate_cohort(cohort, _noting_its_end(loaders.test_dataloader(), ended))
            record_cohort(recorder, cohort, case.arms, outcomes, scores, videos)
            took.append(1000 * (time.perf_counter() - ended[0]) / len(names))
            assert len(list(attempt.published.iterdir())) == len(names)
    return took


def _noting_its_end(loader: Iterable[Batch], ended: list[float]) -> Iterator[Batch]:
    yield from loader
    ended.append(time.perf_counter())


def _batch(case: CohortCase) -> Batch:
    return next(iter(case.module().train_dataloader()))
