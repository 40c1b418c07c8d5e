"""Local response normalisation across channels, as MatConvNet defines it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def normalised(x: Tensor, window: int, kappa: float, alpha: float, beta: float) -> Tensor:
    """y_d = x_d / (κ + α Σ_c x_c²)^β, c over the window of N channels around d that exist.

    torch divides α by N: its `local_response_norm(x, N, N·α, β, κ)` is this, for frames (N·T, D, H, W) in
    channels-last memory 1.5 times slower. Here the sum is an average along D, innermost, times N. At least float32:
    squares of half the precision leave little of a difference.
    """
    assert window % 2 == 1, "a window around a channel is odd"
    n, d, h, w = x.shape
    precise = x if x.dtype == torch.float64 else x.float()
    squares = precise.square().permute(0, 2, 3, 1).reshape(n * h * w, 1, d)
    average = F.avg_pool1d(squares, window, stride=1, padding=window // 2).reshape(n, h, w, d).permute(0, 3, 1, 2)
    return (precise * (kappa + alpha * window * average).pow(-beta)).to(x.dtype)


class LocalResponseNorm(nn.Module):
    """The normalisation with the numbers of VGG-M, which are AlexNet's: N = 5, κ = 2, α = 1e-4, β = 0.75.

    Caffe and torch write the same α as 5e-4, and divide it by N = 5; a MatConvNet file holds [5 2 1e-4 0.75].
    """

    def __init__(self, window: int = 5, kappa: float = 2.0, alpha: float = 1e-4, beta: float = 0.75) -> None:
        super().__init__()
        self.window, self.kappa, self.alpha, self.beta = window, kappa, alpha, beta

    def forward(self, x: Tensor) -> Tensor:
        return normalised(x, self.window, self.kappa, self.alpha, self.beta)

    @property
    def lrn_numbers(self) -> tuple[int, float, float, float]:
        """N, κ, α, β, as a MatConvNet file has them."""
        return self.window, self.kappa, self.alpha, self.beta

    def layer_text(self) -> str:
        return f"lrn {self.window}"

    def extra_repr(self) -> str:
        return f"{self.window}, kappa={self.kappa}, alpha={self.alpha}, beta={self.beta}"
