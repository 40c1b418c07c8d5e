"""The tests that a sweep adds to arms that are done have a price of their own."""

from __future__ import annotations

import pytest
from pricing_fakes import Plan, publish

from fusionlab.planning.grid import PlannedStudy
from fusionlab.pricing.price_json import price_json
from fusionlab.pricing.price_text import price_text
from fusionlab.pricing.study_price import Pricing, StudyPrice
from fusionlab.records.other_tests import FILE, FOLDER

TESTS = ["test=middle,frame", "combine=weighted", "ablate=motion:mean"]
# frame of 5 arms; the validation list by 2 protocols of 3 arms, whose heads are combined; 2 ablations of all but one
COUNT = 5 + 2 * 3 + 2 * 4


def priced(study: PlannedStudy) -> StudyPrice:
    return Pricing(study.plan, study.folder, study.run, workers=2).price()


@pytest.fixture
def asked(plan: Plan) -> PlannedStudy:
    """A study that asks for tests, of which all arms were trained before by one that did not."""
    study = plan("fusion=sum", "layer=relu5", *TESTS)
    for job in study.plan.jobs:
        if job.kind != "prepare":
            publish(study, job, 10)
    return study


def test_what_is_missing_is_what_the_jobs_would_have_made(asked: PlannedStudy) -> None:
    price = priced(asked)
    one = price.untested
    assert one is not None and (one.arms, one.tests) == (5, COUNT)
    assert one.macs == sum(job.work.other_macs for job in price.jobs if job.work) > 0
    assert one.seconds is not None and one.seconds > 0
    assert f"missing of 5 arms that are done: {COUNT} tests" in price_text(price)
    assert price_json(price)["untested"] == {
        "arms": 5, "tests": COUNT, "macs": one.macs, "hours": one.seconds / 3600,
    }  # fmt: skip


def test_a_test_that_is_there_is_not_missing(asked: PlannedStudy) -> None:
    before = priced(asked).untested
    (arm,) = (one for one in asked.plan.arms if one.kind == "fused")
    for name in ("frame", "frame,ablate=motion-mean", "middle,ablate=motion-mean"):
        place = asked.plan.job(arm.job).published(asked.folder) / arm.name / FOLDER / name
        place.mkdir(parents=True)
        (place / FILE).write_text("{}")
    after = priced(asked).untested
    assert before is not None and after is not None
    assert (after.arms, after.tests) == (4, COUNT - 3) and (after.macs or 0) < (before.macs or 0)


@pytest.mark.parametrize("words", [[], TESTS])
def test_arms_that_are_to_run_have_theirs_in_their_jobs(plan: Plan, words: list[str]) -> None:
    price = priced(plan("fusion=sum", "layer=relu5", *words))
    assert price.untested is None and "missing" not in price_text(price)
