"""Worker processes: a function mapped over tasks in fresh ones, which start quickly and die with their parent.

A worker is `python -c` with a pipe at each end, not a `multiprocessing` process: that one imports the
parent's main module again (hydra, torch) and, when the parent is killed, waits for ever on a queue of which
it holds both ends. This one reads the end of its pipe and goes. Function and tasks are pickled; the worker
imports what they need and nothing else.
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
from typing import Any, TypeVar, overload

from fusionlab.errors import UserError
from fusionlab.records.activity import mark

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3)
LARGE = 2**30  # blocks above this size are still mapped one by one
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


def serve(questions: Any, answers: Any) -> None:
    """The worker's loop: (function, task) in, (result, error, is there more) out, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            function, task = pickle.load(questions)
            for answer in _answers(function, task):
                pickle.dump(answer, answers)
                answers.flush()
    os._exit(0)  # a broken pipe must not be flushed again on the way out


def _answers(function: Any, task: Any) -> Iterator[tuple[Any, Exception | None, bool]]:
    try:
        for result in _results(function, task):
            yield result, None, True
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
    function: Callable[[Task], Iterator[Result]], tasks: Sequence[Task], processes: int
) -> Iterator[Result]: ...
@overload
def in_processes(function: Callable[[Task], Result], tasks: Sequence[Task], processes: int) -> Iterator[Result]: ...
def in_processes(function: Callable[[Task], Any], tasks: Sequence[Task], processes: int) -> Iterator[Any]:
    """The results of all tasks in the order of arrival; a generator's results arrive one by one.

    The first error stops all processes and is raised here. If `processes` is 1, no process starts: this one
    does the work.
    """
    count = min(processes, len(tasks))
    if count <= 1:
        for task in tasks:
            for result in _results(function, task):
                mark()
                yield result
        return
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    done: queue.SimpleQueue[tuple[Any, BaseException | None, bool]] = queue.SimpleQueue()
    workers = [_start() for _ in range(count)]
    threads = [threading.Thread(target=_drive, args=(w, function, waiting, done), daemon=True) for w in workers]
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
            worker.kill()  # what it had not published is made again
            worker.wait()
        for thread in threads:
            thread.join()


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
    return worker


def _drive(worker: subprocess.Popen[bytes], function: Any, waiting: Any, done: Any) -> None:
    """A thread beside each worker: gives it the next task when it has answered."""
    assert worker.stdin is not None and worker.stdout is not None
    with worker.stdin, worker.stdout:
        while True:
            try:
                task = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                pickle.dump((function, task), worker.stdin)
                worker.stdin.flush()
                more = True
                while more:
                    result, error, more = pickle.load(worker.stdout)
                    done.put((result, error, more))
            except (EOFError, OSError, pickle.UnpicklingError):
                done.put((None, _died(worker.wait()), False))
                return
            except Exception as error:  # what cannot be pickled
                done.put((None, error, False))
                return


def _died(status: int) -> UserError:
    how = f"signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"exit status {status}"
    hint = "the same command resumes; with fewer processes (run.workers=1) if memory is short"
    return UserError("a worker process died", got=how, hint=hint)


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
