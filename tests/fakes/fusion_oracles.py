"""Every fusion written out from its equation as an index loop, in float64; and checks that hold a function against it.

A check takes the function, so that a wrong one can be put in its place (test_fusion_mutants.py).
"""

from collections.abc import Callable
from itertools import product as indices
from math import exp, log, sqrt
from typing import Any

import torch
from torch import Tensor

from fusionlab.fusion.compact import Hash

N, D, T, H, W = 2, 3, 2, 2, 3
E = 2  # channels of motion, where they may be others
K = 7  # length of a sketch


def maps(channels_b: int = D) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    x_a = torch.randn(N, D, T, H, W, generator=draw, dtype=torch.float64)
    return x_a, torch.randn(N, channels_b, T, H, W, generator=draw, dtype=torch.float64)


def loop(channels: int, value: Callable[..., float]) -> Tensor:
    """y[n, d, t, i, j] = value(n, d, t, i, j)"""
    y = torch.empty(N, channels, T, H, W, dtype=torch.float64)
    for n, d, t, i, j in indices(range(N), range(channels), range(T), range(H), range(W)):
        y[n, d, t, i, j] = value(n, d, t, i, j)
    return y


def close(y: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)


def sums(fuse: Callable[..., Tensor]) -> None:
    a, b = maps()
    close(fuse(a, b), loop(D, lambda *at: float(a[at] + b[at])))


def maxima(fuse: Callable[..., Tensor]) -> None:
    a, b = maps()
    close(fuse(a, b), loop(D, lambda *at: float(a[at]) if a[at] > b[at] else float(b[at])))


def products(fuse: Callable[..., Tensor]) -> None:
    a, b = maps()
    close(fuse(a, b), loop(D, lambda *at: float(a[at] * b[at])))


def stacks(fuse: Callable[..., Tensor]) -> None:
    a, b = maps(E)
    close(fuse(a, b), loop(D + E, lambda n, d, *at: float(a[(n, d, *at)] if d < D else b[(n, d - D, *at)])))


def filters() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    f = torch.randn(D, D + E, 1, 1, generator=draw, dtype=torch.float64)
    return f, torch.randn(D, generator=draw, dtype=torch.float64)


def filtered(fuse: Callable[..., Tensor]) -> None:
    (a, b), (f, bias) = maps(E), filters()

    def value(n: int, d: int, *at: int) -> float:
        y = float(bias[d])
        for c in range(D):
            y += float(f[d, c, 0, 0] * a[(n, c, *at)])
        for c in range(E):
            y += float(f[d, D + c, 0, 0] * b[(n, c, *at)])
        return y

    close(fuse(a, b, f, bias), loop(D, value))


def bilinear_loop(a: Tensor, b: Tensor) -> Tensor:
    y = torch.zeros(N, a.shape[1] * b.shape[1], T, 1, 1, dtype=torch.float64)
    for n, d, e, t in indices(range(N), range(a.shape[1]), range(b.shape[1]), range(T)):
        for i, j in indices(range(H), range(W)):
            y[n, d * b.shape[1] + e, t, 0, 0] += a[n, d, t, i, j] * b[n, e, t, i, j]
    return y


def described(y: Tensor) -> Tensor:
    """Signed root and norm of each column, in plain numbers."""
    y = y.clone()
    for n, t in indices(range(N), range(T)):
        rooted = [(1 if v > 0 else -1) * sqrt(abs(v)) for v in y[n, :, t, 0, 0].tolist()]
        norm = sqrt(torch.tensor(rooted, dtype=torch.float64).square().sum().item())
        y[n, :, t, 0, 0] = torch.tensor([v / norm for v in rooted], dtype=torch.float64)
    return y


def bilinear_sums(fuse: Callable[..., Tensor]) -> None:
    a, b = maps(E)
    close(fuse(a, b), bilinear_loop(a, b))


def bilinear_descriptors(fuse: Callable[..., Tensor]) -> None:
    a, b = maps(E)
    torch.testing.assert_close(fuse(a, b), described(bilinear_loop(a, b)), rtol=1e-8, atol=1e-8)


# Two channels of appearance share a bucket, and two of motion; some signs are negative.
HASHES = (
    Hash(torch.tensor([5, 2, 5]), torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)),
    Hash(torch.tensor([4, 4]), torch.tensor([-1.0, 1.0], dtype=torch.float64)),
)


def sketch_loop(a: Tensor, b: Tensor, hash_a: Hash, hash_b: Hash, length: int) -> Tensor:
    """Place by place: two count sketches, and their circular convolution written out."""
    y = torch.zeros(N, length, T, 1, 1, dtype=torch.float64)
    for n, t, i, j in indices(range(N), range(T), range(H), range(W)):
        psi = [[0.0] * length, [0.0] * length]
        for one, x, (bucket, sign) in zip(psi, (a, b), (hash_a, hash_b), strict=True):
            for d in range(x.shape[1]):
                one[int(bucket[d])] += float(sign[d] * x[n, d, t, i, j])
        for k, m in indices(range(length), range(length)):
            y[n, k, t, 0, 0] += psi[0][m] * psi[1][(k - m) % length]
    return y


def sketches(fuse: Callable[..., Tensor]) -> None:
    a, b = maps(E)
    close(fuse(a, b, *HASHES, K), sketch_loop(a, b, *HASHES, K))


def averages(fuse: Callable[..., Tensor]) -> None:
    a, b = maps()

    def value(n: int, d: int, *at: int) -> float:
        scores = []
        for x in (a, b):
            every = [exp(float(x[(n, c, *at)])) for c in range(D)]
            total = 0.0
            for one in every:
                total += one
            scores.append(every[d] / total)
        return log((scores[0] + scores[1]) / 2)

    close(fuse(a, b), loop(D, value))


def holds(check: Callable[[Any], None], function: Any) -> bool:
    """Whether a check lets the function pass."""
    try:
        check(function)
    except AssertionError:
        return False
    return True
