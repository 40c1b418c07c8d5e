"""Rows on a GPU: how long a step waits for its batch, and its memory relative to the sum of its parts.

A step is that of conv fusion at relu5 of two VGG-M, with the papers' clips: 224 px, T = 5, a batch of 96, read by the
loaders of a job from a store packed as real videos are. The sum is what `plan` says of the job's memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from fusionlab.benchmarks.cohort_case import CohortCase, stepper
from fusionlab.benchmarks.measure import BenchRow
from fusionlab.benchmarks.streams_rows import LARGE
from fusionlab.data.processes import keep_memory
from fusionlab.planning.pack_study import MARGIN
from fusionlab.sizes.sizing import Sizes
from fusionlab.training.cohort import Batch
from fusionlab.training.recipe import FLOAT32, configure_torch

PAPER = (
    "fusion=conv", "layer=relu5", "backbone=vgg_m", "optim=sgd", "optim.fusion.batch_size=96", *LARGE,
    "data.dataset.what=36", "data.sampling.snippets=5",
)  # fmt: skip
STEPS = 12  # with the first ones, those of an epoch
FIRST = 3  # steps that start loaders and choose algorithms


def rows() -> Iterator[BenchRow]:
    if torch.cuda.is_available():
        yield from rows_on("cuda", PAPER)
    else:
        yield BenchRow("waiting for data, and memory, on a GPU", None, "×", missing="there is none here")


def rows_on(device: str, options: Sequence[str]) -> Iterator[BenchRow]:
    configure_torch(FLOAT32, threads=1)
    keep_memory()
    with tempfile.TemporaryDirectory() as folder:
        case = CohortCase(Path(folder), [*options, f"run.device={device}"])
        loader = Timed(_to_device(case.module().train_dataloader(), device))
        step = stepper(case.cohort().to(device), loader)
        for _ in range(FIRST):
            step()
        _synchronise(device)
        loader.seconds, begun = 0.0, time.perf_counter()
        for _ in range(STEPS):
            step()
            _synchronise(device)
        share = loader.seconds / (time.perf_counter() - begun)
        what = f"{case.config.stage.batch_size} clips of T = {case.config.data.sampling.snippets}"
        yield BenchRow(f"share of a step that waits for its batch: {what}, {STEPS} steps", share, "×", 0.1)
        if device == "cuda":
            known = Sizes().cohort_memory(list(case.arms.values()), on_gpu=True)
            peak = torch.cuda.max_memory_allocated() / known
            yield BenchRow(f"most memory, relative to the sum of its parts: {what}", peak, "×", MARGIN)


class Timed:
    """Batches, and the seconds spent on waiting for them."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self.batches, self.seconds = batches, 0.0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        begun = time.perf_counter()
        batch = next(self.batches)
        self.seconds += time.perf_counter() - begun
        return batch


def _to_device(batches: Iterable[Batch], device: str) -> Iterator[Batch]:
    for batch in batches:
        yield {name: one.to(device) for name, one in batch.items()}


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
