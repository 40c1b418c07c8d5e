"""The control in a job: its record, each tower by itself, its test again, and an attempt that fails."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from stage_fakes import Trained

from fusionlab.errors import UserError
from fusionlab.jobs import retest
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import float32, read_predictions, tower_file, write_predictions
from fusionlab.records.record import FILE as RECORD
from fusionlab.records.record import check, read_record, write_record
from fusionlab.study.comparison import differences

pytestmark = pytest.mark.usefixtures("small_is_found")
TOWERS = ("appearance", "motion")


def test_the_record_has_each_tower_by_itself(trained: Trained) -> None:
    place = trained.place(trained.arm("control"))
    record, together = read_record(place), read_predictions(place / PREDICTIONS)
    assert record["kind"] == "control" and record["control"] is None
    assert read_record(trained.place(trained.arm("fused")))["control"] == record["signature"]
    assert set(record["result"]["towers"]) == set(TOWERS)
    alone = [read_predictions(place / tower_file(tower)) for tower in TOWERS]
    for tower, own in zip(TOWERS, alone, strict=True):
        result = record["result"]["towers"][tower]
        assert (own.videos, own.labels, own.groups) == (together.videos, together.labels, together.groups)
        assert (result["correct"], result["total"]) == (own.correct, len(own.videos))
        assert result["accuracy"] == own.correct / len(own.videos)
        assert result["kinds"] == {"action": {"correct": own.correct, "total": 12}}
    for row, a, b in zip(together.scores, *(one.scores for one in alone), strict=True):
        assert row == pytest.approx([(x + y) / 2 for x, y in zip(a, b, strict=True)], abs=1e-6)
    assert record["result"]["trained_parameters"] > 0 and "towers" not in trained.result("late")


def test_a_test_again_looks_at_each_tower(copied: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    arm = copied.arm("control")
    place = copied.place(arm)
    assert retest.retest(str(copied.study), [arm.name]) == 0
    assert "the same 12 predictions" in capsys.readouterr().out
    own, record = read_predictions(place / "motion.csv"), read_record(place)
    moved = replace(own, scores=tuple(tuple(float32(one + 1e-5) for one in row) for row in own.scores))
    together = read_predictions(place / PREDICTIONS)
    write_record(place, record, together, towers={"motion": moved})
    assert retest.retest(str(copied.study), [arm.name]) == 1
    assert "other predictions of a tower by itself" in capsys.readouterr().out
    record["circumstances"]["packages"]["torch"] = "0.0"
    write_record(place, record, together, towers={"motion": moved})
    assert retest.retest(str(copied.study), [arm.name]) == 0
    assert "within" in capsys.readouterr().out


def test_two_results_of_a_control_are_compared_tower_by_tower(copied: Trained, tmp_path: Path) -> None:
    place, other = copied.place(copied.arm("control")), tmp_path / "other"
    shutil.copytree(place, other)
    assert differences(place, other) == []
    own = read_predictions(place / "appearance.csv")
    write_predictions(other / "appearance.csv", replace(own, labels=own.labels[::-1]))
    assert [line.split(":")[0] for line in differences(place, other)] == ["appearance.csv"]
    (other / "motion.csv").unlink()
    assert "motion.csv: only in the published result" in differences(place, other)


def test_the_towers_of_a_record_are_checked(copied: Trained) -> None:
    record = read_record(copied.place(copied.arm("control")) / RECORD)
    for wrong in (
        {"flow": record["result"]["towers"]["motion"]},
        {"motion": {**record["result"]["towers"]["motion"], "accuracy": 3}},
        {"motion": {**record["result"]["towers"]["motion"], "correct": 13}},
        {"motion": {**record["result"]["towers"]["motion"], "kinds": {"action": {"correct": 5, "total": 3}}}},
        [],
    ):
        with pytest.raises(UserError, match="not a valid record"):
            check({**record, "result": {**record["result"], "towers": wrong}})
    with pytest.raises(UserError, match="control is text, or null"):
        check({**record, "control": 3})
    older = {name: one for name, one in record.items() if name != "control"}
    check(older)
