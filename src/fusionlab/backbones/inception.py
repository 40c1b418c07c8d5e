"""Inception-v1 with batch normalisation, and its family for clips: I2D, I3D, S3D and S3D-G.

    layer        kernel / stride   side, of 224   stride in time   channels
    conv1        7 / 2             112            2                  64
    pool1        3 / 2              56
    conv2        1                  56                               64
    conv3        3                  56                              192
    pool2        3 / 2              28
    mixed_3b     blocks             28                              256
    mixed_3c                        28                              480
    pool3        3 / 2              14            2
    mixed_4b     blocks             14                              512
    mixed_4c                        14                              512
    mixed_4d                        14                              512
    mixed_4e                        14                              528
    mixed_4f                        14                              832
    pool4        2 / 2               7            2
    mixed_5b     blocks              7                              832
    mixed_5c                         7                             1024
    avgpool      7                   1            of two steps
    fc           1                   1                          classes

A convolution is a unit: convolution without bias, batch norm, ReLU. A block has four branches, joined: 1×1; 1×1 and
3×3; 1×1 and 3×3; a pool 3×3 and 1×1. The names are those of TensorFlow's Inception-v1 and of the I3D paper, for 2D and
3D alike. Parameters, 400 classes:

    Inception          6,009,904 (3 channels)
    I3D               12,697,264; 12,675,312 (2 channels, flow)
    S3D                8,320,048

each with the scale of batch norm, which TensorFlow's networks go without (I3D then has 12,689,984).
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from fusionlab import errors
from fusionlab.backbones.inflate import Time, TimeEnds, expect_ends, inflate
from fusionlab.backbones.initialise import Classifier
from fusionlab.backbones.norm import StillNorm2d, StillNorm3d
from fusionlab.backbones.padding import Conv3d, MeanPool3d, SameConv2d, SameMaxPool2d
from fusionlab.backbones.taps import walk
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.width import expect_width, scale_channels

# Channels of 1×1; of 1×1 and 3×3; of 1×1 and 3×3; of 1×1 behind the pool.
BLOCKS = {
    "mixed_3b": (64, 96, 128, 16, 32, 32),
    "mixed_3c": (128, 128, 192, 32, 96, 64),
    "mixed_4b": (192, 96, 208, 16, 48, 64),
    "mixed_4c": (160, 112, 224, 24, 64, 64),
    "mixed_4d": (128, 128, 256, 24, 64, 64),
    "mixed_4e": (112, 144, 288, 32, 64, 64),
    "mixed_4f": (256, 160, 320, 32, 128, 128),
    "mixed_5b": (256, 160, 320, 32, 128, 128),
    "mixed_5c": (384, 192, 384, 48, 128, 128),
}
POOLS = {"mixed_4b": ("pool3", 3), "mixed_5b": ("pool4", 2)}  # below these blocks
TAPS = {name: name for name in ("conv1", "conv2", "conv3", *BLOCKS, "fc", "softmax")}
DEEP = ("conv1", "conv3", *BLOCKS)  # the layers with kernels larger than 1×1
TIME_STRIDES = {"conv1": 2, "pool3": 2, "pool4": 2}  # the first two pools leave time alone
STRIDE = 32  # of the last map
EPSILON = 1e-3  # of batch norm, in all published weights of the family

Padding = Literal["tensorflow", "torchvision"]
Kernels = Literal["2d", "3d", "separable", "gated"]


@dataclass(frozen=True)
class Make:
    """The parts of a tower."""

    padding: Padding
    norm: Callable[[int], nn.BatchNorm2d]
    rounded_up: bool = True  # torchvision's pools: as in GoogLeNet; else padded on both sides, as in S3D

    def unit(self, channels: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
        """Convolution, batch norm, ReLU."""
        kind, padding = (SameConv2d, 0) if self.padding == "tensorflow" else (nn.Conv2d, kernel // 2)
        conv = kind(channels, out, kernel, stride=stride, padding=padding, bias=False)
        return Unit(OrderedDict(conv=conv, bn=self.norm(out), relu=nn.ReLU()))

    def pool(self, window: int, stride: int) -> nn.MaxPool2d:
        if self.padding == "tensorflow":
            return SameMaxPool2d(window, stride)
        if self.rounded_up and stride > 1:
            return nn.MaxPool2d(window, stride, ceil_mode=True)
        return nn.MaxPool2d(window, stride, (window - 1) // 2)


class Unit(nn.Sequential):
    """Convolution, batch norm, ReLU."""


class Mixed(nn.Module):
    """y = [b0(x), b1(x), b2(x), b3(x)], the four branches of a block."""

    def __init__(self, channels: int, widths: tuple[int, ...], make: Make) -> None:
        super().__init__()
        w0, w1a, w1b, w2a, w2b, w3 = widths
        self.b0 = make.unit(channels, w0, 1)
        self.b1a, self.b1b = make.unit(channels, w1a, 1), make.unit(w1a, w1b, 3)
        self.b2a, self.b2b = make.unit(channels, w2a, 1), make.unit(w2a, w2b, 3)
        self.b3a, self.b3b = make.pool(3, 1), make.unit(channels, w3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


class Gate(nn.Module):
    """y_d = x_d · σ(Σ_c w_dc x̄_c + b_d), x̄ the mean over all places and steps (S3D-G)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(channels, channels)), nn.Parameter(torch.zeros(channels))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        gate = nn.functional.linear(x.mean((2, 3, 4)), self.weight, self.bias).sigmoid()
        return x * gate[:, :, None, None, None]


def convolutions(in_channels: int, width: float, make: Make) -> tuple[dict[str, nn.Module], int]:
    """The layers up to mixed_5c, for frames, and the channels that they leave."""
    wide = partial(scale_channels, width=width)
    first = Make(make.padding, partial(nn.BatchNorm2d, eps=EPSILON))  # its statistics are always learnt
    layers: dict[str, nn.Module] = {
        "conv1": first.unit(in_channels, wide(64), 7, stride=2),
        "pool1": make.pool(3, 2),
        "conv2": make.unit(wide(64), wide(64), 1),
        "conv3": make.unit(wide(64), wide(192), 3),
        "pool2": make.pool(3, 2),
    }
    channels = wide(192)
    for name, widths in BLOCKS.items():
        if name in POOLS:
            pool, window = POOLS[name]
            layers[pool] = make.pool(window, 2)
        w0, w1a, w1b, w2a, w2b, w3 = map(wide, widths)
        layers[name] = Mixed(channels, (w0, w1a, w1b, w2a, w2b, w3), make)
        channels = w0 + w1b + w2b + w3
    return layers, channels


class Inception(Tower):
    """The table above for frames, without its strides in time: the network that I3D is inflated from.

    `partial_bn`: all batch normalisations but the first stay as they are loaded. `padding`: tensorflow, as the papers'
    networks; torchvision, as its GoogLeNet. Weights need the padding that they were trained with.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        size: int = 224,
        *,
        width: float = 1.0,
        dropout: float = 0.0,
        padding: Padding = "tensorflow",
        partial_bn: bool = False,
    ) -> None:
        expect_numbers(size, width, dropout, partial_bn, padding)
        layers, channels = convolutions(in_channels, width, Make(padding, norm_of(partial_bn)))
        side = side_of(layers, in_channels, size)
        end = make_end(nn.AvgPool2d(side, stride=1), channels, classes, dropout)
        super().__init__(layers | end, TAPS, in_channels, size)
        self.padding = padding


class Inception3d(Tower):
    """The table above for clips, with the kernels of its layers as one question (Xie et al. 2018).

    `kernels`, of the layers from `first` to `last`, those of all others are 1×k×k:

        2d           1×k×k        I2D
        3d           k×k×k        I3D; bottom-heavy up to a `last`, top-heavy from a `first`
        separable    1×k×k, batch norm, ReLU, k×1×1, batch norm, ReLU        S3D
        gated        separable, and a `Gate` behind each k×1×1               S3D-G

    The strides in time stay: a kernel 1×k×k with a stride of two reads every other frame. `time_ends`: whether time is
    padded with zeros, or with the first and the last frame again; then a still video leaves the maps of the 2D tower.

    `padding`: tensorflow, as the papers' networks and the ports of I3D have it; torchvision, as its GoogLeNet, or with
    separable kernels its S3D. Weights need the padding that they were trained with.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        size: int = 224,
        *,
        kernels: Kernels = "3d",
        first: str = DEEP[0],
        last: str = DEEP[-1],
        width: float = 1.0,
        dropout: float = 0.0,
        padding: Padding = "tensorflow",
        partial_bn: bool = False,
        time_ends: TimeEnds = "zeros",
    ) -> None:
        expect_numbers(size, width, dropout, partial_bn, padding)
        expect_kernels(kernels, first, last, time_ends)
        separable = kernels in ("separable", "gated")
        flat, channels = convolutions(in_channels, width, Make(padding, norm_of(partial_bn), rounded_up=not separable))
        special = partial(separate_unit, gated=kernels == "gated", still=partial_bn) if separable else None
        deep = () if kernels == "2d" else DEEP[DEEP.index(first) : DEEP.index(last) + 1]
        layers = {
            name: inflate(layer, Time(TIME_STRIDES.get(name, 1), name in deep, time_ends == "repeat"), special)
            for name, layer in flat.items()
        }
        side = side_of(layers, in_channels, size)
        end = make_end(MeanPool3d((2, side, side), stride=1), channels, classes, dropout)
        super().__init__(layers | end, TAPS, in_channels, size)
        self.padding = padding


def side_of(layers: dict[str, nn.Module], in_channels: int, size: int) -> int:
    """The side of the last map: what is between the layers with a stride keeps it."""
    strided = ("conv1", "pool1", "pool2", "pool3", "pool4")
    return walk({name: layers[name] for name in strided}, in_channels, size)["pool4"].tap.side


def norm_of(partial_bn: bool) -> Callable[[int], nn.BatchNorm2d]:
    return partial(StillNorm2d if partial_bn else nn.BatchNorm2d, eps=EPSILON)


def make_end(pool: nn.Module, channels: int, classes: int, dropout: float) -> dict[str, nn.Module]:
    return {
        "avgpool": pool,
        "dropout": nn.Dropout(dropout),
        "fc": Classifier(channels, classes, 1),
        "softmax": nn.Softmax(dim=1),
    }


def separate_unit(unit: nn.Module, time: Time, *, gated: bool, still: bool) -> nn.Sequential | None:
    """A unit k×k as 1×k×k and k×1×1, each with batch norm and ReLU; None for any other module."""
    if not isinstance(unit, Unit) or not time.deep:
        return None
    conv = unit.conv
    assert isinstance(conv, nn.Conv2d)
    frames, out = conv.kernel_size[0], conv.out_channels
    if frames == 1:
        return None
    steps = time.stride if conv.stride[0] > 1 else 1
    space = inflate(unit, Time(deep=False))
    parts = dict(space.named_children()) | {
        "time_conv": Conv3d(
            out, out, (frames, 1, 1), stride=(steps, 1, 1), padding=(frames // 2, 0, 0), bias=False,
            repeat_ends=time.repeat_ends, same=isinstance(conv, SameConv2d),
        ),
        "time_bn": (StillNorm3d if still else nn.BatchNorm3d)(out, eps=EPSILON),
        "time_relu": nn.ReLU(),
    }  # fmt: skip
    return nn.Sequential(OrderedDict(parts | ({"gate": Gate(out)} if gated else {})))


def expect_numbers(size: int, width: object, dropout: object, partial_bn: object, padding: object) -> None:
    if size < STRIDE:
        raise errors.UserError("frames are too small for this tower", got=f"size={size}", hint=f"size={STRIDE} or more")
    expect_width(width)
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise errors.UserError("dropout is a share, 0 up to below 1", got=dropout, hint="dropout=0.5")
    if partial_bn not in (True, False):
        raise errors.unknown("choice for partial_bn", str(partial_bn), ["true", "false"], form="partial_bn={}")
    if padding not in get_args(Padding):
        raise errors.unknown("kind of padding", str(padding), get_args(Padding), form="padding={}")


def expect_kernels(kernels: object, first: str, last: str, time_ends: object) -> None:
    if kernels not in get_args(Kernels):
        raise errors.unknown("kind of kernels", str(kernels), get_args(Kernels), form="kernels={}")
    expect_ends(time_ends)
    for option, name in (("first", first), ("last", last)):
        if name not in DEEP:
            raise errors.unknown("layer with kernels in time", str(name), DEEP, form=option + "={}")
    if DEEP.index(first) > DEEP.index(last):
        raise errors.UserError("the first layer is above the last", got=f"first={first}, last={last}")
    if kernels == "2d" and ((first, last) != (DEEP[0], DEEP[-1]) or time_ends != "zeros"):
        hint = f"kernels=2d first={DEEP[0]} last={DEEP[-1]} time_ends=zeros, or another kernels="
        got = f"first={first}, last={last}, time_ends={time_ends}"
        raise errors.UserError("with kernels=2d no layer sees time, so these have no effect", got=got, hint=hint)
