"""What a layer does to a map, measured: against gradients, torch's own shapes, and what can be read off a layer."""

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from fusionlab.backbones.connected import Connected
from fusionlab.backbones.geometry import Place, measure
from fusionlab.backbones.lrn import LocalResponseNorm
from fusionlab.backbones.resnet import ResNet18, ResNet50
from fusionlab.backbones.vgg_m import VggM


def inlets(layer: nn.Module, channels: int) -> tuple[str, ...] | None:
    return measure(layer, (channels, 1, 12, 12), Place()).inlets


def shortcut(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 8, 1, bias=False), nn.BatchNorm2d(8))


@pytest.mark.parametrize(
    "layer, channels, found",
    [
        (nn.Conv2d(3, 4, 3), 3, ("",)),
        (nn.Conv3d(3, 4, 3, padding=1), 3, ("",)),
        (nn.MaxPool2d(3), 3, ()),
        (nn.AvgPool2d(3), 3, ()),
        (nn.ReLU(), 3, ()),
        (nn.Dropout(0.5), 3, ()),
        (nn.Softmax(dim=1), 3, ()),
        (LocalResponseNorm(), 7, ()),
        (nn.GELU(), 3, ()),
        (nn.SiLU(), 3, ()),
        (nn.PReLU(3), 3, None),
        (nn.GroupNorm(1, 3), 3, None),
        (nn.Sequential(), 3, ()),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), 3, ()),
        (nn.Sequential(nn.ReLU(), nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1))), 3, ("1.0",)),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)), 3, None),
        (nn.BatchNorm2d(3), 3, None),
        (nn.Conv2d(4, 4, 3, groups=2), 4, None),
        (nn.Linear(12, 4), 3, None),
        (Connected(3, 4, 12), 3, ("",)),
        (BasicBlock(8, 8), 8, None),
        (BasicBlock(4, 8, downsample=shortcut(4)), 4, ("conv1", "downsample.0")),
        (Bottleneck(4, 2, downsample=shortcut(4)), 4, ("conv1", "downsample.0")),
        (nn.Sequential(BasicBlock(4, 8, downsample=shortcut(4)), BasicBlock(8, 8)), 4, ("0.conv1", "0.downsample.0")),
        (BasicBlock(8, 8, downsample=nn.Sequential(nn.AvgPool2d(1))), 8, None),
    ],
    ids=repr,
)
def test_inlets(layer: nn.Module, channels: int, found: tuple[str, ...] | None) -> None:
    assert inlets(layer, channels) == found


def test_of_the_towers() -> None:
    with torch.device("meta"):
        shallow, deep, vgg = ResNet18(3, 5), ResNet50(3, 5), VggM(3, 5)
    first = ("0.conv1", "0.downsample.0")
    layers = [f"layer{n}" for n in range(1, 5)]
    assert [shallow.geometry[name].inlets for name in layers] == [None, first, first, first]
    assert [deep.geometry[name].inlets for name in layers] == [first] * 4
    assert [shallow.geometry[name].inlets for name in ("conv1", "bn1", "avgpool", "fc")] == [
        ("",),
        None,
        (),
        ("",),
    ]
    weighted = [name for name in vgg.names if vgg.geometry[name].inlets == ("",)]
    assert weighted == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert all(vgg.geometry[name].inlets == () for name in vgg.names if name not in weighted)
