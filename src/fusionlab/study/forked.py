"""A job's process, forked from its worker: the worker has imported what all jobs need, which saves seconds per job.

Like a started program it has its own session and log, and it dies with the worker. A fork copies one thread only, so it
is used only if the worker has no other (`can_fork`); otherwise jobs are started as programs.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, NoReturn

from fusionlab.errors import UserError, show

Job = Callable[[], object]

_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def can_fork() -> bool:
    """Whether this is Linux with one thread: a lock of another thread would stay locked in the child."""
    return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1


def in_fork(compute: Callable[[], Any]) -> Any:
    """What `compute` returns in a fork of this process; a `UserError` if it raises an error or ends the fork.

    For a user's code that runs in a command: whatever it does, the command goes on. Without `can_fork` it runs here.
    """
    if not can_fork():
        return compute()
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reader)
            try:
                answer = pickle.dumps((compute(), None))
            except BaseException as error:
                answer = pickle.dumps((None, f"{type(error).__name__}: {error}"))
            with open(writer, "wb") as file:
                file.write(answer)
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        answer = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    value, reason = pickle.loads(answer) if answer else (None, f"a part ended its process, with status {status}")
    if reason is not None:
        raise UserError("this cannot be computed beforehand", got=reason)
    return value


class Forked:
    """The part of `subprocess.Popen` that a worker uses. The child calls `first` before anything else."""

    def __init__(self, job: Job, log: BinaryIO, first: Callable[[], None] | None) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()  # else the child would write it again
        sys.stderr.flush()
        reader, ready = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _child(job, log.fileno(), first, ready)
        os.close(ready)
        os.read(reader, 1)  # until the child has its own group, by which it can be killed, or is dead
        os.close(reader)

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
    """Never returns, since the stack above is the worker's. `ready` is closed when it has its own session."""
    status = 1
    try:
        os.setsid()
        os.close(ready)
        if first is not None:
            first()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _redirect_to(log)
        status = _status(job)
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _redirect_to(log: int) -> None:
    """No input; output and errors go to the log, unbuffered."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115, it stays open as long as the process lives
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def _status(job: Job) -> int:
    """The exit status that the interpreter would have."""
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


def die_with(parent: int) -> Callable[[], None]:
    """Called in the child before its program: on Linux the kernel kills it when the worker dies.

    A scheduler may send SIGUSR1 to all processes; it is for the worker, so the child ignores it.
    """
    libc = _LIBC

    def ask() -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        if libc is None:
            return
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the worker died meanwhile
            os._exit(1)

    return ask
