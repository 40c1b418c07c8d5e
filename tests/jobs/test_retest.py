"""A test of trained arms again: what counts as the same predictions."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from stage_fakes import Trained

from fusionlab.jobs import retest
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import float32, read_predictions
from fusionlab.records.record import read_record, write_record

pytestmark = pytest.mark.usefixtures("small_is_found")


@pytest.fixture
def copied(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """The study in a folder of its own, with its plan."""
    shutil.copytree(trained.study.parent, tmp_path / "runs")
    made = replace(trained, study=tmp_path / "runs" / trained.study.name)
    made.plan.write(made.study)
    monkeypatch.setenv("FUSIONLAB_DATA", str(made.data.run.data))
    return made


def test_an_arm_without_a_record_is_not_the_same(copied: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(copied.place(copied.arm("late")))
    assert retest.retest(str(copied.study), [copied.arm("late").name]) == 1
    assert "no record of it" in capsys.readouterr().out


@pytest.mark.parametrize(("torch", "status"), [(None, 1), ("0.0", 0)])
def test_scores_that_are_almost_equal_are_the_same_only_in_another_environment(
    copied: Trained, torch: str | None, status: int
) -> None:
    arm = copied.arm("late")
    place = copied.place(arm)
    recorded, record = read_predictions(place / PREDICTIONS), read_record(place)
    moved = tuple(tuple(float32(one + 1e-5) for one in row) for row in recorded.scores)
    if torch is not None:
        record["circumstances"]["packages"]["torch"] = torch
    write_record(place, record, replace(recorded, scores=moved))
    assert retest.retest(str(copied.study), [arm.name]) == status


@pytest.mark.parametrize("older", [False, True])
def test_a_record_from_before_groups_is_the_same(
    copied: Trained, older: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    arm = copied.arm("late")
    place = copied.place(arm)
    recorded, record = read_predictions(place / PREDICTIONS), read_record(place)
    assert recorded.groups == tuple(copied.data.dataset.group(video) for video in recorded.videos)
    if older:
        written = write_record(place, record, replace(recorded, groups=None))
        assert written["result"]["predictions"] != record["result"]["predictions"]
    assert retest.retest(str(copied.study), [arm.name]) == 0
    assert f"the same {len(recorded.videos)} predictions" in (said := capsys.readouterr().out) and "within" not in said
