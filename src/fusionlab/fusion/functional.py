"""The fusions' equations as functions of two maps (N, D, T, H, W): `from fusionlab import functional as F`."""

from torch import Tensor

from fusionlab.fusion import bilinear as _bilinear
from fusionlab.fusion.cat import fuse as cat
from fusionlab.fusion.compact import Hash, count_sketch
from fusionlab.fusion.compact import fuse as _compact
from fusionlab.fusion.conv import fuse as _conv
from fusionlab.fusion.late import fuse as late
from fusionlab.fusion.max import fuse as max
from fusionlab.fusion.product import fuse as product
from fusionlab.fusion.sum import fuse as sum

__all__ = ["bilinear", "cat", "compact", "conv", "count_sketch", "late", "max", "product", "sum"]


def conv(x_a: Tensor, x_b: Tensor, filters: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = filters · [a, b] + bias, with filters (D, D_a + D_b, 1, 1)"""
    return _conv(x_a, x_b, filters, bias)


def bilinear(x_a: Tensor, x_b: Tensor) -> Tensor:
    """y_de = Σ_ij a_d · b_e, then sign(y) √|y|, then y / ‖y‖₂: the paper's descriptor (N, D_a · D_b, T, 1, 1)"""
    return _bilinear.normalised(_bilinear.rooted(_bilinear.fuse(x_a, x_b)))


def compact(x_a: Tensor, x_b: Tensor, hash_a: Hash, hash_b: Hash, length: int) -> Tensor:
    """The same descriptor, approximated by count sketches of this length."""
    return _bilinear.normalised(_bilinear.rooted(_compact(x_a, x_b, hash_a, hash_b, length)))
