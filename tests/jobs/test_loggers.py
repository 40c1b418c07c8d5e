"""Loggers hold exactly the curves; one that fails costs its arm nothing."""

from __future__ import annotations

import csv
import importlib.machinery
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from terminal import FAST, Lab
from training_fakes import Data, Fused, Late, cohort
from wandb_files import leveldb_log

from fusionlab.config.run_config import LOGGERS, LoggerConfig
from fusionlab.errors import UserError
from fusionlab.jobs import curve_loggers
from fusionlab.jobs.curve_loggers import CurveLoggers
from fusionlab.jobs.loggers import expect_installed
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Arm
from fusionlab.training.curve import Row
from fusionlab.training.fit import Outcome, fit

CONF = Path(__file__).parents[2] / "conf" / "logger"
NETS = {"sum": lambda: Fused("sum"), "late": Late}
RESULT = {"accuracy": 0.5, "correct": 1, "total": 2, "val_loss": None, "steps": 18, "curves": [{"epoch": 1}]}
HIDDEN = "0123456789secret"


def trained(tmp_path: Path, name: str) -> tuple[dict[str, Outcome], dict[str, str | None]]:
    """A cohort of two with loggers, and why the loggers failed."""
    attempt = Attempt(tmp_path / "job", 1)
    attempt.result.mkdir(parents=True)
    loggers = CurveLoggers(LoggerConfig(name, "fusionlab", "offline"), attempt)
    ended = fit(cohort({arm: make() for arm, make in NETS.items()}), Data(), observers=[loggers])
    config = {"fusion": {"_target_": "x", "api_key": HIDDEN}, "layer": "relu5"}
    arms = [Arm(arm, "fused", {}, "0123456789abcdef", config, "job") for arm in NETS]
    return ended, {arm.name: loggers.log_result(arm, "done", RESULT) for arm in arms}


def known(row: Row) -> dict[str, float | int]:
    return {name: value for name, value in row.items() if value is not None}


def test_every_logger_has_its_yaml() -> None:
    files = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in CONF.glob("*.yaml")}
    assert {name: block["name"] for name, block in files.items()} == {name: name for name in LOGGERS}
    assert files["wandb"]["mode"] == "offline"


def test_the_csv_file_holds_the_curve_and_the_result(tmp_path: Path) -> None:
    ended, failures = trained(tmp_path, name="csv")
    assert failures == {"sum": None, "late": None}
    for name, outcome in ended.items():
        folder = tmp_path / "job" / "attempts" / "001" / "result" / name
        with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
            rows = [{column: float(text) for column, text in row.items() if text} for row in csv.DictReader(file)]
        *curve, last = rows
        assert curve == [known(row) for row in outcome.curve]
        assert last == {"result/accuracy": 0.5, "result/correct": 1, "result/total": 2, "step": 18}
        text = (folder / "hparams.yaml").read_text(encoding="utf-8")
        assert "relu5" in text and "0123456789abcdef" in text and HIDDEN not in text


class Writer:
    """What TensorBoard's SummaryWriter is asked to write."""

    made: dict[str, list[tuple[str, float, int]]] = {}  # noqa: RUF012

    def __init__(self, log_dir: str) -> None:
        self.rows = self.made.setdefault(Path(log_dir).name, [])

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.rows.append((name, value, step))

    def flush(self) -> None: ...

    def close(self) -> None: ...


def test_tensorboard_gets_the_curve_and_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = ModuleType("tensorboardX")
    fake.__spec__ = importlib.machinery.ModuleSpec("tensorboardX", None)
    fake.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorboardX", fake)
    for name, there in (("_TENSORBOARD_AVAILABLE", False), ("_TENSORBOARDX_AVAILABLE", True)):
        monkeypatch.setattr(f"lightning_fabric.loggers.tensorboard.{name}", there)
    monkeypatch.setattr(Writer, "made", {})
    ended, failures = trained(tmp_path, name="tensorboard")
    assert failures == {"sum": None, "late": None}
    for name, outcome in ended.items():
        rows = [(column, value, row["step"]) for row in outcome.curve for column, value in known(row).items()]
        numbers = ("accuracy", 0.5), ("correct", 1), ("total", 2)
        assert Writer.made[name] == [*rows, *((f"result/{one}", value, 18) for one, value in numbers)]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusionlab.jobs.loggers.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'fusionlab\[tensorboard\]'"):
        expect_installed("tensorboard")
    with pytest.raises(UserError, match=r"pip install 'fusionlab\[wandb\]'"):
        expect_installed("wandb")
    expect_installed("csv")


def test_a_logger_that_raises_is_reported_once_and_its_arms_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing:
        def log_metrics(self, numbers: Mapping[str, float], step: int) -> None:
            raise OSError(f"no space left for {HIDDEN}")

    monkeypatch.setenv("WANDB_API_KEY", HIDDEN)
    quiet, _ = trained(tmp_path / "quiet", name="none")
    monkeypatch.setattr(curve_loggers, "make_logger", lambda *_: Failing())
    ended, failures = trained(tmp_path / "failing", name="csv")
    assert {name: (one.status, one.weights, one.curve) for name, one in ended.items()} == {
        name: (one.status, one.weights, one.curve) for name, one in quiet.items()
    }
    assert failures == dict.fromkeys(NETS, "OSError: no space left for ***")
    assert capsys.readouterr().out.count("logger=csv failed, training continues without it") == 1


def test_a_folder_that_cannot_be_written_fails_no_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Attempt, "result", tmp_path / "a file" / "below")
    (tmp_path / "a file").write_text("", encoding="utf-8")
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)
    ended, failures = trained(tmp_path, name="csv")
    assert {one.status for one in ended.values()} == {"done"}
    assert all("NotADirectoryError" in str(one) or "FileExistsError" in str(one) for one in failures.values())


@pytest.mark.slow
def test_wandb_writes_one_run_an_arm(fresh: Lab) -> None:
    """Offline; the arms' records do not notice."""
    done = fresh.run("sweep", "fusion=sum,conv", FAST, "logger=wandb", WANDB_API_KEY="")
    assert done.status == 0, done.err
    records = [json.loads(file.read_bytes()) for file in fresh.study.rglob("published/*/run.json")]
    assert len(records) == 4
    assert not [one for one in records if "logger_failed" in one["circumstances"]]
    runs = list(fresh.study.glob("jobs/cohort-*/attempts/001/wandb/offline-run-*"))
    assert len(runs) == 4
    logged = {run.name: _history(next(run.glob("*.wandb"))) for run in runs}
    for record in records:
        rows = [known(row) for row in record["result"]["curves"]]
        assert [one for one in logged.values() if one[: len(rows)] == rows and len(one) == len(rows) + 1]


def _history(file: Path) -> list[dict[str, float]]:
    """The rows of a run's file."""
    from wandb.proto import wandb_internal_pb2

    rows: list[dict[str, float]] = []
    for data in leveldb_log(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            row = {(one.key or "/".join(one.nested_key)): json.loads(one.value_json) for one in record.history.item}
            rows.append({name: one for name, one in row.items() if name[0] != "_" and name != "trainer/global_step"})
    return rows
