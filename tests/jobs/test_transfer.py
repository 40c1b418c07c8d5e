"""The job of a stream that starts from one of another data set, and of one with a second task."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from data_fakes import Drifting
from stage_fakes import Splits, Trained

from fusionlab.config import build
from fusionlab.config.schema import StreamConfig
from fusionlab.data.dataset import Entry
from fusionlab.errors import UserError
from fusionlab.jobs import provenance, retest, stages
from fusionlab.jobs.job_data import Data
from fusionlab.records.record import WEIGHTS, read_record
from fusionlab.study.plan import Arm
from fusionlab.training.weights import fingerprint, read_weights, write_weights
from fusionlab.two_stream.net import StreamNet

WORDS = ["data=brush2", "streams=motion"]


class Postures(Splits):
    """The same videos as two classes of other names."""

    classes = ("Sit", "Stand")  # type: ignore[assignment]
    class_count = 2
    kinds = dict.fromkeys(("Sit", "Stand"), "action")

    def videos(self) -> list[Entry]:
        return [(name, label % 2) for name, label in Drifting(self.root).videos()]


@pytest.fixture
def by_name(small: Data, monkeypatch: pytest.MonkeyPatch) -> dict[str, Data]:
    """brush2 are the drifting videos; brush is what a test puts there."""
    sets = {"brush2": small, "brush": small}
    for module in (stages, retest):
        monkeypatch.setattr(module, "open_data", lambda source, *_: sets[source.dataset["vocabulary"]])
    return sets


def arms(of: Trained) -> list[Arm]:
    return [arm for arm in of.plan.arms if arm.axes["streams"] == "motion"]


def run(of: Trained) -> Iterator[dict[str, Any]]:
    for arm in arms(of):
        of.run(of.plan.job(arm.job))
        yield read_record(of.place(arm))["result"]


@pytest.mark.parametrize("classes", ["the same", "others"])
def test_it_starts_from_the_published_weights(
    classes: str, by_name: dict[str, Data], small: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if classes == "others":
        by_name["brush"] = Data(Postures(small.dataset.root), small.folder, small.run)
    of = Trained.planned(tmp_path / "runs" / "study", small, *WORDS, "weights.motion=from:brush")
    first, second = run(of)
    source, own = arms(of)
    begins = second["initial_weights"]
    assert "initial_weights" not in first and begins["origin"] == "state dict: weights.pt"
    assert begins["trained_on"]["signature"] == source.signature
    assert (begins["notes"] == ["fc8 is drawn, not loaded"]) == (classes == "others")
    assert "starts from state dict: weights.pt" in capsys.readouterr().out

    config = StreamConfig.of(own.config)
    tower = build.stream_net(config, 3).tower
    drawn = {name: one.clone() for name, one in tower.state_dict().items()}
    stages.source_weights(tower, config, of.plan.job(source.job).path(of.study), small.dataset)
    weights = read_weights(of.place(source) / WEIGHTS)
    for name, one in tower.state_dict().items():
        from_source = classes == "the same" or not name.startswith("fc8.")
        assert torch.equal(one, weights[f"tower.{name}"] if from_source else drawn[name]), name
    assert read_record(of.place(own))["stage_one"] == {"motion": source.signature}


def test_weights_that_are_not_those_of_their_record_are_refused(
    by_name: dict[str, Data], small: Data, tmp_path: Path
) -> None:
    of = Trained.planned(tmp_path / "runs" / "study", small, *WORDS, "weights.motion=from:brush")
    source, own = arms(of)
    of.run(of.plan.job(source.job))
    place = of.place(source) / WEIGHTS
    weights = read_weights(place)
    write_weights(place, {name: one + 1 for name, one in weights.items()})
    with pytest.raises(UserError, match="not those of its record"):
        of.run(of.plan.job(own.job))


def test_a_source_of_another_split_of_the_same_videos_is_refused(
    by_name: dict[str, Data], small: Data, tmp_path: Path
) -> None:
    """It cannot be planned; a file in its place may say so."""
    of = Trained.planned(tmp_path / "runs" / "study", small, *WORDS, "weights.motion=from:brush")
    source, own = arms(of)
    of.run(of.plan.job(source.job))
    place, config = of.place(source) / WEIGHTS, StreamConfig.of(own.config)
    on = {**provenance.provenance(config, "0" * 16), "split": 2}
    write_weights(place, read_weights(place), on)
    with pytest.raises(UserError, match="another split of this data set"):
        of.run(of.plan.job(own.job))


def test_interrupted_after_the_source_it_goes_on_with_it(by_name: dict[str, Data], small: Data, tmp_path: Path) -> None:
    """The source of one study is that of another: the job is done, and so is not run again."""
    of = Trained.planned(tmp_path / "runs" / "study", small, *WORDS, "weights.motion=from:brush")
    *_, result = run(of)
    alone = Trained.planned(tmp_path / "runs" / "other", small, "data=brush", "streams=motion")
    (there,) = arms(alone)
    assert alone.plan.job(there.job).published(alone.study).is_dir()
    again = Trained.planned(tmp_path / "again" / "study", small, *WORDS, "weights.motion=from:brush")
    shutil.copytree(tmp_path / "runs" / "streams" / there.signature, tmp_path / "again" / "streams" / there.signature)
    own = arms(again)[1]
    again.run(again.plan.job(own.job))
    assert read_record(again.place(own))["result"]["weights"] == result["weights"]


def test_a_second_task_changes_the_tower_and_not_what_is_published(
    by_name: dict[str, Data], small: Data, tmp_path: Path
) -> None:
    by_name["brush"] = Data(Postures(small.dataset.root), small.folder, small.run)
    results, states = [], []
    for number, more in enumerate([[], ["multitask.motion=brush"]]):
        of = Trained.planned(tmp_path / f"{number}" / "study", small, *WORDS, "optim.streams.weights=best", *more)
        results += run(of)
        (arm,) = arms(of)
        states.append(read_weights(of.place(arm) / WEIGHTS))
    alone, both = results
    assert states[0].keys() == states[1].keys() and alone["weights"] != both["weights"] == fingerprint(states[1])
    for number in ("parameters", "trained_parameters", "layers", "steps", "total", "multiply_adds"):
        assert alone[number] == both[number], number
    assert both["second_data"] == small.store.hash and "second_data" not in alone
    assert list(both["classes"]) == list(small.dataset.classes)

    config = StreamConfig.of(arm.config)
    tower = build.tower(config.tower, "motion", config.data, 3)
    StreamNet(tower, "motion").load_state_dict(states[1])
    opened: Any = retest.open_arm(of.plan, of.study, arm)
    assert retest.look_again(opened, 1).correct == both["correct"]


def test_the_training_data_of_weights_have_both_data_sets(small: Data, tmp_path: Path) -> None:
    of = Trained.planned(tmp_path / "runs" / "study", small, *WORDS, "multitask.motion=brush", "split=2")
    config = StreamConfig.of(arms(of)[0].config)
    said = provenance.provenance(config, "0" * 16)
    named = [(one["dataset"]["vocabulary"], one["split"]) for one in provenance.history({**said, "before": {}})]
    assert named == [("brush2", 2), ("brush", 2)]
    assert provenance.splits(said, config.multitask.dataset) == {2} if config.multitask else False
