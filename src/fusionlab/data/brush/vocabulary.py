"""What there is to see in a set: its places and its motions. Two sets that share none of them are made alike otherwise.

A motion network that was trained on the one starts on the other as the papers' networks started on another data set.
"""

from __future__ import annotations

from dataclasses import dataclass

from fusionlab.data.brush.motions import MOTIONS, MOTIONS2, Motion
from fusionlab.errors import unknown

PLACES = ("Teeth", "Hair", "Shoes")


@dataclass(frozen=True)
class Vocabulary:
    """`turned`: by how much of a circle its hues are turned from where the first set's begin."""

    places: tuple[str, ...]
    motions: tuple[Motion, ...]
    turned: float = 0.0
    cycle: tuple[int, int, int] = (0, 1, 3)  # the motions of order: a slow one, a fast one, a fast one that rocks

    @property
    def hues(self) -> int:
        """One for each place, one for the hand, one for the decoy."""
        return len(self.places) + 2

    @property
    def hand(self) -> int:
        """Its row of the palette; places are the rows before, row 0 is grey."""
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
