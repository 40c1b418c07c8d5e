"""Sets whose lists are CSV: Kinetics' own, and the plain two columns that many tools write.

    label,youtube_id,time_start,time_end,split           train.csv, validate.csv (or val.csv)
    path label                                           train.txt or .csv, val.txt or .csv; blank or comma between

A video of Kinetics is <list>/<label>/<id>_<start>_<end>.mp4, six digits each, and is looked for in the layouts that
the usual downloaders leave. Test labels are rarely there, so that the validation list is the test list. A group is
the YouTube id; in the plain format each video is its own, unless its name is Kinetics'. Where labels are numbers,
classes are called by them, or as classes.txt says, a name a line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fusionlab.data.leak import some
from fusionlab.data.on_disk import Lists, OnDisk, each_once, inside, text_lines
from fusionlab.errors import UserError

TRAIN = ("train.csv", "train.txt", "kinetics_train.csv")
TEST = ("validate.csv", "val.csv", "validation.csv", "val.txt", "validate.txt", "kinetics_val.csv")
NAMES = "classes.txt"
ENDINGS = (".mp4", ".mkv", ".webm", ".avi")
HEAD = ("label", "youtube_id", "time_start", "time_end")
_CLIP = re.compile(r"(.+)_\d{6}_\d{6}")
Line = tuple[str, str, str]  # place, video, label


class Kinetics(OnDisk):
    """Videos and lists in `name`, below the folder of the data."""

    unpack = "put train.csv, validate.csv and the videos (<list>/<label>/<id>_<start>_<end>.mp4)"

    def __init__(
        self, root: str | Path | None = None, lists: str | Path | None = None, *, name: str = "kinetics",
        classes: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(root, lists, name=name, classes=classes)

    def group(self, name: str) -> str:
        found = _CLIP.fullmatch(PurePosixPath(name).stem)
        return found[1] if found else name

    def path(self, name: str) -> Path:
        """Under its own name, or where downloaders put it: without the list's folder, the label's, or either; blanks in
        the label as they are or as underscores; another ending.
        """
        path = super().path(name)
        if path.is_file() or len(PurePosixPath(name).parts) != 3:
            return path
        which, label, clip = PurePosixPath(name).parts
        labels = (label, label.replace(" ", "_"))
        folders = [*((which, one) for one in labels), *((one,) for one in labels), (which,), ()]
        for folder in folders:
            for ending in ENDINGS:
                place = self.root.joinpath(*folder, clip).with_suffix(ending)
                if place.is_file():
                    return place
        return path

    def _needs(self, split: int | None) -> list[Path]:
        return [self._list(TRAIN), self._list(TEST)]

    def _list(self, names: tuple[str, ...]) -> Path:
        return next((self.folder / name for name in names if (self.folder / name).is_file()), self.folder / names[0])

    def _classes(self) -> list[str]:
        labels = sorted({label for file in self._needs(1) for _, _, label in read_list(file)})
        if not labels or not all(label.isdecimal() for label in labels):
            return labels
        if (self.folder / NAMES).is_file():
            return [line for _, line in text_lines(self.folder / NAMES)]
        return [str(number) for number in range(max(map(int, labels)) + 1)]

    def _lists(self, split: int) -> Lists:
        train, test = ([*read_list(file)] for file in self._needs(split))
        label = {name: number for number, name in enumerate(self.classes)}
        unknown = [f"{place}: {one}" for place, _, one in (*train, *test) if self._name(one) not in label]
        if unknown:
            raise UserError("lists name classes that there are not", got=f"{len(unknown)}: {some(unknown)}")
        numbered = ([(place, video, label[self._name(one)]) for place, video, one in lines] for lines in (train, test))
        one, other = (each_once(lines) for lines in numbered)
        return one, other

    def _name(self, label: str) -> str:
        """A number is a place among the classes."""
        if label.isdecimal() and label not in self.classes and int(label) < len(self.classes):
            return self.classes[int(label)]
        return label


def read_list(path: Path) -> Iterator[Line]:
    """The lines of a list in either format."""
    lines = text_lines(path)
    if lines and lines[0][1].replace(" ", "").lower().startswith(",".join(HEAD[:2])):
        yield from _kinetics(path, lines)
    else:
        yield from _plain(lines)


def _kinetics(path: Path, lines: list[tuple[str, str]]) -> Iterator[Line]:
    rows = csv.DictReader([line for _, line in lines], skipinitialspace=True)
    missing = [name for name in HEAD if name not in (rows.fieldnames or [])]
    if missing:
        raise UserError("a list of Kinetics lacks columns", got=f"{path}: {', '.join(missing)}", allowed=HEAD)
    wrong = []
    for (place, line), row in zip(lines[1:], rows, strict=True):
        times = [(row[name] or "").partition(".")[0] for name in HEAD[2:]]
        if not (row["label"] and row["youtube_id"] and all(time.isdecimal() for time in times)):
            wrong.append(f"{place}: {line}")
            continue
        clip = "{}_{:06d}_{:06d}.mp4".format(row["youtube_id"], *map(int, times))
        inside(f"{row['label']}/{clip}", place)
        yield place, f"{path.stem.removeprefix('kinetics_')}/{row['label'].replace('/', '_')}/{clip}", row["label"]
    if wrong:
        raise UserError("a list of Kinetics has lines like `label,id,0,10,train`", got=f"{len(wrong)}: {some(wrong)}")


def _plain(lines: list[tuple[str, str]]) -> Iterator[Line]:
    wrong = []
    for place, line in lines:
        video, _, label = line.rpartition("," if "," in line else " ")
        if not video or not label:
            wrong.append(f"{place}: {line}")
            continue
        inside(video.strip(), place)
        yield place, video.strip(), label.strip()
    if wrong:
        raise UserError("a list has a video and its label in each line", got=f"{len(wrong)}: {some(wrong)}")
