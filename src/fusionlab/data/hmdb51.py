"""HMDB51's lists and folder layout.

    <class>_test_split1.txt   "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1"    1 train, 2 test, 0 neither

A file for each class and split; videos lie in <class>/. Names hold `#!+()&;@[]~`, and some begin with a dash. A group
is (class, source): the name up to the last _<class>_ in it. Clips of one source in two classes are other groups: the
lists are drawn for each class by itself.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import ClassVar

from fusionlab.data.dataset import Entry, united
from fusionlab.data.leak import some
from fusionlab.data.on_disk import Lists, OnDisk, each_once, text_lines, unpacked
from fusionlab.errors import UserError

SPLITS = 3
VIDEOS = ("hmdb51_org", "hmdb51")  # the folders that the archives may bring along
SPLIT_LISTS = ("testTrainMulti_7030_splits", "test_train_splits", "splits")
UNUSED, TRAIN, TEST = "0", "1", "2"
_LIST = re.compile(r"(.+)_test_split(\d)\.txt")


def read_list(path: Path, name: str) -> list[tuple[str, str, str]]:
    """(place, video, code) of the lines of a class's list."""
    found, wrong = [], []
    for place, line in text_lines(path):
        file, _, code = line.rpartition(" ")
        if code not in (UNUSED, TRAIN, TEST) or not file:
            wrong.append(f"{place}: {line}")
        elif f"_{name}_" not in file:
            wrong.append(f"{place}: {line} is no name of the class {name}")
        else:
            found.append((place, f"{name}/{file.strip()}", code))
    if wrong:
        raise UserError("a list of HMDB51 has lines like `name.avi 1`", got=some(wrong), allowed=["0", "1", "2"])
    return found


def group_of(name: str) -> str:
    """Class and source.

    >>> group_of("brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi")
    'brush_hair/April_09'
    """
    path = PurePosixPath(name)
    source, class_, _ = path.name.rpartition(f"_{path.parent.name}_")
    if not class_:
        raise UserError("an HMDB51 name is source_class_….avi, in the folder of its class", got=name)
    return f"{path.parent.name}/{source}"


class HMDB51(OnDisk):
    """HMDB51, or a set in its layout, in `name` below the folder of the data; the archives as they were unpacked."""

    splits = SPLITS
    unpack = "unpack hmdb51_org.rar, the .rar of each class in it, and test_train_splits.rar"
    known: ClassVar[Mapping[int, tuple[int, int]]] = dict.fromkeys((1, 2, 3), (3570, 1530))
    known_classes = 51

    def __init__(
        self,
        root: str | Path | None = None,
        lists: str | Path | None = None,
        *,
        name: str = "hmdb51",
        classes: int | None = None,
        counts: bool = False,
    ) -> None:
        super().__init__(root, lists, name=name, classes=classes, counts=counts)

    def group(self, name: str) -> str:
        return group_of(name)

    def videos(self) -> list[Entry]:
        """Of all splits, those that no split uses too."""
        present = [split for split in range(1, SPLITS + 1) if self._files(split)]
        return united([[*self.lists(split)[0], *self.lists(split)[1], *self.unused(split)] for split in present or [1]])

    def unused(self, split: int) -> list[Entry]:
        """Listed, and neither for training nor for testing."""
        return self._by_code(split)[UNUSED]

    @property
    def notes(self) -> list[str]:
        classes = defaultdict(set)
        for name, label in self.videos():
            classes[self.group(name).partition("/")[2]].add(label)
        several = [source for source, labels in classes.items() if len(labels) > 1]
        return [f"{len(several)} sources appear in more than one class: {some(sorted(several))}"] if several else []

    def _find(self, home: Path) -> tuple[Path, Path]:
        return unpacked(home, *VIDEOS), unpacked(home, *SPLIT_LISTS)

    def _files(self, split: int) -> dict[str, Path]:
        """Class -> its list."""
        found = [(_LIST.fullmatch(file.name), file) for file in sorted(self.folder.glob("*_test_split?.txt"))]
        return {match[1]: file for match, file in found if match and int(match[2]) == split}

    def _needs(self, split: int | None) -> list[Path]:
        files = self._files(split or 1)
        if not files:
            return [self.folder / f"<class>_test_split{split or 1}.txt"]
        classes = {name for one in range(1, SPLITS + 1) for name in self._files(one)}
        return [self.folder / f"{name}_test_split{split or 1}.txt" for name in sorted(classes)]

    def _classes(self) -> list[str]:
        """By name, as the released code numbers them."""
        found = {name for split in range(1, SPLITS + 1) for name in self._files(split)}
        if not found:
            self._must_be_there(self._needs(1))
        return sorted(found)

    def _lists(self, split: int) -> Lists:
        codes = self._by_code(split)
        return codes[TRAIN], codes[TEST]

    def _by_code(self, split: int) -> dict[str, list[Entry]]:
        self._must_be_there(self._needs(split))
        named: dict[str, list[tuple[str, str, int]]] = {UNUSED: [], TRAIN: [], TEST: []}
        for name, file in self._files(split).items():
            for place, video, code in read_list(file, name):
                named[code].append((place, video, self.classes.index(name)))
        each_once([line for lines in named.values() for line in lines])
        return {code: each_once(lines) for code, lines in named.items()}
