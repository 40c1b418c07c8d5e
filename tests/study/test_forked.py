"""A worker whose jobs are forked from it: the same outcomes, logs and deaths as those of jobs that are programs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fusionlab.study.attempt import Attempt
from fusionlab.study.process_id import process_started

WORKER = f"""
import os, runpy, sys, threading
sys.path.insert(0, {str(Path(__file__).parents[1] / "fakes")!r})
from child_argv import CHILD, child_argv
from fusionlab.study.worker import Inside, work

def load():
    print("loaded, threads", os.environ.get("OMP_NUM_THREADS"), flush=True)
    if sys.argv[2] == "threaded":
        threading.Thread(target=threading.Event().wait, daemon=True).start()

def job(study, job_id, attempt):
    print("forked from", os.getppid(), flush=True)
    sys.argv = child_argv(study, job_id, attempt)[1:]
    runpy.run_path(str(CHILD), run_name="__main__")

light = ("cohort",) if sys.argv[2] == "light" else ()
sys.exit(work(sys.argv[1], child_argv, inside=Inside(load, job, light), threads=3, poll=0.05, beat_s=0.1, grace_s=0.5))
"""


def start(study, kind="forked"):
    words = [sys.executable, "-c", WORKER, str(study), kind]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(study, kind="forked"):
    worker = start(study, kind)
    output = worker.communicate(timeout=60)[0]
    return worker.returncode, output, worker.pid


def ends(study, job):
    return [json.loads(path.read_text()) for path in sorted((study / "jobs" / job / "claims").glob("*.end.json"))]


def child_pid(study, job):
    place, until = Attempt(study / "jobs" / job, 1).folder / "pid", time.monotonic() + 20
    while not (place.is_file() and place.read_text()):
        assert time.monotonic() < until, "it did not begin"
        time.sleep(0.01)
    return int(place.read_text())


def gone(pid):
    until = time.monotonic() + 20
    while process_started(pid) is not None:
        assert time.monotonic() < until, "it lives on"
        time.sleep(0.01)
    return True


def test_jobs_are_forked_one_by_one_from_a_worker_that_loads_once(make):
    study = make({"b": (["a"], ["publish"]), "a": ([], ["publish"])})
    status, output, worker = ended(study)
    assert (status, output.count("loaded, threads 3")) == (0, 1)
    for job in "ab":
        log = Attempt(study / "jobs" / job, 1).log.read_text()
        assert log.startswith(f"forked from {worker}\npublish, threads 3\n"), log


@pytest.mark.parametrize("kind", ["light", "threaded"])
def test_what_needs_nothing_or_cannot_be_forked_is_a_program(make, kind):
    study = make({"a": ([], ["publish"])})
    status, output, _ = ended(study, kind)
    assert (status, output.count("loaded")) == (0, 0 if kind == "light" else 1)
    assert Attempt(study / "jobs" / "a", 1).log.read_text().startswith("publish, threads 3\n")


def test_it_can_be_ended_by_its_group_from_the_first_moment(tmp_path):
    """Else a worker that leaves just then would wait for it for ever."""
    program = """
import os, signal, sys, time
from fusionlab.study.forked import Forked, can_fork
assert can_fork()
with open(sys.argv[1], "wb") as log:
    for _ in range(100):
        child = Forked(lambda: time.sleep(60), log, None)
        os.killpg(child.pid, signal.SIGKILL)
        assert child.poll() in (None, -9)
        assert child.wait() == child.returncode == child.poll() == -9
"""
    words = [sys.executable, "-c", program, str(tmp_path / "log")]
    subprocess.run(words, check=True, timeout=60, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_each_way_to_end_is_told_as_that_of_a_program(make):
    deeds = ("publish a failed arm", "publish and die", "die", "fail", "explain", "nothing")
    study = make({deed.replace(" ", "-"): ([], [deed]) for deed in deeds})
    assert ended(study)[0] == 1
    outcomes = {job: [(end["outcome"], end["reason"]) for end in ends(study, job.replace(" ", "-"))] for job in deeds}
    assert outcomes["publish a failed arm"] == [("failed", "diverged at step 3: loss nan")]
    assert outcomes["publish and die"] == [("done", None)]
    assert [outcome for outcome, _ in outcomes["die"]] == ["died", "died", "failed"]
    assert "SIGKILL" in outcomes["die"][0][1]
    assert outcomes["fail"] == [("failed", "ValueError: it does not work")]
    assert outcomes["explain"][0][0] == "failed"
    assert "relu9" in outcomes["explain"][0][1]
    assert [outcome for outcome, _ in outcomes["nothing"]] == ["died", "died", "failed"]
    assert outcomes["nothing"][0][1].startswith(
        "its process ended with exit status 0 and without a result; its log ends: "
    )


def test_a_killed_worker_takes_its_forked_child_along(make):
    study = make({"a": ([], ["sleep 60"])})
    worker = start(study)
    child = child_pid(study, "a")
    worker.kill()
    worker.communicate()
    assert gone(child)


@pytest.mark.parametrize("deed", ["sleep 60", "stubborn"])
def test_a_worker_told_to_stop_ends_its_forked_child(make, deed):
    study = make({"a": ([], [deed])})
    worker = start(study)
    child = child_pid(study, "a")
    assert os.getsid(child) == child, "Ctrl-C at a terminal would reach it"
    worker.send_signal(signal.SIGINT)
    worker.communicate(timeout=20)
    assert worker.returncode == 130
    assert gone(child)
    assert [end["outcome"] for end in ends(study, "a")] == ["interrupted"]
