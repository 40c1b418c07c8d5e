"""A tower cut open at a tap: what its map is like, and what stands above."""

from dataclasses import dataclass
from typing import Self

from torch import nn

from fusionlab.backbones.taps import Tap, resolve
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
    def above(self) -> tuple[str, ...]:
        """The layers behind the cut, up to the logits."""
        return self.tower.above(self.layer)

    @property
    def pooling(self) -> str | None:
        """The next pooling layer above."""
        return self._first(nn.MaxPool2d)

    @property
    def weighted(self) -> str | None:
        """The next layer above that counts on a number of channels."""
        return self._first(nn.Conv2d)

    @property
    def weights(self) -> nn.Conv2d:
        """That layer itself."""
        assert self.weighted is not None
        layer = self.tower.get_submodule(self.weighted)
        assert isinstance(layer, nn.Conv2d)
        return layer

    @property
    def probabilities(self) -> bool:
        """Whether the map are class scores, behind the softmax."""
        return self.tap.after == self.tower.names[-1]

    def _first(self, kind: type[nn.Module]) -> str | None:
        return next((name for name in self.above if isinstance(self.tower.get_submodule(name), kind)), None)


def name_of(part: nn.Module) -> str:
    """A part as it is typed: Conv -> conv."""
    return type(part).__name__.lower()
