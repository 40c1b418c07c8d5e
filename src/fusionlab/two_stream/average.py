"""What two towers say of a clip, made one: the weighted mean of their scores, or of their logits.

Each tower's own predictions (time steps; places of larger frames) are averaged first, so that towers which leave
unlike numbers of them can be averaged too.
"""

import torch
from torch import Tensor

from fusionlab.two_stream.net import scores


def of_scores(x: Tensor, y: Tensor, weight: float) -> Tensor:
    """log (weight · scores(x) + (1 − weight) · scores(y)), (N, C, 1), whose softmax is the mean itself"""
    mean = weight * scores(x.float()) + (1 - weight) * scores(y.float())
    return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()[..., None]


def of_logits(x: Tensor, y: Tensor, weight: float) -> Tensor:
    """weight · x̄ + (1 − weight) · ȳ, (N, C, 1), with each tower's mean over its predictions"""
    return (weight * x.float().mean(dim=2) + (1 - weight) * y.float().mean(dim=2))[..., None]
