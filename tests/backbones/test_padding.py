"""TensorFlow's padding against a loop over indices, and pools of clips that are shorter than their windows."""

from itertools import product
from math import ceil, inf

import pytest
import torch
from torch import Tensor, nn

from fusionlab.backbones.padding import Conv3d, MaxPool3d, MeanPool3d, SameConv2d, SameMaxPool2d, same


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def windows(side: int, kernel: int, stride: int) -> list[list[tuple[int, int]]]:
    """By TensorFlow's definition: (place in the window, place in the map) of each of ceil(side / stride) windows."""
    count = ceil(side / stride)
    missing = max((count - 1) * stride + kernel - side, 0)
    starts = [n * stride - missing // 2 for n in range(count)]
    return [[(k, start + k) for k in range(kernel) if 0 <= start + k < side] for start in starts]


def convolved(x: Tensor, weight: Tensor, strides: tuple[int, int, int]) -> Tensor:
    """One clip, one channel."""
    axes = [windows(*numbers) for numbers in zip(x.shape, weight.shape, strides, strict=True)]
    y = torch.zeros([len(axis) for axis in axes], dtype=x.dtype)
    for place in product(*(range(len(axis)) for axis in axes)):
        for steps in product(*(axis[n] for axis, n in zip(axes, place, strict=True))):
            y[place] += weight[tuple(k for k, _ in steps)] * x[tuple(i for _, i in steps)]
    return y


def largest(x: Tensor, kernel: tuple[int, int, int], strides: tuple[int, int, int]) -> Tensor:
    axes = [windows(*numbers) for numbers in zip(x.shape, kernel, strides, strict=True)]
    y = torch.full([len(axis) for axis in axes], -inf, dtype=x.dtype)
    for place in product(*(range(len(axis)) for axis in axes)):
        for steps in product(*(axis[n] for axis, n in zip(axes, place, strict=True))):
            y[place] = max(y[place], x[tuple(i for _, i in steps)])
    return y


@pytest.mark.parametrize("shape", [(4, 6, 7), (5, 8, 5), (1, 3, 2), (3, 1, 4)])
@pytest.mark.parametrize(
    "kernel, strides", [((3, 3, 3), (1, 1, 1)), ((7, 7, 7), (2, 2, 2)), ((2, 4, 3), (1, 3, 2)), ((1, 1, 1), (2, 2, 2))]
)
def test_convolutions(shape: tuple[int, int, int], kernel: tuple[int, int, int], strides: tuple[int, int, int]) -> None:
    x = drawn(*shape)
    made = Conv3d(1, 1, kernel, stride=strides, bias=False, same=True).double()
    assert torch.allclose(made(x[None, None])[0, 0], convolved(x, made.weight.detach()[0, 0], strides))
    flat = SameConv2d(1, 1, kernel[1:], stride=strides[1:], bias=False).double()
    expected = convolved(x[:1], flat.weight.detach()[0], (1, *strides[1:]))
    assert torch.allclose(flat(x[None, :1])[0], expected)


@pytest.mark.parametrize("shape", [(4, 6, 7), (5, 8, 5), (1, 3, 2), (3, 1, 4), (2, 2, 9)])
@pytest.mark.parametrize(
    "kernel, strides",
    [
        ((3, 3, 3), (1, 1, 1)),
        ((3, 3, 3), (2, 2, 2)),
        ((1, 3, 3), (1, 2, 2)),
        ((2, 2, 2), (2, 2, 2)),
        ((1, 1, 1), (2, 3, 2)),
    ],
)
def test_pools(shape: tuple[int, int, int], kernel: tuple[int, int, int], strides: tuple[int, int, int]) -> None:
    """Of numbers below zero too: nothing is padded with zeros."""
    x = drawn(*shape) - 3
    assert torch.equal(MaxPool3d(kernel, strides, same=True)(x[None, None])[0, 0], largest(x, kernel, strides))
    made = SameMaxPool2d(kernel[1:], strides[1:])
    assert torch.equal(made(x[None, :1])[0], largest(x[:1], (1, *kernel[1:]), (1, *strides[1:])))


def test_an_even_window_without_a_stride_is_none_of_ours() -> None:
    with pytest.raises(AssertionError):
        SameMaxPool2d(2, 1)(torch.zeros(1, 1, 4, 4))


def test_what_is_missing_is_odd_at_the_end() -> None:
    assert same((224, 225, 1), (7, 7, 3), (2, 2, 2)) == [(2, 3), (3, 3), (1, 1)]


@pytest.mark.parametrize("padding", [(1, 1, 1), (1, 0, 2)])
def test_without_it_a_convolution_is_torchs(padding: tuple[int, int, int]) -> None:
    x, made = drawn(2, 3, 5, 6, 7), Conv3d(3, 4, 3, stride=(1, 2, 2), padding=padding).double()
    theirs = nn.Conv3d(3, 4, 3, stride=(1, 2, 2), padding=padding).double()
    theirs.load_state_dict(made.state_dict())
    assert torch.equal(made(x), theirs(x))


@pytest.mark.parametrize("is_same", [False, True])
@pytest.mark.parametrize("frames, stride", [(3, 1), (7, 2), (4, 1)])
def test_ends_that_repeat_are_those_of_a_longer_clip(frames: int, stride: int, is_same: bool) -> None:
    """The first and the last frame before and behind it, and no padding of time."""
    x = drawn(1, 2, 5, 6, 6)
    made = Conv3d(
        2, 3, (frames, 3, 3), stride=(stride, 1, 1), padding=(frames // 2, 1, 1), same=is_same, repeat_ends=True
    ).double()
    before, behind = same((5,), (frames,), (stride,))[0] if is_same else ((frames - 1) // 2, frames // 2)
    longer = torch.cat([*[x[:, :, :1]] * before, x, *[x[:, :, -1:]] * behind], dim=2)
    expected = nn.functional.conv3d(longer, made.weight, made.bias, (stride, 1, 1), (0, 1, 1))
    assert torch.allclose(made(x), expected)


@pytest.mark.parametrize("is_same", [False, True])
def test_short_clips(is_same: bool) -> None:
    """A window has no more frames than the clip."""
    x = drawn(1, 1, 1, 4, 4)
    assert torch.equal(MaxPool3d(2, 2, same=is_same)(x), nn.MaxPool3d((1, 2, 2))(x))
    assert torch.allclose(MeanPool3d((2, 4, 4), 1)(x), x.mean((3, 4), keepdim=True))
    longer = drawn(1, 1, 3, 4, 4)
    assert torch.equal(MaxPool3d(2, 2)(longer), nn.MaxPool3d(2, 2)(longer))
    pairs = torch.stack([longer[0, 0, :2].mean(), longer[0, 0, 1:].mean()])
    assert torch.allclose(MeanPool3d((2, 4, 4), 1)(longer).flatten(), pairs)
