"""Bilinear: y_de = Σ_ij a_d(i, j) · b_e(i, j) at every t, then signed square root and L2 normalisation."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from fusionlab.fusion.fusion import Fusion, classifying, regularising

# Keeps the root's slope finite at zero, which rectified maps often have; changes no value by more than 1e-5.
SMALL = 1e-10


def fuse(x_a: Tensor, x_b: Tensor) -> Tensor:
    """y_de = Σ_ij a_d(i, j) · b_e(i, j)"""
    return torch.einsum("ndthw,nethw->ndet", x_a, x_b).flatten(1, 2)[..., None, None]


def rooted(y: Tensor) -> Tensor:
    """sign(y) √|y|"""
    return y * torch.rsqrt(y.abs() + SMALL)


def normalised(y: Tensor) -> Tensor:
    """y / ‖y‖₂ over the channels."""
    return F.normalize(y, dim=1)


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Without autocast, which would compute the matrix product in half precision."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


class Bilinear(Fusion):
    """Every channel with every channel, summed over places: D² numbers a frame, without places.

    The layers above the fusion are dropped, and a classifier follows at once: a linear support vector machine as in the
    paper, or a softmax.
    """

    symmetric = False
    spatial = False
    equal_channels = False

    def __init__(
        self, channels_a: int, channels_b: int, *, classifier: str = "softmax", regulariser: float | None = None
    ) -> None:
        super().__init__(channels_a, channels_b)
        self.classifier, self.regulariser = classifying(classifier), regularising(regulariser)
        self.out_channels = channels_a * channels_b

    def forward(self, x_a: Tensor, x_b: Tensor) -> Tensor:
        self.alike(x_a, x_b)
        dtype = x_a.dtype
        with full_precision(x_a):
            x_a, x_b = (x.float() if x.dtype.itemsize < 4 else x for x in (x_a, x_b))
            return normalised(rooted(fuse(x_a, x_b))).to(dtype)
