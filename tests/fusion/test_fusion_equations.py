"""Every fusion against an index loop written from its equation, in float64; and what follows from the equations."""

from collections.abc import Callable

import fusion_oracles as oracle
import pytest
import torch
from fusion_oracles import D, H, N, T, W, maps
from torch import Tensor

from fusionlab.backbones.initialise import initialise
from fusionlab.fusion import bilinear, cat, conv, late, max, product, sum
from fusionlab.fusion.conv import Conv

CHECKS = [
    (sum.fuse, oracle.sums),
    (max.fuse, oracle.maxima),
    (product.fuse, oracle.products),
    (cat.fuse, oracle.stacks),
    (conv.fuse, oracle.filtered),
    (bilinear.fuse, oracle.bilinear_sums),
    (bilinear.Bilinear(3, 2), oracle.bilinear_descriptors),
    (late.fuse, oracle.averages),
]


@pytest.mark.parametrize("fuse, check", CHECKS, ids=[check.__name__ for _, check in CHECKS])
def test_equation(fuse: Callable[..., Tensor], check: Callable[[Callable[..., Tensor]], None]) -> None:
    check(fuse)


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_descriptor_of_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    a, b = (x.to(dtype) for x in maps())
    fusion = bilinear.Bilinear(D, D)
    assert torch.equal(fusion(a, b), fusion(a.float(), b.float()).to(dtype))


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
