"""HMDB51's lists and folder layout.

    <class>_test_split1.txt   "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1"    1 train, 2 test, 0 neither

A file for each class and split; videos lie in <class>/. Names hold `#!+()&;@[]~`, and some begin with a dash. A group
is (class, source): the name up to the last _<class>_ in it, since a source may hold the class's name, as
How_to_pour_beer does. Clips of one source in two classes are other groups: the lists are drawn for each class alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from fusionlab.data.dataset import Entry
from fusionlab.data.list_files import Named, Wrong, class_labels, entries, some, text_lines
from fusionlab.data.on_disk import Lists, OnDisk, unpacked
from fusionlab.errors import UserError

VIDEOS = ("hmdb51_org", "hmdb51")  # the folders that the archives may bring along
SPLIT_LISTS = ("testTrainMulti_7030_splits", "test_train_splits", "splits")
UNUSED, TRAIN, TEST = "0", "1", "2"
_LIST = re.compile(r"(.+)_test_split(\d)\.txt")


def group_of(name: str) -> str:
    """Class and source.

    >>> group_of("brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi")
    'brush_hair/April_09'
    >>> group_of("pour/How_to_pour_beer_pour_u_nm_np1_fr_goo_0.avi")
    'pour/How_to_pour_beer'
    """
    folder, _, file = name.rpartition("/")
    class_ = folder.rpartition("/")[2]
    source, match, _ = file.rpartition(f"_{class_}_")
    if not match:
        raise UserError("an HMDB51 name is source_class_….avi, in the folder of its class", got=name)
    return f"{class_}/{source}"


class HMDB51(OnDisk):
    """HMDB51, or a set in its layout, in `name` below the folder of the data; the archives as they were unpacked."""

    unpack = "unpack hmdb51_org.rar, the .rar of each class in it, and test_train_splits.rar"
    known: ClassVar[Mapping[int, tuple[int, int]]] = dict.fromkeys((1, 2, 3), (3570, 1530))
    known_videos, known_classes, known_bytes = 6766, 51, 2_100_000_000

    def __init__(
        self,
        root: str | Path | None = None,
        lists: str | Path | None = None,
        *,
        name: str = "hmdb51",
        classes: int | None = None,
        counts: bool = True,
    ) -> None:
        super().__init__(root, lists, name=name, classes=classes, counts=counts)
        self._codes: dict[int, dict[str, list[Entry]]] = {}

    def group(self, name: str) -> str:
        return group_of(name)

    def unused(self, split: int) -> list[Entry]:
        """The listed videos that are neither for training nor for testing."""
        return self._by_code(split)[UNUSED]

    @property
    def notes(self) -> list[str]:
        classes = defaultdict(set)
        for name, label in self.videos():
            classes[self.group(name).partition("/")[2]].add(label)
        several = sorted(source for source, labels in classes.items() if len(labels) > 1)
        note = f"{len(several)} sources appear in more than one class, where they are other groups: {some(several, 3)}"
        return [*([note] if several else []), *super().notes]

    def _find(self, home: Path) -> tuple[Path, Path]:
        return unpacked(home, *VIDEOS), unpacked(home, *SPLIT_LISTS)

    @cached_property
    def _files(self) -> dict[int, dict[str, Path]]:
        """Split -> class -> its list."""
        files: dict[int, dict[str, Path]] = defaultdict(dict)
        for file in sorted(self.folder.glob("*_test_split?.txt")):
            match = _LIST.fullmatch(file.name)
            if match and not file.name.startswith("."):
                files[int(match[2])][match[1]] = file
        return files

    def _needs(self, split: int | None) -> list[Path]:
        """The list of each class, for every split."""
        classes = self._names() or ["<class>"]
        return [self.folder / f"{name}_test_split{split or 1}.txt" for name in classes]

    def _names(self) -> list[str]:
        return sorted({name for split in range(1, self.splits + 1) for name in self._files.get(split, {})})

    def _classes(self) -> list[str]:
        """The classes by name, in the order of the released code's numbers."""
        if not self._names():
            self._must_be_there(self._needs(1))
        return self._names()

    def _lists(self, split: int) -> Lists:
        codes = self._by_code(split)
        return codes[TRAIN], codes[TEST]

    def _of(self, split: int) -> Sequence[Entry]:
        """The videos of a split, and those that no split uses."""
        return [*super()._of(split), *self.unused(split)]

    def _places(self, name: str) -> Iterator[str]:
        """An archive of a class may have been unpacked in a folder of its class."""
        yield name
        yield f"{name.rpartition('/')[0]}/{name}"

    def _by_code(self, split: int) -> dict[str, list[Entry]]:
        if split not in self._codes:
            self._must_be_there(self._needs(split))
            codes: dict[str, str] = {}
            with Wrong() as wrong:
                named = [
                    line
                    for name, label in class_labels(self.classes).items()
                    for line in self._named(split, name, label, codes, wrong)
                ]
                videos = entries(named, wrong)
            self._codes[split] = {
                code: [entry for entry in videos if codes[entry[0]] == code] for code in (UNUSED, TRAIN, TEST)
            }
        return self._codes[split]

    def _named(self, split: int, name: str, label: int, codes: dict[str, str], wrong: Wrong) -> Iterator[Named]:
        """The lines of a class's list; `codes` takes what each is for."""
        lines = text_lines(self._files[split][name])
        if not lines:
            wrong.add("this list is empty", self._files[split][name])
        for place, line in lines:
            file, _, code = line.rpartition(" ")
            file = file.rstrip()
            if code not in (UNUSED, TRAIN, TEST) or not file:
                wrong.add("a list of HMDB51 has lines like `name.avi 1`, with 0, 1 or 2", f"{place}: {line}")
            elif f"_{name}_" not in file:
                wrong.add("a name is not one of this list's class", f"{place}: {line}", f"names like …_{name}_….avi")
            else:
                codes[f"{name}/{file}"] = code
                yield place, f"{name}/{file}", label
