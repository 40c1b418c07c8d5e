import io
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from screens import FakeTerminal, ask

from fusionlab.errors import UNSAFE
from fusionlab.monitor.live import Best, View
from fusionlab.monitor.running import Running, WorkerRow
from fusionlab.monitor.status import Summary, summary
from fusionlab.monitor.sweep_progress import STATE_EVERY, SweepProgress
from fusionlab.monitor.time_left import TimeLeft
from fusionlab.status import main as status_command
from fusionlab.study.worker import work

LONG = "fusion=conv,layer=relu5,data.sampling.snippets=3,optim.fusion.lr=0.01,temporal=pool3d," * 2 + "seed=0"
NAME = ("n" * 194 + LONG)[-200:]
JOBS = {
    "a": ([], ["publish"]),
    "b": ([], ["fail"]),
    "c": (["b"], ["publish"]),
    "d": ([], ["publish a failed arm"]),
}


def quiet(_line):
    pass


@pytest.fixture
def study(tmp_path, make_plan):
    make_plan(JOBS).write(tmp_path)
    return tmp_path


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns and 24 rows."""
    monkeypatch.setenv("TERM", "xterm")
    return FakeTerminal()


@pytest.fixture(autouse=True)
def sizes(monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", ask)


def running(number, job=None):
    return Running(
        job or f"cohort-{number:016x}", Path("log.txt"), None, f"node{number}", 4000 + number, f"12_{number}", "0",
        "NVIDIA H200", 3 << 30, 20 << 30, "train", 120, 400,
    )  # fmt: skip


def view_of(study, jobs=3, **changes):
    workers = [WorkerRow(f"12_{one}", "running", f"node{one}") for one in range(jobs)]
    queued = [WorkerRow(f"12_{9 + one}", "queued", reason="Resources") for one in range(5)]
    own = View(
        summary(study), tuple(map(running, range(jobs))), (*workers, *queued), None, Best("fusion=conv,seed=0", 1.2345),
        TimeLeft(720.0, 480.0, 1200.0),
    )  # fmt: skip
    return replace(own, **changes)


def test_plain_lines_one_for_each_change(study, argv):
    stream = io.StringIO()
    with SweepProgress(stream) as progress:
        progress.show(View(summary(study)))
        assert stream.getvalue() == ""
        work(study, argv, poll=0.02, report=quiet)
        progress.show(View(summary(study)))
        progress.show(View(summary(study)))
    assert stream.getvalue().splitlines() == [
        "[4/4 arms] job a: published",
        "[4/4 arms] job b: failed",
        "[4/4 arms] job d: failed",
        "[4/4 arms] arm arm-a: done",
        "[4/4 arms] arm arm-b: failed: ValueError: it does not work",
        "[4/4 arms] arm arm-c: blocked: b failed: ValueError: it does not work",
        "[4/4 arms] arm arm-d: failed: diverged at step 3: loss nan",
    ]


def test_a_plain_line_tells_the_time_left_at_most_every_half_minute(study):
    stream, now = io.StringIO(), [0.0]
    progress = SweepProgress(stream, clock=lambda: now[0])
    view = view_of(study, workers=(WorkerRow("1", "running"),), best=None)

    def lines(second, view):
        now[0] = second
        progress.show(view)
        return stream.getvalue().count("\n")

    assert lines(1.0, view) == 0
    assert lines(STATE_EVERY, view) == 1
    assert stream.getvalue() == "[0/4 arms] workers: running 1; time left: about 12 min (8 to 20)\n"
    later = replace(view, left=TimeLeft(600.0, 480.0, 1200.0), best=Best("x", 0.5))
    assert lines(STATE_EVERY + 1, later) == 1
    assert lines(2 * STATE_EVERY, later) == 2
    assert stream.getvalue().endswith("about 10 min (8 to 20); best so far x: (validation loss 0.5)\n")
    assert lines(4 * STATE_EVERY, later) == 2, "nothing has changed"


def test_a_plain_line_tells_at_once_that_workers_are_queued(study):
    stream = io.StringIO()
    progress = SweepProgress(stream, clock=lambda: 0.0)
    progress.show(view_of(study, workers=(WorkerRow("1_0", "queued", reason="Priority"),), best=None))
    progress.show(view_of(study))
    assert stream.getvalue() == "[0/4 arms] workers: running 0, queued 1: Priority; time left: about 12 min (8 to 20)\n"


def test_lines_on_a_terminal(study, argv, terminal):
    with SweepProgress(terminal) as progress:
        progress.show(view_of(study))
        assert terminal.shown == [
            "arms 0 of 4; time left: about 12 min (8 to 20)",
            "jobs fusion 0 of 4",
            "workers running 3, queued 5: Resources",
            "best so far fusion=conv,seed=0 (validation loss 1.234)",
            "  cohort-0...00000000  train 120/400, 0 s  node0, job 12_0, NVIDIA H200 (0),...",
            "  cohort-0...00000001  train 120/400, 0 s  node1, job 12_1, NVIDIA H200 (0),...",
            "  cohort-0...00000002  train 120/400, 0 s  node2, job 12_2, NVIDIA H200 (0),...",
        ]
        work(study, argv, poll=0.02, report=quiet)
        progress.show(View(summary(study)))
    assert terminal.shown == [
        "arms 1 of 4, 2 failed, 1 blocked",
        "jobs fusion 1 of 4",
        "failed 2, the last arm-d: diverged at step 3: loss nan",
    ]
    assert terminal.column == 0


@pytest.mark.parametrize(("columns", "rows"), [(80, 10), (80, 3), (40, 10), (10, 2), (200, 50)])
def test_it_fits_any_terminal_with_the_longest_names(study, argv, monkeypatch, columns, rows):
    monkeypatch.setenv("TERM", "xterm")
    terminal = FakeTerminal(columns, rows)
    work(study, argv, poll=0.02, report=quiet)
    done = summary(study)
    arms = tuple(replace(row, name=NAME[:-1] + str(number)) for number, row in enumerate(done.arms))
    view = view_of(study, summary=replace(done, arms=arms), best=Best(NAME, 0.25))
    progress = SweepProgress(terminal)
    for number in range(6):
        jobs = tuple(running(one, f"{number}{NAME}") for one in range(12))
        progress.show(replace(view, running=jobs))
    progress.close()
    assert terminal.scrolled == []
    assert len(terminal.shown) <= rows - 1 or rows == 1
    if rows >= 10:
        assert terminal.shown[-1].split() == ["and", str(12 - (len(terminal.shown) - 5)), "more", "jobs"]
    if columns >= 80 and rows >= 10:
        assert any("validation loss 0.25" in line for line in terminal.shown), "numbers come before the ends of names"
        assert any("train 120/400" in line for line in terminal.shown)
        assert any("loss nan" in line for line in terminal.shown)


def test_the_last_failure_is_the_one_that_was_seen_last(study, argv, terminal):
    work(study, argv, poll=0.02, report=quiet)
    done = summary(study)
    first = tuple(replace(row, state="running") if row.name == "arm-b" else row for row in done.arms)
    with SweepProgress(terminal) as progress:
        progress.show(View(replace(done, arms=first)))
        assert terminal.shown[-1].startswith("failed 1, the last arm-d")
        progress.show(View(done))
        assert terminal.shown[-1] == "failed 2, the last arm-b: ValueError: it does not work"


def test_a_message_is_printed_above_the_lines(study, terminal):
    with SweepProgress(terminal) as progress:
        progress.show(view_of(study, 1))
        before = terminal.shown
        progress.say("waiting: SLURM does not answer")
        progress.show(view_of(study, 1))
    assert terminal.shown == ["waiting: SLURM does not answer", *before]


def test_a_dumb_terminal_gets_plain_lines(study, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    terminal = FakeTerminal()
    with SweepProgress(terminal) as progress:
        progress.show(view_of(study))
    assert terminal.shown[0].startswith("[0/4 arms] workers: running 3, queued 5: Resources; time left")
    assert "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_name_or_a_reason_from_anywhere_steers_no_terminal(study, argv, monkeypatch, term, capsys):
    monkeypatch.setenv("TERM", term)
    work(study, argv, poll=0.02, report=quiet)
    seen = summary(study)
    evil = "a\x1b[2J\n[9/9 arms] arm b: done\u202e\ud800"
    arms = tuple(replace(row, name=evil, reason=evil, log=evil, state="failed") for row in seen.arms)
    jobs = tuple(replace(row, id=evil, reason=evil, by=evil, state="failed") for row in seen.jobs)
    run = Running(evil, Path("x"), None, evil, 1, evil, evil, evil, 1, 1, evil, 1, 2)
    worker = WorkerRow(evil, "queued", evil, evil, evil, evil)
    view = View(Summary(jobs, arms), (run,), (worker,), evil, Best(evil, 1.0))
    terminal = FakeTerminal()
    with SweepProgress(terminal) as progress:
        progress.show(view)
    assert not UNSAFE.search(re.sub(r"\x1b\[\d*[FKJ]", "", terminal.getvalue().replace("\r", "")))
    assert "\n[9/9 arms]" not in terminal.getvalue()
    monkeypatch.setattr("fusionlab.monitor.live.Live.look", lambda *_: view)
    assert status_command([str(study)]) == 1
    output = capsys.readouterr().out
    assert not UNSAFE.search(output)
    assert "\n[9/9 arms]" not in output
