"""Pairs of frames and flow: `pairs=class` joins the frames of each clip with the flow of another clip of its class.

Both still show the class, but no longer one event. What a fusion gains from such pairs it does not gain from the
correspondence of the streams. Tests always look at true pairs.

    training    partner(clip) = d(clip),  d a permutation of the training clips of the class without a fixed point,
                drawn from key("pairs", seed, epoch, class); so the flow of each clip is used once an epoch, in the
                partner's own view of that epoch
    validation  the same among the validation clips of the class, drawn from key("pairs", seed, "validation", class);
                where there is one alone, a training clip of the class is drawn

All such permutations are equally likely: whole permutations are drawn until one has no fixed point, 2.7 on average.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fusionlab.data.dataset import Entry
from fusionlab.data.list_files import some
from fusionlab.errors import UserError
from fusionlab.records.draws import key

OWN, CLASS = "own", "class"
PAIRS = (OWN, CLASS)
_VALIDATION = "validation"


def derangement(n: int, seed: int, epoch: int | str, label: int) -> list[int]:
    """A permutation of 0 … n − 1 without a fixed point; n is at least 2."""
    return without_fixed_point(n, key("pairs", seed, epoch, label))


def without_fixed_point(n: int, drawn_from: int) -> list[int]:
    """The same, drawn from a `key`."""
    assert n > 1, "one clip has no other one"
    draw = np.random.Generator(np.random.Philox(key=drawn_from))
    here = np.arange(n)
    while True:
        drawn = draw.permutation(n)
        if (drawn != here).all():
            return [int(place) for place in drawn]


def expect_partners(train: Sequence[Entry], classes: Sequence[str]) -> None:
    """Raise a `UserError` for classes with one training clip, which has no other one of its class."""
    alone = [classes[label] for label, count in sorted(Counter(label for _, label in train).items()) if count < 2]
    if alone:
        raise UserError(
            "pairs of one class need two training clips of each class, without those of the validation",
            got=f"data.sampling.pairs={CLASS}, and one clip of {some(alone)}",
            hint=f"data.sampling.pairs={OWN}, a smaller data.sampling.validation, or a data set without these classes",
        )


class Partners:
    """The clips whose flow the clips of a list are shown with.

    `training`: the training list, where the list is that of the validation; its pairs are the same in all epochs.
    """

    def __init__(self, entries: Sequence[Entry], seed: int, training: Sequence[Entry] | None = None) -> None:
        self.entries, self.seed, self.training = entries, seed, training
        self._places: dict[int, list[int]] = {}  # class -> its clips
        self._ranks: list[int] = []  # of each clip in its class
        for place, (_, label) in enumerate(entries):
            own = self._places.setdefault(label, [])
            self._ranks.append(len(own))
            own.append(place)
        self._epoch: int | str | None = None
        self._orders: dict[int, list[int]] = {}  # class -> its permutation in this epoch

    def of(self, epoch: int, index: int) -> tuple[str, int]:
        """The partner's name, and its place in the list (where it has one)."""
        when, label = epoch if self.training is None else _VALIDATION, self.entries[index][1]
        own = self._places[label]
        if len(own) == 1 and self.training is not None:
            others = [name for name, of in self.training if of == label]
            draw = np.random.Generator(np.random.Philox(key=key("pairs", self.seed, when, label)))
            return others[int(draw.integers(len(others)))], index
        if when != self._epoch:
            self._epoch, self._orders = when, {}
        if label not in self._orders:
            self._orders[label] = derangement(len(own), self.seed, when, label)
        place = own[self._orders[label][self._ranks[index]]]
        return self.entries[place][0], place
