"""The label space of brush: five kinds of question, their classes, and the ceiling of each system.

A clip shows two of P places. A *hand* moves in one way at one place, a *decoy* moves in another way at the other.

| kind    | question                        | recognised by                    | classes            |
|---------|---------------------------------|----------------------------------|--------------------|
| what    | at which place is the hand?     | the places lie side by side      | P (places)         |
| binding | which place and which motion?   | one place above the other        | P × M (M motions)  |
| order   | which sense has the cycle?      | the places lie on a diagonal     | 2 (see `cycle`)    |
| how     | how does the hand move?         | one place                        | M                  |
| still   | which place is it?              | one place, and nobody moves      | P                  |

Both streams see the layout, so both know the kind of question. Place and hand-or-decoy differ in hue alone: only the
appearance stream sees them. Motion is in the flow, and in no single frame. If streams look at one frame or one
window of flow at a time, only the motion stream sees motion; it sees both motions, but not which of them is the
hand's. In an order clip, hand and decoy go through the same cycle, so that the question is about time alone. `how`
and `still` ask one stream alone, and train it: motions without places, places without motions. With everything else
uniform, the ceilings are

    appearance   what 1     binding 1/M      order 1/2   how 1/M   still 1     (the place; any of the M motions)
    motion       what 1/P   binding 1/(2P)   order 1/2   how 1     still 1/P   (one of the two motions, any place)
    late         what 1     binding 1/2      order 1/2   how 1     still 1     (the place and the pair of motions)
    fused        what 1     binding 1        order 1/2   how 1     still 1     (whose motion it is, too)
    ordered      what 1     binding 1        order 1     how 1     still 1     (and the snippets in their order)

`late` is the ceiling of every function of the two streams' scores, such as their average, a weighted average or a
linear SVM, if the scores are the probabilities of the classes given the stream's input, as the training makes them.
These depend on the place p and the pair {m, m'}, and the hand's motion is either of the two with probability 1/2. The
average of the scores reaches this ceiling.

`fused` is the ceiling of a system that joins hand and motion by anything that both streams see of them. One pixel is
enough, and so is one bit of position (top or bottom): conv at fc6, where no pixels are left, reaches 74 % on binding,
and late fusion 41 % (experiments/pixel).

Appearance has 1/M for a single frame. From three frames around a hand, a probe reads its motion in 100 % of 1,152
binding clips, from one frame in 21 %. A temporal head that joins the frames of a clip could solve binding by appearance
alone, so it has no ceiling below 1.

If the decoy moves at its own speed (`decoy_speed`), flow shows which motion is the hand's: the motion stream alone then
reaches 1/P of binding, and late fusion all of it. This leak is on purpose, and the ceilings include it.

If hand and decoy change sides (`exchange`), the ceilings stay the same, since each stream sees the same in each frame.
But a frame that comes d frames after its flow shows the other sides in d of F − 1 clips. A fusion that binds by
position and sees one snippet then reaches at most max(1 − d/(F − 1), d/(F − 1)) of binding. The ceilings do not include
such a delay.

A system cannot see order if it treats the snippets of a clip as a set: it averages their predictions, or takes maxima
over all of T. The scores of each stream are such averages, so late fusion cannot see order either.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction

from fusionlab.data.brush.vocabulary import BRUSH, PLACES, Vocabulary

__all__ = ["ASKED", "KINDS", "LABELS", "PLACES", "SYSTEMS", "Label", "ceilings", "labels"]

KINDS = ("what", "binding", "order", "how", "still")
ASKED = ("what", "binding")  # by brush with default options
SYSTEMS = ("appearance", "motion", "late", "fused", "ordered")
OF_CLIPS = ("appearance_clips", "motion_clips", "late_clips")


@dataclass(frozen=True)
class Label:
    """One class: its kind, and the hand's place, its motion or the sense of the cycle, as the kind asks."""

    kind: str
    name: str  # as a folder of UCF101 would be called: `HandTeeth`, `ScrubHair`
    place: int | None = None
    motion: int | None = None
    sense: int | None = None


def labels(words: Vocabulary, kinds: Collection[str]) -> tuple[Label, ...]:
    """The classes of some kinds, in the order of `KINDS`."""
    places, motions = list(enumerate(words.places)), list(enumerate(words.motions))
    first, *others = (words.motions[number].name for number in words.cycle)
    every = {
        "what": [Label("what", f"Hand{name}", place) for place, name in places],
        "binding": [
            Label("binding", f"{motion.name}{name}", place, number)
            for number, motion in motions
            for place, name in places
        ],
        "order": [
            Label("order", first + "".join(others[::sense]), sense=sense) for sense in (1, -1)
        ],
        "how": [Label("how", f"Just{motion.name}", motion=number) for number, motion in motions],
        "still": [Label("still", f"Still{name}", place) for place, name in places],
    }  # fmt: skip
    return tuple(label for kind in KINDS if kind in kinds for label in every[kind])


LABELS = labels(BRUSH, ASKED)


def ceilings(
    system: str, words: Vocabulary = BRUSH, kinds: Collection[str] = ASKED, *, speed_tells: bool = False
) -> dict[str, Fraction]:
    """kind -> the best accuracy that one of `SYSTEMS` can reach, an exact fraction.

    `speed_tells`: the decoy's speed shows which motion is the hand's.
    """
    places, motions, one, half = len(words.places), len(words.motions), Fraction(1), Fraction(1, 2)
    what = {"motion": Fraction(1, places)}
    binding = {"appearance": Fraction(1, motions), "motion": Fraction(1, 2 * places), "late": half}
    if speed_tells:
        binding |= {"motion": Fraction(1, places), "late": one}
    order = dict.fromkeys(("ordered", *OF_CLIPS), one)
    assert system in (*SYSTEMS, *OF_CLIPS), system
    for kind in (what, binding):  # only frames show more in clips
        kind |= {f"{system}_clips": kind[system] for system in ("motion", "late") if system in kind}
    known = {
        "what": what.get(system, one),
        "binding": binding.get(system, one),
        "order": order.get(system, half),
        "how": Fraction(1, motions) if system == "appearance" else one,
        "still": what.get(system, one),
    }
    return {kind: known[kind] for kind in KINDS if kind in kinds}
