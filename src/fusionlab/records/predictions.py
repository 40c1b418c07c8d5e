"""predictions.csv: the scores of a system for each video, so that any statistic can be computed later.

    video,label,predicted,group,score_<class>,score_<class>…

One line per video in the test list's order. `group` is the recording that the video was cut from, as the data set
knows it; older files have no such column. Scores are float32 with the 9 digits that give the same float32 back, so that
the file is as reproducible as the numbers.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import math
import os
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fusionlab.errors import UserError
from fusionlab.records.files import read_whole, write_text

FILE = "predictions.csv"
TOWERS = ("appearance", "motion")  # of a control, each also tested by itself
LARGEST = 512 << 20  # bytes; 40,000 videos of 700 classes have 400 MB
HEAD = ("video", "label", "predicted")  # columns of every file
GROUP = "group"  # the next column, but in older files
_SCORE = "score_"
_MOST = 3.4028234663852886e38  # the largest float32


def tower_file(tower: str) -> str:
    """The file of one tower's predictions, beside those of the arm."""
    return f"{tower}.csv"


def float32(*values: float) -> tuple[float, ...]:
    """The nearest float32 of each, as Python floats (IEEE 754 single precision, through its four bytes)."""
    single = struct.Struct(f"<{len(values)}f")
    return single.unpack(single.pack(*values))


@dataclass(frozen=True)
class Predictions:
    """Scores of N videos over C classes; labels are indices into `classes`. `groups`: None in older files."""

    classes: tuple[str, ...]
    videos: tuple[str, ...]
    labels: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]
    groups: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        classes: Iterable[str],
        videos: Iterable[str],
        labels: Iterable[int],
        scores: Iterable[Iterable[float]],
        groups: Iterable[str] | None = None,
    ) -> Predictions:
        """From lists, arrays or tensors' `.tolist()`; scores are rounded to float32."""
        rows = tuple(float32(*map(float, row)) for row in scores)
        known = None if groups is None else tuple(groups)
        made = cls(tuple(classes), tuple(videos), tuple(int(label) for label in labels), rows, known)
        assert known is None or len(known) == len(made.videos), "one group per video"
        assert len(made.videos) == len(made.labels) == len(made.scores), "one label and one row of scores per video"
        assert all(len(row) == len(made.classes) for row in rows), "one score per class"
        assert all(0 <= label < len(made.classes) for label in made.labels), "a label is an index into the classes"
        return made

    @cached_property
    def predicted(self) -> tuple[int, ...]:
        """The class of the highest score; the first of equals."""
        return tuple(row.index(max(row)) for row in self.scores)

    @property
    def correct(self) -> int:
        return sum(one == other for one, other in zip(self.predicted, self.labels, strict=True))

    def largest_difference(self, other: Predictions) -> float:
        """The largest difference of two scores; infinite if one is, or if videos, labels or classes differ."""
        if (self.classes, self.videos, self.labels) != (other.classes, other.videos, other.labels):
            return math.inf
        pairs = [pair for rows in zip(self.scores, other.scores, strict=True) for pair in zip(*rows, strict=True)]
        return max((abs(a - b) if math.isfinite(a - b) else math.inf for a, b in pairs), default=0.0)

    def to_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        groups = [()] * len(self.videos) if self.groups is None else [(group,) for group in self.groups]
        head = HEAD if self.groups is None else (*HEAD, GROUP)
        writer.writerow([*head, *(_SCORE + name for name in self.classes)])
        for video, label, best, group, row in zip(
            self.videos, self.labels, self.predicted, groups, self.scores, strict=True
        ):
            writer.writerow([video, self.classes[label], self.classes[best], *group, *map("%.9g".__mod__, row)])
        return text.getvalue()


def write_predictions(path: str | os.PathLike[str], predictions: Predictions, *, sync: bool = True) -> str:
    """Write the file, and return its digest. `sync`: see `write_bytes`."""
    text = predictions.to_csv()
    write_text(path, text, sync=sync)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """The predictions in a file; an error names its line."""
    return parse_predictions(read_whole(path, LARGEST), Path(path))


def parse_predictions(content: bytes, source: object) -> Predictions:
    """The predictions in a file's content."""
    table = _Table(content, source)
    index = {name: place for place, name in enumerate(table.classes)}
    videos, labels, groups, scores = [], [], [], []
    for line, cells in table.rows():
        try:
            row = [_score(cell) for cell in cells[table.own :]]
        except ValueError as error:
            raise table.damaged(str(error)[:80], line) from None
        videos.append(cells[0])
        labels.append(index[cells[1]])
        groups.append(cells[table.own - 1])
        scores.append(row)
    return Predictions.of(table.classes, videos, labels, scores, groups if table.grouped else None)


@dataclass(frozen=True)
class Answered:
    """The columns of N videos without their scores: video, class, predicted class, group."""

    videos: tuple[str, ...]
    labels: tuple[str, ...]
    predicted: tuple[str, ...]
    groups: tuple[str, ...] | None


def parse_answers(content: bytes, source: object) -> Answered:
    """The columns before the scores in a file's content. Scores are counted and not read: that takes most of the time.

    So they are not checked either; a digest of the content does that.
    """
    table = _Table(content, source)
    names = {name: name for name in table.classes}  # one object for each name
    videos, labels, predicted, groups = [], [], [], []
    for _, cells in table.rows(scores=False):
        videos.append(cells[0])
        labels.append(names[cells[1]])
        predicted.append(names[cells[2]])
        groups.append(cells[3])
    known = tuple(map(sys.intern, groups)) if table.grouped else None
    return Answered(tuple(videos), tuple(labels), tuple(predicted), known)


@dataclass(frozen=True)
class WrongAnswer:
    """A video that was taken for another class, and the score of that class."""

    video: str
    label: str
    predicted: str
    score: float


def parse_wrong_answers(content: bytes, source: object) -> list[WrongAnswer]:
    """The wrong answers in a file's content, in its order. Of other videos no score is read, which saves the time."""
    table = _Table(content, source)
    place = {name: at for at, name in enumerate(table.classes)}
    wrong = []
    for line, cells in table.rows(scores=False):
        video, label, predicted = cells[:3]
        if label != predicted:
            scores = ",".join(cells[table.own :]).split(",")  # one cell where they were not split
            try:
                wrong.append(WrongAnswer(video, label, predicted, _score(scores[place[predicted]])))
            except ValueError as error:
                raise table.damaged(str(error)[:80], line) from None
    return wrong


class _Table:
    """A file of predictions as a table: its head is read, its rows come one by one, with the right number of cells."""

    def __init__(self, content: bytes, source: object) -> None:
        self.source = source
        try:
            self.text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.damaged("not UTF-8", content.count(b"\n", 0, error.start) + 1) from None
        self.own = len(HEAD)
        _, _, head = next(self._cells(-1), (1, 0, []))
        self.grouped = head[self.own : self.own + 1] == [GROUP]
        self.own += self.grouped
        if head[:3] != list(HEAD) or not all(name.startswith(_SCORE) for name in head[self.own :]):
            columns = ",".join((*HEAD, GROUP, _SCORE))
            raise UserError(f"not a predictions file ({columns}…)", got=source)
        self.classes = [name.removeprefix(_SCORE) for name in head[self.own :]]
        self.columns = len(head)
        if len(set(self.classes)) < len(self.classes):
            raise self.damaged("a class has two columns", 1)

    def rows(self, *, scores: bool = True) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) of each video; without scores, they may be one cell together."""
        classes, line = frozenset(self.classes), 0
        for line, count, cells in itertools.islice(self._cells(-1 if scores else self.own), 1, None):
            if count != self.columns or cells[1] not in classes or cells[2] not in classes:
                raise self.damaged("the columns are wrong, or the label is not one of the classes", line)
            yield line, cells
        if not line:
            raise self.damaged("no video", 1)

    def _cells(self, most: int) -> Iterator[tuple[int, int, list[str]]]:
        """(line, number of cells, cells); where nothing is quoted, only `most` cells are split off, which is fast."""
        if '"' not in self.text and "\r" not in self.text:
            for line, row in enumerate(self.text.removesuffix("\n").split("\n"), start=1):
                yield line, row.count(",") + 1, row.split(",", most)
            return
        reader = csv.reader(io.StringIO(self.text, newline=""), strict=True)
        try:
            for cells in reader:
                yield reader.line_num, len(cells), cells
        except csv.Error as error:
            raise self.damaged(str(error)[:80], reader.line_num) from None

    def damaged(self, why: str, line: int) -> UserError:
        hint = "restore the file, or test the arm again"
        return UserError(f"damaged predictions ({why})", got=f"{self.source}, line {line}", hint=hint)


def _score(cell: str) -> float:
    value = float(cell)
    if not abs(value) <= _MOST:
        raise ValueError(f"this score is not a float32: {cell[:20]}")
    return value
