"""A stream that is trained on two data sets: one tower, and a classifier for the classes of each, as in 2014.

    loss = cross-entropy of the tower's classifier, over clips of the main data set
         + cross-entropy of the second classifier, over clips of the second data set

Validation, tests and stage two know the tower alone, and only its weights are published.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.tower import Tower
from fusionlab.two_stream.net import Features, Net, Stream, StreamNet
from fusionlab.two_stream.scores import Consensus, apply_consensus

SECOND = "second."  # before the names of the second classifier's weights


class SecondTask(Net):
    """A tower with another classifier. The tower is a part of the net beside it, not of this one."""

    def __init__(self, tower: Tower, stream: Stream, head: nn.Module, consensus: Consensus) -> None:
        super().__init__(consensus)
        self.stream, self.head = stream, head
        self.needs = {stream: ("input",)}
        self._tower = (tower,)  # a tuple, so that its weights are not counted twice

    def forward(self, features: Features) -> Tensor:
        (tower,) = self._tower
        clips, last = features[self.stream]["input"], tower.classifier
        return apply_consensus(tower.collect(clips, (last,), {last: self.head})[last].flatten(2), self.consensus)


class MultitaskNet(StreamNet):
    """A stream's net, whose tower is also trained on a second task."""

    def __init__(
        self, tower: Tower, stream: Stream, head: nn.Module, *, seed: int, consensus: Consensus = "scores"
    ) -> None:
        """`head`: the second classifier; it is drawn, as the tower is."""
        super().__init__(tower, stream, seed=seed, consensus=consensus)
        initialise(head, seed, prefix=f"{stream}.{SECOND}")
        self.second = SecondTask(tower, stream, head, consensus)


def of_main_task(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a net without those of its second classifier."""
    return {name: one for name, one in state.items() if not name.startswith(SECOND)}
