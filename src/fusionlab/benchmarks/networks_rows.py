"""A fused network's step, forward and backward, against the sum of its parts; and what makes it quicker.

The step is the house's: two towers without gradients up to relu5, conv fusion, the layers above, and their gradients.
All of it is measured side by side, here on the CPU, in `bench_gpu` on a GPU.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.vgg_m import VggM
from fusionlab.benchmarks import reference_net
from fusionlab.benchmarks.compiler import why_not
from fusionlab.benchmarks.row import Row
from fusionlab.benchmarks.side_by_side import Ratio, side_by_side
from fusionlab.data import memory
from fusionlab.fusion.conv import Conv
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.training.precision import FLOAT32, TF32, settle
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.trunk import Trunk

SECONDS = {"cpu": 8.0, "cuda": 2.0}  # a comparison
CAREFUL = 3  # times as long where something is promised: the interval has to decide
CLASSES = 101
FIELDS = 20  # channels of the motion tower: ten fields of flow
MOST = 1.03  # a network may cost so much of its parts


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


# Large enough that layers are what takes the time, and small enough for the machine.
CASES = {
    "cpu": (Case("vgg_m", VggM, 112, 2, 2), Case("tiny", partial(Tiny, width=24), 48, 32, 3)),
    "cuda": (Case("vgg_m", VggM, 224, 32, 5), Case("tiny", partial(Tiny, width=24), 48, 32, 3)),
}


def rows() -> Iterator[Row]:
    yield from on("cpu")


def on(device: str) -> Iterator[Row]:
    settle(FLOAT32, threads=1)
    memory.keep()
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

    def rows(self) -> Iterator[Row]:
        yield self._row("fused network, forward + backward, of its parts by hand", self.fused, self.by_hand, MOST)
        yield self._above()
        contiguous = partial(self.by_hand, torch.contiguous_format)
        yield self._row("channels-last frames, of contiguous ones (by hand)", self.by_hand, contiguous)
        if self.device == "cuda":
            yield self._row("TF32, of float32", self.tf32, self.fused)
        yield self._row("autocast(bf16), of float32", self.autocast, self.fused)
        yield self._compiled()

    # -- the losses

    def fused(self) -> Tensor:
        return self.net.loss(self.trunk.features(self.batch, self.net.needs), self.batch["label"])

    def by_hand(self, layout: torch.memory_format = torch.channels_last) -> Tensor:
        return reference_net.loss(self.appearance, self.motion, self.net, self.batch, layout)

    def tf32(self) -> Tensor:
        """Backwards too: a step ends with the numbers that the next one begins with."""
        settle(TF32, threads=1)
        return self.fused()

    def autocast(self) -> Tensor:
        with torch.autocast(self.device, torch.bfloat16):
            return self.fused()

    # -- the rows

    def _above(self) -> Row:
        """What the machinery costs, with nothing of the towers to hide it."""
        maps, label = self.trunk.features(self.batch, self.net.needs), self.batch["label"]
        x_a, x_b = (
            reference_net.below(tower, self.batch[stream], "relu5")
            for tower, stream in ((self.appearance, "appearance"), (self.motion, "motion"))
        )
        return self._row(
            "its arm alone, above maps at hand, of its parts by hand",
            lambda: self.net.loss(maps, label),
            lambda: reference_net.above(self.net, x_a, x_b, label),
        )

    def _compiled(self) -> Row:
        what = "torch.compile, of eager"
        missing = why_not(self.device)
        if missing is not None:
            return Row(f"{what}: {self.where}", None, "×", missing=missing)
        with _empty_cache():
            compiled = torch.compile(self.fused, fullgraph=True)
            begun = time.perf_counter()
            self._step(compiled)
            took = time.perf_counter() - begun
            row = self._row(f"{what} (after {took:.0f} s of compiling)", compiled, self.fused)
        torch.compiler.reset()
        return row

    def _row(self, what: str, one: Callable[[], Tensor], other: Callable[[], Tensor], most: float | None = None) -> Row:
        seconds = SECONDS[self.device] * (1 if most is None else CAREFUL)
        found: Ratio = side_by_side(partial(self._step, one), partial(self._step, other), seconds)
        what = f"{what}: {self.where}, {found.pairs} pairs"
        return Row(what, found.median, "×", most, found.interval)

    def _step(self, loss: Callable[[], Tensor]) -> None:
        self.net.zero_grad(set_to_none=True)
        torch.autograd.backward(loss())
        settle(FLOAT32, threads=1)
        if self.device == "cuda":
            torch.cuda.synchronize()


@contextmanager
def _empty_cache() -> Iterator[None]:
    """What was compiled another day would make the time to compile nobody's."""
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
