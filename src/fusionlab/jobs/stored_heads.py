"""The scores of heads that tests have stored, and combinations of them, which need no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.files import read_whole
from fusionlab.records.other_test_file import HEADS, arm_identity, read_other_test
from fusionlab.records.other_tests import FILE, FOLDER, TEST, TRAIN, VALIDATION, OtherTest
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import Predictions, parse_predictions
from fusionlab.results.combine import choose_weight, mean_logits, mean_scores
from fusionlab.results.head_scores import LARGEST, Heads, digest, parse_heads
from fusionlab.results.svm import fit_svm


@dataclass(frozen=True)
class Stored:
    """The scores of heads over one list."""

    predictions: Predictions
    heads: Mapping[str, Heads]


@dataclass(frozen=True)
class Place:
    """A published arm. `own`: the protocol of its own test."""

    folder: Path
    record: Mapping[str, Any]
    own: str

    def folder_of(self, test: OtherTest) -> Path | None:
        """Where a test lies; None if there is none yet. Records of older versions have no heads beside them."""
        if test == OtherTest(self.own) and "heads" in self.record["result"]:
            return self.folder
        place = self.folder / FOLDER / test.name
        return place if (place / FILE).is_file() else None

    def read(self, test: OtherTest) -> Stored:
        """The heads and predictions of a test; a `UserError` if it is missing, or damaged."""
        folder = self.folder_of(test)
        if folder is None:
            raise UserError("a test is missing whose scores are combined", got=f"{test.name} of {self.record['name']}")
        if folder == self.folder:
            result = self.record["result"]
        else:
            result = read_other_test(folder, test, arm_identity(self.record))["result"]
        contents = {name: read_whole(folder / name, LARGEST) for name in (PREDICTIONS, HEADS)}
        digests = {PREDICTIONS: result.get("predictions"), HEADS: result.get("heads")}
        for name, recorded in digests.items():
            if digest(contents[name]) != recorded:
                raise UserError("a file is not that of its test", got=folder / name, hint=f"rm -r '{folder}'")
        predictions = parse_predictions(contents[PREDICTIONS], folder / PREDICTIONS)
        shape = {"videos": len(predictions.videos), "classes": len(predictions.classes)}
        return Stored(predictions, parse_heads(contents[HEADS], folder / HEADS, **shape))


@dataclass(frozen=True)
class Pair:
    """Two heads over the same list: appearance and motion, or a fused one and that of the tower beside it."""

    predictions: Predictions
    a: Heads
    b: Heads

    @classmethod
    def of(cls, stored: list[Stored]) -> Pair | None:
        """The heads of one arm, or of two streams; None if there is one head only."""
        first = stored[0].predictions
        for other in stored[1:]:
            if (other.predictions.videos, other.predictions.labels) != (first.videos, first.labels):
                raise UserError("two streams were tested on other videos", got=f"{len(first.videos)} videos")
        heads = [head for one in stored for head in one.heads.values()]
        return cls(first, *heads) if len(heads) == 2 else None


def combine(how: str, on: Mapping[str, Pair]) -> tuple[Predictions, dict[str, Any]]:
    """The predictions of the test list, and what was chosen on another list. `on`: the pair over each list."""
    test, chosen = on[TEST], {}
    if how == "logits":
        scores = mean_logits(test.a, test.b)
    elif how == "weighted":
        held = on[VALIDATION]
        weight = choose_weight(held.a, held.b, held.predictions.labels)
        scores = mean_scores(test.a, test.b, weight.weight)
        chosen = {"weight": weight.weight, "curve": [list(point) for point in weight.curve]}
    elif how == "svm":
        train = on[TRAIN]
        groups = train.predictions.groups or train.predictions.videos
        svm = fit_svm(train.a, train.b, train.predictions.labels, groups)
        scores = svm.margins(test.a, test.b).astype("float32")
        chosen = {"C": svm.c, "curve": [list(point) for point in svm.curve], "note": svm.note}
    else:
        raise AssertionError(f"{how} is the net's own")
    own = test.predictions
    return Predictions.of(own.classes, own.videos, own.labels, scores.tolist(), own.groups), chosen
