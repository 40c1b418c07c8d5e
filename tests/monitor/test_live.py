import json
import math
import os
import socket
import time
from pathlib import Path

import pytest

from fusionlab.monitor import live
from fusionlab.monitor.live import Best, Live
from fusionlab.monitor.planned import planned_seconds, read_planned, seconds_alone
from fusionlab.monitor.running import Running, WorkerRow, worker_rows, workers_text
from fusionlab.monitor.status import Status
from fusionlab.monitor.status_json import status_json
from fusionlab.records.activity import mark, report_to
from fusionlab.records.files import to_json
from fusionlab.records.record import new_record, write_record
from fusionlab.study.launchers import Worker
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read

HERE = socket.gethostname()


@pytest.fixture
def study(make):
    return make({name: ([], ["publish"]) for name in "abcdef"})


def claim(study, job, facts=None, **changes):
    """Claim a job, with other words in its claim, and these facts in its progress file."""
    attempt = Ledger(study, read(study)).claim(job)
    content = {**json.loads(attempt.claim_file.read_text()), **changes}
    attempt.claim_file.write_text(json.dumps(content))
    soon = time.time() + 60  # so that it runs for 0 s, however slow this test is
    os.utime(attempt.claim_file, (soon, soon))
    if facts is not None:
        attempt.progress_file.write_text(facts if isinstance(facts, str) else json.dumps(facts))
    return attempt


def publish(attempt, arm, took=None, **result):
    record = new_record(name=arm, kind="fused", axes={}, signature=arm.replace("arm", "sig"), config={}, result=result)
    write_record(attempt.result / arm, record)
    attempt.publish(arm)
    attempt.end("done")
    if took is not None:
        at = attempt.claim_file.stat().st_mtime + took
        os.utime(attempt.published, (at, at))


def look(study, *workers, **options):
    return Live(Status(study), **options).look(workers)


def test_a_running_job_with_all_that_its_files_tell(study):
    facts = {
        "device": "NVIDIA H200", "memory": 3 << 30, "device_memory": 20 << 30, "part": "train", "step": 120,
        "steps": 400,
    }  # fmt: skip
    attempt = claim(study, "b", facts, device="3", scheduler={"job": "12_3", "restart": 0, "node": "n1"})
    then = time.time() - 180
    os.utime(attempt.claim_file, (then, then))
    (job,) = look(study).running
    assert job == Running(
        "b", attempt.log, job.since, HERE, os.getpid(), "12_3", "3", "NVIDIA H200", 3 << 30, 20 << 30, "train", 120, 400
    )
    assert job.progress == "train 120/400, 3 min"
    assert job.place == f"{HERE}, job 12_3, NVIDIA H200 (3), 3.0 GiB, 20.0 GiB of the device"
    assert job.share == 0.3


def test_a_job_without_facts_or_with_nonsense_is_still_shown(study):
    claim(study, "a")
    claim(study, "b", '{"step": 1')
    claim(study, "c", {"step": -1, "steps": "many", "memory": 1.5, "device": ["x"], "part": 3}, scheduler=7)
    claim(study, "d", {"part": "train", "step": 5, "steps": 0})
    seen = look(study).running
    assert [job.progress for job in seen] == ["starts, 0 s", "starts, 0 s", "starts, 0 s", "train, 0 s"]
    assert {job.place for job in seen} == {f"{HERE}, pid {os.getpid()}"}


def test_the_facts_are_those_that_a_job_marks(study, monkeypatch):
    monkeypatch.setattr("fusionlab.records.activity._last", 0.0)
    monkeypatch.setenv("FUSIONLAB_PROGRESS", "")
    attempt = claim(study, "a")
    report_to(attempt.progress_file)
    mark(part="train", step=3, steps=4, device="cpu", memory=1 << 30)
    (job,) = look(study).running
    assert (job.part, job.share, job.device, job.memory) == ("train", 0.75, "cpu", 1 << 30)


def test_a_job_of_another_host_is_seen_by_its_claim(study):
    """Its worker is in no list of this host, and its pid says nothing here."""
    claim(
        study, "a", {"part": "train", "step": 1, "steps": 2, "device": "NVIDIA H200"},
        host="elsewhere", boot="another", pid=os.getpid(), device="0",
    )  # fmt: skip
    here = Worker(str(os.getpid()), study / "x.log")
    view = look(study, here)
    assert view.summary.job_counts == {"running": 1, "ready": 5}
    assert view.running[0].place == f"elsewhere, pid {os.getpid()}, NVIDIA H200 (0)"
    assert view.workers == (
        WorkerRow(str(os.getpid()), "running", HERE, log=str(here.log)),
        WorkerRow(str(os.getpid()), "running", "elsewhere", job="a"),
    )


def test_workers_are_joined_with_their_jobs(study):
    claim(study, "a")
    claim(study, "b", host="n1", boot="another", scheduler={"job": "12_0"})
    local = Worker(str(os.getpid()), study / "1.log")
    queue = (
        Worker("12_0", study / "2.log", "running", "n1"),
        Worker("12_1", study / "3.log", "queued", None, "Resources"),
    )
    view = look(study, local, *queue)
    assert [(row.name, row.state, row.host, row.job) for row in view.workers] == [
        (str(os.getpid()), "running", HERE, "a"), ("12_0", "running", "n1", "b"), ("12_1", "queued", None, None),
    ]  # fmt: skip
    assert workers_text(view.workers) == "running 2, queued 1: Resources"


def test_reasons_of_the_queue_with_their_numbers():
    rows = [WorkerRow("1", "running"), *(WorkerRow(str(one), "queued", reason="Resources") for one in range(4))]
    assert workers_text([*rows, WorkerRow("9", "queued", reason="Priority")]) == (
        "running 1, queued 5: Resources (4), Priority (1)"
    )
    assert workers_text([WorkerRow("9", "queued")]) == "running 0, queued 1"
    assert workers_text([]) == "running 0"


def test_the_best_arm_is_chosen_by_validation_and_each_record_is_read_once(study, monkeypatch):
    reads = []
    real = live.read_record
    monkeypatch.setattr(live, "read_record", lambda place: reads.append(place.name) or real(place))
    publish(claim(study, "a"), "arm-a", val_loss=1.5, accuracy=0.9, correct=9, total=10)
    publish(claim(study, "b"), "arm-b", val_loss=0.5, accuracy=0.1, correct=1, total=10)
    seen = Live(Status(study))
    assert seen.look().best == Best("arm-b", 0.5)
    publish(claim(study, "c"), "arm-c", val_loss=None)
    publish(claim(study, "d"), "arm-d", val_loss=0.25)
    attempt = claim(study, "e")
    publish(attempt, "arm-e", val_loss=0.1)
    (attempt.published / "arm-e" / "run.json").write_text("{}\n")
    assert seen.look().best == Best("arm-d", 0.25)
    seen.look()
    assert sorted(reads) == ["arm-a", "arm-b", "arm-c", "arm-d", "arm-e"]


def test_of_many_records_some_are_read_in_each_look_and_none_if_there_is_only_one_look(study, monkeypatch):
    monkeypatch.setattr(live, "RECORDS", 2)
    monkeypatch.setattr(live, "EVERY", 0.0)
    for loss, job in enumerate("edcba"):
        publish(claim(study, job), f"arm-{job}", val_loss=float(loss))
    with monkeypatch.context() as once:
        once.setattr(live, "read_record", None)  # none is read
        assert look(study, again=False).best is None
    seen = Live(Status(study))
    assert [seen.look().best for _ in range(3)] == [None, None, Best("arm-e", 0.0)]


def test_the_time_left_by_the_plan_and_by_what_finished_jobs_took(study):
    plan = {job: {"seconds": 100.0} for job in "abcde"} | {"f": {"seconds": 200.0}}
    (study / "prices.json").write_text(json.dumps({"schema": 1, "jobs": plan}))
    worker = Worker(str(os.getpid()), study / "1.log")
    assert look(study, worker).left.seconds == pytest.approx(700.0)
    assert str(look(study).left) == "unknown (no worker is running)"
    publish(claim(study, "a"), "arm-a", took=300.0)
    assert look(study, worker).left.seconds == pytest.approx(600.0), "one job alone is not compared"
    publish(claim(study, "b"), "arm-b", took=300.0)
    left = look(study, worker).left
    assert left.low < 3 * 500.0 < left.high
    again = claim(study, "c")
    again.end("interrupted")
    publish(claim(study, "c"), "arm-c", took=9000.0)
    left = look(study, worker).left
    assert left.low < 3 * 400.0 < left.high, "a job of two attempts is not compared"
    claim(study, "f", {"part": "train", "step": 3, "steps": 4})
    left = look(study, worker).left
    assert left.low < 3 * 250.0 < left.high
    assert left.seconds == pytest.approx(750.0, rel=0.4)


def test_a_failed_or_blocked_job_needs_no_time(make):
    study = make({"a": ([], ["fail"]), "b": (["a"], ["publish"])})
    attempt = Ledger(study, read(study)).claim("a")
    attempt.end("failed", "it does not work", {"arm-a": "it does not work"})
    view = look(study)
    assert view.summary.job_counts == {"failed": 1, "blocked": 1}
    assert view.left.seconds == 0


def test_planned_times_that_are_missing_damaged_or_nonsense(study):
    assert planned_seconds(study) == {}
    (study / "prices.json").write_text("{")
    assert read_planned(study) == {}
    jobs = {"a": {"seconds": 1}, "b": {"seconds": -1}, "c": {"seconds": True}, "d": {"seconds": "1"}, "e": 5, "f": {}}
    (study / "prices.json").write_text(json.dumps({"jobs": jobs}))
    assert planned_seconds(study) == {"a": 1.0}


def test_how_long_a_job_took(study):
    attempt = claim(study, "a")
    assert seconds_alone(attempt.job) is None, "not yet published"
    publish(attempt, "arm-a", took=50.0)
    assert seconds_alone(attempt.job) == pytest.approx(50.0)
    publish(claim(study, "b"), "arm-b", took=-50.0)
    assert seconds_alone(study / "jobs" / "b") is None, "a clock was set back"


def test_a_look_costs_little_as_long_as_nothing_changes(study, monkeypatch):
    claim(study, "a")
    seen, calls = Live(Status(study)), []
    real = live.running_job
    monkeypatch.setattr(live, "running_job", lambda *words: calls.append(words) or real(*words))
    for _ in range(5):
        seen.look()
    assert len(calls) == 1
    claim(study, "b")
    assert [job.job for job in seen.look().running] == ["a", "b"], "a change is seen at once"


def test_local_workers_of_one_allocation_are_found_by_their_pids():
    """Their claims have the scheduler's id of the allocation: one for all of them."""
    one, two = (
        Running(job, Path(f"{job}.txt"), host=HERE, pid=pid, scheduler="77") for job, pid in (("a", 5), ("b", 6))
    )
    local = [Worker(str(pid), Path(f"{pid}.log")) for pid in (5, 6, 8)]
    assert [(row.name, row.job) for row in worker_rows(local, [one, two], HERE)] == [
        ("5", "a"),
        ("6", "b"),
        ("8", None),
    ]
    rows = worker_rows([], [one, two], "another host")
    assert [(row.name, row.host, row.job) for row in rows] == [("77", HERE, "a"), ("77", HERE, "b")]


def test_a_job_that_the_scheduler_has_not_looked_at_has_no_reason():
    rows = worker_rows([Worker("12_0", Path("x.log"), "queued", None, "None")] * 2, [], HERE)
    assert workers_text(rows) == "running 0, queued 2"


@pytest.mark.parametrize("nonsense", [1e-308, 1e308, 1.1e9, 10**20, 0, -1])
def test_a_planned_time_that_cannot_be_is_unknown(study, nonsense):
    plan = {job: {"seconds": nonsense if job in "abc" else 100.0} for job in "abcdef"}
    (study / "prices.json").write_text(json.dumps({"jobs": plan}))
    assert set(planned_seconds(study)) == set("def")
    for job in "abde":
        publish(claim(study, job), f"arm-{job}", took=100.0)
    view = look(study, Worker(str(os.getpid()), study / "1.log"))
    assert math.isfinite(view.left.high) and "nan" not in str(view.left)
    to_json(status_json(view, read(study), study))
