import json
import os
import signal
import threading
import time
from dataclasses import replace

import pytest
from stub_workers import child_pid, outcomes, run, start

from fusionlab.errors import UserError
from fusionlab.study.attempt import Attempt
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import Plan, read
from fusionlab.study.process_id import process_started
from fusionlab.study.worker import REQUEUE


@pytest.fixture
def kinds_study(tmp_path, make_plan):
    """A store, a stream that needs it, and a cohort that needs the stream."""
    plan = make_plan({"s": ([], ["publish"]), "t": (["s"], ["publish"]), "k": (["t"], ["publish"])})
    kinds = {"s": "prepare", "t": "stream", "k": "cohort"}
    jobs = [replace(job, kind=kinds[job.id]) for job in plan.jobs]
    Plan.of(plan.command, jobs, plan.arms).write(tmp_path)
    return tmp_path


def test_a_worker_of_some_kinds_takes_only_these_and_ends_when_none_of_them_is_left(kinds_study, argv):
    status, lines = run(kinds_study, argv, kinds=("prepare",))
    assert status == 0
    assert [line.split(":")[0] for line in lines if "starts" in line] == ["s"]
    assert Ledger(kinds_study, read(kinds_study)).state("t").name == "ready"
    status, lines = run(kinds_study, argv, kinds=("stream", "cohort"))
    assert status == 0
    assert [line.split(":")[0] for line in lines if "starts" in line] == ["t", "k"]


def test_a_worker_of_some_kinds_waits_for_what_its_jobs_need(kinds_study, argv):
    waiting = threading.Thread(target=lambda: answers.append(run(kinds_study, argv, kinds=("cohort", "stream"))[0]))
    answers = []
    waiting.start()
    time.sleep(0.2)
    assert waiting.is_alive()
    assert run(kinds_study, argv, kinds=("prepare",))[0] == 0
    waiting.join(20)
    assert answers == [0]


def test_where_nobody_works_on_what_its_jobs_need_a_worker_says_so_and_ends(kinds_study, argv):
    status, lines = run(kinds_study, argv, kinds=("stream", "cohort"), unattended_s=0.3)
    assert status == 1
    (line,) = lines
    assert line.startswith("nobody works on s (prepare), and other jobs need them: ")
    assert line.endswith(f"python -m fusionlab.work {kinds_study} kinds=prepare")
    # Its own last job is not the end, and it says what it needs.
    assert run(kinds_study, argv, kinds=("prepare",))[0] == 0
    status, lines = run(kinds_study, argv, kinds=("prepare", "cohort"), unattended_s=0.3)
    assert (status, len(lines)) == (1, 1) and "nobody works on t (stream)" in lines[0]


def test_while_somebody_works_on_what_its_jobs_need_a_worker_waits(tmp_path, make_plan, argv):
    """Also if more is ready than that one works on."""
    plan = make_plan({"s": ([], ["sleep 1.5"]), "u": ([], ["publish"]), "k": (["s", "u"], ["publish"])})
    jobs = [job if job.id == "k" else replace(job, kind="prepare") for job in plan.jobs]
    Plan.of(plan.command, jobs, plan.arms).write(tmp_path)
    waiting = threading.Thread(target=lambda: answers.append(run(tmp_path, argv, kinds=("cohort",), unattended_s=0.7)))
    answers = []
    waiting.start()
    assert run(tmp_path, argv, kinds=("prepare",))[0] == 0
    waiting.join(20)
    assert [status for status, _ in answers] == [0]


def test_an_unknown_kind_is_refused(kinds_study, argv):
    with pytest.raises(UserError, match="unknown kind of job"):
        run(kinds_study, argv, kinds=("stream", "cohorts"))


def test_near_the_time_limit_a_worker_stops_its_job_and_asks_to_be_started_again(make, argv):
    study = make({"a": ([], ["sleep 60", "publish"]), "b": ([], ["publish"])})
    worker = start(study)
    child = child_pid(study, "a")
    worker.send_signal(signal.SIGUSR1)
    assert worker.wait(20) == REQUEUE
    worker.stdout.close()
    assert process_started(child) is None
    assert outcomes(study, "a") == ["interrupted"]
    assert outcomes(study, "b") == []


def test_near_the_time_limit_of_the_last_job_that_is_published_nothing_is_left(make, argv):
    study = make({"a": ([], ["publish and wait"])})
    worker = start(study)
    child_pid(study, "a")
    worker.send_signal(signal.SIGUSR1)
    assert worker.wait(20) == 0
    worker.stdout.close()
    assert outcomes(study, "a") == ["done"]


def test_the_notice_of_the_time_limit_does_not_reach_the_job(make, argv):
    """A scheduler may send it to every process."""
    study = make({"a": ([], ["sleep 1"])})
    worker = start(study)
    os.kill(child_pid(study, "a"), signal.SIGUSR1)
    assert worker.wait(20) == 0
    worker.stdout.close()
    assert outcomes(study, "a") == ["done"]


def test_one_signal_that_comes_twice_at_once_does_not_kill(make, argv):
    study = make({"a": ([], ["tidy"])})
    worker = start(study)
    child_pid(study, "a")
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        worker.send_signal(number)
    assert worker.wait(20) == 130
    worker.stdout.close()
    assert (Attempt(study / "jobs" / "a", 1).folder / "tidied").is_file()


def test_a_claim_names_device_and_scheduler(make, monkeypatch):
    study = make({"a": ([], ["publish"])})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-12ab")
    slurm = {"ARRAY_JOB_ID": "12", "ARRAY_TASK_ID": "3", "JOB_ID": "15", "RESTART_COUNT": "2"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURMD_NODENAME", "node7")
    attempt, job = Ledger(study, read(study)).claim_next(("cohort",))
    claim = json.loads(attempt.claim_file.read_text())
    assert (job, claim["device"]) == ("a", "GPU-12ab")
    assert claim["scheduler"] == {"job": "12_3", "restart": 2, "node": "node7"}
    attempt.end("interrupted")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    for name in slurm:
        monkeypatch.delenv(f"SLURM_{name}")
    claim = json.loads(Ledger(study, read(study)).claim("a").claim_file.read_text())
    assert claim["device"] == "cpu"
    assert "scheduler" not in claim


def test_there_is_no_next_job_of_another_kind(kinds_study):
    books = Ledger(kinds_study, read(kinds_study))
    assert books.claim_next(("stream", "cohort")) is None
    assert books.claim_next(("prepare", "cohort"))[1] == "s"
    assert books.claim_next() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_told_to_stop_ends_its_child_and_the_same_command_goes_on(make, argv, number):
    study = make({"a": ([], ["sleep 60", "publish"]), "b": (["a"], ["publish"])})
    worker = start(study)
    child = child_pid(study, "a")
    worker.send_signal(number)
    assert worker.wait(20) == 130
    worker.stdout.close()
    assert process_started(child) is None
    assert outcomes(study, "a") == ["interrupted"]
    assert run(study, argv)[0] == 0


@pytest.mark.parametrize("twice", [False, True])
def test_a_stubborn_child_is_killed_after_the_grace_or_at_the_second_signal(make, argv, twice):
    study = make({"a": ([], ["stubborn"])})
    worker = start(study, grace=60 if twice else 0.3)
    child = child_pid(study, "a")
    worker.terminate()
    if twice:
        time.sleep(0.3)
        worker.terminate()
    assert worker.wait(20) == 130
    worker.stdout.close()
    assert process_started(child) is None
    assert outcomes(study, "a") == ["interrupted"]
