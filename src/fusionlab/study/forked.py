"""A job's process that is forked from its worker, which has imported what all jobs need: seconds less for each job.

It is a process of its own as a started one is: its session, its output, its death with the worker. A fork carries one
thread only, so it is taken where the worker has no other (`can_fork`); elsewhere jobs are started as programs.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, NoReturn

from fusionlab.errors import show

Job = Callable[[], object]


def can_fork() -> bool:
    """Linux, and no thread but this one: what another holds would be held for ever in the child."""
    return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1


class Forked:
    """What a worker uses of `subprocess.Popen`. `first` is called in the child before anything else."""

    def __init__(self, job: Job, log: BinaryIO, first: Callable[[], None] | None) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()  # or the child would write it once more
        sys.stderr.flush()
        apart, ready = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _child(job, log.fileno(), first, ready)
        os.close(ready)
        os.read(apart, 1)  # until the child has a group of its own by which it can be ended; or has died
        os.close(apart)

    def poll(self) -> int | None:
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        status = self._reap(0)
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        if self.returncode is None:  # unreaped, so the number is still this child's
            os.kill(self.pid, number)

    def _reap(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def _child(job: Job, log: int, first: Callable[[], None] | None, ready: int) -> NoReturn:
    """Never returns: the stack above it is the worker's. `ready` is closed once it is a session of its own."""
    status = 1
    try:
        os.setsid()
        os.close(ready)
        if first is not None:
            first()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _speak_to(log)
        status = _status(job)
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _speak_to(log: int) -> None:
    """No input; output and errors to the log, unbuffered."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115, it stays open as long as the process lives
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def _status(job: Job) -> int:
    """What the interpreter would end with."""
    try:
        job()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        show(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
