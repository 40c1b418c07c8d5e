"""The times that a sweep planned with: written once, compared with what its jobs took."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pricing_fakes import Plan, publish

from fusionlab.planning.grid import PlannedStudy
from fusionlab.planning.report_study import price_line
from fusionlab.pricing.planned_times import FILE, comparison, read_planned, remember_prices
from fusionlab.records.files import to_json
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Job
from fusionlab.study.process_id import ProcessId


def job(study: PlannedStudy, kind: str = "cohort") -> Job:
    return next(job for job in study.plan.jobs if job.kind == kind)


def remember(study: PlannedStudy) -> None:
    remember_prices(study.plan, study.folder, study.run, workers=1)


def known(plan: Plan, study: PlannedStudy) -> float:
    """Let the cohort of other seeds have run, so that this one has a price: the seconds."""
    study.folder.mkdir(parents=True, exist_ok=True)
    other = plan("fusion=sum", "seed=9")
    publish(other, job(other), 10)
    remember(study)
    return float(read_planned(study.folder)[job(study).id]["seconds"])


def took(study: PlannedStudy, seconds: float) -> None:
    """The cohort runs now, in one attempt."""
    publish(study, job(study), 10, seconds=1.0, job=None)
    published = job(study).published(study.folder)
    attempt = Attempt(published.parent, 1)
    attempt.claim_file.parent.mkdir()
    attempt.claim_file.write_text(to_json({**ProcessId.here().to_dict(), "arms": list(job(study).arms)}))
    attempt.open()
    attempt.end("done")
    os.utime(attempt.claim_file, (published.stat().st_mtime - seconds,) * 2)


def test_without_any_history_nothing_is_written(plan: Plan) -> None:
    study = plan("fusion=sum")
    remember(study)
    assert not study.folder.exists() and comparison(study.folder, study.plan.jobs) is None


def test_the_first_time_of_a_job_stays(plan: Plan) -> None:
    study = plan("fusion=sum")
    first = known(plan, study)
    assert set(read_planned(study.folder)) == {job(study).id}, "the streams are unknown"
    other = plan("fusion=sum", "seed=8")
    publish(other, job(other), 10, job={"arms": 2, "steps": 10, "step_s": 7.0} | dict.fromkeys(PARTS, 9.0))
    remember(study)
    assert read_planned(study.folder)[job(study).id]["seconds"] == first
    larger = plan("fusion=sum", "seed=0,1", f"run.folder='{study.folder}'")
    remember(larger)
    assert read_planned(study.folder)[job(study).id]["seconds"] == first
    assert len(read_planned(study.folder)) == 2


PARTS = ("setup_s", "train_s", "validate_s", "test_s", "record_s")


def test_the_report_says_how_wrong_they_were(plan: Plan) -> None:
    study = plan("fusion=sum")
    expected = known(plan, study)
    assert comparison(study.folder, study.plan.jobs) is None, "it has not run"
    took(study, expected * 1.25)
    line = comparison(study.folder, study.plan.jobs)
    assert line == f"planned {expected:.0f} s of fusion, took {expected * 1.25:.0f} s (× 1.25)"
    study.plan.write(study.folder)
    assert price_line(study.folder) == line


def test_a_job_of_several_attempts_or_without_all_arms_is_not_compared(plan: Plan) -> None:
    study = plan("fusion=sum")
    expected = known(plan, study)
    took(study, expected)
    claims = job(study).path(study.folder) / "claims"
    (claims / "002.json").write_text("{}")
    assert comparison(study.folder, study.plan.jobs) is None
    (claims / "002.json").unlink()
    place = next(job(study).published(study.folder).glob("*/run.json"))
    place.unlink()
    assert comparison(study.folder, study.plan.jobs) is None


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"jobs": []}', '{"jobs": {"a": 3}}', '{"jobs": {"COHORT": {"seconds": -1}}}']
)
def test_a_damaged_file_compares_nothing(plan: Plan, text: str) -> None:
    study = plan("fusion=sum")
    took(study, known(plan, study))
    (study.folder / FILE).write_text(text.replace("COHORT", job(study).id))
    assert comparison(study.folder, study.plan.jobs) is None


def test_a_study_of_an_older_version_has_no_comparison(plan: Plan) -> None:
    study = plan("fusion=sum")
    publish(study, job(study), 10)
    study.plan.write(study.folder)
    assert price_line(study.folder) is None
    assert not (Path(study.folder) / FILE).exists()
    assert json.loads((study.folder / "plan.json").read_text())
