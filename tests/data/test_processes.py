"""Worker processes: an item that ends its process, and memory that is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusionlab.data.processes import Items, in_processes
from fusionlab.errors import UserError
from fusionlab.records import time_limit

pytestmark = pytest.mark.isolated

Task = tuple[str, ...]


def each(task: Task) -> Iterator[str]:
    """A result for each item, but for those that end the process or never return."""
    for item in task:
        kind, _, where = item.partition(" ")
        if kind == "once" and not Path(where).exists():
            Path(where).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "hang":
            time_limit.SECONDS = 0.3
            with time_limit.time_limit():
                time.sleep(100)
        deaths = {"abort": os.abort, "leave": lambda: os._exit(3), "kill": lambda: os.kill(os.getpid(), 9)}
        deaths.get(kind, lambda: None)()
        yield item


def rest(task: Task, done: int) -> Task | None:
    return task[done:] or None


def failed(task: Task, reason: str) -> str:
    return f"{task[0]}: {reason}"


ITEMS = Items(rest, failed)


@pytest.mark.parametrize("processes", [1, 3])
def test_an_item_that_ends_its_process_ends_itself_alone(processes: int) -> None:
    tasks = [("a", "abort", "b", "leave", "kill", "c"), ("hang", "d"), ("e", "abort"), ("f",)]
    found = list(in_processes(each, tasks, processes, ITEMS))
    assert sorted(one for one in found if ":" not in one) == ["a", "b", "c", "d", "e", "f"]
    assert sorted(one for one in found if ":" in one) == [
        "abort: it ended the process that read it, 2 times: by signal 6 (SIGABRT)",
        "abort: it ended the process that read it, 2 times: by signal 6 (SIGABRT)",
        "hang: it ended the process that read it, 2 times: nothing came for 60 s",
        "kill: it ended the process that read it, 2 times: by signal 9 (SIGKILL)",
        "leave: it ended the process that read it, 2 times: by exit status 3",
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_process_that_is_killed_once_from_outside_says_nothing_about_the_item(tmp_path: Path, processes: int) -> None:
    tasks = [("a", f"once {tmp_path / 'x'}", f"once {tmp_path / 'y'}", "b"), ("c", f"once {tmp_path / 'z'}")]
    found = list(in_processes(each, tasks, processes, ITEMS))
    assert sorted(found) == sorted(item for task in tasks for item in task)


def test_without_items_a_death_is_an_error() -> None:
    with pytest.raises(UserError, match=r"a worker process died[\s\S]*signal 6 \(SIGABRT\)"):
        list(in_processes(each, [("a",), ("abort",)], 2))


def test_a_process_that_cannot_start_is_an_error_and_no_item_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(UserError, match="a worker process died"):
        list(in_processes(each, [("a", "b")], 1, ITEMS))


def test_a_limit_of_time_is_for_workers_only() -> None:
    """This process goes on, whatever takes how long."""
    before = time_limit.SECONDS
    time_limit.SECONDS = 0.01
    try:
        assert list(time_limit.limited(time.sleep(0.03) or n for n in range(2))) == [0, 1]
    finally:
        time_limit.SECONDS = before


STEPS = """
import resource, sys
import torch
from fusionlab.data.processes import keep_memory

if "keep" in sys.argv and not keep_memory():
    sys.exit("another C library")

def step():  # blocks of 40 MB, larger than what glibc keeps by itself
    x = torch.ones(10 << 20)
    y = x + x
    z = x * y

for _ in range(12):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def first_touches(*words: str) -> int:
    """Page faults of four steps."""
    command = [sys.executable, "-c", STEPS, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "another C library" in done.stderr:
        pytest.skip("another C library than glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_pages_are_touched_for_the_first_time_once() -> None:
    assert first_touches("keep") * 10 < first_touches()
