"""SIGTERM: a checkpoint of the present step, status 143; what the next attempt makes is undisturbed, bit for bit."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from test_cohort_resume import assert_whole, child, nets
from training_fakes import Data, Fused, Handing, Late, Stream, block, cohort

from fusionlab.records.every import Every
from fusionlab.training import checkpoint
from fusionlab.training.cohort import Cohort
from fusionlab.training.fit import Outcome, fit
from fusionlab.training.recipe import parse_recipe

HOUR = Every(seconds=3600)  # by time, a checkpoint of these trainings is never due
EPOCH = 6  # steps


class Terminated(pl.Callback):
    """Sends SIGTERM to this process in a hook, the `count`-th time."""

    def __init__(self, hook: str, count: int) -> None:
        self.left, self.usual = count, signal.getsignal(signal.SIGUSR1)
        setattr(self, hook, self.tick)

    def tick(self, *_: Any) -> None:
        assert signal.getsignal(signal.SIGUSR1) is self.usual, "Lightning listens for its requeue"
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGTERM)


def stream() -> Cohort:
    return Cohort(Handing(), {"motion": Stream("motion")}, parse_recipe(block()), seed=0)


def company() -> Cohort:
    return cohort(nets())


@pytest.fixture(scope="module", params=[company, stream], ids=["cohort", "stream"])
def made(request: pytest.FixtureRequest) -> tuple[Callable[[], Cohort], dict[str, Outcome]]:
    torch.set_num_threads(1)
    return request.param, fit(request.param(), Data())


def terminated(cohort: Cohort, folder: Path, hook: str, count: int, every: Every = HOUR, **more: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        fit(cohort, Data(), folder=folder, checkpoint_every=every, observers=[Terminated(hook, count)], **more)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("hook", "count", "step"),
    [
        *(("on_train_batch_start", step, step) for step in (1, 5, 6, 7, 18)),
        ("on_train_batch_end", 4, 4),
        ("on_validation_batch_end", 1, EPOCH),  # of three in each epoch
        ("on_validation_batch_end", 3, EPOCH),
        ("on_validation_batch_end", 8, 3 * EPOCH),
        ("on_validation_epoch_end", 2, 2 * EPOCH),
        ("on_train_epoch_end", 1, EPOCH),
    ],
)
def test_the_next_attempt_goes_on_from_the_step_of_the_signal(
    made: tuple[Callable[[], Cohort], dict[str, Outcome]], tmp_path: Path, hook: str, count: int, step: int
) -> None:
    again, whole = made
    terminated(again(), tmp_path, hook, count)
    ((_, place),) = checkpoint.choose_checkpoints({name: [tmp_path] for name in whole})
    assert place is not None and checkpoint.read(place)["step"] == step
    for name, one in fit(again(), Data(), resume_from=place).items():
        assert_whole(whole, name, one.state, one.steps, one.best_step, one.val_loss, one.curve)


def test_a_second_signal_in_the_validation_that_comes_first(tmp_path: Path) -> None:
    whole = fit(company(), Data())
    first = tmp_path / "1"
    first.mkdir()
    terminated(company(), first, "on_validation_batch_end", 1)
    place = first / checkpoint.FILE
    terminated(company(), tmp_path, "on_validation_batch_end", 1, resume_from=place)
    assert os.listdir(tmp_path) == ["1"], "the first checkpoint holds"
    for name, one in fit(company(), Data(), resume_from=place).items():
        assert_whole(whole, name, one.state, one.steps, one.best_step, one.val_loss, one.curve)


def test_a_callback_s_training_is_not_cut_before_its_validation(tmp_path: Path) -> None:
    """Its hooks around a validation would be called without a training."""
    terminated(company(), tmp_path, "on_validation_batch_end", 1, callbacks={"own": pl.Callback()})
    assert not os.listdir(tmp_path)
    terminated(company(), tmp_path, "on_train_batch_end", 2, callbacks={"own": pl.Callback()})
    assert checkpoint.read(tmp_path / checkpoint.FILE)["step"] == 2


def test_without_checkpoints_a_signal_writes_none(tmp_path: Path) -> None:
    terminated(company(), tmp_path, "on_train_batch_end", 4, Every())
    assert not os.listdir(tmp_path)


def test_a_signal_while_late_fusion_is_validated_is_no_success() -> None:
    with pytest.raises(SystemExit) as ended:
        fit(cohort({"late": Late()}), Data(), observers=[Terminated("on_validation_batch_end", 1)])
    assert ended.value.code == 143


def test_slurm_s_programs_and_variables_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    srun, home = tmp_path / "bin" / "srun", tmp_path / "home"
    for folder in (srun.parent, home):
        folder.mkdir()
    srun.touch(0o755)
    monkeypatch.setenv("PATH", str(srun.parent), prepend=os.pathsep)
    whole = fit(cohort({"sum": Fused("sum")}), Data())  # a warning of Lightning would be an error here
    monkeypatch.chdir(home)
    (home / "hpc_ckpt_1.ckpt").touch()  # Lightning's own, which is no checkpoint of ours
    slurm = {"JOB_ID": "7", "NTASKS": "4", "JOB_NAME": "x", "PROCID": "2", "LOCALID": "2", "NODEID": "1",
             "ARRAY_JOB_ID": "7", "ARRAY_TASK_ID": "1", "NTASKS_PER_NODE": "4", "JOB_NODELIST": "n[1-2]"}  # fmt: skip
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    out = tmp_path / "out"
    out.mkdir()
    terminated(cohort({"sum": Fused("sum")}), out, "on_train_batch_end", 4)
    assert os.listdir(out) == [checkpoint.FILE]
    (one,) = fit(cohort({"sum": Fused("sum")}), Data(), resume_from=out / checkpoint.FILE).values()
    assert_whole(whole, "sum", one.state, one.steps, one.best_step, one.val_loss, one.curve)


@pytest.mark.slow
@pytest.mark.parametrize("job", [{}, {"STREAM": "1"}], ids=["cohort", "stream"])
def test_a_process_of_its_own(tmp_path: Path, job: dict[str, str]) -> None:
    whole = fit(stream() if job else company(), Data())
    ended = child("", tmp_path / "1", TERM_AT="9", **job)
    assert (ended.returncode, ended.stderr) == (143, "")
    assert os.listdir(tmp_path / "1") == [checkpoint.FILE]
    went_on = child("", tmp_path / "2", tmp_path / "1", **job)
    assert went_on.returncode == 0 and went_on.stdout.startswith("continuing at step 9\n"), went_on.stderr
    for name, one in torch.load(tmp_path / "2" / "ended.pt", weights_only=True).items():
        assert_whole(whole, name, one["state"], one["steps"], one["best"], one["val"], one["curve"])


# -- checkpoints by time


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


@pytest.mark.parametrize(("seconds", "last"), [(100, None), (4, 18)])
def test_by_time_a_short_training_has_none_and_a_long_one_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, last: int | None
) -> None:
    """On a clock that goes on by a second whenever it is read: 18 times, once a step, and after each checkpoint."""
    written: list[int] = []
    right = checkpoint.write
    monkeypatch.setattr("fusionlab.training.fit.time", Clock())
    monkeypatch.setattr(
        checkpoint, "write", lambda folder, cohort, *rest: (written.append(cohort.step), right(folder, cohort, *rest))
    )
    fit(company(), Data(), folder=tmp_path, checkpoint_every=Every(seconds=seconds))
    assert written == ([] if last is None else [4, 8, 12, 16, 18])
    assert ([checkpoint.read(tmp_path / name)["step"] for name in os.listdir(tmp_path)] or [None]) == [last]
