"""From logits to scores and losses, one tower's or two towers' together."""

from collections.abc import Sequence
from math import log
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from fusionlab import errors
from fusionlab.backbones.initialise import Classifier

Consensus = Literal["scores", "logits"]  # what a clip's predictions are averaged as

# Filters over class scores push some of them to zero and below within a hundred steps, where a logarithm has no slope
# that leads back: a loss of 1.7 went to 17. With a floor of 0.1 it stayed at 1.7, with 0.01 it went to 2.6.
LEARNT_FLOOR = 0.1
# A descriptor has norm 1, and with it gradient descent barely moves the classifier. After 100 steps of Adam a toy set
# was at 33 %, and at 77 % with norm 32; with the hinge loss, another one at 18 % and at 90 %.
NORM = 32.0


class Svm(Classifier):
    """logits, or margins, = W · (32 x) + bias for descriptors x of norm 1.

    In the paper a support vector machine that is trained outside the network; here its last layer, under that machine's
    loss (`hinge`) or under cross-entropy (`fusion.classifier`).
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(NORM * input)

    def layer_text(self) -> str:
        return "linear"


def expect_consensus(name: str) -> None:
    """Raise a `UserError` for a consensus of predictions that does not exist."""
    if name not in get_args(Consensus):
        raise errors.unknown("consensus of a clip's predictions", name, get_args(Consensus), form="consensus={}")


def apply_consensus(logits: Tensor, consensus: Consensus) -> Tensor:
    """scores: (N, C, T') as they are; logits: x̄ = 1/T' Σ_t x_t, (N, C, 1), one prediction with one loss.

    The second is the segmental consensus of Temporal Segment Networks (Wang et al. 2016).
    """
    if consensus == "scores":
        return logits
    return (logits.float() if logits.dtype.itemsize < 4 else logits).mean(dim=2, keepdim=True)


def scores(logits: Tensor) -> Tensor:
    """Logits (N, C, T') -> class scores (N, C) that sum to 1."""
    return logits.softmax(dim=1).mean(dim=2)


def mean_of_scores(x: Tensor, y: Tensor, weight: float) -> Tensor:
    """log (weight · scores(x) + (1 − weight) · scores(y)), (N, C, 1), whose softmax is the mean itself.

    The predictions of each tower are averaged first, so the towers may have different numbers of predictions.
    """
    mean = weight * scores(x.float()) + (1 - weight) * scores(y.float())
    return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()[..., None]


def mean_of_logits(x: Tensor, y: Tensor, weight: float) -> Tensor:
    """weight · x̄ + (1 − weight) · ȳ, (N, C, 1), with each tower's mean over its predictions."""
    return (weight * x.float().mean(dim=2) + (1 - weight) * y.float().mean(dim=2))[..., None]


def logarithm(x: Tensor, floor: float | None) -> Tensor:
    """log x, fused class scores back to logits; below the floor its tangent there, log f + (x − f) / f."""
    if floor is None:
        return x.clamp_min(torch.finfo(x.dtype).tiny).log()
    return torch.where(x > floor, x.clamp_min(floor).log(), log(floor) + (x - floor) / floor)


def cross_entropy(logits: Tensor, label: Tensor, weights: Tensor | None = None) -> Tensor:
    """−1/(N T') Σ_n w_n Σ_t log softmax(logits)[n, label_n, t], with `weights` w (N,) of the clips, or 1"""
    assert logits.ndim == 3, f"logits are (N, C, T'), got {tuple(logits.shape)}"
    x = logits.float() if logits.dtype.itemsize < 4 else logits
    labels = label[:, None].expand(-1, logits.shape[2])
    if weights is None:
        return F.cross_entropy(x, labels)
    return (weights[:, None] * F.cross_entropy(x, labels, reduction="none")).mean()


def balanced_weights(counts: Sequence[int]) -> Tensor:
    """w_c = n / (C n_c), where class c has n_c of n clips, and C classes have any: the mean over the clips is 1.

    The weight of a class without a clip is 0; no clip has it.
    """
    present = sum(count > 0 for count in counts)
    return torch.tensor([sum(counts) / (present * count) if count else 0.0 for count in counts])


def nll(logits: Tensor, label: Tensor) -> Tensor:
    """−1/N Σ_n log scores(logits)[n, label_n], logits (N, C, T'): the mean over T' lies inside the logarithm.

    Not the cross-entropy, whose mean over T' lies outside: this one measures the scores that a test sees. Through
    logarithms, so that a score of 1e-50 is not 0.
    """
    assert logits.ndim == 3, f"logits are (N, C, T'), got {tuple(logits.shape)}"
    logs = (logits.float() if logits.dtype.itemsize < 4 else logits).log_softmax(dim=1)
    own = logs[torch.arange(len(label), device=logs.device), label]
    return (log(own.shape[1]) - own.logsumexp(dim=1)).mean()


def hinge(margins: Tensor, label: Tensor, weights: Tensor | None = None) -> Tensor:
    """1/(N T') Σ_n w_n Σ_t Σ_c max(0, 1 − s_nc · m_nct)², margins m (N, C, T'), label (N,), weights w (N,) or 1

    s_nc is 1 where c is the clip's class, −1 elsewhere. The loss of a linear support vector machine, one class against
    the rest. With λ as its `regulariser` gradient descent minimises λ/2 ‖W, bias‖² + hinge,
    which for each class is the problem of liblinear's default solver (L2-regularised L2-loss; the bias is regularised
    too, as with its option -B 1) with C = 1/(λ N T'). The square, and not the plain hinge: its slope has no jumps, so a
    descent with finite steps comes to rest.
    """
    assert margins.ndim == 3, f"margins are (N, C, T'), got {tuple(margins.shape)}"
    m = margins.float() if margins.dtype.itemsize < 4 else margins
    s = 2 * F.one_hot(label, m.shape[1])[..., None].to(m) - 1
    losses = (1 - s * m).relu().square().sum(dim=1)
    return losses.mean() if weights is None else (weights[:, None] * losses).mean()


def penalty(machine: Svm, regulariser: float) -> Tensor:
    """λ/2 ‖W, bias‖², in the loss itself: then Adam minimises what gradient descent does, and biases count."""
    return regulariser / 2 * torch.stack([one.square().sum() for one in machine.parameters()]).sum()
