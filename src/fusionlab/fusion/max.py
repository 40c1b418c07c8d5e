"""Max: y_d = max(a_d, b_d) at every (t, i, j)."""

import torch
from torch import Tensor

from fusionlab.fusion.fusion import Fusion


def fuse(x_a: Tensor, x_b: Tensor) -> Tensor:
    """y_d = max(a_d, b_d)"""
    return torch.maximum(x_a, x_b)


class Max(Fusion):
    """The stronger of two corresponding channels."""

    def forward(self, x_a: Tensor, x_b: Tensor) -> Tensor:
        self.alike(x_a, x_b)
        return fuse(x_a, x_b)
