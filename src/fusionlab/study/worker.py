"""A worker: claims a ready job, runs it as a fresh child process, and goes on until nothing can become ready.

A fresh process per job makes every job start alike, and lets a job die (memory, a crash in a decoder) without
taking the worker with it. A worker that dies takes its child with it, so that nobody trains on unseen.

Importing what a training needs takes longer than many a small job: so the worker imports it, while it waits or before
its first training, and each training is forked from it. Where it cannot fork, a job is a program of its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Protocol

from fusionlab.errors import one_line, show
from fusionlab.records.files import disk_errors
from fusionlab.study.attempt import Attempt
from fusionlab.study.forked import Forked, can_fork
from fusionlab.study.ledger import LEASE, Ledger, State
from fusionlab.study.plan import read

DEATHS = 2  # how often a job is tried again whose process died of a signal, in one session
BEAT = 5.0  # seconds between two beats
GRACE = 10.0  # seconds between TERM and KILL
INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended

Argv = Callable[[Path, str, int], list[str]]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Inside:
    """How a job runs in a process that is forked from the worker. `load` imports what it needs; `light` are the kinds
    of jobs that need none of it, and are started as programs.
    """

    load: Callable[[], object]
    run: Callable[[Path, str, int], object]
    light: tuple[str, ...] = ("prepare",)


class Child(Protocol):
    """A job's process, as the worker sees it."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...
    def wait(self) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...


_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def child_argv(study: Path, job_id: str, number: int) -> list[str]:
    """The command line of a job's process."""
    return [sys.executable, "-m", "fusionlab.work", str(study), "--job", job_id, "--attempt", str(number)]


def child_environment(threads: int | None) -> dict[str, str]:
    """Ours, with the thread pools of all numeric libraries sized before they load, and unbuffered logs."""
    pools = {} if threads is None else dict.fromkeys(_THREADS, str(threads))
    return {**os.environ, **pools, "PYTHONUNBUFFERED": "1"}


def _tell(line: str) -> None:
    show(one_line(line))


def work(
    study: str | os.PathLike[str],
    argv: Argv = child_argv,
    *,
    inside: Inside | None = None,
    threads: int | None = None,
    session: str | None = None,
    retries: int = 0,
    poll: float = 0.2,
    beat_s: float = BEAT,
    lease_s: float = LEASE,
    grace_s: float = GRACE,
    say: Say = _tell,
) -> int:
    """Work on a study until nothing is ready and nothing that runs can make something ready.

    Returns 0 where all jobs are published, 1 where some failed, 130 where a signal ended the work. A job that
    another worker is running is waited for, since that worker may die.
    """
    folder = Path(study).absolute()
    ledger = Ledger(folder, read(folder), session=session or uuid.uuid4().hex, retries=retries, lease_s=lease_s)
    worker = _Worker(ledger, folder, argv, inside, threads, poll, beat_s, grace_s, say)
    with worker.listening():
        return worker.run()


class _Worker:
    def __init__(
        self,
        ledger: Ledger,
        study: Path,
        argv: Argv,
        inside: Inside | None,
        threads: int | None,
        poll: float,
        beat_s: float,
        grace_s: float,
        say: Say,
    ) -> None:
        self.ledger, self.study, self.argv, self.threads, self.say = ledger, study, argv, threads, say
        self.poll, self.beat_s, self.grace_s = poll, beat_s, grace_s
        self.inside = inside
        self.loaded = False
        self.signals = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """TERM and INT are counted, and looked at where it is safe to stop (only main threads can listen)."""

        def count(_number: int, _frame: FrameType | None) -> None:
            self.signals += 1

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        old = {number: signal.signal(number, count) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def run(self) -> int:
        while not self.signals:
            states = self.ledger.states()
            if self._heavy([job_id for job_id, state in states.items() if state.name == "ready"][:1]):
                self._load()  # before the claim: nobody beats while it imports
            attempt, job_id = self._take(states)
            if attempt is not None:
                self._job(job_id, attempt)
            elif not any(state.name in ("ready", "running") for state in states.values()):
                return self._close(states)
            elif self._heavy([job_id for job_id, state in states.items() if state.name == "waiting"]):
                self._load()
            else:
                time.sleep(min(5 * self.poll, 2.0))
        return INTERRUPTED

    def _heavy(self, jobs: list[str]) -> bool:
        """Is there something to import for one of these?"""
        inside = None if self.loaded else self.inside
        return inside is not None and any(self.ledger.plan.job(job_id).kind not in inside.light for job_id in jobs)

    def _load(self) -> None:
        assert self.inside is not None
        os.environ.update(child_environment(self.threads))
        self.inside.load()
        self.loaded = True

    def _take(self, states: dict[str, State]) -> tuple[Attempt | None, str]:
        for job_id, state in states.items():
            if state.name == "ready" and not self.signals and (attempt := self.ledger.claim(job_id)):
                return attempt, job_id
        return None, ""

    def _close(self, states: dict[str, State]) -> int:
        bad = [(name, state) for name, state in states.items() if state.name != "published"]
        for name, state in bad:
            through = f" through {state.through}" if state.through else ""
            self.say(f"{name}: {state.name}{through}: {state.reason} (log: {state.log})")
        return 1 if bad else 0

    def _job(self, job_id: str, attempt: Attempt) -> None:
        self.say(f"{job_id}: attempt {attempt.number} begins (log: {attempt.log})")
        try:
            outcome, reason = self._child(job_id, attempt)
        except BaseException:
            # Whatever stopped us (a full disk, say), the next worker need not wait for the lease.
            with suppress(Exception):
                attempt.end("interrupted", "the worker stopped")
            raise
        end = attempt.end(outcome, reason)
        self.say(f"{job_id}: attempt {attempt.number} {outcome}" + (f": {reason}" if reason else ""))
        for line in end["differences"]:
            self.say(f"{job_id}: attempt {attempt.number} differs from what is published: {line}")

    def _child(self, job_id: str, attempt: Attempt) -> tuple[str, str | None]:
        with disk_errors(attempt.log):
            log = attempt.log.open("ab")
        with log:
            child = self._started(job_id, attempt.number, log)
        try:
            stopped = self._watch(child, attempt)
        finally:
            _kill_group(child)  # what the child itself started, and the child if we are leaving by an error
            status = child.wait()
        if attempt.published.is_dir():
            return "done", None
        if stopped:
            return "interrupted", "the worker was told to stop"
        if status < 0:
            return self._death(job_id, status)
        return "failed", attempt.reason() if status else "the job ended without publishing a result"

    def _started(self, job_id: str, number: int, log: BinaryIO) -> Child:
        """In a session of its own: Ctrl-C reaches the worker alone, which ends the child in order."""
        first, inside = _die_with(os.getpid()), self.inside
        if self.loaded and inside is not None and self.ledger.plan.job(job_id).kind not in inside.light and can_fork():
            return Forked(lambda: inside.run(self.study, job_id, number), log, first)
        return subprocess.Popen(
            self.argv(self.study, job_id, number),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=child_environment(self.threads),
            start_new_session=True,
            preexec_fn=first,
        )

    def _death(self, job_id: str, status: int) -> tuple[str, str]:
        reason = f"killed by {signal.Signals(-status).name}"
        if -status == signal.SIGKILL:
            reason += " (often: out of memory)"
        deaths = 1 + self.ledger.count(self.ledger.attempts(job_id), "died")
        return ("failed", f"{reason}, {deaths} times") if deaths > DEATHS else ("died", reason)

    def _watch(self, child: Child, attempt: Attempt) -> bool:
        """Beat until the child has ended; True if we ended it. Left unreaped, its group stays its own."""
        next_beat = time.monotonic() + self.beat_s
        pause, told, kill_at = 0.01, False, float("inf")
        while not _ended(child):
            now = time.monotonic()
            if self.signals and not told:
                child.send_signal(signal.SIGTERM)
                told, kill_at = True, now + self.grace_s
            if told and (now >= kill_at or self.signals > 1):
                _kill_group(child)
            if now >= next_beat:
                attempt.beat()
                next_beat = now + self.beat_s
            time.sleep(pause)
            pause = min(2 * pause, self.poll)
        return told


def _ended(child: Child) -> bool:
    if not hasattr(os, "waitid"):
        return child.poll() is not None
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(child: Child) -> None:
    if child.returncode is None:  # unreaped, so the number is still this child's
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def _die_with(parent: int) -> Callable[[], None] | None:
    """Run in the child before its program: the kernel kills it when the worker dies (Linux)."""
    libc = _LIBC
    if libc is None:
        return None

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return ask
