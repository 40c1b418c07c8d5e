"""Rows on checkpoints: of a cohort of VGG-M, against `torch.save` of the same content.

The arms are built from their configs and take one step of their optimiser; their weights do not matter here.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from fusionlab.benchmarks.measure import BenchRow
from fusionlab.benchmarks.side_by_side import side_by_side
from fusionlab.config import build
from fusionlab.config.schema import ArmConfig
from fusionlab.planning.grid import plan_study
from fusionlab.training import checkpoint
from fusionlab.training.cohort import Cohort
from fusionlab.training.recipe import FLOAT32, configure_torch
from fusionlab.training.weights import copy_to_cpu
from fusionlab.two_stream.trunk import Trunk

OPTIONS = ("backbone=vgg_m", "data=ucf101", "layer=relu5", "fusion=sum,max,cat,conv,product")
CLASSES = 101
SECONDS = 60.0  # a comparison
PAIRS = 6
SPARE = 1 << 30  # bytes of the disk that stay free


def rows() -> Iterator[BenchRow]:
    configure_torch(FLOAT32, threads=1)
    cohort, optimiser = made_cohort(OPTIONS, CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        yield from compared(cohort, optimiser, Path(folder))


def made_cohort(options: tuple[str, ...], classes: int) -> tuple[Cohort, torch.optim.Optimizer]:
    """The fused arms of a grid in mid-training: with best weights, and with the states of their optimiser."""
    arms = {arm.name: ArmConfig.of(arm.config) for arm in plan_study(list(options)).plan.arms if arm.kind == "fused"}
    first = next(iter(arms.values()))
    towers = build.towers(first.backbone, first.data, classes)
    nets = {name: build.net(config, *towers) for name, config in arms.items()}
    cohort = Cohort(Trunk(*towers), nets, first.stage.recipe, seed=0)
    optimiser = cohort.configure_optimizers()
    for arm in cohort.arms.values():
        arm.best = copy_to_cpu(arm.net.state_dict())
        for parameter in arm.trained:
            parameter.grad = torch.zeros_like(parameter)
        optimiser.step()
        arm.drop_gradients()
    return cohort, optimiser


def compared(cohort: Cohort, optimiser: torch.optim.Optimizer, folder: Path) -> Iterator[BenchRow]:
    """Against `torch.save` and the wait for the disk; then against `torch.save` alone, which returns earlier."""
    content = checkpoint.content_of(cohort, optimiser)
    bare, ours = folder / "bare.pt", folder / "ours"
    ours.mkdir()

    def save() -> None:
        torch.save(content, bare)

    def save_to_disk() -> None:
        with bare.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())

    gigabytes = bytes_of(content) / 1e9
    what = f"checkpoint of {len(cohort.arms)} arms of VGG-M ({gigabytes:.1f} GB), relative to a bare torch.save"
    for plain, more, most in ((save_to_disk, " and fsync", 1.2), (save, "", None)):
        if shutil.disk_usage(folder).free < 3 * bytes_of(content) + SPARE:
            yield BenchRow(what + more, None, "×", most, missing="the disk has too little space")
            continue
        ratio = side_by_side(lambda: checkpoint.write(ours, cohort, optimiser), plain, SECONDS, untimed=2, least=PAIRS)
        yield BenchRow(f"{what}{more}: {ratio.pairs} pairs", ratio.median, "×", most, ratio.interval)
        bare.unlink()
        (ours / checkpoint.FILE).unlink()


def bytes_of(content: Any) -> int:
    """Bytes of all tensors."""
    if isinstance(content, torch.Tensor):
        return content.numel() * content.element_size()
    nested = content.values() if isinstance(content, dict) else content if isinstance(content, list | tuple) else ()
    return sum(map(bytes_of, nested))
