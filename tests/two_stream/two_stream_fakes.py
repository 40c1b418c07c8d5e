"""Small towers with weights, their maps, and nets above them, for the tests of this folder."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.testing.parts import catalogue
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import Features
from fusionlab.two_stream.stream import StreamNet
from fusionlab.two_stream.trunk import Trunk

CONF = Path(__file__).parents[2] / "conf"
FUSIONS, HEADS = catalogue(CONF / "fusion"), catalogue(CONF / "temporal")
N, T, C = 2, 3, 5


def trunk(size_b: int = 32) -> Trunk:
    """Two Tiny towers with random weights, the classifiers' large enough to tell classes apart."""
    appearance, motion = Tiny(3, C, size=32, width=8), Tiny(4, C, size=size_b, width=8)
    for tower, stream in ((appearance, "appearance"), (motion, "motion")):
        StreamNet(tower, stream, seed=0)  # type: ignore[arg-type]
        torch.nn.init.normal_(tower.fc8.weight, generator=torch.Generator().manual_seed(len(stream)))
    return Trunk(appearance, motion)


TRUNK = trunk()
assert TRUNK.appearance is not None and TRUNK.motion is not None
A: Tower = TRUNK.appearance
B: Tower = TRUNK.motion
LAYERS = list(A.taps)


def batch(side: int = 32) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    shapes = {"appearance": (N, 3, T, side, side), "motion": (N, 4, T, side, side)}
    return {k: torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8) for k, shape in shapes.items()}


def features(*layers: str) -> Features:
    return TRUNK.features(batch(), {"appearance": layers, "motion": layers})


def fused(fusion: Any, temporal: Any = Pool2d, layer: str = "relu5", **options: Any) -> FusedNet:
    return FusedNet(A, B, fusion, temporal, layer, **options)


def run(tower: Tower, x: Tensor, after: str, until: str | None = None) -> Tensor:
    """A map of one frame (N, D, H, W), from behind a tap to another tap or to the logits, by the tower's layers."""
    names = list(tower.above(after))
    if until is not None:
        names = names[: names.index(tower.taps[until].after) + 1]
    for name in names:
        x = tower.get_submodule(name)(x)
    return x
