"""A data set with more training videos: those of another set, whose classes become further classes.

    training  main's list, and the other set's list without the classes in `leave_out`, of the same split
    test      main's list alone
    classes   main's, then those of the other set; a network has outputs for all of them

So the 2014 paper adds 78 classes of UCF101 to HMDB51's (Table 2). Its list of the 23 others is not printed; ours, in
conf/data/hmdb51_ucf101.yaml, are those that show an action of HMDB51. Names begin with their set: main/…, other/….
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from fusionlab.data.dataset import NO_STRIDE, Dataset, Entry, RefusesFlow
from fusionlab.data.list_files import some
from fusionlab.errors import UserError, show

MAIN, OTHER = "main", "other"


class Joined:
    """`main` and `other` as one set. `leave_out`: classes of the other set that show what a class of main shows."""

    def __init__(self, main: Dataset, other: Dataset, leave_out: Sequence[str] = ()) -> None:
        self.parts: Mapping[str, Dataset] = {MAIN: main, OTHER: other}
        self.left_out = tuple(leave_out)

    @cached_property
    def _labels(self) -> dict[int, int]:
        """A label of the other set -> its label here."""
        own, classes = set(self.parts[MAIN].classes), list(self.parts[OTHER].classes)
        if absent := sorted(set(self.left_out) - set(classes)):
            raise UserError(
                "data.dataset.leave_out names classes that the other set does not have", got=some(absent),
                allowed=classes,
            )  # fmt: skip
        if twice := [name for name in classes if name in own and name not in self.left_out]:
            raise UserError(
                "two joined sets have classes of one name", got=some(twice),
                hint=f"data.dataset.leave_out=[{','.join(twice[:3])}{',…' * (len(twice) > 3)}]",
            )  # fmt: skip
        kept = [label for label, name in enumerate(classes) if name not in self.left_out]
        return {label: len(own) + place for place, label in enumerate(kept)}

    @property
    def classes(self) -> list[str]:
        other = self.parts[OTHER].classes
        return [*self.parts[MAIN].classes, *(other[label] for label in self._labels)]

    @property
    def class_count(self) -> int:
        return sum(part.class_count for part in self.parts.values()) - len(set(self.left_out))

    @property
    def kinds(self) -> Mapping[str, str]:
        kinds = self.parts[OTHER].kinds
        return {**self.parts[MAIN].kinds, **{one: kinds[one] for one in self.classes if one in kinds}}

    @property
    def root(self) -> Path:
        return self.parts[MAIN].root

    @property
    def notes(self) -> list[str]:
        return [note for part in self.parts.values() for note in part.notes]

    @property
    def present(self) -> list[int]:
        """The splits whose lists are files in both sets."""
        of_each = [set(getattr(part, "present", ())) for part in self.parts.values()]
        return sorted(set.intersection(*of_each))

    def expect(self, root: Path, *, split: int, packed: bool, quarantine: Collection[str] = ()) -> None:
        for start, part in self.parts.items():
            own = [name.partition("/")[2] for name in quarantine if name.startswith(f"{start}/")]
            part.expect(root, split=split, packed=packed, quarantine=own)

    def make(self, root: Path, *, processes: int = 1, say: Callable[[str], None] = show) -> None:
        for part in self.parts.values():
            part.make(root, processes=processes, say=say)

    def lists(self, split: int) -> tuple[list[Entry], list[Entry]]:
        (train, test), (more, _) = (part.lists(split) for part in self.parts.values())
        return [*self._named(MAIN, train), *self._named(OTHER, more)], list(self._named(MAIN, test))

    def videos(self) -> list[Entry]:
        return [entry for start, part in self.parts.items() for entry in self._named(start, part.videos())]

    def path(self, name: str) -> Path:
        part, own = self._part(name)
        return part.path(own)

    def group(self, name: str) -> str:
        part, own = self._part(name)
        return f"{name.partition('/')[0]}/{part.group(own)}"

    def ceilings(self, system: str) -> Mapping[str, Fraction]:
        """Those of main, whose videos are tested."""
        return self.parts[MAIN].ceilings(system)

    def expect_sampling(self, snippets: int, fields: int, stride: tuple[int, int]) -> None:
        for part in self.parts.values():
            if (check := getattr(part, "expect_sampling", None)) is not None:
                check(snippets, fields, stride or NO_STRIDE)

    def refuse_flow(self, flow: Any) -> None:
        for part in self.parts.values():
            if isinstance(part, RefusesFlow):
                part.refuse_flow(flow)

    def _named(self, start: str, entries: Sequence[Entry]) -> Iterator[Entry]:
        for name, label in entries:
            if start == MAIN:
                yield f"{start}/{name}", label
            elif label in self._labels:
                yield f"{start}/{name}", self._labels[label]

    def _part(self, name: str) -> tuple[Dataset, str]:
        start, _, own = name.partition("/")
        if start not in self.parts:
            raise UserError(
                "a video of a joined set begins with its set", got=name, allowed=[f"{MAIN}/…", f"{OTHER}/…"]
            )
        return self.parts[start], own
