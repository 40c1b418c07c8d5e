"""Batch normalisation that never changes: partial BN, as Temporal Segment Networks train with small batches."""

from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F


class _StillNorm(nn.modules.batchnorm._BatchNorm):
    """y = (x - mean) / sqrt(var + ε) · weight + bias, with the four as they were loaded: training changes none of them.

    It stays in evaluation mode whatever `train` says. Its weight and bias are parameters, so that they are counted
    and saved as in any network, but no gradient ever reaches them.
    """

    never_trains = True

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(channels, eps)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Stay without gradients."""
        return super().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        # Detached: `requires_grad_` of an outer module sets the parameters directly, past the method above.
        weight, bias = self.weight.detach(), self.bias.detach()
        return F.batch_norm(x, self.running_mean, self.running_var, weight, bias, training=False, eps=self.eps)


class StillNorm2d(_StillNorm, nn.BatchNorm2d):
    """Of frames."""


class StillNorm3d(_StillNorm, nn.BatchNorm3d):
    """Of clips."""


def trainable(module: nn.Module) -> None:
    """Make every parameter trainable, except those of layers with `never_trains`."""
    fixed = {id(own) for part in module.modules() if getattr(part, "never_trains", False) for own in part.parameters()}
    for parameter in module.parameters():
        parameter.requires_grad_(id(parameter) not in fixed)
