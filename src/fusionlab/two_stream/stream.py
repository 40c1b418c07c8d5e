"""One stream alone: what stage one trains, and a baseline of every table."""

from torch import Tensor

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.tower import Tower
from fusionlab.two_stream.net import Features, Net, Stream


class StreamNet(Net):
    """A whole tower on its stream's input."""

    def __init__(self, tower: Tower, stream: Stream, *, seed: int | None = None) -> None:
        """With a seed the tower is drawn anew (each stream differently); without, it stays as it is."""
        super().__init__()
        self.stream = stream
        self.needs = {stream: ("input",)}
        self.tower = tower
        if seed is not None:
            initialise(tower, seed, prefix=f"{stream}.")

    def forward(self, features: Features) -> Tensor:
        return self.tower(features[self.stream]["input"]).flatten(2)
