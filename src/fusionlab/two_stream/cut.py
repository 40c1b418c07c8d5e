"""A tower cut open at a tap: what its map is like, and what stands above."""

from dataclasses import dataclass
from typing import Self

from torch import nn

from fusionlab.backbones.inlets import inlets
from fusionlab.backbones.taps import Tap, resolve, walk
from fusionlab.backbones.tower import Tower


@dataclass(frozen=True)
class Cut:
    tower: Tower
    layer: str

    @classmethod
    def at(cls, tower: Tower, layer: str) -> Self:
        """The cut at a layer as people spell it."""
        return cls(tower, resolve(layer, tower.taps))

    @property
    def tap(self) -> Tap:
        return self.tower.taps[self.layer]

    @property
    def depth(self) -> int:
        """The place of the layer that the map is read behind."""
        return self.tower.names.index(self.tap.after)

    @property
    def above(self) -> tuple[str, ...]:
        """The layers behind the cut, up to the logits."""
        return self.tower.above(self.layer)

    def until(self, other: "Cut | None") -> tuple[str, ...]:
        """The layers behind this cut, up to another one above it, or to the logits."""
        return self.above if other is None else self.above[: other.depth - self.depth]

    @property
    def pooling(self) -> str | None:
        """The next pooling layer above."""
        pools = (nn.MaxPool2d, nn.AvgPool2d)
        return next((name for name in self.above if isinstance(self.tower.get_submodule(name), pools)), None)

    @property
    def pooled(self) -> int:
        """The side of the map that this pooling layer takes."""
        assert self.pooling is not None
        below = self.tower.names[: self.tower.names.index(self.pooling)]
        layers = {name: self.tower.get_submodule(name) for name in below}
        return walk(layers, self.tower.in_channels, self.tower.size)[below[-1]].side

    @property
    def weighted(self) -> str | None:
        """The next layer above that counts on a number of channels."""
        return next((name for name in self.above if inlets(self.tower.get_submodule(name)) != ()), None)

    @property
    def widens(self) -> bool:
        """Whether that layer can be made to take more channels."""
        return self.weighted is not None and inlets(self.tower.get_submodule(self.weighted)) is not None

    @property
    def prediction(self) -> bool:
        """Whether the map are class scores, before the softmax or behind it."""
        return self.tap.after in self.tower.names[-2:]

    @property
    def probabilities(self) -> bool:
        """Whether the map are class scores behind the softmax."""
        return self.tap.after == self.tower.names[-1]


def name_of(part: nn.Module) -> str:
    """A part as it is typed: Conv -> conv."""
    return type(part).__name__.lower()
