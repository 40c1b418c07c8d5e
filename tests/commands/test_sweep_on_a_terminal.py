"""A sweep on a real pseudo-terminal: what is on its screen in the end, and after Ctrl-C was typed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable

import pytest
from screens import FakeTerminal
from terminal import FAST, LINE, WAIT, Lab, processes_of

pytestmark = pytest.mark.slow

COLUMNS, ROWS = 80, 10


def typed(lab: Lab, *words: str, act: Callable[[FakeTerminal, int], None]) -> tuple[FakeTerminal, int]:
    """A sweep on a terminal of 10 rows; `act` sees the screen after each output, and may type. Returns its status."""
    lab.home.mkdir(parents=True, exist_ok=True)
    screen, leader = FakeTerminal(COLUMNS, ROWS), -1
    process, leader = pty.fork()
    if process == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what a script starts in the background ignores Ctrl-C
        os.chdir(lab.home)
        variables = {**os.environ, "FUSIONLAB_DATA": str(lab.data), "TERM": "xterm"}
        os.execve(sys.executable, [sys.executable, "-m", "fusionlab.sweep", *words], variables)
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    output = select.poll()  # `select` takes no descriptor above 1024
    output.register(leader, select.POLLIN)
    until, rest = time.monotonic() + WAIT, b""
    while time.monotonic() < until:
        if not output.poll(1000):
            continue
        try:
            rest += os.read(leader, 1 << 16)
        except OSError:  # it has ended
            break
        whole = rest.rfind(b"\n") + 1  # no half of a character or a code
        screen.write(rest[:whole].decode())
        rest = rest[whole:]
        act(screen, leader)
    else:
        os.kill(process, 9)
    screen.write(rest.decode())
    os.close(leader)
    return screen, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_sweep_leaves_its_last_lines_once(fresh: Lab) -> None:
    seen: set[str] = set()
    screen, status = typed(fresh, *LINE, FAST, act=lambda screen, _: seen.update(screen.shown))
    assert status == 0
    assert any("time left: " in line for line in seen)
    assert any(line.startswith("  cohort-") and "pid" in line for line in seen)
    text = [line.rstrip() for line in (*screen.scrolled, *screen.lines)]
    begin = text.index("arms 6 of 6")
    assert text[0].startswith("new study: ")
    assert text[begin + 1] == "jobs prepare 1 of 1, streams 2 of 2, fusion 1 of 1"
    assert text[begin + 2].startswith("best so far ")
    assert sum(line.startswith(("arms ", "workers ", "jobs ")) for line in text) == 2, "nothing of earlier drawings"
    assert any(line.startswith("report: ") for line in text)


def test_ctrl_c_on_the_keyboard_leaves_the_terminal_clean(fresh: Lab) -> None:
    pressed: list[float] = []

    def press(screen: FakeTerminal, leader: int) -> None:
        if not pressed and any(line.startswith("  cohort-") for line in screen.shown):
            os.write(leader, b"\x03")
            pressed.append(time.monotonic())

    screen, status = typed(fresh, *LINE, FAST, "optim.fusion.epochs=400", act=press)
    assert pressed and status == 130
    text = [line.rstrip() for line in (*screen.scrolled, *screen.lines)]
    end = text.index("interrupted; this continues it:")
    assert text[end + 1].startswith("  python -m fusionlab.sweep ")
    assert text[end - 1].startswith("  cohort-")
    assert not any("^C" in line for line in text)
    assert processes_of(fresh.home) == []
