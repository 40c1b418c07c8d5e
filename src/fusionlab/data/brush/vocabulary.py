"""Vocabularies: the places and motions of a set. Two sets with different vocabularies differ in nothing else.

So a motion network that was trained on one set can be transferred to the other, as in the papers.
"""

from __future__ import annotations

from dataclasses import dataclass

from fusionlab.data.brush.motions import MOTIONS, MOTIONS2, Motion
from fusionlab.errors import unknown

PLACES = ("Teeth", "Hair", "Shoes")


@dataclass(frozen=True)
class Vocabulary:
    """`turned`: the part of a circle by which its hues are turned against those of the first set."""

    places: tuple[str, ...]
    motions: tuple[Motion, ...]
    turned: float = 0.0
    cycle: tuple[int, int, int] = (0, 1, 3)  # the motions of order: slow, fast, fast and rocking

    @property
    def hues(self) -> int:
        """One for each place, one for the hand, one for the decoy."""
        return len(self.places) + 2

    @property
    def hand(self) -> int:
        """The hand's row in the palette; places have the rows before it, row 0 is grey."""
        return len(self.places) + 1

    @property
    def decoy(self) -> int:
        return len(self.places) + 2

    def in_cycle(self) -> list[Motion]:
        return [self.motions[number] for number in self.cycle]


BRUSH = Vocabulary(PLACES, MOTIONS)
BRUSH2 = Vocabulary(("Table", "Window", "Floor", "Wheel"), MOTIONS2, turned=1 / 12)
VOCABULARIES = {"brush": BRUSH, "brush2": BRUSH2}


def vocabulary(name: str) -> Vocabulary:
    if name not in VOCABULARIES:
        raise unknown("vocabulary", str(name), VOCABULARIES, form="data.dataset.vocabulary={}")
    return VOCABULARIES[name]
