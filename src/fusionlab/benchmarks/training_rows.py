"""Rows on training: a small store of brush, its loader, and a cohort's step relative to those of single arms."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from fusionlab.benchmarks.measure import BenchRow
from fusionlab.config import build
from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig
from fusionlab.jobs.job_data import open_data
from fusionlab.two_stream.trunk import Trunk

ARMS = 6


def rows() -> Iterator[BenchRow]:
    with tempfile.TemporaryDirectory() as folder:
        yield from _rows(folder)


def _rows(folder: str) -> Iterator[BenchRow]:
    plain = tree({"fusion": "conv"}).with_leaves(
        {"data.dataset.what": 4, "data.dataset.binding": 1, "run.data": folder}
    )
    config = ArmConfig.of(plain)
    begun = time.perf_counter()
    data = open_data(config.data, RunConfig.of(plain), lambda _: None)
    made = time.perf_counter() - begun
    cores, videos = len(os.sched_getaffinity(0)), len(data.store.videos)
    what = f"making brush: draw, encode, decode, flow, pack ({cores} processes)"
    yield BenchRow(what, 1000 * made / videos, "ms a clip")

    batch_size, module = config.stage.batch_size, data.module(config)
    batch = next(iter(module.train_dataloader()))
    load = _median(lambda: next(iter(module.train_dataloader())))
    appearance, motion = build.towers(config.backbone, config.data, len(data.dataset.classes))
    trunk = Trunk(appearance, motion)
    nets = [build.net(replace(config, seed=replace(config.seed, init=n)), appearance, motion) for n in range(ARMS)]

    def step(some: Sequence[torch.nn.Module]) -> None:
        features = trunk.features(batch, nets[0].needs)
        loss = sum(torch.nn.functional.cross_entropy(net(features).mean(2), batch["label"]) for net in some)
        loss.backward()  # type: ignore[union-attr]

    alone, together = _median(lambda: step(nets[:1])), _median(lambda: step(nets))
    yield BenchRow(f"reading a batch of {batch_size} clips, relative to a training step", load / together, "×", 0.2)
    yield BenchRow(
        f"{ARMS} arms in one cohort, relative to {ARMS} arms each alone", together / (ARMS * alone), "×", 0.6
    )


def _median(action: Callable[[], object], times: int = 9) -> float:
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)
