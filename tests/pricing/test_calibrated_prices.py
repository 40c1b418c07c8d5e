"""Prices from a calibration, in exact arithmetic: after jobs of the same arms, before jobs of the same towers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from pricing_fakes import Plan, publish

from fusionlab.planning.grid import PlannedStudy
from fusionlab.pricing.calibrate import Calibrated, Calibration, key_of
from fusionlab.pricing.study_price import JobPrice, Pricing
from fusionlab.study.plan import Arm, Job

SECONDS = {"step_s": 0.5, "trunk_s": 0.1, "view_s": 0.01, "setup_s": 3.0}


def pricing(study: PlannedStudy, *calibrated: Sequence[Arm], reason: str | None = None) -> Pricing:
    """Of a study, after these arms were calibrated together."""
    made = Pricing(study.plan, study.folder, study.run, workers=1)
    known = {key_of(arms): Calibrated(tuple(arms), **SECONDS, peak=2**31, date="2026-01-01") for arms in calibrated}
    made.calibration = Calibration(known, {} if reason is None else {key_of(cohort(study)): reason})
    return made


def cohort(study: PlannedStudy) -> list[Arm]:
    return [arm for arm in study.plan.arms if arm.kind != "stream"]


def price(made: Pricing) -> JobPrice:
    return next(job for job in made.price().jobs if job.kind == "cohort")


def job(study: PlannedStudy) -> Job:
    return next(job for job in study.plan.jobs if job.kind == "cohort")


def test_a_job_takes_its_steps_and_views(plan: Plan) -> None:
    study = plan("fusion=sum,conv")
    one = price(pricing(study, cohort(study)))
    assert one.work is not None and one.seconds is not None
    views = one.work.validations * one.work.validation_views + one.work.test_views
    assert one.work.test_macs == one.work.view_macs, "the control's towers are its heads, which are computed once"
    assert one.seconds == pytest.approx(3.0 + one.work.steps * 0.5 + views * 0.01)
    assert (one.source, one.memory, one.measured) == ("calibrated on 2026-01-01", 2**31, False)


def test_the_peak_of_a_calibration_does_not_replace_a_larger_estimate(plan: Plan) -> None:
    """It has no test of whole frames, and no checkpoint."""
    study = plan("fusion=sum,conv")
    made = pricing(study, cohort(study))
    (key,) = made.calibration.jobs
    made.calibration.jobs[key] = replace(made.calibration.jobs[key], peak=2**20)
    assert price(made).memory == price(pricing(study)).memory


def test_a_large_job_that_was_tried_with_some_arms_shares_their_towers(plan: Plan) -> None:
    """The towers take what they took, the nets as much longer as they have more multiply-adds."""
    study = plan("fusion=sum,conv,cat")
    some = [arm for arm in cohort(study) if "cat" not in arm.name]
    made = pricing(study, some)
    made.calibration.jobs[key_of(cohort(study))] = made.calibration.jobs[key_of(some)]
    own, tried = price(made).work, made._measure(some).work
    assert own is not None and tried is not None and own.trunk_macs == tried.trunk_macs
    speed = made.speeds.of(cohort(study), cohort(study))
    assert speed is not None and not speed.same
    step = 0.1 + 0.4 * own.net_macs / tried.net_macs
    start = speed.seconds(own)
    assert start is not None
    rest = 0.01 * own.evaluated / tried.view_macs
    assert start == pytest.approx(3.0 + own.steps * step + rest)


def test_jobs_of_the_same_arms_come_first_and_of_the_same_towers_last(plan: Plan) -> None:
    first, other = plan("fusion=sum"), plan("fusion=conv")
    publish(first, job(first), 10)
    assert price(pricing(first, cohort(first))).source == "1 earlier job of the same arms"
    assert price(pricing(other, cohort(other))).source == "calibrated on 2026-01-01"
    assert price(pricing(other)).source == "1 earlier job of these towers, by multiply-adds"


def test_what_cannot_be_calibrated_has_its_reason(plan: Plan) -> None:
    study = plan("fusion=sum")
    assert price(pricing(study, reason="out of memory")).source == "unknown: its calibration: out of memory"


def test_what_has_run_is_not_calibrated_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    study = plan("fusion=sum")
    publish(study, job(study), 10)
    asked: list[list[str]] = []

    def calibrate(of: object, *_: object, **__: object) -> Calibration:
        asked.append([job.kind for job in of.jobs])  # type: ignore[attr-defined]
        return Calibration()

    monkeypatch.setattr("fusionlab.pricing.study_price.calibrate", calibrate)
    monkeypatch.setattr("fusionlab.pricing.study_price.calibrate_store", lambda *_: None)
    Pricing(study.plan, study.folder, study.run, workers=1).calibrate(lambda _: None)
    assert asked == [["stream", "stream"]]
