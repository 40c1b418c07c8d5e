"""Callbacks of users: from their own conf, with a state that survives a kill, or a note that it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from terminal import FAST, Done, Lab
from training_fakes import Data, Fused, cohort

from fusionlab.errors import UserError
from fusionlab.jobs.callbacks import UserCallbacks
from fusionlab.planning.grid import plan_study
from fusionlab.records.crash import VARIABLE
from fusionlab.records.signature import signature
from fusionlab.training import checkpoint
from fusionlab.training import fit as fitting
from fusionlab.training.fit import fit

OWN = """
import pytorch_lightning as pl


class Counting(pl.Callback):
    def __init__(self, every=1):
        self.every, self.steps = every, 0

    def on_train_batch_end(self, trainer, module, *_):
        self.steps += 1
        if self.steps % self.every == 0:
            print(f"counted {self.steps}")

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


class Forgetful(pl.Callback):
    steps = 0

    def on_train_batch_end(self, trainer, module, *_):
        self.steps += 1


class Odd(Forgetful):
    def state_dict(self):
        return {"steps": {self.steps}}


def build():
    return "a text"
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with callbacks in its conf."""
    write_own(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def write_own(home: Path) -> None:
    folder = home / "conf" / "callbacks"
    folder.mkdir(parents=True)
    (folder / "counting.yaml").write_text("_target_: own_callbacks.Counting\nevery: 2\n", encoding="utf-8")
    (folder / "two.yaml").write_text(
        "first:\n  _target_: own_callbacks.Counting\nsecond:\n  _target_: own_callbacks.Forgetful\n"
        "third:\n  _target_: pytorch_lightning.callbacks.LambdaCallback\n",
        encoding="utf-8",
    )
    (folder / "odd.yaml").write_text("_target_: own_callbacks.Odd\n", encoding="utf-8")
    (folder / "none_of_them.yaml").write_text("_target_: own_callbacks.build\n", encoding="utf-8")
    (home / "own_callbacks.py").write_text(OWN, encoding="utf-8")


TWO = {
    "first": {"_target_": "own_callbacks.Counting"},
    "second": {"_target_": "own_callbacks.Forgetful"},
    "third": {"_target_": "pytorch_lightning.callbacks.LambdaCallback"},
}


@pytest.mark.usefixtures("own")
def test_callbacks_are_called_and_those_without_state_are_named() -> None:
    callbacks = UserCallbacks(TWO)
    assert callbacks.not_restored() == []
    fit(cohort({"sum": Fused("sum")}), Data(), callbacks=callbacks.made)
    assert callbacks.made["first"].steps == callbacks.made["second"].steps == 18
    assert callbacks.not_restored() == ["second"]


@pytest.mark.usefixtures("own")
def test_a_callback_whose_state_is_no_data_is_named() -> None:
    callbacks = UserCallbacks({"odd": {"_target_": "own_callbacks.Odd"}})
    callbacks.made["odd"].steps = 1
    assert callbacks.not_restored() == ["odd"]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("at", [1, 5, 6, 7, 12, 17])
def test_the_state_of_a_callback_is_that_of_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    class Interrupted(Exception):
        pass

    reached: list[str] = []

    def stop(name: str) -> None:
        reached.append(name)
        if len(reached) == at:
            raise Interrupted

    config = {"_target_": "own_callbacks.Counting"}
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "crash_point", stop)
        with pytest.raises(Interrupted):
            fit(
                cohort({"sum": Fused("sum")}), Data(), folder=tmp_path, checkpoint_every=3,
                callbacks=UserCallbacks(config).made,
            )  # fmt: skip
    ((_, last),) = checkpoint.choose_checkpoints({"sum": [tmp_path]})
    callbacks = UserCallbacks(config)
    fit(cohort({"sum": Fused("sum")}), Data(), resume_from=last, callbacks=callbacks.made)
    assert callbacks.made["callback"].steps == 18


def test_a_state_that_is_no_data_is_not_written(tmp_path: Path) -> None:
    class Odd(pl.Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"place": tmp_path}

    fit(cohort({"sum": Fused("sum")}), Data(), folder=tmp_path, checkpoint_every=6, callbacks={"odd": Odd()})
    assert checkpoint.read(tmp_path / checkpoint.FILE)["callbacks"] == {}


def test_a_callback_that_stops_the_training_ends_the_arms() -> None:
    class Stop(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            assert trainer.callback_metrics["sum/val_loss"] > 0
            trainer.should_stop = True

    ended = fit(cohort({"sum": Fused("sum")}), Data(), callbacks={"stop": Stop()})["sum"]
    assert (ended.status, ended.steps, ended.best_step) == ("done", 6, 6)


def test_a_callback_that_lightning_refuses_is_answered() -> None:
    with pytest.raises(UserError, match="Lightning refuses a callback"):
        fit(cohort({"sum": Fused("sum")}), Data(), callbacks={"rate": pl.callbacks.LearningRateMonitor()})


@pytest.mark.usefixtures("own")
def test_only_a_callback_that_a_yaml_names_is_built() -> None:
    with pytest.raises(UserError, match="no yaml in conf/callbacks"):
        UserCallbacks({"_target_": "pytorch_lightning.callbacks.DeviceStatsMonitor"})
    with pytest.raises(UserError, match="not a callback of pytorch_lightning"):
        UserCallbacks({"_target_": "own_callbacks.build"})


@pytest.mark.usefixtures("own")
def test_none_is_neutral_and_another_choice_is_another_arm() -> None:
    usual, other = (plan_study(["fusion=sum", "layer=relu5", *words]).plan for words in ([], ["callbacks=counting"]))
    bare = {name: one for name, one in usual.arms[0].config.items() if name != "callbacks"}
    assert signature(bare) == usual.arms[0].signature
    for kind in ("stream", "fused"):
        of = [{arm.signature for arm in plan.arms if arm.kind == kind} for plan in (usual, other)]
        assert of[0] and not of[0] & of[1]
    (fused,) = (arm for arm in other.arms if arm.kind == "fused")
    assert fused.config["callbacks"] == {"_target_": "own_callbacks.Counting", "every": 2}


def test_an_unknown_callback_is_refused_by_the_plan(say: Callable[..., Done], tmp_path: Path) -> None:
    done = say("plan", "callbacks=countin")
    assert done.status == 2 and "no callbacks in ./conf/callbacks" in done.err
    write_own(tmp_path)
    done = say("plan", "callbacks=countin")
    assert done.status == 2 and "did you mean callbacks=counting" in done.err


@pytest.mark.slow
def test_a_kill_does_not_change_what_a_callback_sees(study: Lab, fresh: Lab) -> None:
    write_own(fresh.home)
    line = ("sweep", "fusion=sum", FAST, "callbacks=two", "logger=csv", "run.checkpoint_every=2")
    done = fresh.run(*line, **{VARIABLE: "cohort.step:9"})  # the second attempt is at its end before its ninth step
    assert done.status == 0, done.err
    (log,) = fresh.study.glob("jobs/cohort-*/attempts/002/log.txt")
    assert "continuing at step 8" in log.read_text(encoding="utf-8")
    (place,) = fresh.study.rglob("published/fusion=sum,*/run.json")
    record = json.loads(place.read_text(encoding="utf-8"))
    assert "the callback second has state" in record["circumstances"]["not_promised"][0]
    own, usual = record["result"], study.records()["fusion=sum,layer=relu5,temporal=pool2d,seed=0"][0]["result"]
    assert (own["weights"], own["curves"]) == (usual["weights"], usual["curves"])
    assert (place.parent / "metrics.csv").is_file()
