"""Sum: y_d = a_d + b_d at every (t, i, j)."""

from torch import Tensor

from fusionlab.fusion.fusion import Fusion


def fuse(x_a: Tensor, x_b: Tensor) -> Tensor:
    """y_d = a_d + b_d"""
    return x_a + x_b


class Sum(Fusion):
    """The sum of corresponding channels. Which correspond is arbitrary: the layers above learn it."""

    def forward(self, x_a: Tensor, x_b: Tensor) -> Tensor:
        self.alike(x_a, x_b)
        return fuse(x_a, x_b)
