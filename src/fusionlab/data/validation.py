"""The validation list: cut from the training list by whole groups and a seed; or none, or the test list.

Of a cut, groups are taken in an order drawn from (seed, group). A group is taken if that brings the numbers of videos
per class nearer to `fraction` of each class:

    take g  ⇔  Σ_c |taken_c + g_c − f n_c|  <  Σ_c |taken_c − f n_c|

So the cut is as stratified as whole groups allow, it does not depend on the order of the list, and no class
gives all it has for f < ½.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from fusionlab.data.dataset import Entry
from fusionlab.errors import UserError
from fusionlab.records.draws import key

FRACTION = 0.1
CUT, NONE, TEST = LISTS = ("cut", "none", "test")  # test: as the released code has it


def expect_fraction(fraction: float) -> None:
    """Raise a `UserError` for a fraction of which no validation list can be cut."""
    if not 0 < fraction < 0.5:
        raise UserError(
            "the validation set is a part below one half", got=f"data.sampling.validation={fraction}",
            hint=f"data.sampling.validation={FRACTION}",
        )  # fmt: skip


def divide(
    which: str, train: Sequence[Entry], test: Sequence[Entry], group: Callable[[str], str], seed: int, fraction: float
) -> tuple[list[Entry], list[Entry]]:
    """(training, validation) for one of `LISTS`."""
    if which == CUT:
        return cut(train, group, seed, fraction)
    return list(train), list(test) if which == TEST else []


def cut(
    train: Sequence[Entry], group: Callable[[str], str], seed: int, fraction: float = FRACTION
) -> tuple[list[Entry], list[Entry]]:
    """(training, validation), both in the order of the list; neither is empty."""
    expect_fraction(fraction)
    labels: dict[str, Counter[int]] = {}
    for name, label in train:
        labels.setdefault(group(name), Counter())[label] += 1
    if len(labels) < 2:
        raise UserError("a validation set needs at least two groups", got=f"{len(labels)} in the training list")
    wanted = {label: fraction * count for label, count in Counter(label for _, label in train).items()}
    taken: Counter[int] = Counter()
    chosen: set[str] = set()

    def change(name: str) -> float:
        return sum(
            abs(taken[label] + count - wanted[label]) - abs(taken[label] - wanted[label])
            for label, count in labels[name].items()
        )

    order = sorted(labels, key=lambda name: (key("validation", seed, name), name))
    for name in order:
        if change(name) < 0:
            chosen.add(name)
            taken.update(labels[name])
    if not chosen:  # every group is too large: take the one that overshoots least
        chosen.add(min(order, key=change))
    rest = [entry for entry in train if group(entry[0]) not in chosen]
    return rest, [entry for entry in train if group(entry[0]) in chosen]
