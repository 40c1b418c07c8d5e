"""UCF101's lists and folder layout, which other sets use too.

    classInd.txt      "1 ApplyEyeMakeup"                              numbers from 1
    trainlist01.txt   "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1"
    testlist01.txt    "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi"   the label is the folder

Lines end in LF or CRLF. Labels are counted from 0 here. A group is (class, gXX).

The files of HandstandPushups are called v_HandStandPushups_… in the archive and in some copies of the lists, and
v_HandstandPushups_… in others. A name is spelled here as its folder is, whatever its list says, and found under either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from fusionlab.data.dataset import Entry
from fusionlab.data.leak import some
from fusionlab.data.on_disk import Lists, OnDisk, each_once, text_lines, unpacked
from fusionlab.errors import UserError, nearest

SPLITS = 3
INDEX = "classInd.txt"
VIDEOS, SPLIT_LISTS = "UCF-101", "ucfTrainTestlist"  # the folders in the two archives
_GROUP = re.compile(r"_g(\d+)_c\d+\.\w+$")


def read_classes(path: Path) -> list[str]:
    """Class names in the order of their numbers."""
    numbers: dict[int, str] = {}
    for place, line in text_lines(path):
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
    found: list[tuple[str, str, int]] = []
    unknown, disagree = [], []
    for place, line in text_lines(path):
        name, _, number = line.partition(" ")  # UCF101's names hold no blank
        folder = PurePosixPath(name).parent.name
        if folder not in labels:
            unknown.append((folder, f"{place}: {line}"))
        elif number and number.strip() != str(labels[folder] + 1):
            disagree.append((str(labels[folder] + 1), f"{place}: {line}"))
        else:
            found.append((place, spelled(name), labels[folder]))
    if unknown:
        near = nearest(unknown[0][0], labels)
        hint = f"is it {near} ?" if near else f"one of the {len(labels)} folders of the class index"
        told = some([place for _, place in unknown])
        raise UserError("a list names a class that the class index has not", got=told, hint=hint)
    if disagree:
        told = some([place for _, place in disagree])
        raise UserError("a label disagrees with the class index", got=told, allowed=[disagree[0][0]])
    if not found:
        raise UserError("this list is empty", got=path)
    return each_once(found)


def spelled(name: str) -> str:
    """A name with the class spelled as its folder is.

    >>> spelled("HandstandPushups/v_HandStandPushups_g01_c01.avi")
    'HandstandPushups/v_HandstandPushups_g01_c01.avi'
    """
    path = PurePosixPath(name)
    start = f"v_{path.parent.name}_"
    if path.name.casefold().startswith(start.casefold()):
        return str(path.with_name(start + path.name[len(start) :]))
    return name


def group_of(name: str) -> str:
    """`Archery/v_Archery_g08_c01.avi` -> `Archery/g08`."""
    found = _GROUP.search(name)
    if found is None:
        raise UserError("a UCF101 name ends in _gXX_cXX.avi", got=name)
    return f"{PurePosixPath(name).parent.name}/g{found[1]}"


class UCF101(OnDisk):
    """UCF101, or a set in its layout: `root`/<class>/<video>, lists in `lists` (default: `root`).

    Without a `root` it lies in `name`, below the folder that `expect` or `make` is given. There the two archives may lie
    as they were unpacked, with their own folders UCF-101 and ucfTrainTestlist or without them.
    """

    splits = SPLITS
    unpack = "unpack UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip (classInd.txt, trainlist01.txt …)"
    known: ClassVar[Mapping[int, tuple[int, int]]] = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
    known_classes = 101

    def __init__(
        self,
        root: str | Path | None = None,
        lists: str | Path | None = None,
        *,
        name: str = "ucf101",
        classes: int | None = None,
        counts: bool = False,
    ) -> None:
        super().__init__(root, lists, name=name, classes=classes, counts=counts)

    def _find(self, home: Path) -> tuple[Path, Path]:
        return unpacked(home, VIDEOS), unpacked(home, SPLIT_LISTS)

    def _needs(self, split: int | None) -> list[Path]:
        names = [INDEX] if split is None else [INDEX, f"trainlist{split:02d}.txt", f"testlist{split:02d}.txt"]
        return [self.folder / name for name in names]

    def _classes(self) -> list[str]:
        return read_classes(self.folder / INDEX)

    def _lists(self, split: int) -> Lists:
        _, train, test = self._needs(split)
        return read_list(train, self.classes), read_list(test, self.classes)

    def group(self, name: str) -> str:
        return group_of(name)
