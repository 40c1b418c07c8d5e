"""A job's progress, as its worker sees it: a file whose modification time moves with each step.

The file is named by the environment, so that a job's own processes (loaders, packers) report to it as well.
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
    """Something was done: a step, a batch, a frame. Costs next to nothing between two marks."""
    global _last
    now = time.monotonic()
    if now - _last < EVERY:
        return
    _last = now
    if path := os.environ.get(VARIABLE):
        with suppress(OSError):  # a disk that is full stops the work by itself
            os.utime(path)
