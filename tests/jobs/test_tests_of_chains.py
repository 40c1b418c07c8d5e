"""Other tests where two chains are trained: of chain B, which has rows, and not of chain A."""

from __future__ import annotations

from pathlib import Path

import pytest
from stage_fakes import Trained, found

from fusionlab.jobs.job_data import Data
from fusionlab.jobs.other_tests import add_tests
from fusionlab.jobs.retest import retest
from fusionlab.planning.other_tests import test_and_show as show_tests
from fusionlab.pricing.job_work import other_tests
from fusionlab.records.other_tests import FOLDER, Asked
from fusionlab.sizes.sizing import Sizes

pytestmark = pytest.mark.usefixtures("small_is_found")
WORDS = ["optim=sgd", "optim.streams.until=budget", "optim.fusion.until=budget", "val.then=retrain"]


@pytest.fixture(scope="module")
def both(small: Data, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A study of two chains, whose jobs test by `frame` too."""
    made = Trained.planned(tmp_path_factory.mktemp("chains") / "runs" / "study", small, *WORDS, "test=middle,frame")
    with found(small):
        for job in (one for kind in ("stream", "cohort") for one in made.plan.jobs if one.kind == kind):
            made.run(job)
    return made


@pytest.fixture
def copied(both: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    return both.copied(tmp_path, monkeypatch)


def made_of(made: Trained, then: str) -> list[set[str]]:
    """The other tests of each arm of a chain."""
    places = [made.place(arm) / FOLDER for arm in made.plan.arms if arm.axes["val.then"] == then]
    return [{one.name for one in place.iterdir()} if place.is_dir() else set() for place in places]


def test_jobs_test_the_chain_that_has_rows(both: Trained) -> None:
    assert made_of(both, "retrain") == [{"frame"}] * 5 and made_of(both, "keep") == [set()] * 5
    sizes, asked = Sizes(), Asked(("middle", "frame"))
    priced = {arm.axes["val.then"] for arm in both.plan.arms if other_tests([sizes.of(arm)], asked)}
    assert priced == {"retrain"}


def test_later_tests_are_of_this_chain_or_of_arms_that_are_named(
    copied: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add_tests(copied.study, [], Asked(("final",))) == 0
    assert made_of(copied, "retrain") == [{"frame", "final"}] * 5 and made_of(copied, "keep") == [set()] * 5
    (first,) = (arm for arm in copied.plan.arms if arm.kind == "late" and arm.axes["val.then"] == "keep")
    assert show_tests(str(copied.study), [first.name], Asked(("frame",))) == 0
    assert first.name in capsys.readouterr().out and sum(map(len, made_of(copied, "keep"))) == 1
    assert show_tests(str(copied.study), [], Asked(("frame",))) == 0
    assert "retrain" in (out := capsys.readouterr().out) and "val.then=keep" not in out
    assert retest(str(copied.study), []) == 0
    assert capsys.readouterr().out.count(": the same") == 5
