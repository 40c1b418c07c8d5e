"""Local response normalisation against MatConvNet's formula, written out place by place and channel by channel."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionlab.backbones.lrn import LocalResponseNorm, normalised

NUMBERS = (5, 2.0, 1e-4, 0.75)  # window, κ, α, β


def maps(channels: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return 60 * torch.randn(2, channels, 3, 4, generator=torch.Generator().manual_seed(0), dtype=dtype)


def by_loop(x: Tensor, window: int, kappa: float, alpha: float, beta: float) -> Tensor:
    """vl_nnnormalize: Y(i,j,k) = X(i,j,k) / L(i,j,k)^BETA, L = KAPPA + ALPHA · Σ_{q ∈ Q(k)} X(i,j,q)²,
    Q(k) = [max(1, k - FLOOR((N-1)/2)) : min(D, k + CEIL((N-1)/2))], channels counted from 1.
    """
    y = torch.empty_like(x)
    frames, d, height, width = x.shape
    for n, k, i, j in product(range(frames), range(1, d + 1), range(height), range(width)):
        first, last = max(1, k - (window - 1) // 2), min(d, k + window // 2)
        l = kappa + alpha * sum(float(x[n, q - 1, i, j]) ** 2 for q in range(first, last + 1))  # noqa: E741
        y[n, k - 1, i, j] = x[n, k - 1, i, j] / l**beta
    return y


@pytest.mark.parametrize("numbers", [NUMBERS, (3, 1.0, 0.1, 0.5), (7, 0.5, 1e-3, 1.25), (1, 2.0, 0.2, 0.75)])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_equals_the_formula(channels: int, numbers: tuple[int, float, float, float]) -> None:
    x = maps(channels)
    assert torch.allclose(normalised(x, *numbers), by_loop(x, *numbers), rtol=1e-12, atol=0)


def test_one_number_by_hand() -> None:
    """Channels 1 … 6 of the values 100: at the edge three are in the window, inside five."""
    y = LocalResponseNorm()(torch.full((1, 6, 1, 1), 100.0)).flatten()
    assert y[0].item() == pytest.approx(100 / (2 + 1e-4 * 3 * 100**2) ** 0.75)
    assert y[2].item() == pytest.approx(100 / (2 + 1e-4 * 5 * 100**2) ** 0.75)


def test_torchs_alpha_is_n_times_ours() -> None:
    x = maps(8)
    window, kappa, alpha, beta = NUMBERS
    theirs = F.local_response_norm(x, window, alpha=window * alpha, beta=beta, k=kappa)
    assert torch.allclose(normalised(x, *NUMBERS), theirs, rtol=1e-12, atol=0)
    assert not torch.allclose(normalised(x, *NUMBERS), F.local_response_norm(x, *(5, alpha, beta, kappa)), rtol=1e-2)


def test_vgg_ms_alpha_as_caffe_and_torch_write_it() -> None:
    """α = 5e-4 over a window of 5, which is divided by: ours, of the sum, is a fifth of it."""
    x = maps(8)
    theirs = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)(x)
    assert torch.allclose(LocalResponseNorm()(x), theirs, rtol=1e-12, atol=0)


def test_gradients() -> None:
    x = (maps(6) / 20).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: normalised(x, 5, 2.0, 0.05, 0.75), (x,))


def test_memory_type_and_place_stay_as_they_are() -> None:
    x = maps(8, torch.float32).contiguous(memory_format=torch.channels_last)
    assert normalised(x, *NUMBERS).is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(normalised(x, *NUMBERS), normalised(x.contiguous(), *NUMBERS))
    assert normalised(x.to("meta"), *NUMBERS).shape == x.shape
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = normalised(x.bfloat16(), *NUMBERS)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, normalised(x.bfloat16().float(), *NUMBERS).bfloat16()), "squared and summed in float32"
