"""What a net is: the maps it needs from each stream, and logits made of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionlab.two_stream.svm import Svm

Stream = Literal["appearance", "motion"]
STREAMS: tuple[Stream, ...] = get_args(Stream)
Needs = Mapping[Stream, tuple[str, ...]]  # stream -> the layers whose maps are wanted
Features = Mapping[Stream, Mapping[str, Tensor]]  # stream -> layer -> its map (N, D, T, H, W)


class Net(nn.Module):
    """forward(features) -> logits (N, C, T'). A clip's scores are their softmax over C, averaged over T'.

    T' counts predictions: time steps that are left, and places where frames are larger than the towers
    expect.
    """

    needs: Needs

    def __init__(self) -> None:
        super().__init__()
        # A linear classifier in the place of the paper's SVM, which the paper does not count.
        self.svm: Svm | None = None

    def forward(self, features: Features) -> Tensor:
        raise NotImplementedError

    def heads(self, features: Features) -> tuple[Tensor, ...]:
        """The logits that have a loss of their own, each (N, C, T'): one tower's, or two."""
        return (self(features),)

    def combine(self, heads: Sequence[Tensor]) -> Tensor:
        """The logits of `forward`, from those of the heads."""
        return heads[0]

    def heads_loss(self, heads: Sequence[Tensor], label: Tensor) -> Tensor:
        """Σ over the heads of the mean cross-entropy over clips and predictions."""
        first, *others = (cross_entropy(logits, label) for logits in heads)
        return sum(others, start=first)

    def loss(self, features: Features, label: Tensor) -> Tensor:
        return self.heads_loss(self.heads(features), label)

    def loss_and_correct(self, features: Features, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and how many clips have their highest score at their label, from one pass."""
        heads = self.heads(features)
        with torch.no_grad():
            correct = (scores(self.combine([one.detach().float() for one in heads])).argmax(dim=1) == label).sum()
        return self.heads_loss(heads, label), correct


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """−1/(N T') Σ_n Σ_t log softmax(logits)[n, label_n, t]"""
    assert logits.ndim == 3, f"logits are (N, C, T'), got {tuple(logits.shape)}"
    return F.cross_entropy(logits.float(), label[:, None].expand(-1, logits.shape[2]))


def scores(logits: Tensor) -> Tensor:
    """Logits (N, C, T') -> class scores (N, C) that sum to 1."""
    return logits.softmax(dim=1).mean(dim=2)


def union(needs: Iterable[Needs]) -> dict[Stream, tuple[str, ...]]:
    """What several nets need together, each layer once, in the order of their first mention."""
    together: dict[Stream, dict[str, None]] = {}
    for one in needs:
        for stream, layers in one.items():
            together.setdefault(stream, {}).update(dict.fromkeys(layers))
    return {stream: tuple(together[stream]) for stream in STREAMS if stream in together}
