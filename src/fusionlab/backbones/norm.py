"""Batch normalisation that stands still: partial BN, as Temporal Segment Networks train with small batches."""

from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F


class StillNorm2d(nn.BatchNorm2d):
    """y = (x - mean) / sqrt(var + ε) · weight + bias, with the four as they were loaded: training changes none of them.

    It stays in evaluation mode whatever `train` says. Its weight and bias are parameters, so that they are counted
    and saved as in any network, but no gradient ever reaches them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Never."""
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Never."""
        return super().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        # Detached: `requires_grad_` of a module that this one is in goes to the parameters past the method above.
        weight, bias = self.weight.detach(), self.bias.detach()
        return F.batch_norm(x, self.running_mean, self.running_var, weight, bias, training=False, eps=self.eps)


def trainable(module: nn.Module) -> None:
    """Let every parameter learn but those that stand still."""
    still = {id(own) for part in module.modules() if isinstance(part, StillNorm2d) for own in part.parameters()}
    for parameter in module.parameters():
        parameter.requires_grad_(id(parameter) not in still)
