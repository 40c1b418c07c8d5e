"""Cat: y_d = a_d for d < D, y_(D+d) = b_d, at every (t, i, j)."""

import torch
from torch import Tensor

from fusionlab.fusion.fusion import Fusion


def fuse(x_a: Tensor, x_b: Tensor) -> Tensor:
    """y = [a, b]"""
    return torch.cat((x_a, x_b), dim=1)


class Cat(Fusion):
    """The two maps stacked; the next weighted layer above takes 2D channels and learns the correspondence.

    The paper writes the stack interleaved, the released code has it in two blocks, as here: any order of the
    channels is the same network with permuted filters.
    """

    symmetric = False
    equal_channels = False

    def __init__(self, channels_a: int, channels_b: int) -> None:
        super().__init__(channels_a, channels_b)
        self.out_channels = channels_a + channels_b

    def forward(self, x_a: Tensor, x_b: Tensor) -> Tensor:
        self.alike(x_a, x_b)
        return fuse(x_a, x_b)
