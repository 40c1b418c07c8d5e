"""A net: the maps that it needs from each stream, and its logits; the two nets without a fusion."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.tower import Tower
from fusionlab.fusion import late
from fusionlab.two_stream.outline import NetLayer, Storey
from fusionlab.two_stream.scores import Consensus, Svm, apply_consensus, cross_entropy, mean_of_scores, nll, scores

Stream = Literal["appearance", "motion"]
STREAMS: tuple[Stream, ...] = get_args(Stream)
Needs = Mapping[Stream, tuple[str, ...]]  # stream -> the layers whose maps are wanted
Features = Mapping[Stream, Mapping[str, Tensor]]  # stream -> layer -> its map (N, D, T, H, W)


class Net(nn.Module):
    """forward(features) -> logits (N, C, T'). A clip's scores are their softmax over C, averaged over T'.

    T' counts predictions: time steps after the temporal head, and places if frames are larger than the towers expect.
    With the consensus `logits` each head averages them to one, T' = 1, before its loss and its softmax.
    """

    needs: Needs
    into: Stream = "appearance"  # the tower that goes on above a fusion
    two_losses = False  # both towers end in logits with a loss
    keeps_apart = False  # they are not fused, but their layers above a cut are in this net

    def __init__(self, consensus: Consensus = "scores") -> None:
        super().__init__()
        self.consensus = consensus
        # A linear classifier in the place of the paper's SVM, which the paper does not count.
        self.svm: Svm | None = None

    def forward(self, features: Features) -> Tensor:
        raise NotImplementedError

    def heads(self, features: Features) -> tuple[Tensor, ...]:
        """The logits that have a loss of their own, each (N, C, T'): those of one tower or two."""
        return (self(features),)

    def combine(self, heads: Sequence[Tensor]) -> Tensor:
        """The logits of `forward`, from those of the heads."""
        return heads[0]

    @property
    def head_names(self) -> tuple[str, ...]:
        """Names of `heads`, in their order, whose scores a test keeps; none where they are those of other nets."""
        return ()

    @property
    def regularised(self) -> tuple[nn.Parameter, ...]:
        """Parameters with a regulariser in the loss: the recipe's weight decay leaves them out."""
        return ()

    @property
    def margins(self) -> tuple[str, ...]:
        """Heads that leave margins of a support vector machine, which are no logits."""
        return ()

    def no_effect(self, lengths: Sequence[int]) -> dict[str, tuple[str, str | None]]:
        """Options that have no effect -> (why, what to type instead, if anything). `lengths`: the frames of clips."""
        return {}

    def heads_loss(self, heads: Sequence[Tensor], label: Tensor, weights: Tensor | None = None) -> Tensor:
        """Σ over the heads of the mean cross-entropy over clips and predictions. `weights`: of the clips."""
        first, *others = (cross_entropy(logits, label, weights) for logits in heads)
        return sum(others, start=first)

    def loss(self, features: Features, label: Tensor) -> Tensor:
        return self.heads_loss(self.heads(features), label)

    def loss_and_correct(
        self, features: Features, label: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The loss, and the number of clips whose highest score is at their label, from one pass."""
        heads = self.heads(features)
        return self.heads_loss(heads, label, weights), self._correct(heads, label)

    def nll_and_correct(self, features: Features, label: Tensor) -> tuple[Tensor, Tensor]:
        """The NLL of the scores, and the number of clips whose highest score is at their label, from one pass."""
        heads = self.heads(features)
        return self.scored_nll(heads, label), self._correct(heads, label)

    def scored_nll(self, heads: Sequence[Tensor], label: Tensor) -> Tensor:
        """−log of the score at the label: comparable between nets, whatever their own losses are."""
        return nll(self.combine([one.float() for one in heads]), label)

    def _correct(self, heads: Sequence[Tensor], label: Tensor) -> Tensor:
        with torch.no_grad():
            return (scores(self.combine([one.detach().float() for one in heads])).argmax(dim=1) == label).sum()

    # -- what it says of itself

    @property
    def apart(self) -> Mapping[Stream, "Net"]:
        """Parts that are trained as if each were alone, with its own loss; each is clipped and tested by itself."""
        return {}

    @property
    def own_towers(self) -> Mapping[Stream, Tower]:
        """Whole towers inside the net, in contrast to those below it."""
        return {}

    @property
    def scores_text(self) -> str:
        """The computation of scores from logits, in words."""
        return self.softmax_text

    def reach(self, snippets: int) -> tuple[Sequence[range], ...]:
        """For each head, the snippets that each prediction sees, of clips of T = `snippets`."""
        towers = self.own_towers.values()
        seen = [frames_seen(tower, tower.classifier, snippets) for tower in towers]
        return self.merge_reach(*(seen or [[range(t, t + 1) for t in range(snippets)]]))

    def merge_reach(self, *heads: Sequence[range]) -> tuple[Sequence[range], ...]:
        """What the predictions of each head see, after their consensus."""
        if self.consensus == "scores":
            return heads
        return tuple([range(min(one.start for one in head), max(one.stop for one in head))] for head in heads)

    @property
    def softmax_text(self) -> str:
        """The computation of one tower's scores from its logits, in words."""
        return "softmax" if self.consensus == "scores" else "softmax of mean"

    def layers(self, snippets: int) -> Iterator[NetLayer]:
        """Every module with weights or an effect. By default each child is one layer."""
        yield from (NetLayer(name, name, "") for name, _ in self.named_children())

    def storeys(self) -> Sequence[Storey]:
        """Its fusions, the lowest first."""
        return ()


def frames_seen(tower: Tower, tap: str, frames: int) -> list[range]:
    """For each time step at a tap approximately the frames that it sees, of clips of T = `frames`; all where unknown.

    The window is placed around the step's own frames. With TensorFlow's padding, which has more zeros at the end than
    at the start, the frames that are really seen can be one later.
    """
    stride, field = tower.taps[tap].time_stride, tower.taps[tap].time_field
    steps = range(tower.steps(tap, frames))
    if field is None:
        return [range(frames) for _ in steps]
    first = (stride - field) // 2
    return [range(max(0, t * stride + first), min(frames, t * stride + first + field)) for t in steps]


class StreamNet(Net):
    """One stream alone: a whole tower on its input. Stage one trains it; every table has it as a baseline."""

    def __init__(
        self, tower: Tower, stream: Stream, *, seed: int | None = None, consensus: Consensus = "scores"
    ) -> None:
        """With a seed the tower is drawn anew (each stream differently); without, it stays as it is."""
        super().__init__(consensus)
        self.stream = stream
        self.needs = {stream: ("input",)}
        self.tower = tower
        if seed is not None:
            initialise(tower, seed, prefix=f"{stream}.")

    def forward(self, features: Features) -> Tensor:
        return apply_consensus(self.tower(features[self.stream]["input"]).flatten(2), self.consensus)

    @property
    def head_names(self) -> tuple[str, ...]:
        return (self.stream,)

    @property
    def own_towers(self) -> Mapping[Stream, Tower]:
        return {self.stream: self.tower}

    def layers(self, snippets: int) -> Iterator[NetLayer]:
        yield from (NetLayer(f"tower.{name}", "tower", name) for name in self.tower.names)


class LateNet(Net):
    """Late fusion: two whole towers, and a mean of their scores. It has no parameters to train."""

    def __init__(
        self,
        appearance: str = "fc8",
        motion: str = "fc8",
        *,
        weight: float = 0.5,
        consensus: Consensus = "scores",
        below: Sequence[Tower] = (),
    ) -> None:
        """The taps with the logits, as the towers call them. `weight`: of appearance's scores in the mean.

        `below`: the two towers, for what predictions see. They are no part of this net.
        """
        super().__init__(consensus)
        self.weight = weight
        self._seen = [partial(frames_seen, tower, tower.classifier) for tower in below]
        self.layer_a, self.layer_b = appearance, motion
        self.needs = {"appearance": (appearance,), "motion": (motion,)}

    def no_effect(self, lengths: Sequence[int]) -> dict[str, tuple[str, str | None]]:
        why = "late fusion has both towers whole and nothing above them"
        return dict.fromkeys(("into", "keep_motion", "tower_weight", "align", "backprop"), (why, None))

    def reach(self, snippets: int) -> tuple[Sequence[range], ...]:
        """What a prediction of both towers sees together; all frames where they have unlike numbers of them."""
        a, b = (seen(snippets) for seen in self._seen) if self._seen else 2 * [super().reach(snippets)[0]]
        if len(a) != len(b):
            return self.merge_reach([range(snippets)])
        pairs = zip(a, b, strict=True)
        return self.merge_reach([range(min(x.start, y.start), max(x.stop, y.stop)) for x, y in pairs])

    def forward(self, features: Features) -> Tensor:
        maps = features["appearance"][self.layer_a], features["motion"][self.layer_b]
        x_a, x_b = (apply_consensus(one.flatten(2), self.consensus) for one in maps)
        return mean_of_streams(x_a, x_b, self.weight)

    @property
    def scores_text(self) -> str:
        a, b = ("½", "½") if self.weight == 0.5 else (f"{self.weight:g} ·", f"{1 - self.weight:g} ·")
        return f"{a} {self.softmax_text}(appearance) + {b} {self.softmax_text}(motion)"


def mean_of_streams(x_a: Tensor, x_b: Tensor, weight: float = 0.5) -> Tensor:
    """The mean of both towers' scores, prediction by prediction where they have as many."""
    if x_a.shape == x_b.shape:
        return late.fuse(x_a, x_b, weight)
    return mean_of_scores(x_a, x_b, weight)  # different towers on larger frames


def union(needs: Iterable[Needs]) -> dict[Stream, tuple[str, ...]]:
    """The layers that several nets need together, each once, in the order of their first occurrence."""
    together: dict[Stream, dict[str, None]] = {}
    for one in needs:
        for stream, layers in one.items():
            together.setdefault(stream, {}).update(dict.fromkeys(layers))
    return {stream: tuple(together[stream]) for stream in STREAMS if stream in together}
