"""Small towers with weights, their maps, and nets above them, for the tests of this folder."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.testing import load_parts
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import Features, StreamNet
from fusionlab.two_stream.trunk import Trunk

CONF = Path(__file__).parents[2] / "conf"
FUSIONS, HEADS = load_parts(CONF / "fusion"), load_parts(CONF / "temporal")
for name in ("control", "joint"):  # no fusions: see test_control.py
    del FUSIONS[name]
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


def deep(channels: int = 4) -> Tower:
    """A tower whose last block has two convolutions, and one place more along each side than Tiny's at 32."""
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(channels, 4, 3, stride=2, padding=1),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2, 2, padding=1),
        "conv5_1": nn.Conv2d(4, 8, 3, padding=1),
        "relu5_1": nn.ReLU(),
        "conv5_3": nn.Conv2d(8, 8, 3, padding=1),
        "relu5_3": nn.ReLU(),
        "pool5": nn.MaxPool2d(3, 2),
        "fc6": nn.Conv2d(8, 16, 4),
        "relu6": nn.ReLU(),
        "fc8": nn.Conv2d(16, 5, 1),
        "softmax": nn.Softmax(dim=1),
    }
    taps = {name: name for name in layers if name[:4] in ("conv", "relu") and name != "relu6"}
    return Tower(layers, taps | {"fc6": "relu6", "fc8": "fc8", "softmax": "softmax"}, channels, 32, mean=0.0, scale=1.0)
