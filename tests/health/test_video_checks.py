"""A file that ends the process which reads it is a finding, and all others are looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from doctor_fakes import NAMES, WORDS, make
from film_fakes import moving, write
from terminal import typed

from fusionlab.data.processes import in_processes
from fusionlab.health import video_checks
from fusionlab.health.video_checks import FILES, CheckedFile, check_files, findings

pytestmark = pytest.mark.isolated


def deadly(files: Sequence[tuple[str, Path]]) -> Iterator[CheckedFile]:
    for name, path in files:
        if name in ("b.avi", NAMES[3]):
            os.abort()
        yield from check_files([(name, path)])


@pytest.mark.parametrize("processes", [1, 2])
def test_a_file_that_ends_its_process_is_named(tmp_path: Path, processes: int) -> None:
    path = write(tmp_path / "v.avi", moving(9), "mpeg4")
    tasks = [[(f"{letter}.avi", path) for letter in letters] for letters in ("abc", "de")]
    checked = sorted(in_processes(deadly, tasks, processes, FILES), key=lambda one: one.name)
    assert [one.name for one in checked] == ["a.avi", "b.avi", "c.avi", "d.avi", "e.avi"]
    (found,) = findings(checked, 5)
    assert (found.code, list(found.files)) == ("unreadable", ["b.avi"])
    assert "signal 6 (SIGABRT)" in found.files["b.avi"]


def test_the_doctor_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path)
    monkeypatch.setattr(video_checks, "check_files", deadly)
    assert typed("doctor", [*WORDS, f"run.data={tmp_path}"]) == 1
    told = capsys.readouterr().out
    assert NAMES[3] in told and "signal 6 (SIGABRT)" in told
