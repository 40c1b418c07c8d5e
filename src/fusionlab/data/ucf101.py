"""UCF101's lists and folder layout, which other sets use too.

    classInd.txt      "1 ApplyEyeMakeup"                              numbers from 1
    trainlist01.txt   "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1"
    testlist01.txt    "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi"   the label is the folder

Lines end in LF or CRLF. Labels are counted from 0 here. A group is (class, gXX).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path, PurePosixPath

from fusionlab.data.dataset import Entry, united
from fusionlab.errors import UserError, nearest
from fusionlab.records.files import safe_join

SPLITS = 3
_GROUP = re.compile(r"_g(\d+)_c\d+\.\w+$")


def read_classes(path: Path) -> list[str]:
    """Class names in the order of their numbers."""
    numbers: dict[int, str] = {}
    for place, line in _lines(path):
        number, _, name = line.partition(" ")
        if not number.isdecimal() or not name:
            raise UserError("a class index has lines like `1 ApplyEyeMakeup`", got=f"{place}: {line}")
        numbers[int(number)] = name.strip()
    if sorted(numbers) != list(range(1, len(numbers) + 1)) or len(set(numbers.values())) != len(numbers):
        raise UserError("the numbers of a class index are 1, 2, 3 … and its names differ", got=path)
    return [numbers[number] for number in sorted(numbers)]


def read_list(path: Path, classes: Sequence[str]) -> list[Entry]:
    """The videos of a train or test list with their labels.

    The label is that of the folder; where a number stands beside the name, it must agree.
    """
    labels = {name: label for label, name in enumerate(classes)}
    entries: dict[str, int] = {}
    for place, line in _lines(path):
        name, _, number = line.partition(" ")  # UCF101's names hold no blank
        folder = PurePosixPath(name).parent.name
        if folder not in labels:
            near = nearest(folder, labels)
            hint = f"is it {near} ?" if near else f"one of the {len(labels)} folders of the class index"
            raise UserError("a list names a class that the class index has not", got=f"{place}: {line}", hint=hint)
        if number and number.strip() != str(labels[folder] + 1):
            raise UserError(
                "a label disagrees with the class index",
                got=f"{place}: {line}",
                allowed=[str(labels[folder] + 1)],
            )
        if name in entries:
            raise UserError("a list names a video twice", got=f"{place}: {name}")
        entries[name] = labels[folder]
    if not entries:
        raise UserError("this list is empty", got=path)
    return list(entries.items())


def group_of(name: str) -> str:
    """`Archery/v_Archery_g08_c01.avi` -> `Archery/g08`."""
    found = _GROUP.search(name)
    if found is None:
        raise UserError("a UCF101 name ends in _gXX_cXX.avi", got=name)
    return f"{PurePosixPath(name).parent.name}/g{found[1]}"


class UCF101:
    """UCF101, or a set in its layout: `root`/<class>/<video>, lists in `lists` (default: `root`)."""

    def __init__(self, root: str | Path, lists: str | Path | None = None) -> None:
        self._root = Path(root)
        self.folder = Path(lists) if lists is not None else self._root

    @property
    def root(self) -> Path:
        return self._root

    @cached_property
    def classes(self) -> list[str]:
        return read_classes(self.folder / "classInd.txt")

    @property
    def kinds(self) -> Mapping[str, str]:
        return dict.fromkeys(self.classes, "action")

    def make(self, root: Path, *, processes: int = 1, say: Callable[[str], None] = print) -> None:
        """UCF101 is downloaded by hand; there is nothing to make."""

    def lists(self, split: int) -> tuple[list[Entry], list[Entry]]:
        if split not in range(1, SPLITS + 1):
            raise UserError(
                "no such split",
                got=split,
                allowed=[str(s) for s in range(1, SPLITS + 1)],
                hint="split=1",
            )
        train = read_list(self.folder / f"trainlist{split:02d}.txt", self.classes)
        test = read_list(self.folder / f"testlist{split:02d}.txt", self.classes)
        shared = {group_of(name) for name, _ in train} & {group_of(name) for name, _ in test}
        if shared:
            raise UserError("groups are in both the training and the test list", got=", ".join(sorted(shared)[:5]))
        return train, test

    def videos(self) -> list[Entry]:
        present = [split for split in range(1, SPLITS + 1) if (self.folder / f"trainlist{split:02d}.txt").exists()]
        return united([entries for split in present or [1] for entries in self.lists(split)])

    def path(self, name: str) -> Path:
        return safe_join(self.root, name)

    def group(self, name: str) -> str:
        return group_of(name)

    def ceilings(self, system: str) -> Mapping[str, Fraction]:
        """Unknown."""
        return {}


def _lines(path: Path) -> list[tuple[str, str]]:
    """(place, text) of each line that is not empty, without its line end."""
    try:
        text = path.read_text(encoding="utf-8")  # universal newlines: CRLF reads as LF
    except FileNotFoundError:
        raise UserError(
            "no such list", got=path, hint="the folder that holds classInd.txt and trainlist01.txt"
        ) from None
    lines = [(f"{path.name}:{number}", line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    return [(place, line) for place, line in lines if line]
