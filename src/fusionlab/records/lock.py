"""A file lock that ends with its process: one process at a time creates a shared result."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from fusionlab.records.activity import mark
from fusionlab.records.files import disk_errors


@contextlib.contextmanager
def alone(path: Path, report: Callable[[str], None], what: str) -> Iterator[None]:
    """Hold the lock; the kernel releases it when the process ends, in whatever way."""
    with contextlib.ExitStack() as stack:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(open(path, "a"))
        if not _taken(lock):
            report(f"{what}: waiting for another command, which is creating it")
            while not _taken(lock):
                mark()  # a waiting job does not hang
                time.sleep(0.1)
        yield


def _taken(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
