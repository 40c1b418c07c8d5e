import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from fusionlab.monitor.status import Failed, summary
from fusionlab.monitor.status_text import MOST
from fusionlab.status import main
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read
from fusionlab.study.worker import work

JOBS = {
    "a": ([], ["publish"]),
    "b": ([], ["fail"]),
    "c": (["b"], ["publish"]),
    "d": ([], ["publish"]),
    "e": (["d"], ["publish"]),
}
KEYS = (
    "study", "signature", "command", "states", "stages", "workers", "queue_unknown", "time_left", "best", "failures",
    "refused", "other_code", "jobs", "arms",
)  # fmt: skip
JOB = ("id", "kind", "state", "reason", "log", "attempts", "arms", "arms_done", "running")
RUNNING = (
    "since", "seconds", "host", "pid", "scheduler", "visible", "device", "memory", "device_memory", "part", "step",
    "steps",
)  # fmt: skip


def claim(study, job, facts=None):
    attempt = Ledger(study, read(study)).claim(job)
    soon = time.time() + 60  # so that it runs for 0 s, however slow this test is
    os.utime(attempt.claim_file, (soon, soon))
    if facts:
        attempt.progress_file.write_text(json.dumps(facts))
    return attempt


@pytest.fixture
def worked(make, argv, monkeypatch):
    """A study in which a is done, b failed, d runs; typed beside it."""
    study = make(JOBS)
    monkeypatch.chdir(study.parent)
    claim(study, "d", {"part": "train", "step": 12, "steps": 40, "device": "cpu", "memory": 1 << 30})
    ledger = Ledger(study, read(study))
    for job in "ab":
        work_alone(ledger, study, job, argv)
    return study


def work_alone(ledger, study, job, argv):
    """Run one job, as a worker does."""
    attempt = ledger.claim(job)
    (attempt.folder / "plan.json").write_text(read(study).part(job).to_json())
    with attempt.log.open("wb") as log:
        done = subprocess.run(argv(study, job, attempt), stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        attempt.end("failed", "ValueError: it does not work", {f"arm-{job}": "ValueError: it does not work"})
    else:
        attempt.end("done")


def test_text_of_a_small_study(worked, capsys):
    assert main([str(worked)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        "arms     5: 1 done, 1 failed, 1 blocked, 1 running, 1 waiting",
        "fusion   5: 1 published, 1 failed, 1 blocked, 1 running, 1 waiting",
        "workers  running 1",
        "left     unknown (too few jobs have finished)",
        "",
        "5 jobs",
    ]
    assert "  published  cohort   a: 1 of 1 arms" in lines
    assert "  failed     cohort   b: 0 of 1 arms" in lines
    assert "  waiting    cohort   e: 0 of 1 arms, waits for d" in lines
    (running,) = [line for line in lines if line.startswith("  running    cohort")]
    assert running.endswith(f", pid {os.getpid()}, cpu, 1.0 GiB")
    assert "d: 0 of 1 arms, train 12/40, 0 s, " in running
    assert "  blocked    arm-c: b failed: ValueError: it does not work" in lines
    assert lines[-5:] == [
        "",
        "1 failed",
        "  arm-b: ValueError: it does not work",
        f"    tail -n 50 {worked.name}/jobs/b/attempts/001/log.txt",
        "  1 more arms need what failed",
    ]


def test_the_command_of_a_failure_shows_its_log_where_it_was_typed(worked, capsys, monkeypatch, tmp_path):
    for place in (worked.parent, worked, worked / "jobs", tmp_path.parent):
        monkeypatch.chdir(place)
        main([str(worked)])
        (command,) = [line.strip() for line in capsys.readouterr().out.splitlines() if "tail" in line]
        log = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout
        assert log.rstrip().endswith("ValueError: it does not work")


@pytest.mark.parametrize("name", ["two  blanks", "it's", "$(touch x)", "-n", "a;b", "ä*"])
def test_a_path_is_quoted_for_a_shell(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    log = tmp_path / name / "log.txt"
    log.parent.mkdir()
    log.write_text("its end\n")
    command = Failed("x", "why", str(log)).command
    assert subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout == "its end\n"
    assert str(tmp_path) not in command
    assert os.listdir(tmp_path) == [name]
    assert [Failed("x", "why", log).command for log in (None, "")] == [None, None]


def test_of_a_large_study_only_what_runs_or_failed_is_named(make, argv, capsys):
    count = MOST + 1
    study = make({f"j{number:02d}": ([], ["fail" if number < 2 else "publish"]) for number in range(count)})
    claim(study, "j40", {"part": "train"})
    for number in range(3):
        work_alone(Ledger(study, read(study)), study, f"j{number:02d}", argv)
    main([str(study)])
    short = capsys.readouterr().out
    assert f"{count} jobs, of which these run or failed (--jobs lists all)" in short
    assert [line.split()[2].rstrip(":") for line in short.splitlines() if " cohort " in line] == ["j40", "j00", "j01"]
    assert f"{count} arms: --arms lists them" in short
    assert short.count("tail -n 50") == 2
    assert len(short.splitlines()) < 25
    main([str(study)], jobs=True)
    assert capsys.readouterr().out.count(" cohort ") == count
    main([str(study)], arms=True)
    assert capsys.readouterr().out.count("  waiting    arm-j") == count - 4


def test_of_many_failures_some_are_named_and_all_with_a_flag(make, argv, capsys, monkeypatch):
    monkeypatch.setattr("fusionlab.monitor.status_text.MOST", 2)
    study = make({name: ([], ["fail"]) for name in "abc"})
    work(study, argv, poll=0.02, report=lambda _: None)
    main([str(study)])
    short = capsys.readouterr().out
    assert (short.count("tail -n"), short.count(" cohort ")) == (2, 2)
    assert "  and 1 more: --arms lists them" in short
    main([str(study)], arms=True)
    assert capsys.readouterr().out.count("tail -n") == 3


def test_json(worked, capsys):
    assert main([str(worked)], json=True) == 1
    content = json.loads(capsys.readouterr().out)
    assert tuple(content) == KEYS
    assert content["study"] == str(worked)
    assert content["states"] == {
        "arms": {"done": 1, "failed": 1, "blocked": 1, "running": 1, "waiting": 1},
        "jobs": {"published": 1, "failed": 1, "blocked": 1, "running": 1, "waiting": 1},
    }
    assert content["stages"] == {"fusion": content["states"]["jobs"]}
    assert all(tuple(job) == JOB for job in content["jobs"])
    jobs = {job["id"]: job for job in content["jobs"]}
    assert (jobs["a"]["arms_done"], jobs["a"]["attempts"], jobs["a"]["running"]) == (1, 1, None)
    running = jobs["d"]["running"]
    assert tuple(running) == RUNNING
    assert (running["pid"], running["step"], running["steps"], running["memory"]) == (os.getpid(), 12, 40, 1 << 30)
    assert running["since"].endswith("+00:00")
    (worker,) = content["workers"]
    assert (worker["name"], worker["state"], worker["job"]) == (str(os.getpid()), "running", "d")
    (failure,) = content["failures"]
    assert failure["name"] == "arm-b"
    assert failure["command"].startswith("tail -n 50 ")
    assert content["time_left"]["seconds"] is None
    assert [arm["state"] for arm in content["arms"]] == ["done", "failed", "blocked", "running", "waiting"]


def test_the_page_of_the_command_line_names_each_key():
    page = Path(__file__).parents[2].joinpath("docs", "command-line.md").read_text(encoding="utf-8")
    table = page.partition("## The state of a study")[2].partition("\n## ")[0]
    assert [name for name in (*KEYS, *JOB, *RUNNING) if f"`{name}`" not in table] == []


def test_json_of_a_study_that_is_done(make, argv, capsys):
    study = make({"a": ([], ["publish"])})
    work(study, argv, poll=0.02, report=lambda _: None)
    assert main([str(study)], json=True) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["failures"] == []
    assert content["time_left"]["seconds"] == 0
    assert content["workers"] == []


def test_a_queue_that_cannot_be_asked_is_said_in_a_line_and_the_exit_code_stays(make, argv, capsys, monkeypatch):
    study = make({"a": ([], ["publish"])})
    work(study, argv, poll=0.02, report=lambda _: None)
    name = "fusionlab-00000000"
    (study / "workers").mkdir()
    note = {"scheduler": "slurm", "name": name, "inode": (study / "workers").stat().st_ino}
    (study / "workers" / f"{name}.json").write_text(json.dumps(note))
    monkeypatch.setenv("PATH", str(study))
    assert main([str(study)]) == 0
    output = capsys.readouterr().out
    assert "         the queue is unknown: no SLURM here (squeue is not on the PATH)" in output.splitlines()
    assert main([str(study)], json=True) == 0
    assert json.loads(capsys.readouterr().out)["queue_unknown"] == "no SLURM here (squeue is not on the PATH)"
    squeue = study / "squeue"
    squeue.write_text(f"#!/bin/sh\necho '7_0|{name}|PENDING||Resources'\n")
    squeue.chmod(0o755)
    assert main([str(study)]) == 0
    assert "workers  running 0, queued 1: Resources" in capsys.readouterr().out.splitlines()


def test_a_failed_job_without_arms_is_a_failure(study_of_a_store):
    assert [(one.name, one.reason) for one in summary(study_of_a_store).failures] == [("prepare-x", "no videos")]
    assert summary(study_of_a_store).arm_counts == {"blocked": 1}


@pytest.fixture
def study_of_a_store(tmp_path):
    from fusionlab.study.plan import Arm, Job, Plan

    plan = Plan.of(
        "sweep",
        [Job("prepare-x", "prepare", "jobs/p", (), {}), Job("c", "cohort", "jobs/c", ("prepare-x",), {}, ("arm",))],
        [Arm("arm", "fused", {}, "sig", {}, "c")],
    )
    plan.write(tmp_path)
    Ledger(tmp_path, plan).claim("prepare-x").end("failed", "no videos")
    return tmp_path
