"""What a record says of the data that its arm could not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from data_fakes import Drifting

from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.jobs.job_data import Data
from fusionlab.jobs.recorder import Recorder
from fusionlab.records.record import read_record
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Arm
from fusionlab.study.recipes import stream_recipe
from fusionlab.training.evaluate import Scores
from fusionlab.training.fit import Outcome
from fusionlab.two_stream.describe import Description
from fusionlab.video.store import Store


def result(drifting: Drifting, store: Store, folder: Path, *left_out: str) -> dict[str, Any]:
    """The result of an arm that was right once in three times."""
    config = tree({}).with_leaves({"data.quarantine": list(left_out)})
    arm = Arm("streams=motion", "stream", {"streams": "motion"}, "0" * 16, stream_recipe(config, "motion"), "motion-1")
    attempt, run = Attempt(folder / "job", 1), RunConfig.of(config)
    scores = Scores([0, 1, 2], [0, 1, 2], {arm.name: torch.tensor([[0.8, 0.1, 0.1]] * 3)})
    outcome = Outcome(arm.name, "done", None, 1, 0.5, 2, {}, None)
    Recorder(attempt, Data(drifting, store.folder, run), run).done(
        arm, outcome, scores, ["a", "b", "c"], Description(1, 1, 1, 0), {}
    )
    found: dict[str, Any] = read_record(attempt.published / arm.name)["result"]
    return found


def test_the_numbers_of_quarantined_videos_are_those_of_each_list(
    drifting: Drifting, store: Store, tmp_path: Path
) -> None:
    train, test = ([name for name, _ in entries] for entries in drifting.lists(1))
    whole = result(drifting, store, tmp_path / "whole")
    less = result(drifting, store, tmp_path / "less", train[3], train[5], test[1])
    assert "quarantined" not in whole and less["quarantined"] == {"train": 2, "test": 1}
    assert whole["data"] == store.hash != less["data"]
    assert (less["correct"], less["total"], less["accuracy"]) == (1, 3, 1 / 3)
