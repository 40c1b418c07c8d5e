"""Times against records with known rates, in exact arithmetic; and records that must not count."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from pricing_fakes import Plan, circumstances, cost, publish

from fusionlab.planning.grid import PlannedStudy
from fusionlab.pricing.job_work import Work
from fusionlab.pricing.machine_class import Machine
from fusionlab.pricing.past_jobs import PastJob, past_jobs
from fusionlab.pricing.speeds import Speed, speed_of
from fusionlab.pricing.study_price import NO_RECORD, JobPrice, Pricing
from fusionlab.study.plan import Job

WORK = Work(
    arms=2, batch=8, validations=4, steps=40, trunk_macs=400, net_macs=600, validation_views=6, view_macs=100,
    test_views=10, test_macs=50,
)  # fmt: skip


def past(**changes: Any) -> PastJob:
    """0.5 s a step, 29 s for 2900 multiply-adds of views, 1.5 s of recording an arm, and 7 s of everything else."""
    numbers: dict[str, Any] = {"steps": 40, "step_s": 0.5, "views_s": 29.0, "record_s": 3.0, "seconds": 59.0}
    return PastJob(**{"arms": (), "contents": ("a", "b"), **numbers, **changes})


def test_rates_and_the_time_of_other_work_exactly() -> None:
    speed = speed_of("x", [(past(), WORK)], same=True)
    assert speed == Speed("x", 2000.0, 100.0, 7.0, 1.5)
    assert speed.seconds(WORK) == 7 + 40 * 0.5 + 29 + 3, "what it took itself"
    other = replace(WORK, arms=1, steps=10, net_macs=3600, test_views=100)
    assert speed.seconds(other) == 7 + 10 * 2 + (4 * 6 * 100 + 100 * 50) / 100 + 1.5


def test_rates_are_medians_over_jobs() -> None:
    steps, views = (0.5, 0.25, 4.0), (29.0, 58.0, 14.5)
    jobs = [(past(step_s=s, views_s=v, seconds=99 + 40 * s + v + 3), WORK) for s, v in zip(steps, views, strict=True)]
    speed = speed_of("x", jobs, same=False)
    assert speed.step_rate == 1000 / median(steps) and speed.view_rate == 2900 / median(views) and speed.start_s == 99


def test_a_job_that_was_resumed_tells_the_rates_of_what_it_did_itself() -> None:
    """Half of the steps, so half of the validations."""
    evaluated = 2 * 6 * 100 + 10 * 50
    speed = speed_of("x", [(past(steps=20, views_s=evaluated / 100, seconds=7 + 10 + evaluated / 100 + 3), WORK)], True)
    assert speed == Speed("x", 2000.0, 100.0, 7.0, 1.5)


def test_older_records_know_the_seconds_of_an_epoch() -> None:
    """10 steps and 6 views in 10.6 s: 1000 a second, so 0.5 s of test, and 2.1 s are left."""
    old = past(step_s=None, views_s=None, record_s=0.0, epochs=(10.6, 10.6, 10.6, 10.6), seconds=45.0)
    speed = speed_of("x", [(old, WORK)], same=True)
    assert speed.step_rate == speed.view_rate == pytest.approx(1000)
    assert speed.start_s == pytest.approx(45 - 42.4 - 0.5) and speed.seconds(WORK) == pytest.approx(45)


def test_the_oldest_records_know_the_whole_time_only() -> None:
    old = past(step_s=None, views_s=None, record_s=0.0, epochs=(), seconds=429.0)
    speed = speed_of("x", [(old, WORK)], same=True)
    assert speed.step_rate == 100 and speed.start_s == 0 and speed.seconds(WORK) == pytest.approx(429)


def test_without_a_rate_the_time_is_unknown() -> None:
    assert Speed("x", None, 5.0, 1.0, 0.0).seconds(WORK) is None
    assert Speed("x", 5.0, None, 0.0, 0.0).seconds(WORK) == (40_000 + 2900) / 5, "views as fast as steps"
    assert Speed("x", None, 5.0, 1.0, 0.5).seconds(replace(WORK, steps=0)) == 1 + 2900 / 5 + 2 * 0.5


# -- from the records of a folder


def job(study: PlannedStudy, kind: str) -> Job:
    return next(one for one in study.plan.jobs if one.kind == kind)


def price(study: PlannedStudy, kind: str) -> JobPrice:
    return next(one for one in priced(study) if one.kind == kind)


def priced(study: PlannedStudy) -> tuple[JobPrice, ...]:
    return Pricing(study.plan, study.folder, study.run, workers=1).price().jobs


def test_a_job_of_the_same_arms_takes_what_it_took(plan: Plan) -> None:
    first, again = plan("fusion=sum,conv"), plan("fusion=conv,sum", "seed=7")
    assert price(again, "cohort").seconds is None and price(again, "cohort").source == NO_RECORD
    work = price(first, "cohort").work
    assert work is not None
    publish(first, job(first, "cohort"), work.steps)
    one = price(again, "cohort")
    assert one.seconds == pytest.approx(10 + work.steps * 0.5 + 30 + 4)
    assert one.source == "1 earlier job of the same arms"
    assert (one.memory, one.measured) == (2**30, True)
    assert price(again, "stream").source == NO_RECORD


def test_other_arms_above_the_same_towers_take_as_long_as_their_work(plan: Plan) -> None:
    first, other = plan("fusion=sum"), plan("fusion=cat,conv", "layer=relu3")
    own, work = price(first, "cohort").work, price(other, "cohort").work
    assert own is not None and work is not None and work.step_macs > own.step_macs
    publish(first, job(first, "cohort"), own.steps)
    one = price(other, "cohort")
    steps = work.steps * 0.5 * work.step_macs / own.step_macs
    assert one.seconds == pytest.approx(10 + steps + 30 * work.evaluated / own.evaluated + work.arms * 4 / own.arms)
    assert one.source == "1 earlier job of these towers, by multiply-adds" and not one.measured


@pytest.mark.parametrize("word", ["backbone.motion.dropout=0.25", "trainer.threads=2"])
def test_other_towers_or_threads_tell_nothing(plan: Plan, word: str) -> None:
    first = plan("fusion=sum")
    publish(first, job(first, "cohort"), 10)
    assert price(plan("fusion=sum", word), "cohort").source == NO_RECORD


OTHER_CPU = {**circumstances()["machine"], "cpu": "another"}


@pytest.mark.parametrize(
    "around",
    [
        {"machine": OTHER_CPU}, {"machine": {**OTHER_CPU, "cpu": None}}, {"machine": None}, {"machine": "fast"},
        {"packages": {"torch": "1.0.0"}}, {"packages": None}, {"device": "NVIDIA H200"}, {"device": None},
        {"seconds": 0.0}, {"seconds": -1.0}, {"seconds": 1e300},
        {"job": {**cost(2, 10), "arms": 4}}, {"job": {**cost(2, 10), "test_s": -4.0}},
        {"job": {**cost(2, 10), "train_s": "long"}}, {"job": {**cost(2, 10), "setup_s": True}},
        {"job": {**cost(2, 10), "validate_s": 1e300}}, {"job": {"steps": 3}},
    ],
)  # fmt: skip
def test_records_of_other_machines_and_impossible_ones_are_left_out(plan: Plan, around: dict[str, Any]) -> None:
    study = plan("fusion=sum")
    here = Machine.here(study.run)
    publish(study, job(study, "cohort"), 10, **around)
    assert past_jobs(study.run.root, here) == []
    publish(study, job(study, "cohort"), 10)
    assert len(past_jobs(study.run.root, here)) == 1, "otherwise it would count"


@pytest.mark.parametrize("text", ["{", "[]", "", '{"schema": 1}'])
def test_a_damaged_record_is_left_out_with_its_job(plan: Plan, text: str) -> None:
    study = plan("fusion=sum,conv")
    place, *_ = publish(study, job(study, "cohort"), 10)
    place.write_text(text)
    assert past_jobs(study.run.root, Machine.here(study.run)) == []
    assert price(plan("fusion=sum,conv", "seed=7"), "cohort").source == NO_RECORD


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e309"])
def test_seconds_that_are_not_finite_are_left_out(plan: Plan, number: str) -> None:
    study = plan("fusion=sum")
    for place in publish(study, job(study, "cohort"), 10):
        content = json.loads(place.read_text())
        content["circumstances"]["job"]["step_s"] = "HERE"
        place.write_text(json.dumps(content).replace('"HERE"', number))
    assert past_jobs(study.run.root, Machine.here(study.run)) == []


def test_records_without_the_instruction_set_are_of_this_machine(plan: Plan) -> None:
    study = plan("fusion=sum")
    older = {name: one for name, one in circumstances()["machine"].items() if name not in ("capability", "limits")}
    publish(study, job(study, "cohort"), 10, machine=older, job=None, epoch_seconds=[3.0, 3.5, "x"])
    (found,) = past_jobs(study.run.root, Machine.here(study.run))
    assert found.epochs == (3.0, 3.5) and found.views_s is None


def test_only_the_newest_jobs_are_read(plan: Plan, tmp_path: Path) -> None:
    studies = [plan("fusion=sum", f"seed={seed}") for seed in range(4)]
    for study in studies:
        publish(study, job(study, "cohort"), 10)
    here = Machine.here(studies[0].run)
    assert len(past_jobs(tmp_path / "runs", here)) == 4
    assert len(past_jobs(tmp_path / "runs", here, most=3)) == 3
    assert past_jobs(tmp_path / "nothing", here) == []


def test_the_start_of_the_process_is_in_the_time(plan: Plan) -> None:
    """From the claim to the publication, if these are of one attempt and plausible."""
    study = plan("fusion=sum")
    publish(study, job(study, "cohort"), 10)
    published = job(study, "cohort").published(study.folder)
    claims = published.parent / "claims"
    claims.mkdir()
    (claims / "001.json").write_text("{}")
    known = 10 + 5 + 30 + 4
    for wall, seconds in ((known + 6.0, known + 6.0), (known + 9999.0, known), (1.0, known)):
        os.utime(claims / "001.json", (published.stat().st_mtime - wall,) * 2)
        (found,) = past_jobs(study.run.root, Machine.here(study.run))
        assert found.seconds == pytest.approx(seconds)
    (claims / "002.json").write_text("{}")
    (found,) = past_jobs(study.run.root, Machine.here(study.run))
    assert found.seconds == known
