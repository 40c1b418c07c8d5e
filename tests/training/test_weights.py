"""Weight files of trained nets: out and in, what is refused, and what a stream starts from."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import writing_child

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.pretrained import Loaded
from fusionlab.backbones.pretrained.tensors import trained_on
from fusionlab.backbones.tiny import Tiny
from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import StreamConfig
from fusionlab.data.dataset import Dataset
from fusionlab.errors import UserError
from fusionlab.jobs.job_cost import JobCost
from fusionlab.jobs.job_data import Data
from fusionlab.jobs.recorder import Recorder
from fusionlab.jobs.stages import first_weights
from fusionlab.records.record import read_record
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Arm
from fusionlab.study.recipes import stream_recipe
from fusionlab.training.evaluate import Scores
from fusionlab.training.fit import Outcome
from fusionlab.training.weights import fingerprint, read_weights, save, write_weights
from fusionlab.two_stream.describe import Description
from fusionlab.two_stream.net import StreamNet


def net(seed: int, classes: int = 5) -> StreamNet:
    return StreamNet(Tiny(3, classes=classes, size=32, width=8), "appearance", seed=seed)


def test_weights_go_out_and_in(tmp_path: Path) -> None:
    state = net(0).state_dict()
    write_weights(tmp_path / "weights.pt", state)
    read = read_weights(tmp_path / "weights.pt")
    assert fingerprint(state) == fingerprint(read) != fingerprint(net(1).state_dict())
    assert {"tower.mean", "tower.scale"} <= read.keys(), "pixels are part of the weights, and of their fingerprint"


def test_what_is_no_weight_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    with pytest.raises(UserError, match="the weight file does not exist"):
        read_weights(path)
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match="not a weight file of plain tensors"):
        read_weights(path)
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="which holds list"):
        read_weights(path)


class Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_nothing_in_a_weight_file_is_run(tmp_path: Path) -> None:
    torch.save({"tower.conv1.weight": Hostile(tmp_path / "it ran")}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match="not a weight file of plain tensors"):
        read_weights(tmp_path / "weights.pt")
    assert not (tmp_path / "it ran").exists()


# -- what a stream starts from


PLAIN = tree({"data": "brush"}).with_leaves({"seed.data": 3})
RECIPE = stream_recipe(PLAIN, "appearance")
RUN = RunConfig.of({"run": {**PLAIN["run"], "device": "cpu"}})


def recipe(source: str | None, head: str = "keep") -> StreamConfig:
    return StreamConfig.of({**RECIPE, "weights": {"source": source, "head": head}})


def older() -> StreamConfig:
    return StreamConfig.of({name: one for name, one in RECIPE.items() if name != "weights"})


@pytest.mark.parametrize("config", [older(), recipe(None), recipe(None, "fresh")])
def test_without_a_source_all_is_drawn(config: StreamConfig) -> None:
    """Also from the recipe of a study that was planned before weights could be loaded."""
    made = net(0)
    assert first_weights(made.tower, config, RUN) is None
    assert fingerprint(made.state_dict()) == fingerprint(net(0).state_dict())


def test_weights_are_loaded_on_top_of_the_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, source = net(0), net(1)
    write_weights(tmp_path / "w.pt", source.state_dict())
    loaded = first_weights(made.tower, recipe("w.pt", "fresh"), replace(RUN, weights=str(tmp_path)))
    assert loaded is not None and loaded.origin == "state dict: w.pt"
    assert torch.equal(made.tower.fc7.weight, source.tower.fc7.weight)
    assert torch.equal(made.tower.fc8.weight, net(0).tower.fc8.weight)
    assert "starts from state dict: w.pt" in capsys.readouterr().out
    with pytest.raises(UserError, match="another number of classes"):
        first_weights(net(0, classes=4).tower, recipe("w.pt"), replace(RUN, weights=str(tmp_path)))
    with pytest.raises(UserError, match="no such weight file"):
        first_weights(made.tower, recipe("v.pt"), RUN)


def test_weights_from_before_pixels_were_part_of_them_still_load() -> None:
    """As cohorts and `test` load them: those of records made before."""
    state = net(1).state_dict()
    old = {name: one for name, one in state.items() if name not in ("tower.mean", "tower.scale")}
    made = net(0)
    made.load_state_dict(old)
    assert torch.equal(made.tower.fc8.weight, net(1).tower.fc8.weight)
    bare = Tiny(3, classes=5, size=32, width=8)
    initialise(bare, seed=3)
    bare.load_state_dict({name.removeprefix("tower."): one for name, one in old.items()})
    assert torch.equal(bare.fc8.weight, net(1).tower.fc8.weight)


# -- in the record


@dataclass
class Two:
    """A data set of two classes, as far as a record asks."""

    classes: tuple[str, ...] = ("a", "b")

    @property
    def kinds(self) -> dict[str, str]:
        return {"a": "what", "b": "what"}

    def group(self, name: str) -> str:
        return f"of {name}"

    def ceilings(self, _: str) -> dict[str, Fraction]:
        return {}


ON: dict[str, Any] = {**RECIPE, "data": {**RECIPE["data"], "dataset": {"_target_": "two"}}}
BEFORE = {"dataset": {"_target_": "two"}, "split": 2}


class NoStore(Data):
    @property
    def store(self) -> Any:
        return SimpleNamespace(hash="d" * 64, made={"decoder": "pyav", "flow": "dis"})


@pytest.mark.parametrize(
    "initial",
    [
        None,
        Loaded("MatConvNet SimpleNN: m.mat", "e" * 64, ["fc8 is drawn, not loaded"]),
        Loaded("MatConvNet SimpleNN: m.mat", "e" * 64, ["fc8 is drawn, not loaded"], trained_on=BEFORE),
    ],
)
def test_the_record_says_what_a_stream_started_from(initial: Loaded | None, tmp_path: Path) -> None:
    attempt = Attempt(tmp_path / "job", 1)
    attempt.result.mkdir(parents=True)
    arm = Arm(
        name="streams=appearance", kind="stream", axes={"streams": "appearance"}, signature="0123456789abcdef",
        config=ON, job="appearance-1",
    )  # fmt: skip
    scores = Scores(index=[0, 1], label=[0, 1], of={arm.name: torch.eye(2)})
    state = net(0).state_dict()
    outcome = Outcome(arm.name, "done", None, 1, 0.5, 2, state, fingerprint(state))
    recorder = Recorder(attempt, NoStore(cast(Dataset, Two()), tmp_path, RUN), RUN, JobCost("job", batch=2, threads=1))
    size = Description(parameters=9, layers=8, trained_parameters=7, svm_parameters=6)
    recorder.done(arm, outcome, scores, ["v0", "v1"], size, state, initial)
    result = read_record(attempt.published / arm.name)["result"]
    assert result["accuracy"] == 1
    own = {"steps": 2, "best_step": 1, "val_loss": 0.5, "weights": outcome.weights}
    counts = {"parameters": 9, "layers": 8, "trained_parameters": 7, "svm_parameters": 6}
    assert {name: result[name] for name in (*own, *counts)} == {**own, **counts}
    file = trained_on(attempt.published / arm.name / "weights.pt")
    assert (file["dataset"], file["split"], file["seed"]) == (ON["data"]["dataset"], 1, 3)
    before = initial.trained_on if initial is not None else {}
    assert file.get("before", {}) == before
    if initial is None:
        assert "initial_weights" not in result
    else:
        said = {"origin": "MatConvNet SimpleNN: m.mat", "sha256": "e" * 64, "notes": ["fc8 is drawn, not loaded"]}
        assert result["initial_weights"] == {**said, **({"trained_on": before} if before else {})}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_file_is_written_without_a_second_copy_in_memory(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, str(Path(__file__).parents[1] / "fakes" / "writing_child.py"), str(tmp_path)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    size = (tmp_path / "large.pt").stat().st_size
    assert size > writing_child.MIB << 20
    assert int(child.stdout) < size / 8


def test_a_full_disk_is_said_as_such_and_leaves_nothing(tmp_path: Path) -> None:
    """torch itself would say: unexpected pos 704 vs 598."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limit[1]))
    try:
        with pytest.raises(UserError, match="larger than this disk or your limit allows"):
            save(tmp_path / "x.pt", {"w": torch.zeros(1 << 20)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.iterdir())
