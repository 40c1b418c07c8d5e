"""States of arms and jobs: what is done, what failed, and what has changed since."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from pricing_fakes import Plan, publish

from fusionlab.config.schema import config_of
from fusionlab.monitor.status import summary
from fusionlab.planning.grid import PlannedStudy
from fusionlab.pricing.arm_states import States, states_of
from fusionlab.pricing.clip_counts import DataSets
from fusionlab.pricing.price_text import price_text
from fusionlab.pricing.study_price import Pricing
from fusionlab.records.files import to_json
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Job
from fusionlab.study.process_id import ProcessId

CHANGED = "changed "
EARLY, LATE = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"


def states(study: PlannedStudy, content: str | None = "a") -> States:
    """`content`: the hash of the store that is there; None: none is."""
    data = DataSets(study.run)
    for arm in study.plan.arms:
        data._stores[repr(config_of(arm).data.recipe)] = None if content is None else FakeStore(content)  # type: ignore[assignment]
    return states_of(study.plan, study.folder, study.run, data)


class FakeStore:
    """What is asked of a store: its hash and place."""

    folder = Path("nowhere")

    def __init__(self, content: str) -> None:
        self.hash = content


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash of the fake store, without a folder."""
    monkeypatch.setattr(
        "fusionlab.pricing.arm_states.Data",
        lambda dataset, folder, run: type("D", (), {"content": lambda self, _: "a"})(),
    )


def done(
    study: PlannedStudy, kinds: str = "stream cohort", result: dict[str, Any] | None = None, **around: Any
) -> None:
    for job in study.plan.jobs:
        if job.kind in kinds:
            publish(study, job, 10, {"data": "a", **(result or {})}, **{"started": EARLY, **around})


def of_kind(study: PlannedStudy, kind: str) -> list[Job]:
    return [job for job in study.plan.jobs if job.kind == kind]


def test_nothing_is_there(plan: Plan) -> None:
    study = plan("fusion=sum,conv")
    found = states(study, None)
    assert found.arm_counts == {"to run": 6} and found.job_counts == {"to run": 4}
    assert not study.folder.exists(), "nothing is written"


def test_a_larger_grid_finds_what_is_done(plan: Plan, tmp_path: Path) -> None:
    place = f"run.folder={tmp_path / 'mine'}"
    first, larger = plan("fusion=sum", place), plan("fusion=sum", "seed=0,1", place)
    done(first)
    assert states(first).arm_counts == {"done": 5}
    found = states(larger)
    assert found.arm_counts == {"done": 5, "to run": 5}
    assert found.job_counts == {"done": 3, "to run": 4}
    (job,) = [one for one in of_kind(larger, "cohort") if "seed=1" in one.arms[0]]
    assert found.left(job) == list(job.arms)


def test_a_failed_arm_is_told_from_those_of_its_job_that_are_done(plan: Plan) -> None:
    study = plan("fusion=sum,conv")
    done(study)
    (job,) = of_kind(study, "cohort")
    bad = next(name for name in job.arms if "conv" in name)
    for file in (job.published(study.folder) / bad).iterdir():
        file.unlink()
    (job.published(study.folder) / bad).rmdir()
    attempt = Attempt(job.path(study.folder), 1)
    attempt.claim_file.parent.mkdir(parents=True)
    claim = {**ProcessId.here().to_dict(), "session": "s", "arms": list(job.arms), "inode": None, "token": "t"}
    attempt.claim_file.write_text(to_json(claim))
    attempt.open()
    assert states(study).arms[bad] == "running" and states(study).jobs[job.id] == "running"
    attempt.end("failed", "diverged", {bad: "diverged"})
    found = states(study)
    assert found.arms[bad] == "failed" and found.arm_counts == {"done": 5, "failed": 1}
    assert found.jobs[job.id] == "failed" and found.left(job) == [bad]


def test_another_store_makes_all_arms_of_it_stale(plan: Plan) -> None:
    study = plan("fusion=sum")
    done(study, result={"data": "b"})
    found = states(study)
    assert found.arm_counts == {"stale": 5} and found.job_counts["stale"] == 3
    assert set(found.stale.values()) == {"the packed store holds other videos, or was made in another way"}
    assert states(study, None).arm_counts == {"done": 5}, "a store that is gone tells nothing"


def test_arms_above_a_stream_that_was_trained_anew_are_stale(plan: Plan) -> None:
    study = plan("fusion=sum,conv")
    done(study, "stream", started=LATE)
    done(study, "cohort", started=EARLY)
    found = states(study)
    assert found.arm_counts == {"done": 2, "stale": 4}
    assert set(found.stale.values()) == {"its appearance stream was trained after it"}
    done(study, "cohort", started=LATE)
    assert states(study).arm_counts == {"done": 6}


def test_a_stream_whose_source_was_trained_anew_is_stale_and_so_is_what_stands_on_it(plan: Plan) -> None:
    study = plan("data=brush2", "fusion=sum", "weights.motion=from:brush")
    done(study)
    assert states(study).arm_counts == {"done": 6}
    (source,) = (study.plan.job(arm.job) for arm in study.plan.arms if "trained_on" in arm.axes)
    publish(study, source, 10, {"data": "a"}, started=LATE)
    found = states(study)
    assert found.arm_counts == {"done": 2, "stale": 4}
    own = "the stream that it started from was trained after it"
    assert set(found.stale.values()) == {own, f"its motion stream is stale: {own}"}


def test_other_first_weights_make_a_stream_and_what_lies_above_it_stale(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / "first.pt"
    file.write_bytes(b"one")
    study = plan("fusion=sum", f"weights.motion={file}")
    began = {"initial_weights": {"sha256": hashlib.sha256(b"one").hexdigest()}}
    done(study, "cohort")
    for job in of_kind(study, "stream"):
        publish(study, job, 10, {"data": "a", **(began if job.id.startswith("motion") else {})}, started=EARLY)
    assert states(study).arm_counts == {"done": 5}
    file.write_bytes(b"two")
    found = states(study)
    assert found.arm_counts == {"done": 1, "stale": 4}
    assert any(why == f"its motion stream is stale: {file} holds other weights" for why in found.stale.values())
    file.unlink()
    assert states(study).arm_counts == {"done": 5}


def changed(**values: Any) -> str:
    """A record in which some values are others."""
    return CHANGED + json.dumps(values)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"result": 3}', '{"result": NaN}', changed(axes=3), changed(signature="0")]
)
def test_a_record_that_cannot_be_read_is_failed_as_status_says(plan: Plan, text: str) -> None:
    """Not done, not stale, and no command trains it again while its folder is there."""
    study = plan("fusion=sum,conv")
    done(study, result={"data": "b"})
    study.plan.write(study.folder)
    (job,) = of_kind(study, "cohort")
    bad = [*(name for name in job.arms if "conv" in name), *of_kind(study, "stream")[0].arms]
    for name in bad:
        own = study.plan.job(study.plan.arm(name).job)
        place = own.published(study.folder) / name / "run.json"
        whole = json.loads(place.read_text())
        own_text = json.dumps({**whole, **json.loads(text.removeprefix(CHANGED))}) if text.startswith(CHANGED) else text
        place.write_text(own_text)
    found, rows = states(study), {row.name: row for row in summary(study.folder).arms}
    assert {name for name, state in found.arms.items() if state == "failed"} == set(bad) == set(found.damaged)
    assert all((rows[name].state, rows[name].reason) == ("failed", found.damaged[name]) for name in bad)
    assert found.left(job) == [] and not set(bad) & set(found.stale)


def test_what_to_remove_trains_stale_and_damaged_arms_again(plan: Plan) -> None:
    study = plan("fusion=sum,conv,max,cat")
    done(study)
    (job,) = of_kind(study, "cohort")
    (stream, *_) = of_kind(study, "stream")
    (job.published(study.folder) / job.arms[0] / "run.json").write_text("{")
    publish(study, stream, 10, {"data": "a"}, started=LATE)
    price = Pricing(study.plan, study.folder, study.run, workers=1).price()
    text = price_text(price)
    places = re.findall(r"^    (/.*)$", text, re.MULTILINE)
    assert len(places) == 1 + 3 and "… and the folders of 2 more" in text
    assert "1 failed: its record cannot be read: " in text and "stream was trained after it" in text
    for place in places:
        shutil.rmtree(place)
    assert states(study).arm_counts == {"done": 2, "stale": 2, "to run": 4}
