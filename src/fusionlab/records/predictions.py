"""predictions.csv: what a system said about each video, so that any statistic can be taken again later.

    video,label,predicted,score_<class>,score_<class>…

One line per video in the test list's order. Scores are float32, written with the 9 digits that give the same
float32 back, so that the file is as reproducible as the numbers are.
"""

from __future__ import annotations

import csv
import io
import math
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionlab.errors import UserError
from fusionlab.records.files import write_text

FILE = "predictions.csv"
_SCORE = "score_"


def float32(value: float) -> float:
    """The nearest float32, as a Python float (IEEE 754 single precision, through its four bytes)."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


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
        rows = tuple(tuple(float32(float(score)) for score in row) for row in scores)
        made = cls(tuple(classes), tuple(videos), tuple(int(label) for label in labels), rows)
        assert len(made.videos) == len(made.labels) == len(made.scores), "one label and one row of scores per video"
        assert all(len(row) == len(made.classes) for row in rows), "one score per class"
        assert all(0 <= label < len(made.classes) for label in made.labels), "a label is an index into the classes"
        return made

    @property
    def predicted(self) -> tuple[int, ...]:
        """The class of the highest score; the first of equals."""
        return tuple(max(range(len(row)), key=row.__getitem__) for row in self.scores)

    @property
    def correct(self) -> int:
        return sum(one == other for one, other in zip(self.predicted, self.labels, strict=True))

    def apart(self, other: Predictions) -> float:
        """The largest difference of two scores; infinite where one is no number, or where videos, labels or classes
        are others.
        """
        if (self.classes, self.videos, self.labels) != (other.classes, other.videos, other.labels):
            return math.inf
        pairs = [pair for rows in zip(self.scores, other.scores, strict=True) for pair in zip(*rows, strict=True)]
        return max((abs(a - b) if math.isfinite(a - b) else math.inf for a, b in pairs), default=0.0)

    def to_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["video", "label", "predicted", *(_SCORE + name for name in self.classes)])
        for video, label, best, row in zip(self.videos, self.labels, self.predicted, self.scores, strict=True):
            scores = (format(score, ".9g") for score in row)
            writer.writerow([video, self.classes[label], self.classes[best], *scores])
        return text.getvalue()


def write_predictions(path: str | os.PathLike[str], predictions: Predictions) -> None:
    write_text(path, predictions.to_csv())


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """The predictions in a file; what does not fit is named with its line."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        raise UserError("no such predictions", got=path) from None
    head = rows[0] if rows else []
    if head[:3] != ["video", "label", "predicted"] or not all(name.startswith(_SCORE) for name in head[3:]):
        raise UserError(f"not a predictions file (video,label,predicted,{_SCORE}…)", got=Path(path))
    classes = [name.removeprefix(_SCORE) for name in head[3:]]
    index = {name: place for place, name in enumerate(classes)}
    labels, scores = [], []
    for line, row in enumerate(rows[1:], start=2):
        labels.append(_label(row, index, path, line, len(head)))
        scores.append(_scores(row[3:], path, line))
    return Predictions.of(classes, [row[0] for row in rows[1:]], labels, scores)


def _label(row: Sequence[str], index: dict[str, int], path: object, line: int, columns: int) -> int:
    if len(row) != columns or row[1] not in index:
        raise UserError(
            "damaged predictions", got=f"{path}, line {line}", hint="restore the file, or test the arm again"
        )
    return index[row[1]]


def _scores(cells: Sequence[str], path: object, line: int) -> list[float]:
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        raise UserError(f"damaged predictions ({error})", got=f"{path}, line {line}") from None
