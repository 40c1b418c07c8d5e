"""The table of a study as wandb keeps it offline, and what a failure costs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from wandb_files import leveldb_log

from fusionlab.config.run_config import LoggerConfig
from fusionlab.jobs import wandb_table
from fusionlab.jobs.loggers import group
from fusionlab.jobs.wandb_table import log_table, typed
from fusionlab.study.attempt import Attempt

TEXT = 'method,seeds,accuracy,reason\n"<b>x</b>, y",5,81.25,\n漢字,2,80,why\nlate,,,3\n'
HOW = LoggerConfig("wandb", "fusionlab", "offline")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "my study"
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "table.csv").write_text(TEXT, encoding="utf-8")
    return folder


def test_each_column_has_one_type() -> None:
    assert typed(TEXT) == (
        ["method", "seeds", "accuracy", "reason"],
        [["<b>x</b>, y", 5, 81.25, None], ["漢字", 2, 80.0, "why"], ["late", None, None, "3"]],
    )
    assert typed("a,b\n") == (["a", "b"], [])


def test_the_group_is_the_study_or_the_folder_of_the_streams(tmp_path: Path) -> None:
    assert group(Attempt(tmp_path / "my study" / "jobs" / "cohort-1", 1)) == "my study"
    assert group(Attempt(tmp_path / "streams" / "0123", 1)) == "streams"


def test_a_failure_is_shown_without_secrets_and_raises_nothing(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space for 0123456789secret")

    monkeypatch.setenv("WANDB_API_KEY", "0123456789secret")
    monkeypatch.setattr(wandb_table, "_log", fail)
    log_table(study, HOW)
    assert capsys.readouterr().out == "logger=wandb failed, the table is not logged: OSError: no space for ***\n"


@pytest.mark.slow
def test_the_offline_run_has_the_group_and_the_table(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    import wandb

    monkeypatch.setenv("WANDB_API_KEY", "")
    log_table(study, HOW)
    wandb.teardown()  # the service of wandb ends, so the file is whole
    (run,) = (study / "wandb").glob("offline-run-*")
    (file,) = run.rglob("*.table.json")
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert kept["columns"] == ["method", "seeds", "accuracy", "reason"]
    back = [["" if cell is None else f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in line]
            for line in kept["data"]]  # fmt: skip
    assert back == list(csv.reader(io.StringIO(TEXT)))[1:]
    assert _run(next(run.glob("*.wandb"))) == ("my study", "table", "table")


def _run(file: Path) -> tuple[str, str, str]:
    """Group, type and name of a run."""
    from wandb.proto import wandb_internal_pb2

    for data in leveldb_log(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "run":
            return record.run.run_group, record.run.job_type, record.run.display_name
    raise AssertionError("no run in this file")
