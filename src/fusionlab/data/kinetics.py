"""Sets whose lists are CSV: Kinetics' own, and the plain two columns that many tools write.

    label,youtube_id,time_start,time_end,split     train.csv, val.csv (or validate.csv); columns in any order
    path label                                     train.txt or .csv, val.txt or .csv; blank, tab or comma between

A video of Kinetics is called train/<label>/<id>_<start>_<end>.mp4 (or val/…), six digits each, whatever its list is
called, and is looked for in the layouts that the usual downloaders leave. Test labels are rarely there, so that the
validation list is the test list. A group is the YouTube id; in the plain format each video is its own, unless it is
named as Kinetics' are. Labels that are numbers count from 0. classes.txt, a name a line, says what classes are called;
without it they are the labels of the training list.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from fusionlab.data.list_files import Named, Wrong, class_labels, entries, text_lines
from fusionlab.data.on_disk import Lists, OnDisk, unpacked

TRAIN, TEST = "train", "val"
LISTS = {
    TRAIN: ("train.csv", "train.txt", "kinetics_train.csv"),
    TEST: ("val.csv", "validate.csv", "validation.csv", "val.txt", "validate.txt", "kinetics_val.csv"),
}
FOLDERS = {TRAIN: ("train",), TEST: ("val", "validate", "validation", "valid")}
NAMES = "classes.txt"
ENDINGS = (".mp4", ".mkv", ".webm", ".avi")
HEAD = ("label", "youtube_id", "time_start", "time_end")
_CLIP = re.compile(r"(.+)_\d{6}_\d{6}")
_SECONDS = re.compile(r"[0-9]+ [0-9]+")
_SPACED = re.compile(r"(.*\S)\s+(\d+)")
Line = tuple[str, str, str]  # place, video, label


class Kinetics(OnDisk):
    """Videos and lists in `name`, below the folder of the data."""

    unpack = "put train.csv, val.csv and the videos (train/<label>/<id>_<start>_<end>.mp4 and val/…)"

    def __init__(
        self, root: str | Path | None = None, lists: str | Path | None = None, *, name: str = "kinetics",
        classes: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(root, lists, name=name, classes=classes)
        self._seen: dict[str, list[Line]] = {}

    def group(self, name: str) -> str:
        match = _CLIP.fullmatch(_stem(name))
        return match[1] if match else name

    @property
    def notes(self) -> list[str]:
        unknown = sum(not self._is_clip(name) for name, _ in self.videos())
        note = f"{unknown} videos are each their own group: their names have no YouTube id"
        return [*([note] if unknown else []), *super().notes]

    def _find(self, home: Path) -> tuple[Path, Path]:
        return home, unpacked(home, "annotations")

    def _places(self, name: str) -> Iterator[str]:
        """Paths at which the clip may be: under its own name, or where downloaders put it.

        These leave out the folder of the list, that of the label, or both; they write blanks in the label as they are
        or as underscores; they choose another file format.
        """
        yield name
        which, _, rest = name.partition("/")
        label, _, clip = rest.partition("/")
        if which not in FOLDERS or not self._is_clip(name) or "/" in clip:
            return
        stem, labels = clip.rpartition(".")[0], (label, label.replace(" ", "_"))
        lists = [*(f"{folder}/" for folder in FOLDERS[which]), ""]
        for folder in [f"{above}{below}" for above in lists for below in (*(f"{one}/" for one in labels), "")]:
            for ending in ENDINGS:
                yield f"{folder}{stem}{ending}"

    def _any_case(self, name: str) -> bool:
        """YouTube's ids differ in case."""
        return not self._is_clip(name)

    def _is_clip(self, name: str) -> bool:
        return _CLIP.fullmatch(_stem(name)) is not None

    def _needs(self, split: int | None) -> list[Path]:
        return [self._list(TRAIN), self._list(TEST)]

    def _list(self, which: str) -> Path:
        places = [self.folder / name for name in LISTS[which]]
        return next((place for place in places if place.is_file()), places[0])

    def _classes(self) -> list[str]:
        if (self.folder / NAMES).is_file():
            return [line for _, line in text_lines(self.folder / NAMES)]
        with Wrong() as wrong:
            labels = {label for _, _, label in self._lines(TRAIN, wrong)}
        if not all(label.isdecimal() for label in labels):
            return sorted(labels)
        counted = sorted({int(label) for label in labels})
        with Wrong() as wrong:
            for number in sorted(set(range(counted[-1] + 1 if counted else 0)) - set(counted)):
                hint = f"labels count from 0; {NAMES} names the classes, if some have no video"
                wrong.add("labels of the training list are left out", str(number), hint)
        return [str(number) for number in counted]

    def _lists(self, split: int) -> Lists:
        with Wrong() as wrong:
            lines = [self._lines(which, wrong) for which in (TRAIN, TEST)]
        labels = class_labels(self.classes)
        if (self.folder / NAMES).is_file():  # a number is a place among the classes
            labels = {**class_labels([str(number) for number in range(len(labels))]), **labels}
        with Wrong() as wrong:
            train, test = (entries(self._labelled(one, labels, wrong), wrong) for one in lines)
        return train, test

    def _lines(self, which: str, wrong: Wrong) -> list[Line]:
        """The lines of a list, cached: it is long, and is needed for its classes and then for its videos."""
        if which not in self._seen:
            lines = list(read_list(self._list(which), which, wrong))
            if wrong.places:
                return lines
            self._seen[which] = lines
        return self._seen[which]

    def _labelled(self, lines: list[Line], labels: dict[str, int], wrong: Wrong) -> Iterator[Named]:
        for place, video, label in lines:
            if label in labels:
                yield place, video, labels[label]
            else:
                hint = f"one of the labels of the training list, or of {NAMES}"
                wrong.add_unknown("a list names an unknown class", f"{place}: {label}", label, labels, hint)


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def read_list(path: Path, which: str, wrong: Wrong) -> Iterator[Line]:
    """The lines of a list in either format."""
    lines = text_lines(path)
    if not lines:
        wrong.add("this list is empty", path)
    elif "youtube_id" in lines[0][1]:
        yield from _kinetics(path, lines, which, wrong)
    else:
        yield from _plain(lines, wrong)


def _kinetics(path: Path, lines: list[tuple[str, str]], which: str, wrong: Wrong) -> Iterator[Line]:
    if len(lines) == 1:
        wrong.add("this list is empty", path)
    columns = [name.strip().lower() for name in _cells(lines[0][1])]
    if missing := [name for name in HEAD if name not in columns]:
        wrong.add("a list of Kinetics lacks columns", f"{path}: {', '.join(missing)}", ",".join((*HEAD, "split")))
        return
    cell = [columns.index(name) for name in HEAD]
    for place, line in lines[1:]:
        row = _cells(line)
        label, video, start, end = (row[one].strip() for one in cell) if len(row) > max(cell) else ("", "", "", "")
        start, end = start.removesuffix(".0"), end.removesuffix(".0")
        if not label or not video or not _SECONDS.fullmatch(f"{start} {end}"):
            wrong.add("a list of Kinetics has lines like `archery,<id>,0,10,train`", f"{place}: {line}")
        else:
            clip = f"{video}_{start.zfill(6)}_{end.zfill(6)}.mp4"
            yield place, f"{which}/{label.replace('/', '_')}/{clip}", label


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], skipinitialspace=True), []) if '"' in line else line.split(",")
    except csv.Error:  # a cell of 131,072 signs
        return []


def _plain(lines: list[tuple[str, str]], wrong: Wrong) -> Iterator[Line]:
    """All lines with a blank before a number, or all with a comma: paths may hold either."""
    spaced = all(_SPACED.fullmatch(line) for _, line in lines)
    for place, line in lines:
        match = _SPACED.fullmatch(line) if spaced else None
        video, label = (match[1], match[2]) if match else (one.strip() for one in line.rpartition(",")[::2])
        if not video or not label:
            wrong.add("a list has lines like `path 3`, or `path,label`", f"{place}: {line}")
        else:
            yield place, video, label
