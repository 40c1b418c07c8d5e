"""Fusion points of two towers: one tap of each, or several pairs of taps one above the other.

relu5                the tap of that name in both towers (relu5_3, if a tower has that name)
layer3:relu5         appearance's layer3 with motion's relu5
relu3+relu5+fc6      three fusion points, the lowest first
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from fusionlab import errors
from fusionlab.backbones.layers import is_pooling
from fusionlab.backbones.taps import Tap
from fusionlab.backbones.tower import Tower

PADDING = 1  # places by which the sides of two maps may differ


@dataclass(frozen=True)
class Cut:
    """A tower cut at a tap: the properties of its map, and the layers above."""

    tower: Tower
    layer: str

    @classmethod
    def at(cls, tower: Tower, layer: str) -> Self:
        """The cut at a layer, in any spelling."""
        return cls(tower, tower.tap_name(layer))

    @property
    def tap(self) -> Tap:
        return self.tower.taps[self.layer]

    @property
    def depth(self) -> int:
        """The position of the layer behind which the map is read."""
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
        return next((name for name in self.above if is_pooling(self.tower.get_submodule(name))), None)

    @property
    def pooled(self) -> int:
        """The side of the map that this pooling layer takes."""
        assert self.pooling is not None
        below = self.tower.names[self.tower.names.index(self.pooling) - 1]
        return self.tower.geometry[below].tap.side

    @property
    def weighted(self) -> str | None:
        """The next layer above that needs a certain number of channels."""
        return next((name for name in self.above if self.tower.geometry[name].inlets != ()), None)

    @property
    def widens(self) -> bool:
        """Whether that layer can be widened."""
        return self.inlets is not None

    @property
    def inlets(self) -> tuple[str, ...] | None:
        """The convolutions within that layer that read its input; None where another part fixes their number."""
        return None if self.weighted is None else self.tower.geometry[self.weighted].inlets

    @property
    def prediction(self) -> bool:
        """Whether the map is class scores, before or behind the softmax."""
        return self.tap.after in self.tower.names[-2:]

    @property
    def probabilities(self) -> bool:
        """Whether the map is class scores behind the softmax."""
        return self.tap.after == self.tower.names[-1]


@dataclass(frozen=True)
class FusionPoint:
    """A cut of each tower, `a` of appearance and `b` of motion."""

    a: Cut
    b: Cut

    @property
    def name(self) -> str:
        """The shortest spelling: a pair of taps only if one name does not mean both."""
        return self.a.layer if _known(self.a.layer, self.b.tower) == self.b.layer else f"{self.a.layer}:{self.b.layer}"

    @property
    def spatial(self) -> bool:
        return self.a.tap.spatial and self.b.tap.spatial

    @property
    def prediction(self) -> bool:
        return self.a.prediction and self.b.prediction

    @property
    def taps(self) -> tuple[str, str]:
        """Both taps for drawings, and the size that zeros bring the smaller map to."""
        side = max(self.a.tap.side, self.b.tap.side)
        notes = ("" if cut.tap.side == side else f" + zeros: {side}×{side}" for cut in (self.a, self.b))
        first, second = (cut.layer + note for cut, note in zip((self.a, self.b), notes, strict=True))
        return first, second


def pad_to_match(x_a: Tensor, x_b: Tensor) -> tuple[Tensor, Tensor]:
    """Zeros below and to the right of the smaller of two maps, if their sides differ by `PADDING`; else as they are.

    VGG-16's relu5_3 has 14×14 places and VGG-M's relu5 13×13, both 16 pixels apart. The paper adds a row and a column
    of zeros and does not say on which side; below and to the right keeps the places' numbers.
    """
    height, width = (max(x_a.shape[axis], x_b.shape[axis]) for axis in (3, 4))
    return _pad(x_a, height, width), _pad(x_b, height, width)


def _pad(x: Tensor, height: int, width: int) -> Tensor:
    below, right = height - x.shape[3], width - x.shape[4]
    return F.pad(x, (0, right, 0, below)) if 1 <= max(below, right) <= PADDING else x


def pool_time(x: Tensor, steps: int) -> Tensor:
    """y(i) = mean of x(t) over t from ⌊i T / T'⌋ up to below ⌈(i + 1) T / T'⌉, with T' = `steps`"""
    here = x.shape[2]
    if here == steps:
        return x
    bounds = ((i * here // steps, -(-(i + 1) * here // steps)) for i in range(steps))
    return torch.stack([x[:, :, first:end].mean(dim=2) for first, end in bounds], dim=2)


def fits(a: Tap, b: Tap) -> bool:
    """Whether two maps can be fused place by place, with a row and a column of zeros if needed."""
    apart = abs(a.side - b.side)
    return a.spatial == b.spatial and (apart == 0 or (apart <= PADDING and a.stride == b.stride and a.spatial))


def read(layer: str, appearance: Tower, motion: Tower) -> tuple[FusionPoint, ...]:
    """The fusion points of `layer=`, the lowest first."""
    words = str(layer).split("+")
    points = sorted((_point(word, layer, appearance, motion) for word in words), key=lambda one: one.a.depth)
    for lower, higher in pairwise(points):
        if lower.a.depth >= higher.a.depth or lower.b.depth >= higher.b.depth:
            raise errors.UserError(
                "of several fusions each must lie above the one before, in both towers",
                got=f"layer={layer}: {lower.name} and {higher.name}",
                hint=f"layer={lower.name}",
            )
    if len(points) > 1 and points[-2].prediction:
        raise errors.UserError("class scores can be fused once", got=f"layer={layer}", hint=f"layer={points[-1].name}")
    return tuple(points)


def spell(layer: str, appearance: Tower, motion: Tower) -> str:
    """The one spelling of a `layer=`, which can be spelled in several ways.

    >>> import torch
    >>> from fusionlab.backbones.tiny import Tiny
    >>> with torch.device("meta"):
    ...     spell("FC8+relu_5", Tiny(3, 24), Tiny(12, 24))
    'relu5+fc8'
    """
    return "+".join(point.name for point in read(layer, appearance, motion))


def _point(word: str, layer: str, appearance: Tower, motion: Tower) -> FusionPoint:
    first, pair, second = word.partition(":")
    if not pair:
        second = first
        if _known(first, appearance) is None and _known(first, motion) is not None:
            raise _absent(layer, first, "appearance", appearance, Cut.at(motion, first))
        if _known(first, appearance) is not None and _known(first, motion) is None:
            raise _absent(layer, first, "motion", motion, Cut.at(appearance, first))
    try:
        return FusionPoint(Cut.at(appearance, first), Cut.at(motion, second))
    except errors.UserError as error:
        if error.hint is not None:
            raise
        fitting = highest(appearance, motion, appearance)
        hint = None if fitting is None else f"layer={fitting}"
        raise errors.UserError(error.what, got=f"layer={layer}", allowed=error.allowed, hint=hint) from None


def _known(layer: str, tower: Tower) -> str | None:
    try:
        return tower.tap_name(layer)
    except errors.UserError:
        return None


def _absent(layer: str, word: str, stream: str, tower: Tower, other: Cut) -> errors.UserError:
    """The error for a layer that one tower lacks. The hint is its layer that fits the other tower's."""
    partners = [tap for tap in tower.taps if fits(tower.taps[tap], other.tap)]
    rectified = [tap for tap in partners if tower.taps[tap].rectified == other.tap.rectified] or partners
    hint = None
    if rectified:
        pair = (rectified[-1], other.layer) if stream == "appearance" else (other.layer, rectified[-1])
        hint = f"layer={':'.join(pair)} (appearance:motion)"
    return errors.UserError(
        f"the {stream} tower has no layer {word}", got=f"layer={layer}", allowed=list(tower.taps), hint=hint
    )


def highest(a: Tower, b: Tower, into: Tower) -> str | None:
    """The highest pair of taps with a pooling layer above them in the tower that goes on; rectified ones first."""
    pairs = [FusionPoint(Cut(a, one), Cut(b, two)) for one in a.taps for two in b.taps]

    def above(pair: FusionPoint) -> str | None:
        return (pair.a if into is a else pair.b).pooling

    def height(pair: FusionPoint) -> tuple[bool, bool, int]:
        rectified = pair.a.tap.rectified and pair.b.tap.rectified
        return pair.a.tap.channels == pair.b.tap.channels, rectified, pair.a.depth + pair.b.depth

    fitting = [pair for pair in pairs if fits(pair.a.tap, pair.b.tap) and pair.spatial and above(pair)]
    return max(fitting, key=height).name if fitting else None


def nearest(point: FusionPoint) -> str | None:
    """The layer to type instead: of all pairs of taps that fit, the one that is the fewest layers away.

    Pairs with as many channels in both towers come first, then pairs that are rectified like the typed ones.
    """
    a, b = point.a, point.b

    def far(pair: FusionPoint) -> tuple[bool, int, int]:
        away = abs(pair.a.depth - a.depth) + abs(pair.b.depth - b.depth)
        unlike = (pair.a.tap.rectified != a.tap.rectified) + (pair.b.tap.rectified != b.tap.rectified)
        return pair.a.tap.channels != pair.b.tap.channels, unlike, away

    pairs = [FusionPoint(Cut(a.tower, one), Cut(b.tower, two)) for one in a.tower.taps for two in b.tower.taps]
    possible: Callable[[FusionPoint], bool] = lambda pair: (  # noqa: E731
        fits(pair.a.tap, pair.b.tap)
        and pair.a.tap.time_stride == pair.b.tap.time_stride
        and pair.spatial == point.spatial
        and not pair.prediction
    )
    best = min(filter(possible, pairs), key=far, default=None)
    return None if best is None else best.name
