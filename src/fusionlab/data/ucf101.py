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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from fusionlab.data.dataset import Entry
from fusionlab.data.list_files import Named, Wrong, class_labels, entries, text_lines
from fusionlab.data.on_disk import Lists, OnDisk, unpacked
from fusionlab.errors import UserError

INDEX = "classInd.txt"
VIDEOS, SPLIT_LISTS = "UCF-101", "ucfTrainTestlist"  # the folders in the two archives
_GROUP = re.compile(r"_g(\d+)_c\d+\.\w+$", re.IGNORECASE)


def read_classes(path: Path) -> list[str]:
    """Class names in the order of their numbers."""
    classes: dict[int, str] = {}
    with Wrong() as wrong:
        for place, line in text_lines(path):
            number, _, name = line.partition(" ")
            if not (number.isascii() and number.isdecimal()) or not name.strip():
                wrong.add("a class index has lines like `1 ApplyEyeMakeup`", f"{place}: {line}")
            elif int(number) in classes:
                wrong.add("two lines of a class index have the same number", f"{place}: {line}")
            else:
                classes[int(number)] = name.strip()
        if not wrong.places and not classes:
            wrong.add("this list is empty", path)
    if sorted(classes) != list(range(1, len(classes) + 1)) or len(set(classes.values())) != len(classes):
        raise UserError("the numbers of a class index are 1, 2, 3 … and its names differ", got=path)
    return [classes[number] for number in sorted(classes)]


def read_list(path: Path, classes: Sequence[str], wrong: Wrong) -> list[Entry]:
    """The videos of a train or test list with their labels.

    The label is that of the folder; where a number stands beside the name, it must agree.
    """
    return entries(_named(path, class_labels(classes), wrong), wrong)


def _named(path: Path, labels: Mapping[str, int], wrong: Wrong) -> Iterator[Named]:
    lines = text_lines(path)
    if not lines:
        wrong.add("this list is empty", path)
    for place, line in lines:
        name, _, number = line.partition(" ")  # UCF101's names hold no blank
        folder = name.rpartition("/")[0].rpartition("/")[2]
        if folder not in labels:
            what, hint = "a list names a class that is not in the class index", f"one of the {len(labels)} in {INDEX}"
            wrong.add_unknown(what, f"{place}: {line}", folder, labels, hint)
        elif number.strip() not in ("", str(labels[folder] + 1)):
            wrong.add("a label disagrees with the class index", f"{place}: {line} ({labels[folder] + 1} there)")
        else:
            yield place, spelled(name), labels[folder]


def spelled(name: str) -> str:
    """A name with the class spelled as its folder is.

    >>> spelled("HandstandPushups/v_HandStandPushups_g01_c01.avi")
    'HandstandPushups/v_HandstandPushups_g01_c01.avi'
    """
    above, _, file = name.rpartition("/")
    start = f"v_{above.rpartition('/')[2]}_"
    return f"{above}/{start}{file[len(start) :]}" if above and file.lower().startswith(start.lower()) else name


def group_of(name: str) -> str:
    """`Archery/v_Archery_g08_c01.avi` -> `Archery/g08`."""
    match = _GROUP.search(name)
    if match is None:
        raise UserError("a UCF101 name ends in _gXX_cXX.avi", got=name)
    return f"{PurePosixPath(name).parent.name}/g{match[1]}"


class UCF101(OnDisk):
    """UCF101, or a set in its layout: `root`/<class>/<video>, lists in `lists` (default: `root`).

    Without a `root` it lies in `name`, below the folder that `expect` or `make` is given. There the two archives may
    lie as they were unpacked, with their own folders UCF-101 and ucfTrainTestlist or without them.
    """

    unpack = "unpack UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip (classInd.txt, trainlist01.txt …)"
    known: ClassVar[Mapping[int, tuple[int, int]]] = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
    known_videos, known_classes = 13320, 101
    known_frames, known_size, known_bytes = 2_483_295, (240, 320), 6_960_000_000

    def __init__(
        self,
        root: str | Path | None = None,
        lists: str | Path | None = None,
        *,
        name: str = "ucf101",
        classes: int | None = None,
        counts: bool = True,
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
        with Wrong() as wrong:
            return read_list(train, self.classes, wrong), read_list(test, self.classes, wrong)

    def group(self, name: str) -> str:
        return group_of(name)
