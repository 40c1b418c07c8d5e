"""The results of a test, from scores: predictions, counts, heads. In training and in a later test they are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.config.build import Blueprint
from fusionlab.config.schema import ArmConfig, StreamConfig
from fusionlab.data.dataset import Dataset
from fusionlab.jobs.job_data import Data
from fusionlab.records.other_test_file import write_other_test
from fusionlab.records.other_tests import OtherTest
from fusionlab.records.predictions import Predictions
from fusionlab.results.head_scores import Heads, to_bytes
from fusionlab.study.recipes import STREAMS
from fusionlab.training.evaluate import Scores, count_correct, part_name


@dataclass(frozen=True)
class OneTest:
    """Of one net. `towers`: those that are tested by themselves. `heads`: the scores of its heads."""

    predictions: Predictions
    towers: Mapping[str, Predictions]
    heads: Mapping[str, Heads]

    @classmethod
    def of(cls, dataset: Dataset, videos: Sequence[str], scores: Scores, name: str) -> OneTest:
        """`videos`: the list's, in which `scores.index` are places."""
        names = {tower: part_name(name, tower) for tower in STREAMS}
        towers = {
            one: predictions_of(dataset, videos, scores, part) for one, part in names.items() if part in scores.of
        }
        return cls(predictions_of(dataset, videos, scores, name), towers, scores.heads.get(name, {}))

    def counts(self, data: Data, blueprint: Blueprint, config: ArmConfig | StreamConfig) -> dict[str, Any]:
        """What a record says of them; of each tower by itself with the ceilings of one stream."""
        counted = count(self.predictions, data.kinds)
        towers = {}
        for stream, predictions in self.towers.items():
            assert isinstance(config, ArmConfig)
            most = data.dataset.ceilings(blueprint.system_of_tower(config, stream))
            ceilings = {kind: str(share) for kind, share in most.items()}
            towers[stream] = {**count(predictions, data.kinds), "ceilings": ceilings}
        names = {"head_names": list(self.heads)} if self.heads else {}
        return {**counted, **names, **({"towers": towers} if towers else {})}

    def write(
        self,
        folder: Path,
        test: OtherTest,
        arm: Mapping[str, Any],
        counts: Mapping[str, Any],
        around: Mapping[str, Any],
    ) -> None:
        """As a test beside a record. `arm`: its signature and weights. `around`: the circumstances."""
        write_other_test(
            folder, test, arm, counts, self.predictions,
            towers=self.towers, heads=to_bytes(self.heads) if self.heads else None, circumstances=around,
        )  # fmt: skip


def count(predictions: Predictions, kinds: Sequence[str]) -> dict[str, Any]:
    """Accuracy, correct, total, and the same of each kind of question. `kinds`: of each class."""
    counts = count_correct(list(predictions.predicted), list(predictions.labels), kinds)
    every = counts.pop("all")
    return {"accuracy": every["correct"] / every["total"], **every, "kinds": counts}


def predictions_of(dataset: Dataset, videos: Sequence[str], scores: Scores, name: str) -> Predictions:
    """The scores of one net as predictions."""
    tested = [videos[place] for place in scores.index]
    groups = map(dataset.group, tested)
    return Predictions.of(dataset.classes, tested, scores.label, scores.of[name].tolist(), groups)
