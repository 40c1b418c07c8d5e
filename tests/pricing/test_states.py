"""States of arms and jobs: what is done, what failed, and what has changed since."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pricing_fakes import Plan, circumstances, publish

from fusionlab.config.schema import config_of
from fusionlab.planning.grid import PlannedStudy
from fusionlab.pricing.clips import DataSets
from fusionlab.pricing.states import States, states_of
from fusionlab.records.files import to_json
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Job
from fusionlab.study.process_id import ProcessId

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
        "fusionlab.pricing.states.Data", lambda dataset, folder, run: type("D", (), {"content": lambda self, _: "a"})()
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
    assert found.arm_counts == {"to run": 5} and found.job_counts == {"to run": 4}
    assert not study.folder.exists(), "nothing is written"


def test_a_larger_grid_finds_what_is_done(plan: Plan, tmp_path: Path) -> None:
    place = f"run.folder={tmp_path / 'mine'}"
    first, larger = plan("fusion=sum", place), plan("fusion=sum", "seed=0,1", place)
    done(first)
    assert states(first).arm_counts == {"done": 4}
    found = states(larger)
    assert found.arm_counts == {"done": 4, "to run": 4}
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
    assert found.arms[bad] == "failed" and found.arm_counts == {"done": 4, "failed": 1}
    assert found.jobs[job.id] == "failed" and found.left(job) == [bad]


def test_another_store_makes_all_arms_of_it_stale(plan: Plan) -> None:
    study = plan("fusion=sum")
    done(study, result={"data": "b"})
    found = states(study)
    assert found.arm_counts == {"stale": 4} and found.job_counts["stale"] == 3
    assert set(found.stale.values()) == {"the packed store holds other videos, or was made in another way"}
    assert states(study, None).arm_counts == {"done": 4}, "a store that is gone tells nothing"


def test_arms_above_a_stream_that_was_trained_anew_are_stale(plan: Plan) -> None:
    study = plan("fusion=sum,conv")
    done(study, "stream", started=LATE)
    done(study, "cohort", started=EARLY)
    found = states(study)
    assert found.arm_counts == {"done": 2, "stale": 3}
    assert set(found.stale.values()) == {"its appearance stream was trained after it"}
    done(study, "cohort", started=LATE)
    assert states(study).arm_counts == {"done": 5}


def test_other_first_weights_make_a_stream_and_what_lies_above_it_stale(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / "first.pt"
    file.write_bytes(b"one")
    study = plan("fusion=sum", f"weights.motion={file}")
    began = {"initial_weights": {"sha256": hashlib.sha256(b"one").hexdigest()}}
    done(study, "cohort")
    for job in of_kind(study, "stream"):
        publish(study, job, 10, {"data": "a", **(began if job.id.startswith("motion") else {})}, started=EARLY)
    assert states(study).arm_counts == {"done": 4}
    file.write_bytes(b"two")
    found = states(study)
    assert found.arm_counts == {"done": 1, "stale": 3}
    assert any(why == f"its motion stream is stale: {file} holds other weights" for why in found.stale.values())
    file.unlink()
    assert states(study).arm_counts == {"done": 4}


@pytest.mark.parametrize("text", ["{", "[]", '{"result": 3}'])
def test_a_record_that_cannot_be_read_is_not_called_stale(plan: Plan, text: str) -> None:
    study = plan("fusion=sum")
    done(study, result={"data": "b"})
    for place in study.folder.rglob("run.json"):
        place.write_text(text)
    assert "stale" not in {states(study).arms[name] for job in of_kind(study, "cohort") for name in job.arms}


def test_plain_data_of_records_is_enough(plan: Plan) -> None:
    """The state of thousands of arms does not wait for the whole check of their records."""
    study = plan("fusion=sum")
    done(study)
    for place in study.folder.rglob("run.json"):
        content = json.loads(place.read_text())
        place.write_text(json.dumps({"result": content["result"], "circumstances": circumstances(started=EARLY)}))
    assert states(study).arm_counts == {"done": 4}
