import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from gpu_fakes import gpu, mig

from fusionlab.study.attempt import Attempt
from fusionlab.study.devices import VARIABLE
from fusionlab.study.launchers import WORKERS_VARIABLE, Launcher
from fusionlab.study.launchers.local import Local, worker_argv
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read
from fusionlab.study.process_id import ProcessId, process_started
from fusionlab.work import FAULT, main

WORKER = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[1] / "fakes")!r})
from child_argv import child_argv
from fusionlab.study.worker import work
print("session", sys.argv[2], "threads", os.environ["OMP_NUM_THREADS"])
sys.exit(work(sys.argv[1], child_argv, session=sys.argv[2], poll=0.05))
"""


def worker(code, study, *words):
    """By the end of its command line it is a worker of the study."""
    return [sys.executable, "-c", code, str(study), *words, "-m", "fusionlab.work", str(study)]


@pytest.fixture
def launcher():
    made: Launcher = Local(lambda study, threads, session, retries: worker(WORKER, study, session))
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
    deaf = Local(lambda study, *_: worker(code, study), grace_s=0.3)
    (one,) = deaf.start(tmp_path, 1, threads=None, session="s")
    wait_for(lambda: one.log.read_text() == "deaf\n")
    deaf.cancel(tmp_path)
    wait_for(lambda: not deaf.alive())
    assert deaf.statuses() == {one.name: -signal.SIGKILL}


@pytest.mark.parametrize("note", ["pid", "started", "everybody", "text", "list"])
def test_a_note_in_the_folder_does_not_make_a_process_a_worker(tmp_path, make_plan, note):
    """Not even with its right pid and start time; and a pid of -1 would be every process that is ours."""
    make_plan({"a": ([], ["publish"])}).write(tmp_path)
    with subprocess.Popen([sys.executable, "-S", "-c", "input()", str(tmp_path)], stdin=subprocess.PIPE) as bystander:
        true = ProcessId.of(bystander.pid).to_dict()
        notes = {
            "pid": true,
            "started": {**true, "pid": 2**22 + 1, "started": None},
            "everybody": {**true, "pid": -1, "started": None},
            "text": {**true, "pid": str(true["pid"])},
            "list": [true],
        }
        (tmp_path / "workers").mkdir()
        (tmp_path / "workers" / "x.json").write_text(json.dumps(notes[note]))
        assert Local().list(tmp_path) == Local().cancel(tmp_path) == ()
        assert bystander.poll() is None
        bystander.communicate(b"\n")


SEEN = f"""
import os, sys, time
print(os.environ.get({VARIABLE!r}), os.environ[{WORKERS_VARIABLE!r}], flush=True)
while not os.path.exists(os.path.join(sys.argv[1], "end")):
    time.sleep(0.05)
"""


@pytest.fixture
def launched(tmp_path, monkeypatch):
    """Start so many workers with these devices; returns what each saw. They run until the test ends."""
    monkeypatch.delenv(VARIABLE, raising=False)
    made = []

    def start(devices, workers):
        local = Local(lambda study, *_: [sys.executable, "-S", *worker(SEEN, study)[1:]], devices=devices)
        made.append(local)
        started = local.start(tmp_path, workers, threads=None, session="s")
        wait_for(lambda: all(one.log.read_text().endswith("\n") for one in started))
        seen = [tuple(one.log.read_text().split()) for one in started]
        assert not devices or [device for device, _ in seen] == [one.device for one in started]
        return seen

    yield start
    (tmp_path / "end").touch()
    for local in made:
        wait_for(lambda local=local: not local.alive())


@pytest.mark.parametrize(
    "devices", [("0", "1", "2"), ("2", "5"), (gpu(3), gpu(1)), (mig(0), gpu(2), mig(1)), ("MIG-GPU-1/2/0",)]
)
def test_each_worker_sees_one_device_and_all_are_used_evenly(launched, devices):
    assert launched(devices, 2 * len(devices)) == [(one, str(2 * len(devices))) for one in (*devices, *devices)]


def test_a_second_command_takes_the_devices_that_are_used_least(launched, tmp_path):
    assert launched(("0", "1", "2"), 4) == [("0", "4"), ("1", "4"), ("2", "4"), ("0", "4")]
    assert launched(("0", "1", "2"), 3) == [("1", "7"), ("2", "7"), ("0", "7")]
    assert launched(("9", "0"), 2) == [("9", "9"), ("9", "9")]
    assert sorted(one.device for one in Local().list(tmp_path)) == [*"000", *"11", *"22", *"99"]


def test_without_devices_the_environment_says_what_a_worker_sees(launched, monkeypatch):
    assert launched((), 1) == [("None", "1")]
    monkeypatch.setenv(VARIABLE, "3,1")
    assert launched((), 1) == [("3,1", "2")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("devices", "each"), [(tuple(map(str, range(8))), 1), (("2", "5"), 1), ((gpu(0), mig(0), mig(1)), 2)]
)
def test_jobs_see_the_devices_of_their_workers(tmp_path, make_plan, devices, each):
    """As many jobs as there are workers, all at the same time: each device has `each` of them."""
    jobs = len(devices) * each
    make_plan({f"j{number}": ([], [f"meet {jobs}"]) for number in range(jobs)}).write(tmp_path)
    local = Local(lambda study, threads, session, retries: worker(WORKER, study, session), devices=devices)
    local.start(tmp_path, jobs, threads=1, session="s")
    wait_for(lambda: not local.alive(), 120.0)
    assert set(local.statuses().values()) == {0}
    seen = [(Attempt(tmp_path / "jobs" / f"j{number}", 1).folder / "device").read_text() for number in range(jobs)]
    assert sorted(seen) == sorted(devices * each)


def test_the_command_line_of_a_worker():
    assert worker_argv(Path("/x"), 2, "s", 1)[1:] == [
        *("-m", "fusionlab.work", "/x", "--session", "s", "--retries", "1", "--threads", "2")
    ]


RUN = {
    "root": "runs", "folder": None, "data": "data", "weights": "weights", "device": "cpu", "workers": 1, "grid": {},
    "checkpoint_every": 0, "retries": 0, "exclude": [], "table": {},
}  # fmt: skip


def test_a_worker_that_ends_by_an_error_is_told_from_one_whose_jobs_failed(tmp_path, make_plan, monkeypatch, capsys):
    plan = make_plan({"a": ([], ["publish"])})
    plan.jobs[0].config["run"] = RUN
    plan.write(tmp_path)

    def fault(*_, **__):
        raise RuntimeError("a fault of the worker's own")

    monkeypatch.setattr("fusionlab.study.worker.work", fault)
    monkeypatch.chdir(tmp_path)
    assert main([str(tmp_path)], threads=1) == FAULT
    assert "a fault of the worker's own" in capsys.readouterr().err
    ends = {}
    for status in (0, 1, FAULT):
        local = Local(lambda *_, status=status: [sys.executable, "-S", "-c", f"raise SystemExit({status})"])
        (one,) = local.start(tmp_path, 1, threads=None, session="s")
        wait_for(lambda local=local: not local.alive())
        ends[status] = local.strayed() == ({one: f"ended with status {FAULT}"} if status == FAULT else {})
    assert all(ends.values()), ends


def test_a_worker_that_was_typed_by_hand_is_listed_and_cancelled(tmp_path, make_plan, monkeypatch):
    """From another folder, by a relative name and with words before it."""
    make_plan({"a": ([], ["sleep 60"])}).write(tmp_path / "study")
    code = WORKER.replace("print(", "from fusionlab.study.launchers.local import note_this_worker\n"
                          "note_this_worker(sys.argv[1])\nprint(")  # fmt: skip
    words = [sys.executable, "-c", code, "study", "s", "-m", "fusionlab.work", "kinds=cohort", "study"]
    process = subprocess.Popen(words, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"})
    place = Attempt(tmp_path / "study" / "jobs" / "a", 1).folder / "pid"
    wait_for(lambda: place.is_file() and place.read_text())
    assert [one.name for one in Local().list(tmp_path / "study")] == [str(process.pid)]
    reaper = threading.Thread(target=process.wait)
    reaper.start()
    assert [one.name for one in Local().cancel(tmp_path / "study")] == [str(process.pid)]
    reaper.join()
    assert process.returncode == 130 and Local().list(tmp_path / "study") == ()


def test_a_worker_of_another_user_is_not_ended_and_that_is_said(tmp_path, make_plan, launcher, monkeypatch, capsys):
    from fusionlab import cancel

    make_plan({"a": ([], ["sleep 60"])}).write(tmp_path)
    (worker,) = launcher.start(tmp_path, 1, threads=1, session="s")
    wait_for(lambda: Local().list(tmp_path) and (Attempt(tmp_path / "jobs" / "a", 1).folder / "pid").is_file())
    with monkeypatch.context() as as_another:

        def refuse(pid, number):
            raise PermissionError(1, "Operation not permitted")

        as_another.setattr("os.kill", refuse)
        assert cancel.main([str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err) == (
        "no workers are running here\n", f"worker {worker.name} goes on: it is another user's\n"
    )  # fmt: skip
    assert [one.name for one in launcher.end()] == [worker.name]
