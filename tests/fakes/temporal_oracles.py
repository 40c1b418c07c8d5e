"""Pooling and filters in time and space written out as index loops, in float64; checks that hold a function against
them, and what a wrong function would be.
"""

from collections.abc import Callable
from itertools import product as indices
from typing import Any

import pytest
import torch
from torch import Tensor, nn

N, D, T, H, W = 1, 2, 5, 4, 5
BOXES = [(1, 1, 5), (3, 2, 2), (5, 2, 1), (2, 1, 4)]  # length, step, and how many there are in T frames


def clip(channels: int = D) -> Tensor:
    return torch.randn(N, channels, T, H, W, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def maxima(pool: Callable[..., Tensor]) -> None:
    """y_d(t, i, j) is the largest of its box, for each of BOXES."""
    x, kernel, step = clip(), 2, 1
    for extent, stride, steps in BOXES:
        y = pool(x, nn.MaxPool2d(kernel, step), extent, stride)
        assert y.shape == (N, D, steps, H - 1, W - 1)
        for n, d, t, i, j in indices(*map(range, y.shape)):
            box = [
                x[n, d, stride * t + k, step * i + p, step * j + q].item()
                for k, p, q in indices(range(extent), range(kernel), range(kernel))
            ]
            assert y[n, d, t, i, j].item() == max(box)


def means_of_maxima(pool: Callable[..., Tensor]) -> None:
    """Where a tower takes means over places: the mean of the largest in time."""
    x, kernel = clip(), 2
    y = pool(x, nn.AvgPool2d(kernel, 1), 3, 2)
    assert y.shape == (N, D, 2, H - 1, W - 1)
    for n, d, t, i, j in indices(*map(range, y.shape)):
        places = [
            max(x[n, d, 2 * t + k, i + p, j + q].item() for k in range(3))
            for p, q in indices(range(kernel), range(kernel))
        ]
        assert y[n, d, t, i, j].item() == pytest.approx(sum(places) / 4, abs=1e-12)


def filtered(convolve: Callable[..., Tensor]) -> None:
    """y_d(p) is the filters' sum over neighbours in time and space, with zeros outside."""
    x = clip()
    draw = torch.Generator().manual_seed(1)
    f = torch.randn(3, D, 3, 3, 3, generator=draw, dtype=torch.float64)
    bias = torch.randn(3, generator=draw, dtype=torch.float64)
    y = convolve(x, f, bias)
    assert y.shape == (N, 3, T, H, W)
    for n, d, t, i, j in indices(*map(range, y.shape)):
        expected = bias[d].item()
        for c, k, p, q in indices(range(D), (-1, 0, 1), (-1, 0, 1), (-1, 0, 1)):
            if 0 <= t + k < T and 0 <= i + p < H and 0 <= j + q < W:
                expected += (f[d, c, k + 1, p + 1, q + 1] * x[n, c, t + k, i + p, j + q]).item()
        assert y[n, d, t, i, j].item() == pytest.approx(expected, abs=1e-12)


def holds(check: Callable[[Any], None], function: Any) -> bool:
    """Whether a check lets the function pass."""
    try:
        check(function)
    except AssertionError:
        return False
    return True
