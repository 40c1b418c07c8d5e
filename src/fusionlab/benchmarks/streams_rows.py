"""Rows on a stream's step relative to the best bare loop; both read each batch from the same store.

The bare loop runs in each layout of memory, and the fastest is compared. It neither measures nor clips a gradient, and
asks no arm whether it goes on. Times are those of the processor, of one thread.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from fusionlab.backbones.initialise import initialise
from fusionlab.benchmarks import bare_stream
from fusionlab.benchmarks.cohort_case import SMALL, CohortCase, stepper
from fusionlab.benchmarks.measure import BenchRow
from fusionlab.benchmarks.side_by_side import side_by_side
from fusionlab.config import build
from fusionlab.data.processes import keep_memory
from fusionlab.training.cohort import Batch, Cohort
from fusionlab.training.recipe import FLOAT32, configure_torch
from fusionlab.two_stream.net import Stream, StreamNet
from fusionlab.two_stream.trunk import Trunk

SECONDS = 60.0  # a comparison, with
CAREFUL = 2  # times as long where there is a limit: the interval has to decide
TRIED = 2  # steps in each layout
# Clips of brush as large as the papers', packed as real videos are; `FEW`: one for each class and group.
LARGE = (
    "data.dataset.binding=0", "data.store.size=256", "data.store.codec.frames=jpeg",
    "data.store.codec.flow=lz4", "data.sampling.crop=224", "data.sampling.fields=10",
)  # fmt: skip
FEW = "data.dataset.what=1"


@dataclass(frozen=True)
class Case:
    """A tower and what it is trained on. `least`: limit of the speed relative to the bare loop's."""

    name: str
    options: tuple[str, ...]
    least: float | None = None


CASES = (
    Case("vgg_m 224 px, 8 frames", ("backbone=vgg_m", "optim=sgd", "optim.streams.batch_size=8", *LARGE, FEW), 0.95),
    Case("tiny 48 px, 32 frames", SMALL),
)


def rows() -> Iterator[BenchRow]:
    configure_torch(FLOAT32, threads=1)
    keep_memory()
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            made = CohortCase(Path(folder), ["fusion=conv", *case.options])
            for stream in ("appearance", "motion"):
                yield row(case, made, stream)


def row(case: Case, made: CohortCase, stream: Stream) -> BenchRow:
    """The speed of a stream's step: above 1, it is faster than the bare loop."""
    config = made.stream(stream)
    recipe = config.stage.recipe
    tower = build.tower(config.tower, stream, config.data, len(made.data.dataset.classes))
    initialise(tower, 0, prefix=f"{stream}.")
    loaders = made.data.module(config, config.data.sampling.stream_snippets)

    def batches() -> Iterator[Batch]:
        while True:
            yield from loaders.train_dataloader()

    def bare(layout: str) -> Callable[[], None]:
        return bare_stream.stepper(tower, stream, recipe, batches(), layout)

    best = min(bare_stream.LAYOUTS, key=lambda layout: seconds(bare(layout)))
    cohort = Cohort(Trunk(), {stream: StreamNet(deepcopy(tower), stream)}, recipe, seed=0)
    limit = SECONDS * (1 if case.least is None else CAREFUL)
    ratio = side_by_side(bare(best), stepper(cohort, batches()), limit, clock=time.process_time)
    what = f"speed of a step of the {stream} stream, with its reading, relative to a bare loop ({best})"
    return BenchRow(
        f"{what}: {case.name}, CPU time, {ratio.pairs} pairs", ratio.median, "×", interval=ratio.interval,
        least=case.least,
    )  # fmt: skip


def seconds(step: Callable[[], None]) -> float:
    """The least time of some steps, after a first one."""
    step()
    times = []
    for _ in range(TRIED):
        begun = time.process_time()
        step()
        times.append(time.process_time() - begun)
    return min(times)
