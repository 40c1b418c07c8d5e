"""The label space of brush: two kinds of question, their classes, and what each system can know.

A clip shows two places out of PLACES. A *hand* moves in one way at one of them, a *decoy* moves in another way at the
other.

| kind    | question                        | recognised by              | classes         |
|---------|---------------------------------|----------------------------|-----------------|
| what    | at which place is the hand?     | the places lie side by side | P (places)      |
| binding | which place and which motion?   | one place above the other  | P × M (M motions) |

Both streams see the layout, so both know the kind. Place and hand-or-decoy are hue alone: only appearance knows them.
Motion is in the flow alone: only the motion stream knows it, and it knows the two motions, not whose they are. So, with
everything else uniform,

    appearance   what 1       binding 1/M         (the place; any of the M motions)
    motion       what 1/P     binding 1/(2P)      (one of the two motions, any place)
    late         what 1       binding 1/2         (the place and the pair of motions; not whose is which)
    fusion       what 1       binding 1           (whoever sees hue and flow *at one pixel* knows both)

Late is the ceiling of every function of the two streams' scores, where scores are what they are trained to be, the
probabilities of the classes given what a stream sees: these hold the place p and the pair {m, m'}, and the hand's
motion is either of the two with probability 1/2. The average of the scores reaches it.
"""

from dataclasses import dataclass
from fractions import Fraction

from fusionlab.data.brush.motions import MOTIONS

PLACES = ("Teeth", "Hair", "Shoes")
KINDS = ("what", "binding")


@dataclass(frozen=True)
class Label:
    """One class: its kind, the hand's place, and the hand's motion where the kind asks for it (else None)."""

    kind: str
    place: int
    motion: int | None

    @property
    def name(self) -> str:
        """As a folder of UCF101 would be called: `HandTeeth`, `ScrubHair`."""
        return ("Hand" if self.motion is None else MOTIONS[self.motion].name) + PLACES[self.place]


LABELS = tuple(Label("what", place, None) for place in range(len(PLACES))) + tuple(
    Label("binding", place, motion) for motion in range(len(MOTIONS)) for place in range(len(PLACES))
)


def ceilings(system: str) -> dict[str, Fraction]:
    """The best accuracy per kind that `appearance`, `motion`, `late` or `fused` can reach, as an exact fraction."""
    places, motions = len(PLACES), len(MOTIONS)
    return {
        "appearance": {"what": Fraction(1), "binding": Fraction(1, motions)},
        "motion": {"what": Fraction(1, places), "binding": Fraction(1, 2 * places)},
        "late": {"what": Fraction(1), "binding": Fraction(1, 2)},
        "fused": {"what": Fraction(1), "binding": Fraction(1)},
    }[system]
