"""Parameters and weighted layers, as the papers count them, for nets of tiny towers."""

from typing import Any

import pytest
import torch
from torch import nn

from fusionlab.backbones.resnet import ResNet18
from fusionlab.backbones.tiny import Tiny
from fusionlab.fusion.bilinear import Bilinear
from fusionlab.fusion.cat import Cat
from fusionlab.fusion.conv import Conv
from fusionlab.fusion.max import Max
from fusionlab.fusion.sum import Sum
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.two_stream.describe import Description, describe, weighted_layers
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import LateNet, StreamNet


def tiny() -> tuple[Tiny, Tiny]:
    with torch.device("meta"):
        return Tiny(3, classes=24), Tiny(12, classes=24)


def check(appearance: Tiny, motion: Tiny, *parts: Any) -> Description:
    return describe(FusedNet(appearance, motion, *parts), appearance, motion)


@pytest.mark.parametrize(
    "fusion, temporal, layer, layers",
    [
        (Sum, Pool2d, "relu5", 5 + 5 + 3),
        (Cat, Pool2d, "relu5", 13),
        (Conv, Pool2d, "relu5", 8 + 5 + 1),
        (Bilinear, Pool2d, "relu5", 10),
        (Conv, Pool2d, "relu2", 11),
        (Conv, Pool2d, "relu3", 12),
        (Conv, Pool2d, "relu4", 13),
        (Sum, Pool2d, "softmax", 16),
        (Cat, Conv3d, "relu5", 14),
    ],
)
def test_layer_counts(fusion: type, temporal: type, layer: str, layers: int) -> None:
    assert check(*tiny(), fusion, temporal, layer).layers == layers


def test_differences_between_fusions() -> None:
    counts = {one: check(*tiny(), one, Pool2d, "relu5").parameters for one in (Sum, Max, Cat, Conv)}
    assert counts[Sum] == counts[Max] == 224_360
    assert counts[Cat] - counts[Sum] == 32 * 6 * 6 * 128
    assert counts[Conv] - counts[Sum] == 64 * 32 + 32


def test_streams_and_late() -> None:
    appearance, motion = tiny()
    alone = [describe(StreamNet(appearance, "appearance")), describe(StreamNet(motion, "motion"))]
    assert [one.layers for one in alone] == [8, 8]
    late = describe(LateNet(), appearance, motion)
    assert (late.layers, late.trained_parameters) == (16, 0)
    assert late.parameters == alone[0].parameters + alone[1].parameters
    assert all(one.trained_parameters == one.parameters for one in alone)


def test_batch_norms_are_no_layers() -> None:
    """ResNet-18 has 17 convolutions and a classifier, and three convolutions in its shortcuts."""
    with torch.device("meta"):
        tower = ResNet18(3, 24, 64)
    counted = [part for part in tower.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert describe(StreamNet(tower, "appearance")).layers == len(counted) == 18 + 3
    assert weighted_layers(nn.Sequential(nn.BatchNorm2d(3), nn.LayerNorm(3), nn.GroupNorm(1, 3))) == 0


def test_trained_and_svm() -> None:
    bilinear = check(*tiny(), Bilinear, Pool2d, "relu5")
    assert bilinear.trained_parameters == bilinear.svm_parameters == 32 * 32 * 24 + 24
    below = [tower.get_submodule(name) for tower in tiny() for name in tower.below(("relu5",))]
    assert bilinear.parameters == sum(one.numel() for layer in below for one in layer.parameters())
    conv = check(*tiny(), Conv, Pool2d, "relu5")
    assert conv.svm_parameters == 0 and 0 < conv.trained_parameters < conv.parameters


def test_frozen_parameters_are_not_trained() -> None:
    appearance, motion = tiny()
    net = FusedNet(appearance, motion, Conv, Pool2d, "relu5")
    before = describe(net, appearance, motion)
    net.fusion.requires_grad_(False)
    after = describe(net, appearance, motion)
    assert before.trained_parameters - after.trained_parameters == 64 * 32 + 32
    assert after.parameters == before.parameters
