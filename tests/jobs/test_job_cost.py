"""The cost of a job in its records: against a clock of the test's own, and against the job's whole time."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from stage_fakes import EPOCHS, Trained

from fusionlab.jobs.job_cost import PARTS, WORKERS_VARIABLE, JobCost
from fusionlab.records import activity
from fusionlab.records.environment import peak_memory
from fusionlab.records.record import read_record

NOTHING = cast(Any, None)


def job_of(trained: Trained, kind: str) -> dict[str, Any]:
    job: dict[str, Any] = read_record(trained.place(trained.arm(kind)))["circumstances"]["job"]
    return job


def test_each_second_belongs_to_the_part_that_began_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    cost = JobCost("cohort-1", batch=16, threads=2)

    def after(seconds: float, call: Any, *given: Any) -> None:
        nonlocal now
        now += seconds
        call(*given)

    lengths = iter([9, 5, 4, 2, 20, 8, 1, 2, 3])  # an epoch's first one has no step before it
    after(6, cost.on_validation_epoch_start, NOTHING, NOTHING)  # of arms that are not trained
    after(10, cost.on_validation_epoch_end, NOTHING, NOTHING)
    after(1, cost.begin, "setup")
    for epoch in range(3):
        after(1, cost.on_train_epoch_start, NOTHING, SimpleNamespace(step=3 * epoch, steps_per_epoch=3))
        for _ in range(3):
            after(next(lengths), cost.on_train_batch_end)
        after(0.5, cost.on_validation_epoch_start, NOTHING, NOTHING)
        after(10, cost.on_validation_epoch_end, NOTHING, NOTHING)
    after(0.25, cost.on_fit_end, NOTHING, NOTHING)
    after(2, cost.begin, "test")
    after(30, cost.begin, "record")
    now += 4
    monkeypatch.setenv(WORKERS_VARIABLE, "3")
    found = cost.to_dict("cpu")
    train = 54 + 3 * 0.5 + 2 * 1 + 0.25
    seconds = {"setup_s": 7 + 1 + 2, "train_s": train, "validate_s": 40, "test_s": 30, "record_s": 4}
    assert {name: found[name] for name in seconds} == seconds and sum(seconds.values()) == now - 100
    assert found["step_s"] == 3, "the median of 5 4 | 20 8 | 2 3 without the first three"
    other = {"id": "cohort-1", "steps": 9, "batch": 16, "threads": 2, "workers": 3}
    assert {name: found[name] for name in other} == other


def test_a_validation_inside_an_epoch_does_not_hide_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 validations in 20 steps no step would have a length."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    cost = JobCost("cohort-1", batch=16, threads=2)
    for step in range(7):
        now += 50
        cost.on_train_epoch_start(NOTHING, SimpleNamespace(step=step, steps_per_epoch=6))  # type: ignore[arg-type]
        now += step
        cost.on_train_batch_end()
    assert list(cost.steps) == [1, 2, 3, 4, 5], "0 and 6 are the first steps of an epoch"


def test_the_progress_of_a_job_has_its_part_device_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(activity.VARIABLE, "")
    monkeypatch.setattr(activity, "EVERY", 0.0)
    activity.report_to(tmp_path / "progress")
    cost = JobCost("cohort-1", batch=16, threads=2)
    cost.report_device("cpu")
    assert activity.read_progress(tmp_path / "progress")["part"] == "setup"
    for part in PARTS:
        cost.begin(part)
        found = activity.read_progress(tmp_path / "progress")
        assert set(found) == {"part", "device", "memory"} and (found["part"], found["device"]) == (part, "cpu")
        assert 2**20 < found["memory"] <= (peak_memory() or 0)
    activity.report_to(tmp_path / "another")


@pytest.mark.parametrize("kind", ["motion", "fused", "late"])
def test_the_record_has_what_its_job_took(trained: Trained, kind: str) -> None:
    job, record = job_of(trained, kind), read_record(trained.place(trained.arm(kind)))
    arm, steps = trained.arm(kind), EPOCHS * (18 // 8)
    assert (job["id"], job["steps"], job["batch"], job["threads"], job["workers"]) == (arm.job, steps, 8, 1, None)
    assert job["arms"] == len(trained.plan.job(arm.job).arms)
    assert job["test_clips"] == 2 * 12, "two views of each video"
    assert 0 < job["step_s"] * (steps - 2) < job["train_s"] * 1.5
    assert all(job[f"{part}_s"] > 0 for part in PARTS)
    epochs = record["circumstances"]["epoch_seconds"]
    if kind != "late":
        assert sum(epochs) == pytest.approx(job["train_s"] + job["validate_s"], abs=2)
    assert 50e6 < job["peak"] < 50e9


@pytest.mark.usefixtures("small_is_found")
def test_the_parts_are_the_whole_time_of_the_job(trained: Trained, tmp_path: Path) -> None:
    other = Trained.planned(tmp_path / "runs" / "study", trained.data)
    begun = time.monotonic()
    other.train("motion")
    whole, job = time.monotonic() - begun, job_of(other, "motion")
    parts = sum(job[f"{part}_s"] for part in PARTS)
    assert whole / 2 < parts <= whole
