"""One video under several names: in the training and in the test list of a split it makes every result too good."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from fusionlab.data.dataset import Entry
from fusionlab.health.finding import NOTE, WRONG, Finding, of_files

Lists = tuple[Sequence[Entry], Sequence[Entry]]  # training, test


def alike(contents: Iterable[tuple[str, str]]) -> list[list[str]]:
    """(name, digest) -> the names of each content that has several. A name may have several digests, of its file and of
    its pixels: one in common is enough.
    """
    by_digest: dict[str, set[str]] = defaultdict(set)
    for name, digest in contents:
        by_digest[digest].add(name)
    sets: list[set[str]] = []
    for names in by_digest.values():
        if len(names) > 1:
            joined = [one for one in sets if one & names]
            sets = [one for one in sets if not one & names] + [names.union(*joined)]
    return sorted(sorted(one) for one in sets)


def findings(same: Sequence[Sequence[str]], lists: Mapping[int, Lists]) -> list[Finding]:
    """Across the lists of a split: wrong, and the training list's is to go. Elsewhere: a note."""
    across: dict[str, str] = {}
    within: dict[str, str] = {}
    trained_on: list[str] = []
    splits = set()
    sides = {split: [{name for name, _ in side} for side in both] for split, both in lists.items()}
    for names in same:
        leaks = {s: [n for n in names if n in train] for s, (train, test) in sides.items() if test & set(names)}
        leaks = {split: found for split, found in leaks.items() if found}
        for name in names:
            others = ", ".join(other for other in names if other != name)
            (across if leaks else within)[name] = f"= {others}"
        splits |= set(leaks)
        trained_on += [name for name in names if any(name in found for found in leaks.values())]
    told = ", ".join(map(str, sorted(splits)))
    what = f"the same content in the training and in the test list (split {told}), under {{count}} names"
    remedy = "leave out those that are trained on: --quarantine bad.txt, then data.quarantine=bad.txt"
    wrong = of_files("copies-across-lists", WRONG, what, across, remedy, splits=sorted(splits))
    return [
        *(replace(one, leave_out=trained_on) for one in wrong),
        *of_files("copies", NOTE, "the same content under {count} names of one list", within),
    ]
