import signal
import sys
import time
from pathlib import Path

import pytest

from fusionlab.study.attempt import Attempt
from fusionlab.study.holder import process_started
from fusionlab.study.launchers.launcher import Launcher
from fusionlab.study.launchers.local import Local, worker_argv
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read

WORKER = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import child_argv
from fusionlab.study.worker import work
print("session", sys.argv[2], "threads", os.environ["OMP_NUM_THREADS"])
sys.exit(work(sys.argv[1], child_argv, session=sys.argv[2], poll=0.05))
"""


@pytest.fixture
def launcher():
    made: Launcher = Local(lambda study, threads, session, retries: [sys.executable, "-c", WORKER, str(study), session])
    return made


def wait_for(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def test_workers_start_work_and_end(tmp_path, make_plan, launcher):
    make_plan({f"j{number}": ([], ["publish"]) for number in range(4)}).write(tmp_path)
    started = launcher.start(tmp_path, 2, threads=1, session="s1")
    assert len(started) == 2
    wait_for(lambda: not launcher.alive())
    assert set(launcher.statuses().values()) == {0}
    assert {state.name for state in Ledger(tmp_path, read(tmp_path)).states().values()} == {"published"}
    assert all(worker.log.read_text().startswith("session s1 threads 1\n") for worker in started)
    assert launcher.list(tmp_path) == ()


def test_another_command_lists_and_cancels_them(tmp_path, make_plan, launcher):
    make_plan({"a": ([], ["sleep 60"]), "b": ([], ["sleep 60"])}).write(tmp_path)
    started = launcher.start(tmp_path, 2, threads=1, session="s1")
    pids = []
    for job in "ab":
        place = Attempt(tmp_path / "jobs" / job, 1).folder / "pid"
        wait_for(lambda place=place: place.is_file() and place.read_text())
        pids.append(int(place.read_text()))
    other = Local()
    assert {worker.name for worker in other.list(tmp_path)} == {worker.name for worker in started}
    assert len(other.cancel(tmp_path)) == 2
    wait_for(lambda: not launcher.alive())
    assert set(launcher.statuses().values()) == {130}
    assert [process_started(pid) for pid in pids] == [None, None]
    assert {state.name for state in Ledger(tmp_path, read(tmp_path)).states().values()} == {"ready"}
    assert other.list(tmp_path) == ()
    assert other.cancel(tmp_path) == ()


def test_a_worker_that_does_not_listen_is_killed(tmp_path):
    code = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""
    deaf = Local(lambda *_: [sys.executable, "-c", code], grace_s=0.3)
    (worker,) = deaf.start(tmp_path, 1, threads=None, session="s")
    wait_for(lambda: worker.log.read_text() == "deaf\n")
    deaf.cancel(tmp_path)
    wait_for(lambda: not deaf.alive())
    assert deaf.statuses() == {worker.name: -signal.SIGKILL}


def test_the_command_line_of_a_worker():
    assert worker_argv(Path("/x"), 2, "s", 1)[1:] == [
        *("-m", "fusionlab.work", "/x", "--session", "s", "--retries", "1", "--threads", "2")
    ]
