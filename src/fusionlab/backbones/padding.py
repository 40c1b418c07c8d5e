"""Convolutions and pools with ends that torch does not have: TensorFlow's "same", and frames repeated in time.

"same" pads with what is missing for ceil(size / stride) windows, and where that is odd one more at the end. So it
depends on the size of the map: for 7 / 2 it is (2, 3) on even sides and (3, 3) on odd ones; torch's padding of 3 would
move every window by one place. Pools are padded with -∞.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionlab.backbones.layers import pair

Ends = list[tuple[int, int]]  # of each axis: how much before, how much behind


def same(sides: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> Ends:
    """TensorFlow's padding of each axis.

    >>> same((224, 225), (7, 7), (2, 2))
    [(2, 3), (3, 3)]
    """
    missing = [
        max((-(-side // step) - 1) * step + size - side, 0)
        for side, size, step in zip(sides, kernel, stride, strict=True)
    ]
    return [(total // 2, total - total // 2) for total in missing]


def before(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> tuple[int, ...]:
    """A pool's padding before; one more behind is what rounding up adds, since there it is a part of a stride."""
    assert all(size % 2 or step > 1 for size, step in zip(kernel, stride, strict=True)), "an even window has a stride"
    return tuple(start for start, _ in same(x.shape[2:], kernel, stride))


def pad(x: Tensor, ends: Ends) -> tuple[Tensor, tuple[int, ...]]:
    """x, padded with zeros where the ends differ, and the padding that is left to the convolution itself."""
    if all(start == end for start, end in ends):
        return x, tuple(start for start, _ in ends)
    return F.pad(x, list(chain.from_iterable(reversed(ends)))), (0,) * len(ends)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "same"."""

    def forward(self, input: Tensor) -> Tensor:
        x, padding = pad(input, same(input.shape[2:], self.kernel_size, self.stride))
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class SameMaxPool2d(nn.MaxPool2d):
    """A maximum padded as TensorFlow's "same"."""

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = pair(self.kernel_size), pair(self.stride)
        return F.max_pool2d(input, kernel, stride, before(input, kernel, stride), ceil_mode=True)


class Conv3d(nn.Conv3d):
    """A convolution of clips. Its time is padded so that a stride of one keeps all frames.

    `same`: padded as TensorFlow's "same" in space and time. `repeat_ends`: time is padded with the first and the last
    frame, not with zeros.

    On a CPU in channels-last memory: forward and backward of I3D, S3D and I2D at a width of 0.25, clips of 16 frames of
    48×48, took 0.19, 0.22 and 0.11 s without it, and take 0.15, 0.17 and 0.07.
    """

    def __init__(self, *numbers: Any, same: bool = False, repeat_ends: bool = False, **named: Any) -> None:
        super().__init__(*numbers, **named)
        self.same, self.repeat_ends = same, repeat_ends

    def forward(self, input: Tensor) -> Tensor:
        x, frames = input, self.kernel_size[0]
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last_3d)
        if self.same:
            ends = same(x.shape[2:], self.kernel_size, self.stride)
        else:
            assert not isinstance(self.padding, str), "padding is a number"
            ends = [((frames - 1) // 2, frames // 2), *((side, side) for side in self.padding[1:])]
        if self.repeat_ends and ends[0] != (0, 0):
            x, ends = F.pad(x, [0, 0, 0, 0, *ends[0]], mode="replicate"), [(0, 0), *ends[1:]]
        x, padding = pad(x, ends)
        return F.conv3d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class MaxPool3d(nn.MaxPool3d):
    """The largest of each window; of clips with fewer frames than a window, of all that there are.

    `same`: padded as TensorFlow's "same".
    """

    def __init__(self, *numbers: Any, same: bool = False, **named: Any) -> None:
        super().__init__(*numbers, **named)
        self.same = same

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride, padding = triple(self.kernel_size), triple(self.stride), triple(self.padding)
        if self.same:
            return F.max_pool3d(input, kernel, stride, before(input, kernel, stride), ceil_mode=True)
        return F.max_pool3d(input, within(input, kernel, padding), stride, padding, ceil_mode=self.ceil_mode)


class MeanPool3d(nn.AvgPool3d):
    """The mean of each window; of clips with fewer frames than a window, of all that there are."""

    def forward(self, input: Tensor) -> Tensor:
        stride, padding = triple(self.stride), triple(self.padding)
        kernel = within(input, triple(self.kernel_size), padding)
        return F.avg_pool3d(input, kernel, stride, padding, self.ceil_mode, self.count_include_pad)


def triple(value: int | tuple[int, int, int]) -> tuple[int, int, int]:
    """One number for all axes, or one for each."""
    return (value, value, value) if isinstance(value, int) else value


def within(x: Tensor, kernel: tuple[int, int, int], padding: tuple[int, int, int]) -> tuple[int, int, int]:
    """The window, with no more frames than the clip has."""
    return min(kernel[0], x.shape[2] + 2 * padding[0]), kernel[1], kernel[2]
