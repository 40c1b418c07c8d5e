"""The notebook that reads a sweep runs on any study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02_read_a_sweep.ipynb"


def cells():
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def sources():
    return ["".join(cell["source"]) for cell in cells()]


def run() -> dict:
    names: dict = {}
    for source in sources():
        exec(compile(source, str(NOTEBOOK), "exec"), names)
    return names


def test_its_cells_run_on_the_study_that_is_named(study, monkeypatch):
    pytest.importorskip("IPython")
    monkeypatch.setenv("FUSIONLAB_STUDY", str(study))
    assert len(run()["arms"]) == 12


def test_they_find_the_newest_study(study, tmp_path, monkeypatch):
    pytest.importorskip("IPython")
    monkeypatch.delenv("FUSIONLAB_STUDY", raising=False)
    (tmp_path / "runs").mkdir()
    study.rename(tmp_path / "runs" / "mine")
    (tmp_path / "runs" / "mine" / "plan.json").write_text('{"schema": 1, "command": "", "jobs": [], "arms": []}')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match="no records in this folder"):
        run()
