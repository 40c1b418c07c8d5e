"""Where the two towers meet: at one tap of each, or at several pairs of taps one above the other.

relu5                the tap of that name in both towers (relu5_3 in one of them is meant too)
layer3:relu5         appearance's layer3 with motion's relu5
relu3+relu5+fc6      three meetings; the first lies lowest
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from fusionlab import errors
from fusionlab.backbones.taps import Tap, resolve
from fusionlab.backbones.tower import Tower
from fusionlab.two_stream.cut import Cut

ROOM = 1  # places by which two maps may differ: the smaller one is filled up with zeros


@dataclass(frozen=True)
class Meeting:
    """A cut of each tower, `a` of appearance and `b` of motion."""

    a: Cut
    b: Cut

    @property
    def name(self) -> str:
        """As short as it can be typed: a pair only where one name does not say both."""
        return self.a.layer if _known(self.a.layer, self.b.tower) == self.b.layer else f"{self.a.layer}:{self.b.layer}"

    @property
    def spatial(self) -> bool:
        return self.a.tap.spatial and self.b.tap.spatial

    @property
    def prediction(self) -> bool:
        return self.a.prediction and self.b.prediction


def fits(a: Tap, b: Tap) -> bool:
    """Whether two maps lie on each other, place by place or with a row and a column of zeros to help."""
    apart = abs(a.side - b.side)
    return a.spatial == b.spatial and (apart == 0 or (apart <= ROOM and a.stride == b.stride and a.spatial))


def read(layer: str, appearance: Tower, motion: Tower) -> tuple[Meeting, ...]:
    """The meetings that are meant by what was typed, the lowest first."""
    words = str(layer).split("+")
    meetings = sorted((_meeting(word, layer, appearance, motion) for word in words), key=lambda one: one.a.depth)
    for lower, higher in pairwise(meetings):
        if lower.a.depth >= higher.a.depth or lower.b.depth >= higher.b.depth:
            raise errors.UserError(
                "several fusions lie one above the other in both towers",
                got=f"layer={layer}: {lower.name} and {higher.name}",
                hint=f"layer={lower.name}",
            )
    if len(meetings) > 1 and meetings[-2].prediction:
        raise errors.UserError(
            "class scores can be fused once", got=f"layer={layer}", hint=f"layer={meetings[-1].name}"
        )
    return tuple(meetings)


def spell(layer: str, appearance: Tower, motion: Tower) -> str:
    """The one spelling of all that mean the same.

    >>> import torch
    >>> from fusionlab.backbones.tiny import Tiny
    >>> with torch.device("meta"):
    ...     spell("FC8+relu_5", Tiny(3, 24), Tiny(12, 24))
    'relu5+fc8'
    """
    return "+".join(meeting.name for meeting in read(layer, appearance, motion))


def _meeting(word: str, layer: str, appearance: Tower, motion: Tower) -> Meeting:
    first, pair, second = word.partition(":")
    if not pair:
        second = first
        if _known(first, appearance) is None and _known(first, motion) is not None:
            raise _absent(layer, first, "appearance", appearance, Cut.at(motion, first))
        if _known(first, appearance) is not None and _known(first, motion) is None:
            raise _absent(layer, first, "motion", motion, Cut.at(appearance, first))
    try:
        return Meeting(Cut.at(appearance, first), Cut.at(motion, second))
    except errors.UserError as error:
        if error.hint is not None:
            raise
        fitting = highest(appearance, motion, appearance)
        hint = None if fitting is None else f"layer={fitting}"
        raise errors.UserError(error.what, got=f"layer={layer}", allowed=error.allowed, hint=hint) from None


def _known(layer: str, tower: Tower) -> str | None:
    try:
        return resolve(layer, tower.taps)
    except errors.UserError:
        return None


def _absent(layer: str, word: str, stream: str, tower: Tower, other: Cut) -> errors.UserError:
    """One tower has no layer of that name: which of its layers goes with the other's."""
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
    pairs = [Meeting(Cut(a, one), Cut(b, two)) for one in a.taps for two in b.taps]

    def above(pair: Meeting) -> str | None:
        return (pair.a if into is a else pair.b).pooling

    def height(pair: Meeting) -> tuple[bool, bool, int]:
        rectified = pair.a.tap.rectified and pair.b.tap.rectified
        return pair.a.tap.channels == pair.b.tap.channels, rectified, pair.a.depth + pair.b.depth

    found = [pair for pair in pairs if fits(pair.a.tap, pair.b.tap) and pair.spatial and above(pair)]
    return max(found, key=height).name if found else None


def nearest(meeting: Meeting) -> str | None:
    """Of all pairs of taps that fit, the one that is the fewest layers away: what to type instead. One of as many
    channels in both, and rectified as those asked for, goes before a nearer one.
    """
    a, b = meeting.a, meeting.b

    def far(pair: Meeting) -> tuple[bool, int, int]:
        away = abs(pair.a.depth - a.depth) + abs(pair.b.depth - b.depth)
        unlike = (pair.a.tap.rectified != a.tap.rectified) + (pair.b.tap.rectified != b.tap.rectified)
        return pair.a.tap.channels != pair.b.tap.channels, unlike, away

    pairs = [Meeting(Cut(a.tower, one), Cut(b.tower, two)) for one in a.tower.taps for two in b.tower.taps]
    possible: Callable[[Meeting], bool] = lambda pair: (  # noqa: E731
        fits(pair.a.tap, pair.b.tap) and pair.spatial == meeting.spatial and not pair.prediction
    )
    found = min(filter(possible, pairs), key=far, default=None)
    return None if found is None else found.name
