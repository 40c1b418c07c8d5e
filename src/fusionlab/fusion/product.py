"""Product: y_d = a_d · b_d at every (t, i, j)."""

from torch import Tensor

from fusionlab.fusion.fusion import Fusion


def fuse(x_a: Tensor, x_b: Tensor) -> Tensor:
    """y_d = a_d · b_d"""
    return x_a * x_b


class Product(Fusion):
    """The product of corresponding channels: an "and" of the streams; bilinear fusion's diagonal, with its places."""

    def forward(self, x_a: Tensor, x_b: Tensor) -> Tensor:
        self.alike(x_a, x_b)
        return fuse(x_a, x_b)
