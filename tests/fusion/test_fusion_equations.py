"""Every fusion against an index loop written from its equation, in float64."""

from collections.abc import Callable
from itertools import product as indices
from math import exp, log, sqrt

import pytest
import torch
from torch import Tensor

from fusionlab.backbones.initialise import initialise
from fusionlab.errors import UserError
from fusionlab.fusion import bilinear, cat, conv, late, max, product, sum
from fusionlab.fusion.conv import Conv

N, D, T, H, W = 2, 3, 2, 2, 3


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


def test_sum() -> None:
    a, b = maps()
    assert torch.equal(sum.fuse(a, b), loop(D, lambda n, d, t, i, j: float(a[n, d, t, i, j] + b[n, d, t, i, j])))


def test_max() -> None:
    a, b = maps()

    def larger(*at: int) -> float:
        return float(a[at]) if a[at] > b[at] else float(b[at])

    assert torch.equal(max.fuse(a, b), loop(D, larger))


def test_product() -> None:
    a, b = maps()
    assert torch.equal(product.fuse(a, b), loop(D, lambda n, d, t, i, j: float(a[n, d, t, i, j] * b[n, d, t, i, j])))


def test_cat() -> None:
    a, b = maps(channels_b=2)
    expected = loop(D + 2, lambda n, d, t, i, j: float(a[n, d, t, i, j] if d < D else b[n, d - D, t, i, j]))
    assert torch.equal(cat.fuse(a, b), expected)


def test_conv() -> None:
    a, b = maps()
    draw = torch.Generator().manual_seed(1)
    f = torch.randn(D, 2 * D, 1, 1, generator=draw, dtype=torch.float64)
    bias = torch.randn(D, generator=draw, dtype=torch.float64)

    def value(n: int, d: int, t: int, i: int, j: int) -> float:
        y = float(bias[d])
        for c in range(D):
            y += float(f[d, c, 0, 0] * a[n, c, t, i, j]) + float(f[d, D + c, 0, 0] * b[n, c, t, i, j])
        return y

    torch.testing.assert_close(conv.fuse(a, b, f, bias), loop(D, value), rtol=1e-13, atol=1e-13)


def bilinear_loop(a: Tensor, b: Tensor) -> Tensor:
    y = torch.zeros(N, a.shape[1] * b.shape[1], T, 1, 1, dtype=torch.float64)
    for n, d, e, t in indices(range(N), range(a.shape[1]), range(b.shape[1]), range(T)):
        for i, j in indices(range(H), range(W)):
            y[n, d * b.shape[1] + e, t, 0, 0] += a[n, d, t, i, j] * b[n, e, t, i, j]
    return y


def test_bilinear() -> None:
    a, b = maps(channels_b=2)
    y = bilinear_loop(a, b)
    torch.testing.assert_close(bilinear.fuse(a, b), y, rtol=1e-13, atol=1e-13)
    for n, t in indices(range(N), range(T)):
        rooted = [(1 if v > 0 else -1) * sqrt(abs(v)) for v in y[n, :, t, 0, 0].tolist()]
        norm = sqrt(torch.tensor(rooted, dtype=torch.float64).square().sum().item())
        y[n, :, t, 0, 0] = torch.tensor([v / norm for v in rooted], dtype=torch.float64)
    torch.testing.assert_close(bilinear.Bilinear(D, 2)(a, b), y, rtol=1e-8, atol=1e-8)


def test_late() -> None:
    a, b = maps()

    def value(n: int, d: int, t: int, i: int, j: int) -> float:
        scores = []
        for x in (a, b):
            every = [exp(float(x[n, c, t, i, j])) for c in range(D)]
            total = 0.0
            for one in every:
                total += one
            scores.append(every[d] / total)
        return log((scores[0] + scores[1]) / 2)

    torch.testing.assert_close(late.fuse(a, b), loop(D, value), rtol=1e-13, atol=1e-13)


def test_late_is_the_average_of_the_scores_even_where_a_stream_is_certain() -> None:
    certain = torch.tensor([300.0, 0.0, -300.0]).reshape(1, 3, 1, 1, 1)
    unsure = torch.zeros(1, 3, 1, 1, 1)
    scores = late.fuse(certain, unsure).softmax(dim=1).flatten()
    torch.testing.assert_close(scores, torch.tensor([4 / 6, 1 / 6, 1 / 6]))


def test_conv_with_stacked_identities_is_sum() -> None:
    a, b = (x.float() for x in maps())
    fusion = Conv(D, D)
    initialise(fusion, seed=0)
    assert torch.equal(fusion.filters.weight.flatten(1), torch.cat((torch.eye(D), torch.eye(D)), dim=1))
    assert torch.equal(fusion(a, b), sum.fuse(a, b))


def test_conv_absorbs_any_order_of_the_stack() -> None:
    a, b = maps()
    f = torch.randn(D, 2 * D, 1, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    interleaved = torch.stack((a, b), dim=2).flatten(1, 2)  # a0 b0 a1 b1 …, as the paper writes it
    order = [d // 2 + D * (d % 2) for d in range(2 * D)]
    y = torch.einsum("oc,ncthw->nothw", f[:, order, 0, 0], interleaved)
    torch.testing.assert_close(conv.fuse(a, b, f, None), y)


def test_other_starts_of_conv() -> None:
    noise, he = Conv(64, 64, init="gaussian"), Conv(64, 64, init="he")
    for fusion in (noise, he):
        initialise(fusion, seed=0)
        assert not fusion.filters.bias.any()
    assert noise.filters.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert he.filters.weight.std().item() == pytest.approx(sqrt(2 / 128), rel=0.05)
    with pytest.raises(UserError, match=r"fusion\.init=identity"):
        Conv(4, 4, init="identiti")


def test_bilinear_forgets_places_and_has_norm_one() -> None:
    a, b = maps()
    order = torch.randperm(H * W, generator=torch.Generator().manual_seed(0))
    fusion = bilinear.Bilinear(D, D)
    y = fusion(a, b)
    shuffled = fusion(*(x.flatten(3)[..., order].unflatten(3, (H, W)) for x in (a, b)))
    torch.testing.assert_close(y, shuffled)
    torch.testing.assert_close(y.norm(dim=1), torch.ones(N, T, 1, 1, dtype=torch.float64))
    apart = fusion(a, b.flatten(3)[..., order].unflatten(3, (H, W)))
    assert not torch.allclose(y, apart)


def test_bilinear_has_finite_gradients_at_zero() -> None:
    a, b = (torch.zeros(1, 2, 1, 2, 2, requires_grad=True) for _ in range(2))
    bilinear.Bilinear(2, 2)(a, b).sum().backward()
    assert a.grad is not None and a.grad.isfinite().all()
