"""What the arms of a row answered: right or wrong by class, and the predicted classes. Read when a figure needs it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.records.files import read_whole
from fusionlab.records.predictions import LARGEST, parse_answers
from fusionlab.results.answers import Answers
from fusionlab.results.load import TOGETHER, Entry
from fusionlab.results.rows import Row


def best_fused(rows: Sequence[Row], kind: str) -> Row | None:
    """The fused row with the highest accuracy whose answers can be read; the first of equals."""
    own = [row for row in rows if row.kind == "fused" and kind in row.shares and answers(row)]
    return max(own, key=lambda row: row.shares[kind].mean, default=None)


def answers(row: Row) -> list[Answers]:
    """Those of each seed; none if one of them cannot be read."""
    try:
        return [entry.answers for entry in row.done]
    except UserError:  # the table has a note about it
        return []


def together(*rows: Row) -> list[list[Answers]]:
    """The answers of several rows, seed by seed: the seeds that all have, where they answered the same videos."""
    by_seed = [{entry.seed: own for entry, own in zip(row.done, answers(row), strict=False)} for row in rows]
    shared = [seed for seed in by_seed[0] if all(seed in own for own in by_seed)]
    found = [[own[seed] for own in by_seed] for seed in shared]
    return [own for own in found if all(one.of.same_videos(own[0].of) for one in own)]


def by_class(own: Answers, kind: str = TOGETHER) -> dict[str, float]:
    """Class -> share of right answers, of the classes with this kind of question."""
    labels = np.array(own.of.labels)
    asked = np.array([kind in (TOGETHER, one) for one in own.of.kinds])
    names, codes = np.unique(labels[asked], return_inverse=True)
    right = np.bincount(codes, weights=own.right[asked], minlength=len(names)) / np.bincount(codes)
    return dict(zip(names.tolist(), right.tolist(), strict=True))


def confusions(row: Row) -> tuple[list[str], NDArray[np.float64]] | None:
    """(classes, true class × predicted class): videos, as a mean over seeds. None without predicted classes."""
    counts: dict[tuple[str, str], int] = {}
    classes: dict[str, None] = {}
    if not answers(row):  # here digests are checked
        return None
    for arm in (arm for entry in row.done for arm in entry.arms):
        found = _read(arm)
        if found is None:
            return None
        for pair in found:
            counts[pair] = counts.get(pair, 0) + 1
    for entry in row.done:
        classes |= dict.fromkeys(entry.result.get("classes", {}))
    names = list(classes | dict.fromkeys(name for pair in sorted(counts) for name in pair))
    index = {name: at for at, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)))
    for (label, predicted), count in counts.items():
        matrix[index[label], index[predicted]] = count / len(row.done)
    asked = [at for at in range(len(names)) if matrix[at].sum() or matrix[:, at].sum()]
    return [names[at] for at in asked], matrix[np.ix_(asked, asked)]


def _read(arm: Entry) -> list[tuple[str, str]] | None:
    """(class, predicted class) of each video."""
    if arm.folder is None or not (arm.folder / arm.file).is_file():
        return None
    read = parse_answers(read_whole(arm.folder / arm.file, LARGEST), arm.folder / arm.file)
    return list(zip(read.labels, read.predicted, strict=True))
