"""Inlets: where a layer reads its input."""

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from fusionlab.backbones.inlets import inlets
from fusionlab.backbones.lrn import LocalResponseNorm
from fusionlab.backbones.resnet import ResNet18, ResNet50
from fusionlab.backbones.vgg_m import VggM


def shortcut(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 8, 1, bias=False), nn.BatchNorm2d(8))


@pytest.mark.parametrize(
    "layer, found",
    [
        (nn.Conv2d(3, 4, 3), ("",)),
        (nn.MaxPool2d(3), ()),
        (nn.AvgPool2d(3), ()),
        (nn.ReLU(), ()),
        (nn.Dropout(0.5), ()),
        (nn.Softmax(dim=1), ()),
        (LocalResponseNorm(), ()),
        (nn.GELU(), ()),
        (nn.SiLU(), ()),
        (nn.PReLU(3), None),
        (nn.GroupNorm(1, 3), None),
        (nn.Sequential(), ()),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), ()),
        (nn.Sequential(nn.ReLU(), nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1))), ("1.0",)),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)), None),
        (nn.BatchNorm2d(3), None),
        (nn.Conv2d(4, 4, 3, groups=2), None),
        (nn.Linear(3, 4), None),
        (BasicBlock(8, 8), None),
        (BasicBlock(4, 8, downsample=shortcut(4)), ("conv1", "downsample.0")),
        (Bottleneck(4, 2, downsample=shortcut(4)), ("conv1", "downsample.0")),
        (nn.Sequential(BasicBlock(4, 8, downsample=shortcut(4)), BasicBlock(8, 8)), ("0.conv1", "0.downsample.0")),
        (BasicBlock(8, 8, downsample=nn.Sequential(nn.AvgPool2d(1))), None),
    ],
    ids=repr,
)
def test_inlets(layer: nn.Module, found: tuple[str, ...] | None) -> None:
    assert inlets(layer) == found


def test_of_the_towers() -> None:
    with torch.device("meta"):
        shallow, deep, vgg = ResNet18(3, 5), ResNet50(3, 5), VggM(3, 5)
    first = ("0.conv1", "0.downsample.0")
    layers = [f"layer{n}" for n in range(1, 5)]
    assert [inlets(shallow.get_submodule(name)) for name in layers] == [None, first, first, first]
    assert [inlets(deep.get_submodule(name)) for name in layers] == [first] * 4
    assert [inlets(shallow.get_submodule(name)) for name in ("conv1", "bn1", "avgpool", "fc")] == [
        ("",),
        None,
        (),
        ("",),
    ]
    weighted = [name for name in vgg.names if inlets(vgg.get_submodule(name)) == ("",)]
    assert weighted == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert all(inlets(vgg.get_submodule(name)) == () for name in vgg.names if name not in weighted)
