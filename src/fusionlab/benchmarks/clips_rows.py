"""Rows on networks of clips: cut into segments, relative to the whole network; S3D relative to I3D.

A step is forward and backward of a small batch of clips, on the CPU. The time is measured side by side, as that of the
processor: one thread does all the work, and a step is long enough for others to interrupt it. Memory, the most that a
step holds at a time, and multiply-adds are counted on the meta device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fusionlab.backbones.graph import build_quietly
from fusionlab.backbones.inception import Inception3d
from fusionlab.backbones.torchvision_nets import Torchvision
from fusionlab.backbones.tower import Tower
from fusionlab.benchmarks.measure import BenchRow
from fusionlab.benchmarks.side_by_side import side_by_side
from fusionlab.data.processes import keep_memory
from fusionlab.sizes.memory_meter import MemoryMeter
from fusionlab.training.recipe import FLOAT32, configure_torch

SECONDS = 90.0  # a comparison
CLASSES = 400
MOST = 1.03  # limit of time and of memory, relative to the whole
TRADE_OFF = (1, 16, 112)  # clips, frames and size of S3D against I3D
PAPERS = (64, 224)  # frames and size with which multiply-adds are counted


@dataclass(frozen=True)
class Case:
    """A network of torchvision, and a batch of clips for it."""

    name: str
    clips: int
    frames: int
    size: int

    def __str__(self) -> str:
        return f"{self.name}, {self.clips} × {self.frames} frames of {self.size} px, cpu"

    def batch(self) -> tuple[Tensor, Tensor]:
        shape = (self.clips, 3, self.frames, self.size, self.size)
        return torch.zeros(shape) if torch.empty(0).is_meta else torch.randn(shape), torch.arange(self.clips)

    def nets(self) -> tuple[Torchvision, nn.Module]:
        """The chain and the whole, in training."""
        tower = Torchvision(3, CLASSES, self.size, self.frames, name=self.name)
        return tower.train(), build_quietly(tower.build).train()


I3D = partial(Inception3d, kernels="3d")
S3D = partial(Inception3d, kernels="separable", padding="torchvision")
# torchvision's S3D takes no frames below 209 pixels, and no clips below 13.
CASES = (Case("r3d_18", 2, 8, 64), Case("s3d", 1, 13, 209))


def rows() -> Iterator[BenchRow]:
    configure_torch(FLOAT32, threads=1)
    keep_memory()
    for case in CASES:
        chain, whole = case.nets()
        batch = case.batch()
        one, other = partial(step, chain, *batch), partial(step, whole, *batch)
        ratio = side_by_side(one, other, SECONDS, clock=time.process_time)
        what = "chain of segments, forward + backward, relative to the whole network"
        yield BenchRow(f"{what}: {case}, {ratio.pairs} pairs", ratio.median, "×", MOST, ratio.interval)
        yield BenchRow(f"its memory, likewise: {case}", memory(case), "×", MOST)
    yield from trade_off()


def trade_off() -> Iterator[BenchRow]:
    """Separable kernels against whole ones: the S3D paper finds them more accurate and cheaper."""
    yield BenchRow("S3D, multiply-adds relative to I3D's: 64 frames of 224 px", macs(S3D) / macs(I3D), "×", 1.0)
    clips, frames, size = TRADE_OFF
    batch = torch.randn(clips, 3, frames, size, size), torch.arange(clips)
    one, other = (partial(step, make(3, CLASSES, size).train(), *batch) for make in (S3D, I3D))
    ratio = side_by_side(one, other, SECONDS, clock=time.process_time)
    what = f"S3D, forward + backward, relative to I3D: {clips} × {frames} frames of {size} px, cpu, {ratio.pairs} pairs"
    yield BenchRow(what, ratio.median, "×", 1.0, ratio.interval)


def macs(make: Callable[..., Tower]) -> int:
    """Multiply-adds of one clip."""
    frames, size = PAPERS
    with torch.device("meta"), torch.no_grad():
        tower, clip = make(3, CLASSES, size).eval(), torch.zeros(1, 3, frames, size, size)
        with FlopCounterMode(display=False) as counter:
            tower(clip)
    return counter.get_total_flops() // 2


def step(net: nn.Module, x: Tensor, label: Tensor) -> Tensor:
    net.zero_grad(set_to_none=True)
    loss = F.cross_entropy(net(x).flatten(1), label)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def memory(case: Case) -> float:
    """The most bytes that a step of the chain holds, relative to a step of the whole; without the parameters."""
    most = []
    with torch.device("meta"):
        batch = case.batch()
        for net in case.nets():
            with MemoryMeter([*batch, *net.parameters(), *net.buffers()]) as meter:
                step(net, *batch)
            most.append(meter.most)
    return most[0] / most[1]
