"""A test of trained arms again: what counts as the same predictions."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stage_fakes import Trained

from fusionlab.jobs import retest
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import float32, read_predictions
from fusionlab.records.record import read_record, write_record
from fusionlab.results.head_scores import FILE as HEADS
from fusionlab.results.head_scores import digest, read_heads, write_heads

pytestmark = pytest.mark.usefixtures("small_is_found")


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


# -- the scores of heads


def shifted(place: Path, by: float) -> None:
    """The logits of a record's heads moved, with the digest in the record."""
    (name,), record = read_record_of(place)
    heads = read_heads(place / HEADS, videos=record["result"]["total"], classes=3)
    assert heads[name].logits is not None
    moved = {name: heads[name]._replace(logits=heads[name].logits + np.float32(by))}  # type: ignore[operator]
    record["result"]["heads"] = write_heads(place / HEADS, moved)
    write_record(place, record, read_predictions(place / PREDICTIONS))


def read_record_of(place: Path) -> tuple[list[str], dict[str, Any]]:
    record = read_record(place)
    return list(read_heads(place / HEADS, videos=record["result"]["total"], classes=3)), record


def test_an_arm_has_its_heads_with_their_digest(trained: Trained) -> None:
    for kind, names in (("fused", ["fused"]), ("appearance", ["appearance"]), ("motion", ["motion"])):
        place = trained.place(trained.arm(kind))
        found, record = read_record_of(place)
        assert found == names and record["result"]["heads"] == digest((place / HEADS).read_bytes())
        heads = read_heads(place / HEADS, videos=record["result"]["total"], classes=3)
        own = read_predictions(place / PREDICTIONS)
        assert heads[names[0]].softmax.tolist() == [list(row) for row in own.scores]  # row by row
    late = trained.place(trained.arm("late"))
    assert "heads" not in read_record(late)["result"] and not (late / HEADS).exists()


@pytest.mark.parametrize(("by", "torch", "said"), [
    (0.0, None, "the same 12 predictions"),
    (1e-6, None, "other scores of heads"),
    (1e-5, "0.0", "the same 12 predictions within"),
    (10.0, "0.0", "other scores of heads"),
])  # fmt: skip
def test_heads_are_compared_as_predictions_are(
    copied: Trained, by: float, torch: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arm = copied.arm("fused")
    place = copied.place(arm)
    shifted(place, by)
    if torch is not None:
        record = read_record(place)
        record["circumstances"]["packages"]["torch"] = torch
        write_record(place, record, read_predictions(place / PREDICTIONS))
    assert retest.retest(str(copied.study), [arm.name]) == (not said.startswith("the same"))
    assert said in capsys.readouterr().out


def test_an_older_record_has_no_heads_and_is_the_same(copied: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    arm = copied.arm("fused")
    place = copied.place(arm)
    record = read_record(place)
    del record["result"]["heads"]
    write_record(place, record, read_predictions(place / PREDICTIONS))
    (place / HEADS).unlink()
    assert retest.retest(str(copied.study), [arm.name]) == 0
    assert "the same" in capsys.readouterr().out
