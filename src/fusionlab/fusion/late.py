"""Late: p = w · softmax(a) + (1 − w) · softmax(b), a mean of the two streams' class scores; usually w = ½."""

from math import log

import torch
from torch import Tensor

from fusionlab import errors
from fusionlab.fusion.fusion import Fusion


def fuse(x_a: Tensor, x_b: Tensor, weight: float = 0.5) -> Tensor:
    """log (w · softmax(a) + (1 − w) · softmax(b)), so that the softmax of the result is the mean itself."""
    a, b = x_a.log_softmax(dim=1), x_b.log_softmax(dim=1)
    if weight == 0.5:
        return torch.logaddexp(a, b) - log(2.0)
    return torch.logaddexp(a + log(weight), b + log(1 - weight))


class Late(Fusion):
    """The 2014 paper's fusion, the baseline of all others: nothing is learnt, and only scores are combined."""

    fuses_scores = True
    layers = ("fc8",)

    def __init__(self, channels_a: int, channels_b: int, *, weight: float = 0.5) -> None:
        super().__init__(channels_a, channels_b)
        self.weight = weight
        self.symmetric = weight == 0.5
        if not 0 < weight < 1:
            raise errors.UserError(
                "late fusion's weight of appearance lies between 0 and 1", got=f"fusion.weight={weight}",
                hint="fusion.weight=0.5; or streams=appearance, streams=motion for one stream alone",
            )  # fmt: skip

    def forward(self, x_a: Tensor, x_b: Tensor) -> Tensor:
        self.alike(x_a, x_b)
        return fuse(x_a, x_b, self.weight)
