"""A worker: claims a ready job, runs it as a fresh child process, and repeats until no job can become ready.

With a process per job all jobs start alike, and a job may die (out of memory, a crash in a decoder) without its worker.
If the worker dies, its child dies too, so that no training goes on unnoticed.

The imports of a training take longer than many small jobs: the worker imports once, while it waits or before its first
training, and forks each training. If it cannot fork, each job is a program that it starts.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Protocol

from fusionlab.errors import one_line, show, unknown
from fusionlab.records.files import disk_errors, write_text
from fusionlab.records.group import write_for_group
from fusionlab.records.probe import probe
from fusionlab.study.attempt import Attempt
from fusionlab.study.forked import Forked, can_fork, die_with
from fusionlab.study.lease import LEASE
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import FILE, JOB_KINDS, expect_own_folders, read

DEATHS = 2  # retries of an arm whose process died without an error message, in one session
LOG_MOST = 32 * 2**20  # bytes of a job's log; a longer log loses its middle
BEAT = 5.0  # seconds between two beats
GRACE = 60.0  # seconds between TERM and KILL: a job writes a checkpoint, which may be large
UNATTENDED = 60.0  # seconds that a worker waits for jobs of other kinds on which nobody works
TOGETHER = 0.1  # seconds within which signals are one: a scheduler sends it to all processes, a script passes it on
INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended
REQUEUE = 75  # the exit status after SIGUSR1 if jobs are left: start this worker again (EX_TEMPFAIL)

STOPPED = "the worker was stopped"
USER = 2  # the exit status of a program with an error of its user

Argv = Callable[[Path, str, Attempt], list[str]]
Ended = tuple[str, str | None, dict[str, str]]  # outcome, reason, arm -> why it has no result
Report = Callable[[str], None]


@dataclass(frozen=True)
class Inside:
    """Jobs in a fork of the worker. `load` imports their packages; kinds in `light` start as programs."""

    load: Callable[[], object]
    run: Callable[[Path, str, Attempt], object]
    light: tuple[str, ...] = ("prepare",)


class Child(Protocol):
    """A job's process for the worker."""

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


def child_argv(study: Path, job_id: str, attempt: Attempt) -> list[str]:
    """The command line of a job's process, which reads the job's part of the plan in the attempt's folder."""
    words = ["--job", job_id, "--attempt", str(attempt.number), "--plan", str(attempt.folder)]
    return [sys.executable, "-m", "fusionlab.work", str(study), *words]


def child_environment(threads: int | None) -> dict[str, str]:
    """Our environment, with the size of all thread pools and unbuffered logs."""
    pools = {} if threads is None else dict.fromkeys(_THREADS, str(threads))
    return {**os.environ, **pools, "PYTHONUNBUFFERED": "1"}


def _report(line: str) -> None:
    show(one_line(line))


def work(
    study: str | os.PathLike[str],
    argv: Argv = child_argv,
    *,
    inside: Inside | None = None,
    kinds: tuple[str, ...] | None = None,
    threads: int | None = None,
    session: str | None = None,
    retries: int = 0,
    timeout_s: float = 0.0,
    poll: float = 0.2,
    beat_s: float = BEAT,
    lease_s: float = LEASE,
    grace_s: float = GRACE,
    unattended_s: float = UNATTENDED,
    report: Report = _report,
) -> int:
    """Work on a study's jobs of these kinds (None: all) until none is ready or running, and none can become ready.

    Returns 0 if all of them are published, 1 if some failed, 130 if a signal ended the work. SIGUSR1 says that the time
    limit is near: the job is stopped as by SIGTERM, and the status is 75 if jobs are left. The worker waits for jobs of
    other workers, since these may die. A job without progress (a step, a batch, a packed frame) for `timeout_s` seconds
    is killed (0: never).

    If only jobs of other kinds are ready, and nobody works on any job for `unattended_s` seconds, it names these jobs
    and returns 1.
    """
    if unknown_kinds := [kind for kind in kinds or () if kind not in JOB_KINDS]:
        raise unknown("kind of job", unknown_kinds[0], JOB_KINDS, form="kinds={}")
    folder = Path(study).absolute()
    plan = read(folder)
    expect_own_folders(plan, folder)
    if plan.group is not None:
        write_for_group(plan.group)
    probe(folder)  # this host may see another file system there than the one that planned
    ledger = Ledger(folder, plan, session=session or uuid.uuid4().hex, retries=retries, lease_s=lease_s)
    worker = _Worker(
        ledger,
        folder,
        argv,
        inside,
        kinds or JOB_KINDS,
        threads,
        timeout_s,
        poll,
        beat_s,
        grace_s,
        unattended_s,
        report,
    )
    with worker.listening():
        return worker.run()


@dataclass
class _Worker:
    ledger: Ledger
    study: Path
    argv: Argv
    inside: Inside | None
    kinds: tuple[str, ...]
    threads: int | None
    timeout_s: float
    poll: float
    beat_s: float
    grace_s: float
    unattended_s: float
    report: Report
    loaded: bool = False
    signals: int = 0  # TERM and INT: a second one kills the job
    near: bool = False  # SIGUSR1: the time limit
    signalled: float = -TOGETHER
    attended: float = field(default_factory=time.monotonic)  # when somebody was last seen to work

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note TERM, INT and USR1; they are handled where it is safe to stop. Only a main thread can listen."""

        def note(number: int, _frame: FrameType | None) -> None:
            now = time.monotonic()
            if number == signal.SIGUSR1:
                self.near = True
            elif now - self.signalled > TOGETHER:
                self.signals, self.signalled = self.signals + 1, now

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        old = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def stopping(self) -> bool:
        return self.near or self.signals > 0

    def run(self) -> int:
        pause = self.poll
        while not self.stopping():
            if self._must_load():
                self._load()  # before the claim, since there is no beat during the import
            taken = None if self.stopping() else self.ledger.claim_next(self.kinds)
            if taken is not None:
                self._job(taken[1], taken[0])
                pause, self.attended = self.poll, time.monotonic()
            elif not self.ledger.left(self.kinds):
                return self._close()
            elif self._unattended():
                return 1
            else:
                time.sleep(pause)
                pause = min(2 * pause, 5 * self.poll, 2.0)
        if self.signals:
            return INTERRUPTED
        return REQUEUE if self.ledger.left(self.kinds) else self._close()

    def _unattended(self) -> bool:
        """Whether for a while nobody works, and only jobs of other kinds are ready; it is told."""
        others, now = [kind for kind in JOB_KINDS if kind not in self.kinds], time.monotonic()
        if not others:
            return False
        if now - self.attended >= self.unattended_s:
            self.ledger.look()  # before anything is said
        if self.ledger.count("running") or self.ledger.count("ready", self.kinds):
            self.attended = now
        if now - self.attended < self.unattended_s or not self.ledger.count("ready", others):
            return False
        ready = {job_id for job_id, state in self.ledger.states().items() if state.name == "ready"}
        jobs = [job for job in self.ledger.plan.jobs if job.id in ready]
        kinds = ",".join(dict.fromkeys(job.kind for job in jobs))
        more = f" and {len(jobs) - 3} more" if len(jobs) > 3 else ""
        self.report(
            f"nobody works on {', '.join(job.id for job in jobs[:3])}{more} ({kinds}), and other jobs need them: "
            f"python -m fusionlab.work {shlex.quote(os.fspath(self.study))} kinds={kinds}"
        )
        return True

    def _must_load(self) -> bool:
        """Whether the next job needs imports that are not loaded; also if it waits, so that it starts at once then."""
        if self.inside is None or self.loaded:
            return False
        light = [kind for kind in self.kinds if kind in self.inside.light]
        heavy = [kind for kind in self.kinds if kind not in light]
        some = self.ledger.count("ready", heavy) + self.ledger.count("waiting", heavy)
        return some > 0 and not self.ledger.count("ready", light)

    def _load(self) -> None:
        assert self.inside is not None
        os.environ.update(child_environment(self.threads))
        self.inside.load()
        self.loaded = True

    def _close(self) -> int:
        states = self.ledger.states().items()
        bad = [(job_id, state) for job_id, state in states if state.name != "published" and self._takes(job_id)]
        for name, state in bad:
            through = f" through {state.through}" if state.through else ""
            self.report(f"{name}: {state.name}{through}: {state.reason} (log: {state.log})")
        return 1 if bad else 0

    def _takes(self, job_id: str) -> bool:
        return self.ledger.plan.job(job_id).kind in self.kinds

    def _job(self, job_id: str, attempt: Attempt) -> None:
        self.report(f"{job_id}: attempt {attempt.number} starts (log: {attempt.log})")
        try:
            outcome, reason, arms = self._child(job_id, attempt)
        except BaseException:
            # After any error, such as a full disk, the next worker need not wait for the lease.
            with suppress(Exception):
                attempt.end("interrupted", "the worker stopped")
            raise
        end = attempt.end(outcome, reason, arms)
        self.report(f"{job_id}: attempt {attempt.number} {outcome}" + (f": {reason}" if reason else ""))
        for line in end["differences"]:
            self.report(f"{job_id}: attempt {attempt.number} differs from the published result: {line}")

    def _child(self, job_id: str, attempt: Attempt) -> Ended:
        with disk_errors(attempt.log):
            log = attempt.log.open("ab")
        write_text(attempt.folder / FILE, self.ledger.plan.part(job_id).to_json())
        with log:
            child = self._started(job_id, attempt, log)
        try:
            stopped = self._watch(child, attempt)
        finally:
            _kill_group(child)  # its own children too, and the child itself after an error
            status = child.wait()
        return self._outcome(job_id, attempt, stopped, status)

    def _outcome(self, job_id: str, attempt: Attempt, stopped: str | None, status: int) -> Ended:
        """The outcome of a job's process for each of its arms."""
        left = self.ledger.unpublished(job_id, attempt.arms or ())
        failures = {arm: reason for arm, reason in attempt.failures().items() if arm in left}
        if not left:
            return "done", None, {}
        if stopped == STOPPED:
            return "interrupted", stopped, dict.fromkeys(left, stopped)
        if status == 0 and stopped is None and len(failures) == len(left):
            first = next(iter(failures))
            return "failed", failures[first] if len(left) == 1 else f"{first}: {failures[first]}", failures
        reason = attempt.reason()
        if status == USER and reason and stopped is None:  # not the fault of an arm: files, data, the disk
            return "failed", reason, {**dict.fromkeys(left, reason), **failures}
        message = stopped or reason or _describe_exit(status, attempt.last_line())
        deaths = 1 + self.ledger.deaths(job_id, left)
        alone = len(attempt.arms or ()) <= 1
        if alone and (deaths > DEATHS or (reason and not stopped)):  # its own error would happen again
            message = message if reason or deaths == 1 else f"{message}, {deaths} times"
            return "failed", message, dict.fromkeys(left, message)
        return "died", message, {**dict.fromkeys(left, message), **failures}

    def _started(self, job_id: str, attempt: Attempt, log: BinaryIO) -> Child:
        """Start the child in its own session: Ctrl-C reaches only the worker, which stops the child gracefully."""
        first, inside = die_with(os.getpid()), self.inside
        if self.loaded and inside is not None and self.ledger.plan.job(job_id).kind not in inside.light and can_fork():
            return Forked(lambda: inside.run(self.study, job_id, attempt), log, first)
        return subprocess.Popen(
            self.argv(self.study, job_id, attempt),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=child_environment(self.threads),
            start_new_session=True,
            preexec_fn=first,
        )

    def _watch(self, child: Child, attempt: Attempt) -> str | None:
        """Beat until the child has ended; returns why if we ended it. It is not reaped, so its pid stays valid."""
        next_beat = time.monotonic() + self.beat_s
        pause, why, kill_at = 0.01, None, float("inf")
        seen, moved = 0.0, time.monotonic()
        while not _ended(child):
            now = time.monotonic()
            if self.stopping() and why is None:
                child.send_signal(signal.SIGTERM)
                why, kill_at = STOPPED, now + self.grace_s
            if (mark := _modified(attempt.progress_file)) != seen:
                seen, moved = mark, now
            if self.timeout_s and why is None and now - moved > self.timeout_s:
                why, kill_at = f"no progress for {self.timeout_s:g} seconds (run.timeout)", now
            if why and (now >= kill_at or self.signals > 1):
                _kill_group(child)
            if now >= next_beat:
                attempt.beat()
                _shorten(attempt.log)
                next_beat = now + self.beat_s
            time.sleep(pause)
            pause = min(2 * pause, self.poll)
        return why


def _describe_exit(status: int, last_line: str | None) -> str:
    """The end of a process that saved no reason."""
    if status >= 0:
        text = f"its process ended with exit status {status} and without a result"
        return f"{text}; its log ends: {last_line}" if last_line else text
    try:
        name = signal.Signals(-status).name
    except ValueError:  # a real-time signal has no name
        name = f"signal {-status}"
    return f"killed by {name}" + (" (often: out of memory)" if -status == signal.SIGKILL else "")


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _shorten(log: Path) -> None:
    """Cut the middle out of a log that is too long. Its process appends, so it continues after the end."""
    with suppress(OSError):
        size = log.stat().st_size
        if size <= LOG_MOST:
            return
        with log.open("r+b") as file:
            file.seek(size - LOG_MOST // 4)
            end = file.read()
            file.truncate(LOG_MOST // 4)
            file.seek(0, os.SEEK_END)
            file.write(f"\n[… {size - LOG_MOST // 2} bytes were removed here …]\n".encode() + end)


def _ended(child: Child) -> bool:
    if not hasattr(os, "waitid"):
        return child.poll() is not None
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(child: Child) -> None:
    if child.returncode is None:  # unreaped, so the number is still this child's
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
