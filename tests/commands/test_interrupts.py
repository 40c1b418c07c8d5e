"""Ctrl-C in mid-sweep, and two commands on one folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from terminal import FAST, LINE, WAIT, Lab, ended, processes_of

pytestmark = pytest.mark.slow

COMMAND = ("sweep", *LINE, FAST, "run.checkpoint_every=2")


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + WAIT
    while not happened():
        assert process.poll() is None and time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def job_log(lab: Lab, kind: str) -> str:
    return "".join(place.read_text(encoding="utf-8") for place in lab.found(f"jobs/{kind}-*/attempts/*/log.txt"))


def test_ctrl_c_ends_everything_and_the_same_command_goes_on(study: Lab, fresh: Lab) -> None:
    # So many epochs that it is certainly interrupted in the middle of them.
    long = (*COMMAND, "optim.fusion.epochs=400")
    sweep = fresh.start(*long)
    wait_until(lambda: "epoch 2," in job_log(fresh, "cohort"), sweep)
    assert len(processes_of(fresh.home)) >= 2, "a worker and its child"
    sweep.send_signal(signal.SIGINT)
    begun = time.monotonic()
    done = ended(sweep)
    assert time.monotonic() - begun < 30
    assert done.status == 130
    assert "Traceback" not in done.err
    told = done.err.rstrip().splitlines()[-2:]
    assert told[0] == "interrupted; this continues it:"
    assert told[1].split()[:3] == ["python", "-m", "fusionlab.sweep"] and told[1].endswith("optim.fusion.epochs=400")
    assert processes_of(fresh.home) == []
    assert {record["kind"] for record, _ in fresh.records().values()} == {"stream"}, "nothing half published"

    again = fresh.start(*long)
    wait_until(lambda: "continuing at step" in job_log(fresh, "cohort"), again)
    again.send_signal(signal.SIGINT)
    assert ended(again).status == 130
    assert processes_of(fresh.home) == []


def test_term_is_ctrl_c(study: Lab, fresh: Lab) -> None:
    """What a scheduler or `timeout` sends; nobody would look after the workers."""
    sweep = fresh.start(*COMMAND)
    wait_until(lambda: bool(fresh.found("jobs/cohort-*/claims/001.json")), sweep)
    sweep.send_signal(signal.SIGTERM)
    assert ended(sweep).status == 130
    assert processes_of(fresh.home) == []
    done = fresh.run(*COMMAND)
    assert done.status == 0, done.err
    assert fresh.records() == study.records()


def test_two_commands_on_one_folder_share_the_work(study: Lab, fresh: Lab) -> None:
    first, second = fresh.start(*COMMAND), fresh.start(*COMMAND)
    done = [ended(first), ended(second)]
    assert [one.status for one in done] == [0, 0], [one.err for one in done]
    assert done[0].table == done[1].table
    assert sorted(one.out.split()[0] for one in done) == ["continued", "new"]
    assert fresh.records() == study.records()
    for job in (fresh.study / "jobs").glob("[!.]*"):
        assert [place.name for place in (job / "claims").glob("*[0-9].json")] == ["001.json"], "run once"


def test_ctrl_c_of_one_leaves_the_other_s_workers_alone(fresh: Lab) -> None:
    long = (*COMMAND, "optim.fusion.epochs=400", "run.workers=1")
    first = fresh.start(*long)
    wait_until(lambda: "epoch 1," in job_log(fresh, "cohort"), first)
    second = fresh.start(*long)
    assert second.stderr is not None
    while "there already: 1" not in second.stderr.readline():
        assert second.poll() is None
    second.send_signal(signal.SIGINT)
    done = ended(second)
    assert done.status == 130 and "1 workers of other commands go on" in done.err
    assert len(fresh.found("workers/[!.]*.json")) == 1, "it started none: there is one, as was asked for"
    lines = len(job_log(fresh, "cohort").splitlines())
    wait_until(lambda: len(job_log(fresh, "cohort").splitlines()) > lines + 2, first)
    first.send_signal(signal.SIGINT)
    assert ended(first).status == 130
    assert processes_of(fresh.home) == []


def test_a_sweep_that_was_killed_is_continued_with_its_workers(study: Lab, fresh: Lab) -> None:
    killed = fresh.start(*COMMAND, "run.workers=1")
    wait_until(lambda: bool(fresh.found("jobs/cohort-*/claims/001.json")), killed)
    killed.kill()
    ended(killed)
    workers = processes_of(fresh.home)
    assert workers, "they go on"
    done = fresh.run(*COMMAND, "run.workers=1")
    assert done.status == 0, done.err
    assert len(fresh.found("workers/[!.]*.json")) == 1, "it waited, and started none"
    assert fresh.records() == study.records()
    for job in (fresh.study / "jobs").glob("[!.]*"):
        assert [place.name for place in (job / "claims").glob("*[0-9].json")] == ["001.json"], "run once"


def test_detached(study: Lab, fresh: Lab) -> None:
    done = fresh.run(*COMMAND, "detach=true")
    assert done.status == 0, done.err
    assert done.out.splitlines()[-3] == "the workers go on by themselves:" and "report:" not in done.out
    again = fresh.run(*COMMAND)
    assert again.status == 0 and "report:" in again.out, again.err
    assert fresh.records() == study.records()
    assert "detach" not in fresh.run("status", str(fresh.study)).out, "it is no option of the study"


def test_a_script_is_shown_and_nothing_is_started(study: Lab, fresh: Lab) -> None:
    done = fresh.run(*COMMAND, "launcher=script", "run.launcher.time='4:00:00'")
    assert done.status == 0, done.err
    assert "#SBATCH --time=4:00:00" in done.out and processes_of(fresh.home) == []
    typed = next(line for line in done.out.splitlines() if "fusionlab.work" in line and line.startswith("  cd "))
    python = f"{sys.executable} -m fusionlab.work"
    environment = {**os.environ, "FUSIONLAB_DATA": str(fresh.data)}
    worked = subprocess.run(
        ["bash", "-c", typed.replace("python -m fusionlab.work", python)], capture_output=True, text=True,
        env=environment, timeout=WAIT,
    )  # fmt: skip
    assert worked.returncode == 0, worked.stderr
    assert fresh.records() == study.records()


def test_where_the_terminal_is_closed_the_workers_go_on_and_that_is_said(study: Lab, fresh: Lab) -> None:
    sweep = fresh.start(*COMMAND, "optim.fusion.epochs=400", "run.workers=1")
    wait_until(lambda: "epoch 1," in job_log(fresh, "cohort"), sweep)
    sweep.send_signal(signal.SIGHUP)
    done = ended(sweep)
    assert done.status == 128 + signal.SIGHUP and "Traceback" not in done.err
    told = done.err.splitlines()[-3:]
    assert told[0] == "the terminal was closed; the workers go on:"
    assert [line.split()[:3] for line in told[1:]] == [["python", "-m", f"fusionlab.{v}"] for v in ("status", "cancel")]
    assert len(processes_of(fresh.home)) >= 1
    cancelled = fresh.run("cancel", str(fresh.study))
    assert cancelled.status == 0 and cancelled.out.startswith("ended worker ")
    assert processes_of(fresh.home) == []
