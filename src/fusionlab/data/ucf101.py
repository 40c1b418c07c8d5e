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
INDEX = "classInd.txt"
VIDEOS, SPLIT_LISTS = "UCF-101", "ucfTrainTestlist"  # the folders in the two archives
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
    """UCF101, or a set in its layout: `root`/<class>/<video>, lists in `lists` (default: `root`).

    Without a `root` it lies in `name`, below the folder that `expect` or `make` is given: what is trained follows from
    the name, not from where it is on one machine. There the two archives may lie as they were unpacked, with their own
    folders UCF-101 and ucfTrainTestlist or without them.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        lists: str | Path | None = None,
        *,
        name: str = "ucf101",
        classes: int | None = None,
    ) -> None:
        """`classes`: their number, so that it is known before the class index is there."""
        if not name or PurePosixPath(name).name != name or name.startswith("."):
            raise UserError(
                "a data set's name is that of a folder below run.data", got=f"data.dataset.name={name}",
                hint="data.dataset.name=ucf101, and run.data=… for where it lies",
            )  # fmt: skip
        if classes is not None and classes < 2:
            raise UserError("two classes or more", got=f"data.dataset.classes={classes}")
        self.name, self._count = name, classes
        self._root = None if root is None else Path(root)
        self._lists = self._root if lists is None else Path(lists)

    @property
    def root(self) -> Path:
        assert self._root is not None, "expect() or make() comes first"
        return self._root

    @property
    def folder(self) -> Path:
        """Of the lists."""
        assert self._lists is not None, "expect() or make() comes first"
        return self._lists

    @cached_property
    def classes(self) -> list[str]:
        found = read_classes(self.folder / INDEX)
        if self._count not in (None, len(found)):
            raise UserError(
                "the class index has another number of classes", got=f"{len(found)} in {self.folder / INDEX}",
                allowed=[str(self._count)], hint=f"data.dataset.classes={len(found)}, if these are the classes",
            )  # fmt: skip
        return found

    @property
    def class_count(self) -> int:
        return len(self.classes) if self._count is None else self._count

    @property
    def kinds(self) -> Mapping[str, str]:
        return dict.fromkeys(self.classes, "action")

    def expect(self, root: Path, *, split: int, packed: bool) -> None:
        """Find the lists, and the videos unless they are packed, where both are to be unpacked."""
        self._find(root)
        self._exists(split)
        self._listed(INDEX, f"trainlist{split:02d}.txt", f"testlist{split:02d}.txt")
        self.lists(split)  # says what is wrong in them
        if packed:
            return
        names = [name for name, _ in self.videos()]
        absent = [name for name in names if not self.path(name).is_file()]
        if absent:
            raise UserError(
                "videos of this data set are not there", got=f"{len(absent)} of {len(names)}: {self.path(absent[0])} …",
                hint=f"unpack UCF101.rar in {self.root}, or run.data=… for where they lie",
            )  # fmt: skip

    def make(self, root: Path, *, processes: int = 1, say: Callable[[str], None] = print) -> None:
        """UCF101 is downloaded by hand; there is nothing to make."""
        self._find(root)
        self._listed(INDEX)

    def _listed(self, *names: str) -> None:
        absent = [self.folder / name for name in names if not (self.folder / name).is_file()]
        if absent:
            raise UserError(
                "the lists of this data set are not there", got=absent[0],
                hint=f"unpack UCF101TrainTestSplits-RecognitionTask.zip (classInd.txt, trainlist01.txt …) in "
                f"{self.folder}, or run.data=… for where it lies",
            )  # fmt: skip

    def _find(self, root: Path) -> None:
        if self._root is None:
            home = Path(root) / self.name
            self._root, self._lists = _unpacked(home, VIDEOS), _unpacked(home, SPLIT_LISTS)

    def _exists(self, split: int) -> None:
        if split not in range(1, SPLITS + 1):
            raise UserError("no such split", got=split, allowed=[str(s) for s in range(1, SPLITS + 1)], hint="split=1")

    def lists(self, split: int) -> tuple[list[Entry], list[Entry]]:
        self._exists(split)
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


def _unpacked(home: Path, archive: str) -> Path:
    """The folder that an archive brings along, where it is there."""
    return home / archive if (home / archive).is_dir() else home


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
