"""A lock that dies with its holder: one process at a time makes what several want."""

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
def alone(path: Path, say: Callable[[str], None], what: str) -> Iterator[None]:
    """Hold the lock; the kernel lets go of it when its process ends, however it ends."""
    with contextlib.ExitStack() as held:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = held.enter_context(open(path, "a"))
        if not _taken(lock):
            say(f"{what}: another command makes it; waiting for that")
            while not _taken(lock):
                mark()  # who waits does not hang
                time.sleep(0.1)
        yield


def _taken(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
