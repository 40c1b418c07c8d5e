"""Rows on networks: a fused network's step relative to its parts, and options that make it faster.

A step is forward and backward: two towers without gradients up to relu5, conv fusion, the layers above, and their
gradients. Measured side by side on the CPU (`rows`), and on a GPU where there is one (`gpu_rows`).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.vgg_m import VggM
from fusionlab.benchmarks import reference_net
from fusionlab.benchmarks.measure import BenchRow
from fusionlab.benchmarks.side_by_side import Ratio, side_by_side
from fusionlab.data.processes import keep_memory
from fusionlab.fusion.conv import Conv
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.training.recipe import FLOAT32, TF32, configure_torch
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.trunk import Trunk

SECONDS = {"cpu": 8.0, "cuda": 2.0}  # a comparison
CAREFUL = 3  # times as long where there is a limit: the interval has to decide
CLASSES = 101
FIELDS = 20  # channels of the motion tower: ten fields of flow
MOST = 1.03  # limit of a network's time, relative to its parts
# The compilers that torch looks for where CXX and CC are not set.
CXX = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
CC = {"darwin": "clang", "win32": "cl"}.get(sys.platform, "gcc")


@dataclass(frozen=True)
class Case:
    """Towers, and a batch for them."""

    name: str
    tower: Callable[..., Tower]
    size: int
    clips: int
    frames: int

    def __str__(self) -> str:
        return f"{self.name} {self.size} px, {self.clips} × {self.frames} frames"


# Large enough that layers take most of the time, and small enough for the machine.
CASES = {
    "cpu": (Case("vgg_m", VggM, 112, 2, 2), Case("tiny", partial(Tiny, width=24), 48, 32, 3)),
    "cuda": (Case("vgg_m", VggM, 224, 32, 5), Case("tiny", partial(Tiny, width=24), 48, 32, 3)),
}


def rows() -> Iterator[BenchRow]:
    yield from rows_on("cpu")


def gpu_rows() -> Iterator[BenchRow]:
    if torch.cuda.is_available():
        yield from rows_on("cuda")
    else:
        yield BenchRow("networks on a GPU", None, "×", missing="there is none here")


def rows_on(device: str) -> Iterator[BenchRow]:
    configure_torch(FLOAT32, threads=1)
    keep_memory()
    for case in CASES[device]:
        yield from Bench(case, device).rows()


class Bench:
    """One network on one device."""

    def __init__(self, case: Case, device: str) -> None:
        self.case, self.device = case, device
        self.where = f"{case}, {torch.cuda.get_device_name() if device == 'cuda' else device}"
        with torch.device(device):
            self.appearance, self.motion = (case.tower(channels, CLASSES, case.size) for channels in (3, FIELDS))
        for tower, stream in ((self.appearance, "appearance"), (self.motion, "motion")):
            initialise(tower, 0, prefix=f"{stream}.")
        self.trunk = Trunk(self.appearance, self.motion)
        self.net = FusedNet(self.appearance, self.motion, Conv, Pool2d, "relu5").train()
        draw = torch.Generator().manual_seed(0)
        self.batch = {
            stream: torch.randint(0, 256, (case.clips, channels, case.frames, case.size, case.size), generator=draw)
            .to(torch.uint8)
            .to(device)
            for stream, channels in (("appearance", 3), ("motion", FIELDS))
        }
        self.batch["label"] = torch.arange(case.clips, device=device) % CLASSES

    def rows(self) -> Iterator[BenchRow]:
        yield self._row(
            "fused network, forward + backward, relative to its parts called by hand", self.fused, self.reference, MOST
        )
        yield self._above()
        contiguous = partial(self.reference, torch.contiguous_format)
        yield self._row("channels-last frames, relative to contiguous ones (by hand)", self.reference, contiguous)
        if self.device == "cuda":
            yield self._row("TF32, relative to float32", self.tf32, self.fused)
        yield self._row("autocast(bf16), relative to float32", self.autocast, self.fused)
        yield self._compiled()

    # -- the losses

    def fused(self) -> Tensor:
        return self.net.loss(self.trunk.features(self.batch, self.net.needs), self.batch["label"])

    def reference(self, layout: torch.memory_format = torch.channels_last) -> Tensor:
        return reference_net.loss(self.appearance, self.motion, self.net, self.batch, layout)

    def tf32(self) -> Tensor:
        """Compute with TF32, in the backward pass too: `_step` sets float32 again."""
        configure_torch(TF32, threads=1)
        return self.fused()

    def autocast(self) -> Tensor:
        with torch.autocast(self.device, torch.bfloat16):
            return self.fused()

    # -- the rows

    def _above(self) -> BenchRow:
        """The overhead of the network without the towers."""
        maps, label = self.trunk.features(self.batch, self.net.needs), self.batch["label"]
        x_a, x_b = (
            reference_net.below(tower, self.batch[stream], "relu5")
            for tower, stream in ((self.appearance, "appearance"), (self.motion, "motion"))
        )
        return self._row(
            "its arm alone, on given maps, relative to its parts called by hand",
            lambda: self.net.loss(maps, label),
            lambda: reference_net.above(self.net, x_a, x_b, label),
        )

    def _compiled(self) -> BenchRow:
        what = "torch.compile, relative to eager"
        missing = missing_for_compiling(self.device)
        if missing is not None:
            return BenchRow(f"{what}: {self.where}", None, "×", missing=missing)
        with _empty_cache():
            compiled = torch.compile(self.fused, fullgraph=True)
            begun = time.perf_counter()
            self._step(compiled)
            took = time.perf_counter() - begun
            row = self._row(f"{what} (after {took:.0f} s of compiling)", compiled, self.fused)
        torch.compiler.reset()
        return row

    def _row(
        self, what: str, one: Callable[[], Tensor], other: Callable[[], Tensor], most: float | None = None
    ) -> BenchRow:
        seconds = SECONDS[self.device] * (1 if most is None else CAREFUL)
        ratio: Ratio = side_by_side(partial(self._step, one), partial(self._step, other), seconds)
        what = f"{what}: {self.where}, {ratio.pairs} pairs"
        return BenchRow(what, ratio.median, "×", most, ratio.interval)

    def _step(self, loss: Callable[[], Tensor]) -> None:
        self.net.zero_grad(set_to_none=True)
        torch.autograd.backward(loss())
        configure_torch(FLOAT32, threads=1)
        if self.device == "cuda":
            torch.cuda.synchronize()


@contextmanager
def _empty_cache() -> Iterator[None]:
    """Without code that was compiled before, so that the time to compile is measured."""
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before


def missing_for_compiling(device: str) -> str | None:
    """The tool that `torch.compile` lacks for a device; None if nothing is missing."""
    if device == "cpu" and shutil.which(os.environ.get("CXX", CXX)) is None:
        return "no C++ compiler"
    if device != "cpu" and importlib.util.find_spec("triton") is None:
        return "no triton"
    if device != "cpu" and shutil.which(os.environ.get("CC", CC)) is None:
        return "no C compiler"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "no header files of Python"
    return None
