"""Parameters and weighted layers, as the papers count them: for the tiny towers, and for VGG-M and VGG-16 by
geometry.
"""

from functools import partial

import pytest
import torch
from torch import nn

from fusionlab.backbones.tiny import TAPS, Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.fusion.bilinear import Bilinear
from fusionlab.fusion.cat import Cat
from fusionlab.fusion.conv import Conv
from fusionlab.fusion.max import Max
from fusionlab.fusion.sum import Sum
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.two_stream.describe import check, describe
from fusionlab.two_stream.late import LateNet
from fusionlab.two_stream.stream import StreamNet


def tiny() -> tuple[Tiny, Tiny]:
    with torch.device("meta"):
        return Tiny(3, classes=24), Tiny(12, classes=24)


def fully_connected(channels: int, side: int, width7: int) -> dict[str, nn.Module]:
    sizes = {"6": (channels, 4096, side), "7": (4096, width7, 1), "8": (width7, 101, 1)}
    layers: dict[str, nn.Module] = {}
    for n, (before, after, kernel) in sizes.items():
        layers |= {f"fc{n}": nn.Conv2d(before, after, kernel), f"relu{n}": nn.ReLU()}
    layers.pop("relu8")
    return layers | {"softmax": nn.Softmax(dim=1)}


@pytest.fixture(scope="module")
def vgg_m() -> tuple[Tower, Tower]:
    def tower(channels: int) -> Tower:
        layers: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(channels, 96, 7, 2),
            "relu1": nn.ReLU(),
            "pool1": nn.MaxPool2d(3, 2),
            "conv2": nn.Conv2d(96, 256, 5, 2, 1),
            "relu2": nn.ReLU(),
            "pool2": nn.MaxPool2d(3, 2, ceil_mode=True),
        }
        for n, before in ((3, 256), (4, 512), (5, 512)):
            layers |= {f"conv{n}": nn.Conv2d(before, 512, 3, 1, 1), f"relu{n}": nn.ReLU()}
        layers |= {"pool5": nn.MaxPool2d(3, 2)} | fully_connected(512, 6, 2048)
        return Tower(layers, TAPS, channels, 224, mean=128.0, scale=1.0)

    with torch.device("meta"):
        return tower(3), tower(20)


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


def test_trained_and_svm() -> None:
    bilinear = check(*tiny(), Bilinear, Pool2d, "relu5")
    assert bilinear.trained_parameters == bilinear.svm_parameters == 32 * 32 * 24 + 24
    conv = check(*tiny(), Conv, Pool2d, "relu5")
    assert conv.svm_parameters == 0 and 0 < conv.trained_parameters < conv.parameters


def test_geometry_of_vgg_m(vgg_m: tuple[Tower, Tower]) -> None:
    appearance, motion = vgg_m
    assert [describe(LateNet(), *pair).parameters for pair in ((appearance, None), (None, motion))] == [
        90627813,
        90707781,
    ]
    assert [appearance.taps[f"relu{n}"].side for n in range(1, 6)] == [109, 26, 13, 13, 13]
    assert (appearance.taps["relu5"].field, appearance.taps["relu5"].stride) == (139, 16)


@pytest.mark.parametrize(
    "fusion, layer, parameters, layers",
    [
        (Sum, "softmax", 181_335_594, 16),
        (Sum, "relu5", 97_236_421, 13),
        (Max, "relu5", 97_236_421, 13),
        (Cat, "relu5", 172_733_893, 13),
        (Conv, "relu5", 97_761_221, 14),
        (Bilinear, "relu5", 13_137_248, 10),
        (Conv, "relu2", 91_467_973, 11),
        (Conv, "relu3", 93_041_605, 12),
        (Conv, "relu4", 95_401_413, 13),
    ],
)
def test_rows_of_the_papers_tables(
    vgg_m: tuple[Tower, Tower], fusion: type, layer: str, parameters: int, layers: int
) -> None:
    with torch.device("meta"):
        found = check(*vgg_m, fusion, Pool2d, layer)
    assert (found.parameters, found.layers) == (parameters, layers)


def test_the_papers_final_net_with_one_tower_above() -> None:
    def tower(channels: int) -> Tower:
        layers: dict[str, nn.Module] = {}
        before = channels
        for block, (width, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
            for n in range(1, depth + 1):
                layers |= {
                    f"conv{block}_{n}": nn.Conv2d(before, width, 3, 1, 1),
                    f"relu{block}_{n}": nn.ReLU(),
                }
                before = width
            layers[f"pool{block}"] = nn.MaxPool2d(2, 2)
        layers |= fully_connected(512, 7, 4096)
        taps = {name: name for name in layers if name.startswith("relu") and "_" in name}
        return Tower(layers, taps | {"fc8": "fc8", "softmax": "softmax"}, channels, 224, mean=128.0, scale=1.0)

    with torch.device("meta"):
        found = check(tower(3), tower(20), Cat, partial(Conv3d, extent=3), "relu5")
    assert found.parameters == 163_555_109
