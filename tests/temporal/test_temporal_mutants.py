"""The oracles are tried: pooling and filters made wrong, and the checks must not let them pass."""

from collections.abc import Callable

import pytest
from temporal_oracles import filtered, holds, maxima, means_of_maxima
from torch import Tensor, nn
from torch.nn import functional as F

from fusionlab.temporal import conv3d, pool2d, pool3d


def mean_in_time(x: Tensor, spatial: nn.MaxPool2d, extent: int, stride: int) -> Tensor:
    return pool2d.pool(F.avg_pool3d(x, (extent, 1, 1), (stride, 1, 1)), spatial)


def across_channels(x: Tensor, spatial: nn.MaxPool2d, extent: int, stride: int) -> Tensor:
    return pool3d.pool(x.amax(dim=1, keepdim=True).expand_as(x), spatial, extent, stride)


POOLS: dict[str, Callable[..., Tensor]] = {
    "a frame late": lambda x, spatial, extent, stride: pool3d.pool(x.roll(1, dims=2), spatial, extent, stride),
    "backwards": lambda x, spatial, extent, stride: pool3d.pool(x.flip(2), spatial, extent, stride),
    "the smallest": lambda x, spatial, extent, stride: -pool3d.pool(-x, spatial, extent, stride),
    "the largest absolute": lambda x, spatial, extent, stride: pool3d.pool(x.abs(), spatial, extent, stride),
    "a box too short": lambda x, spatial, extent, stride: pool3d.pool(x, spatial, max(extent - 1, 1), stride),
    "steps of the box": lambda x, spatial, extent, stride: pool3d.pool(x, spatial, extent, extent),
    "a wider box": lambda x, spatial, extent, stride: pool3d.pool(x, nn.MaxPool2d(3, 1), extent, stride),
    "means in time": mean_in_time,
    "across channels": across_channels,
}

CONVOLUTIONS: dict[str, Callable[..., Tensor]] = {
    "a frame late": lambda x, f, bias: conv3d.convolve(x.roll(1, dims=2), f, bias),
    "mirrored in time": lambda x, f, bias: conv3d.convolve(x, f.flip(2), bias),
    "mirrored in space": lambda x, f, bias: conv3d.convolve(x, f.flip(3, 4), bias),
    "rows for columns": lambda x, f, bias: conv3d.convolve(x, f.mT, bias),
    "a flipped sign": lambda x, f, bias: conv3d.convolve(x, -f, bias),
    "without bias": lambda x, f, bias: conv3d.convolve(x, f, None),
    "channels swapped": lambda x, f, bias: conv3d.convolve(x.flip(1), f, bias),
    "edges repeated": lambda x, f, bias: F.conv3d(F.pad(x, (1,) * 6, mode="replicate"), f, bias),
}


def test_the_right_ones_pass() -> None:
    assert holds(maxima, pool3d.pool) and holds(means_of_maxima, pool3d.pool) and holds(filtered, conv3d.convolve)


@pytest.mark.parametrize("mutant", POOLS)
def test_a_wrong_pooling_is_found(mutant: str) -> None:
    assert not holds(maxima, POOLS[mutant])


def test_means_and_maxima_in_the_wrong_order_are_found() -> None:
    def means_first(x: Tensor, spatial: nn.AvgPool2d, extent: int, stride: int) -> Tensor:
        return F.max_pool3d(pool2d.pool(x, spatial), (extent, 1, 1), (stride, 1, 1))

    assert not holds(means_of_maxima, means_first)


@pytest.mark.parametrize("mutant", CONVOLUTIONS)
def test_a_wrong_convolution_is_found(mutant: str) -> None:
    assert not holds(filtered, CONVOLUTIONS[mutant])
