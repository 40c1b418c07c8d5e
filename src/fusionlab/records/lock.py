"""A lock that dies with its holder: one process at a time makes what several want."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path

from fusionlab.records.files import disk_errors


@contextlib.contextmanager
def alone(path: Path, say: Callable[[str], None], what: str) -> Iterator[None]:
    """Hold the lock; the kernel lets go of it when its process ends, however it ends."""
    with contextlib.ExitStack() as held:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = held.enter_context(open(path, "a"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{what}: another command makes it; waiting for that")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
