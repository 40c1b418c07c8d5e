"""A job's progress for its worker: a file whose modification time changes with each step.

An environment variable names the file, so that the job's own processes (loaders, packers) report to it as well.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

VARIABLE = "FUSIONLAB_PROGRESS"
EVERY = 1.0  # seconds between two marks

_last = 0.0


def report_to(path: Path) -> None:
    """Mark progress in this file from now on, here and in processes started from here."""
    with suppress(OSError):
        path.touch()
    os.environ[VARIABLE] = str(path)


def mark() -> None:
    """Report progress: a step, a batch, a frame. Between two marks this costs almost nothing."""
    global _last
    now = time.monotonic()
    if now - _last < EVERY:
        return
    _last = now
    if path := os.environ.get(VARIABLE):
        with suppress(OSError):  # a full disk stops the work anyway
            os.utime(path)
