"""predictions.csv: the scores of a system for each video, so that any statistic can be computed later.

    video,label,predicted,score_<class>,score_<class>…

One line per video in the test list's order. Scores are float32 with the 9 digits that give the same float32 back, so
that the file is as reproducible as the numbers.
"""

from __future__ import annotations

import csv
import io
import math
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fusionlab.errors import UserError
from fusionlab.records.files import read_whole, write_text

FILE = "predictions.csv"
TOWERS = ("appearance", "motion")  # of a control, each also tested by itself
LARGEST = 512 << 20  # bytes; 40,000 videos of 700 classes have 400 MB
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
    """Scores of N videos over C classes; labels are indices into `classes`."""

    classes: tuple[str, ...]
    videos: tuple[str, ...]
    labels: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]

    @classmethod
    def of(
        cls,
        classes: Iterable[str],
        videos: Iterable[str],
        labels: Iterable[int],
        scores: Iterable[Iterable[float]],
    ) -> Predictions:
        """From lists, arrays or tensors' `.tolist()`; scores are rounded to float32."""
        rows = tuple(float32(*map(float, row)) for row in scores)
        made = cls(tuple(classes), tuple(videos), tuple(int(label) for label in labels), rows)
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
        writer.writerow(["video", "label", "predicted", *(_SCORE + name for name in self.classes)])
        for video, label, best, row in zip(self.videos, self.labels, self.predicted, self.scores, strict=True):
            writer.writerow([video, self.classes[label], self.classes[best], *map("%.9g".__mod__, row)])
        return text.getvalue()


def write_predictions(path: str | os.PathLike[str], predictions: Predictions) -> None:
    write_text(path, predictions.to_csv())


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """The predictions in a file; an error names its line."""
    return parse_predictions(read_whole(path, LARGEST), Path(path))


def parse_predictions(content: bytes, source: object) -> Predictions:
    """The predictions in a file's content."""

    def damaged(why: str, line: int) -> UserError:
        hint = "restore the file, or test the arm again"
        return UserError(f"damaged predictions ({why})", got=f"{source}, line {line}", hint=hint)

    try:
        rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
    except UnicodeDecodeError as error:
        raise damaged("not UTF-8", content.count(b"\n", 0, error.start) + 1) from None
    videos, labels, scores = [], [], []
    try:
        head = next(rows, [])
        if head[:3] != ["video", "label", "predicted"] or not all(name.startswith(_SCORE) for name in head[3:]):
            raise UserError(f"not a predictions file (video,label,predicted,{_SCORE}…)", got=source)
        classes = [name.removeprefix(_SCORE) for name in head[3:]]
        index = {name: place for place, name in enumerate(classes)}
        if len(index) < len(classes):
            raise damaged("a class has two columns", 1)
        for row in rows:
            if len(row) != len(head) or row[1] not in index:
                raise damaged("the columns are wrong, or the label is not one of the classes", rows.line_num)
            videos.append(row[0])
            labels.append(index[row[1]])
            scores.append([_score(cell) for cell in row[3:]])
    except (csv.Error, ValueError) as error:
        raise damaged(str(error)[:80], rows.line_num) from None
    if not videos:
        raise damaged("no video", 1)
    return Predictions.of(classes, videos, labels, scores)


def _score(cell: str) -> float:
    value = float(cell)
    if not abs(value) <= _MOST:
        raise ValueError(f"this score is not a float32: {cell[:20]}")
    return value
