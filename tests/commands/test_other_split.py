"""A stream that was trained on one split refuses to be tested on another, unless told to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from terminal import FAST, Done, Lab

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.pretrained import load
from fusionlab.backbones.pretrained.tensors import TRAINED_ON, as_tensor, read_tensors, trained_on
from fusionlab.backbones.tiny import Tiny
from fusionlab.door.provenance import refuse_other_split
from fusionlab.errors import UserError
from fusionlab.training.weights import fingerprint, read_weights, write_weights
from fusionlab.two_stream.stream import StreamNet

Say = Callable[..., Done]
UCF = {"_target_": "fusionlab.data.ucf101.UCF101", "name": "ucf101", "classes": 101}


def recipe(split: int, dataset: dict[str, Any] = UCF, **weights: str) -> dict[str, Any]:
    return {"data": {"dataset": dataset}, "split": split, "weights": {"source": "a.pt", **weights}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    net = StreamNet(Tiny(3, classes=5, size=32, width=8), "appearance", seed=0)
    write_weights(tmp_path / "a.pt", net.state_dict(), {"dataset": UCF, "split": 2})
    return tmp_path / "a.pt"


def tower() -> Tiny:
    made = Tiny(3, classes=5, size=32, width=8)
    initialise(made, 0)
    return made


def test_where_weights_were_trained_goes_with_the_file_and_is_no_weight(file: Path, tmp_path: Path) -> None:
    assert TRAINED_ON in torch.load(file, weights_only=True)
    state = read_weights(file)
    assert TRAINED_ON not in state
    assert fingerprint(state) == write_weights(tmp_path / "b.pt", state)
    moved = shutil.copy(file, tmp_path / "elsewhere.pt")
    assert load(tower(), str(moved)).trained_on == {"dataset": UCF, "split": 2}
    assert load(tower(), str(tmp_path / "b.pt")).trained_on == {}


@pytest.mark.parametrize("said", [torch.zeros(3), torch.tensor([255, 0], dtype=torch.uint8), as_tensor({})])
def test_what_says_nothing_says_nothing(said: torch.Tensor) -> None:
    assert trained_on({TRAINED_ON: said}) == {} == trained_on({})


def test_weights_of_another_split_are_refused_unless_told_otherwise(file: Path) -> None:
    loaded = load(tower(), str(file))
    refuse_other_split(loaded, recipe(2))
    with pytest.raises(UserError, match="another split of this data set") as error:
        refuse_other_split(loaded, recipe(1))
    assert "of split 2" in str(error.value) and "weights.other_split=allow" in str(error.value)
    refuse_other_split(loaded, recipe(1, other_split="allow"))
    # Another data set is another matter; one that is counted otherwise is the same.
    refuse_other_split(loaded, recipe(1, {**UCF, "name": "mine"}))
    refuse_other_split(loaded, recipe(1, {"_target_": "fusionlab.data.hmdb51.HMDB51", "name": "ucf101"}))
    with pytest.raises(UserError, match="another split"):
        refuse_other_split(loaded, recipe(1, {**UCF, "counts": False}))


def test_a_file_that_does_not_say_is_taken(tmp_path: Path) -> None:
    write_weights(tmp_path / "b.pt", StreamNet(tower(), "appearance", seed=0).state_dict())
    refuse_other_split(load(tower(), str(tmp_path / "b.pt")), recipe(1))


def test_allowed_is_another_arm_and_idle_without_weights(say: Say) -> None:
    done = say("plan", "weights.other_split=allow")
    assert done.status == 2 and "no weights are loaded" in done.err
    done = say("plan", "weights=a.pt", "weights.other_split=maybe")
    assert done.status == 2 and "refuse, allow" in done.err


@pytest.mark.slow
def test_a_sweep_that_would_start_from_another_split(study: Lab, tmp_path: Path) -> None:
    lab = Lab(tmp_path, study.data)
    places = list((study.home / "runs" / "streams").glob("*/published/*/weights.pt"))
    (motion,) = (p for p in places if json.loads(p.with_name("run.json").read_text())["axes"]["streams"] == "motion")
    assert trained_on(read_tensors(motion))["split"] == 1
    shutil.copy(motion, tmp_path / "mine.pt")
    line = ("sweep", "fusion=sum", FAST, "weights.motion=mine.pt", "split=2")
    done = lab.run(*line)
    assert (done.status, done.out) == (2, "") and "trained on another split of this data set" in done.err
    assert not (tmp_path / "runs").exists()
    told = lab.run(*line, "weights.other_split=allow")
    assert told.status == 0, told.err
    (record,) = (one for name, (one, _) in lab.records().items() if "motion" in name)
    assert record["result"]["initial_weights"]["trained_on"]["split"] == 1
    assert record["config"]["weights"]["other_split"] == "allow"


@pytest.mark.slow
def test_testing_on_another_split(say: Say, study: Lab) -> None:
    before = {file: file.read_bytes() for file in (study.home / "runs").rglob("published/*/*") if file.is_file()}
    refused = say("test", str(study.study), "split=2", home=study.home)
    assert (refused.status, refused.out) == (2, "")
    assert "trained on another split" in refused.err and "--other-split" in refused.err
    done = say("test", str(study.study), "split=2", "--other-split", home=study.home)
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert len(lines) == 5 and all("test videos of split 2; " in line for line in lines)
    # Brush's third of the groups that split 2 tests is all in split 1's training list.
    for line in lines:
        count, known = line.partition("on the ")[2].split()[0], line.rpartition("; ")[2].split()[0]
        assert count == known != "0"
    same = say("test", str(study.study), "split=1", home=study.home)
    assert same.status == 0 and "on the" in same.out and "; 0 of them" in same.out
    for words in (["split=two"], ["split=1", "split=2"], ["--other-split"]):
        assert say("test", str(study.study), *words, home=study.home).status == 2
    assert before == {file: file.read_bytes() for file in before}
