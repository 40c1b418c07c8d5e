"""Which answers of an arm were right, without its scores, and the test list that they are about.

Arms of a study share their test list. It is kept once, and each arm has one byte a video beside it.

A folder of records without predictions may have their answers in one small file, answers.csv:

    video,group,label,kind,<arm>,<arm>…

One line per video; 1: the arm's answer was right, 0: it was wrong, nothing: the arm was not asked. An empty group is
the video itself, and `?` an unknown one; an empty kind of question is unknown.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.records.files import read_whole
from fusionlab.records.predictions import LARGEST

FILE = "answers.csv"
UNKNOWN = "?"  # the group of a video in records that are older than groups
_HEAD = ["video", "group", "label", "kind"]


@dataclass(frozen=True, eq=False)
class TestList:
    """The videos of a test, and of each its class, its group and its kind of question (None if unknown).

    Two equal lists are one object, so `is` compares them. `groups` is None in records that are older than it, and
    `splits` in a list of one split.
    """

    videos: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None
    kinds: tuple[str | None, ...]
    splits: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        videos: Iterable[str],
        labels: Iterable[str],
        groups: Iterable[str] | None,
        kinds: Iterable[str | None],
        splits: Iterable[str] | None = None,
    ) -> TestList:
        """The one list that has these videos, in this order."""
        known_groups, own_splits = (None if one is None else tuple(one) for one in (groups, splits))
        key = (tuple(videos), tuple(labels), known_groups, tuple(kinds), own_splits)
        known = _KNOWN.get(key)
        if known is None:
            known = _KNOWN[key] = cls(*key)
        return known

    def same_videos(self, other: TestList) -> bool:
        """Whether two lists are the same; one may be older than groups, and lack them."""
        if self is other or (self.groups is not None and other.groups is not None):
            return self is other
        first, second = ((one.videos, one.labels, one.kinds, one.splits) for one in (self, other))
        return first == second


_KNOWN: WeakValueDictionary[tuple[Any, ...], TestList] = WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class Answers:
    """Whether each answer about the videos of a test list was right."""

    of: TestList
    right: NDArray[np.bool_]

    def counts(self) -> dict[str, dict[str, int]]:
        """kind of question -> right answers and all answers, as a record has them."""
        counts: dict[str, dict[str, int]] = {}
        for kind, right in zip(self.of.kinds, self.right.tolist(), strict=True):
            if kind is not None:
                own = counts.setdefault(kind, {"correct": 0, "total": 0})
                own["correct"] += right
                own["total"] += 1
        return counts


def join_answers(answers: Mapping[str, Answers]) -> Answers:
    """The answers to the lists of several splits, in order, as those to one list. Groups are known if all are."""
    lists = {split: own.of for split, own in answers.items()}
    known = [tests.groups for tests in lists.values() if tests.groups is not None]
    joined = TestList.of(
        [video for tests in lists.values() for video in tests.videos],
        [label for tests in lists.values() for label in tests.labels],
        [group for groups in known for group in groups] if len(known) == len(lists) else None,
        [kind for tests in lists.values() for kind in tests.kinds],
        [split for split, tests in lists.items() for _ in tests.videos],
    )
    return Answers(joined, np.concatenate([own.right for own in answers.values()]))


class SavedAnswers:
    """The answers of a folder's arms in one file, which is read when the first of them is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, name: str) -> Answers | None:
        """The answers of an arm; None if it has no column."""
        if name not in self._columns:
            return None
        column = self._columns[name]
        asked = column >= 0
        if not asked.any():
            raise UserError("an arm has no answer", got=f"{name} in {self.path}")
        videos, groups, labels, kinds = (
            list(cells) if asked.all() else np.array(cells, dtype=object)[asked].tolist() for cells in self._videos
        )
        known = None if UNKNOWN in groups else [group or video for group, video in zip(groups, videos, strict=True)]
        return Answers(TestList.of(videos, labels, known, [kind or None for kind in kinds]), column[asked] == 1)

    @cached_property
    def _rows(self) -> list[list[str]]:
        """The head, then the lines."""
        try:
            text = read_whole(self.path, LARGEST).decode("utf-8")
            rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise _damaged(self.path, str(error)[:80]) from None
        head = rows[0] if rows else []
        if head[:4] != _HEAD or len(set(head)) < len(head):
            raise _damaged(self.path, f"the columns are {','.join(_HEAD)}, then the arms, each once")
        for line, row in enumerate(rows[1:], start=2):
            if len(row) != len(head) or not {*row[4:]} <= {"0", "1", ""}:
                raise _damaged(self.path, f"line {line}: cells are 1, 0 or nothing, one for each arm")
        return rows

    @cached_property
    def _videos(self) -> list[tuple[str, ...]]:
        """The first columns: videos, groups, labels, kinds."""
        return list(zip(*(row[:4] for row in self._rows[1:]), strict=True)) or [()] * 4

    @cached_property
    def _columns(self) -> dict[str, NDArray[np.int8]]:
        """Arm -> 1, 0, or −1 where it was not asked."""
        head, *rows = self._rows
        cells = np.array([[int(cell or -1) for cell in row[4:]] for row in rows], dtype=np.int8)
        return dict(zip(head[4:], cells.reshape(len(rows), len(head) - 4).T, strict=True))


def _damaged(path: Path, why: str) -> UserError:
    hint = "restore the file, or write it again from the predictions: python -m fusionlab.report STUDY --answers"
    return UserError(f"damaged answers ({why})", got=path, hint=hint)


def answers_csv(answers: Mapping[str, Answers]) -> str:
    """The answers of some arms as one file; a video that differs in group or label has two lines."""
    lines: dict[tuple[str, str, str, str], dict[str, str]] = {}
    for name, own in answers.items():
        tests = own.of
        groups = (UNKNOWN,) * len(tests.videos)
        if tests.groups is not None:
            groups = tuple(
                "" if group == video else group for group, video in zip(tests.groups, tests.videos, strict=True)
            )
        kinds = (kind or "" for kind in tests.kinds)
        for video, right in zip(zip(tests.videos, groups, tests.labels, kinds, strict=True), own.right, strict=True):
            lines.setdefault(video, {})[name] = "1" if right else "0"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_HEAD, *answers])
    writer.writerows([*video, *(cells.get(name, "") for name in answers)] for video, cells in lines.items())
    return text.getvalue()
