"""Worker processes: a function mapped over tasks in fresh ones, which start quickly and die with their parent.

A worker is `python -c` with a pipe at each end, not a `multiprocessing` process: that one imports the
parent's main module again (hydra, torch) and, when the parent is killed, waits for ever on a queue of which
it holds both ends. This one reads the end of its pipe and goes. Function and tasks are pickled; the worker
imports what they need and nothing else.

Native code that reads files of strangers may end its process, or never return. Where a task has several items
(`Items`), this ends one item: the others go on in a new process. An item is tried twice, since a process may
also be killed from outside.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from fusionlab.errors import UserError
from fusionlab.records import time_limit
from fusionlab.records.activity import mark

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3)
LARGE = 2**30  # blocks above this size are still mapped one by one
TRIES = 2  # of an item that ends its process
ISOLATED = True  # a single worker of items is a separate process; fast tests turn this off
Task = TypeVar("Task")
Result = TypeVar("Result")

_WORKER = """
import os, pickle, sys
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what a library prints goes to the error stream, not between the answers
sys.path[:] = pickle.load(sys.stdin.buffer)
from fusionlab.data.processes import serve
serve(sys.stdin.buffer, answers)
"""


@dataclass(frozen=True)
class Items(Generic[Task, Result]):
    """The items of a task, of which each has one result, in order.

    `rest`: the task without its first items, None where none is left. `failed`: the result of its first item, which
    ended its process, with the reason.
    """

    rest: Callable[[Task, int], Task | None]
    failed: Callable[[Task, str], Result]


def serve(questions: Any, answers: Any) -> None:
    """The worker's loop: (function, task) in, (result, error, is there more) out, until the pipe ends.

    The first answer is that it has started.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides
    time_limit.turn_on()
    keep_memory()
    with contextlib.suppress(EOFError, BrokenPipeError):
        _answer(answers, (None, None, True))
        while True:
            for answer in _answers(questions):
                _answer(answers, answer)
    os._exit(0)  # a broken pipe must not be flushed again on the way out


def _answer(answers: Any, answer: Any) -> None:
    pickle.dump(answer, answers)
    answers.flush()


def _answers(questions: Any) -> Iterator[tuple[Any, Exception | None, bool]]:
    try:
        function, task = pickle.load(questions)
        for result in _results(function, task):
            yield result, None, True
    except EOFError:
        raise
    except Exception as error:
        plain = isinstance(error, UserError)  # other errors may not pickle
        yield None, error if plain else RuntimeError(f"{type(error).__name__}: {error}"), False
    else:
        yield None, None, False


def _results(function: Callable[[Task], Any], task: Task) -> Iterator[Any]:
    """One result, or those of a generator, each at once."""
    result = function(task)
    if isinstance(result, types.GeneratorType):
        yield from result
    else:
        yield result


@overload
def in_processes(
    function: Callable[[Task], Iterator[Result]],
    tasks: Sequence[Task],
    processes: int,
    items: Items[Task, Result] | None = None,
) -> Iterator[Result]: ...
@overload
def in_processes(function: Callable[[Task], Result], tasks: Sequence[Task], processes: int) -> Iterator[Result]: ...
def in_processes(
    function: Callable[[Task], Any], tasks: Sequence[Task], processes: int, items: Items[Task, Any] | None = None
) -> Iterator[Any]:
    """The results of all tasks in the order of arrival; a generator's results arrive one by one.

    The first error stops all processes and is raised here; a process that dies is an error, too, unless its task has
    `items`. If `processes` is 0, or 1 without items, no process starts: this one does the work.
    """
    count = min(processes, len(tasks))
    if processes == 0 or (count <= 1 and (items is None or not ISOLATED)):
        for task in tasks:
            for result in _results(function, task):
                mark()
                yield result
        return
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    done: queue.SimpleQueue[tuple[Any, BaseException | None, bool]] = queue.SimpleQueue()
    workers = [_Worker() for _ in range(count)]
    threads = [threading.Thread(target=_drive, args=(w, function, items, waiting, done), daemon=True) for w in workers]
    try:
        for thread in threads:
            thread.start()
        left = len(tasks)
        while left:
            result, error, more = done.get()
            if error is not None:
                raise error
            if more:
                mark()
                yield result
            else:
                left -= 1
    finally:
        for worker in workers:
            worker.stop()  # what it had not published is made again
        for thread in threads:
            thread.join()
        for worker in workers:
            worker.close()


class _Worker:
    """A process, and those that take its place when it dies."""

    def __init__(self) -> None:
        self._lock, self._stopped = threading.Lock(), False
        self.start()

    def start(self) -> None:
        with self._lock:
            if not self._stopped:
                self._process, self._started = _start(), False

    def results(self, function: Any, task: Any) -> Iterator[Any]:
        """The results of a task; raises its error, or `_Died`."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            if not self._started:
                pickle.load(process.stdout)
                self._started = True
            pickle.dump((function, task), process.stdin)
            process.stdin.flush()
            while True:
                result, error, more = pickle.load(process.stdout)
                if error is not None:
                    raise error
                if not more:
                    return
                yield result
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.close()
            raise _Died(process.wait(), self._started) from error

    def close(self) -> None:
        """The end of its pipe: it ends."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._process.kill()
        self._process.wait()


class _Died(Exception):
    """`started`: it had been asked something by then."""

    def __init__(self, status: int, started: bool) -> None:
        self.status, self.started = status, started

    @property
    def how(self) -> str:
        if self.status < 0:
            return f"signal {-self.status} ({signal.Signals(-self.status).name})"
        return f"exit status {self.status}"


def _start() -> subprocess.Popen[bytes]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **threads},
    )
    assert worker.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        pickle.dump(sys.path, worker.stdin)
        worker.stdin.flush()
    return worker


def _drive(worker: _Worker, function: Any, items: Items[Any, Any] | None, waiting: Any, done: Any) -> None:
    """A thread beside each worker: gives it the next task when it has answered."""
    while True:
        try:
            task = waiting.get_nowait()
        except queue.Empty:
            worker.close()
            return
        try:
            for result in _of_any(worker, function, task, items):
                done.put((result, None, True))
            done.put((None, None, False))
        except Exception as error:  # the task's own, or what cannot be pickled
            done.put((None, error, False))
            return


def _of_any(worker: _Worker, function: Any, task: Any, items: Items[Any, Any] | None) -> Iterator[Any]:
    """The results of a task, however often its process dies."""
    tries = 0  # of the first item that is left
    while task is not None:
        count = 0
        try:
            for result in worker.results(function, task):
                yield result
                count += 1
            return
        except _Died as death:
            if items is None or not death.started:
                hint = "the same command resumes; with fewer processes (run.workers=1) if memory is short"
                raise UserError("a worker process died", got=death.how, hint=hint) from death
            worker.start()
            task, tries = items.rest(task, count), 1 if count else tries + 1
            if task is not None and tries == TRIES:
                slow = death.status == -getattr(signal, "SIGALRM", 0)
                why = f"nothing came for {time_limit.SECONDS:g} s" if slow else f"by {death.how}"
                yield items.failed(task, f"it ended the process that read it, {TRIES} times: {why}")
                task, tries = items.rest(task, 1), 0


def keep_memory() -> bool:
    """Keep freed memory in this process instead of returning it to the kernel; False where there is no glibc.

    By default each large block is mapped from the kernel anew, and its pages are cleared one by one when they are first
    touched. Batches and activations are such blocks, and come and go at every step: on two cores, a cohort of small
    fusions trains in 7 s with kept memory and in 9 s without. Measurements also become repeatable: without this, one
    network took 0.86 of the time of its own parts in one process and 1.02 in the next, each with a narrow interval.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGE) and mallopt(TRIM_THRESHOLD, 2**31 - 1))


def keep_memory_in_loader(_: int) -> None:
    """`keep_memory` as a torch loader calls it, with the worker's number."""
    keep_memory()
