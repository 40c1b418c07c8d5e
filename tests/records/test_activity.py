"""The progress file: its time tells that a job works, its content how far it is."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from fusionlab.records import activity
from fusionlab.records.activity import VARIABLE, mark, measure_with, read_progress, report_to


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test sets. The process reports to no file before and after."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setenv(VARIABLE, "")
    for name in ("_owner", "_measure"):
        monkeypatch.setattr(activity, name, None)
    monkeypatch.setattr(activity, "_facts", {})
    monkeypatch.setattr(activity, "_last", 0.0)
    return now


def test_facts_are_written_once_a_second_and_the_latest_ones(tmp_path: Path, clock: list[float]) -> None:
    place = tmp_path / "progress"
    report_to(place)
    assert place.read_bytes() == b"" and read_progress(place) == {}
    mark(part="setup", device="cpu")
    assert read_progress(place) == {"part": "setup", "device": "cpu"}
    for step in range(1, 10):
        clock[0] += 0.1
        mark(part="train", step=step, steps=90)
    assert read_progress(place) == {"part": "setup", "device": "cpu"}
    clock[0] += 0.2
    mark()
    assert read_progress(place) == {"part": "train", "device": "cpu", "step": 9, "steps": 90}


def test_what_is_slow_to_measure_is_measured_once_a_second(tmp_path: Path, clock: list[float]) -> None:
    asked = []

    def measure() -> dict[str, Any]:
        asked.append(clock[0])
        return {"memory": 7 * len(asked)}

    report_to(tmp_path / "one")
    measure_with(measure)
    for _ in range(30):
        clock[0] += 0.1
        mark()
    assert 2 <= len(asked) <= 4 and read_progress(tmp_path / "one") == {"memory": 7 * len(asked)}
    clock[0] += 2
    report_to(tmp_path / "two")
    mark(part="test")
    assert read_progress(tmp_path / "two") == {"part": "test"}, "nothing of the job before"


def test_a_child_of_the_job_only_changes_the_time(tmp_path: Path, clock: list[float]) -> None:
    place = tmp_path / "progress"
    report_to(place)
    mark(step=1)
    os.utime(place, (1, 1))
    clock[0] += 2
    pid = os.fork()
    if not pid:
        try:
            mark(step=2)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert place.stat().st_mtime > 1 and read_progress(place) == {"step": 1}


@pytest.mark.parametrize(
    "content", [b"", b'{"step": 1', b"[1]", b"\xff", b"7", b"[" * 60000, b'{"a": 1}' + b" " * 2**17 + b"x"]
)
def test_a_damaged_file_has_no_facts(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "progress"
    place.write_bytes(content)
    assert read_progress(place) == {}


def test_without_a_file_nothing_is_marked(tmp_path: Path, clock: list[float]) -> None:
    mark(step=1)
    assert read_progress(tmp_path / "nowhere") == read_progress(tmp_path) == {}
    report_to(tmp_path / "no" / "folder")
    mark(step=1)
    assert not (tmp_path / "no").exists()
