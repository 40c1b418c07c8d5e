"""Freed memory is kept by the process instead of being handed back to the kernel."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3)
LARGE = 2**30  # larger blocks than this are still mapped for themselves


def keep() -> bool:
    """Whether it could be done: glibc only.

    By default each large block is mapped from the kernel anew, and its pages are cleared one by one when they are first
    touched. That can be half of a step's time, and which of two equal passes pays for it depends on what was freed
    before: measured side by side without this, a network was at 0.86 of its own parts in one process and at 1.02 in
    the next, each with a narrow interval.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGE) and mallopt(TRIM_THRESHOLD, 2**31 - 1))
