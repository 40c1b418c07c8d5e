"""Late: p = ½ (softmax(a) + softmax(b)), the average of the two streams' class scores."""

from math import log

import torch
from torch import Tensor

from fusionlab.fusion.fusion import Fusion


def fuse(x_a: Tensor, x_b: Tensor) -> Tensor:
    """log ½ (softmax(a) + softmax(b)), so that the softmax of the result is the average itself."""
    return torch.logaddexp(x_a.log_softmax(dim=1), x_b.log_softmax(dim=1)) - log(2.0)


class Late(Fusion):
    """The 2014 paper's fusion, the baseline of all others: nothing is learnt, and only scores are combined."""

    fuses_scores = True
    layers = ("fc8",)

    def forward(self, x_a: Tensor, x_b: Tensor) -> Tensor:
        self.alike(x_a, x_b)
        return fuse(x_a, x_b)
