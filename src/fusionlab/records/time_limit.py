"""A limit of the time of one step in a worker process, such as the next frame of a video.

The process has no handler for the signal of the alarm, so that the kernel ends it, even inside native code. Only a
worker process turns the limit on; elsewhere nothing happens.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Generator, Iterable, Iterator
from typing import Any, TypeVar

SECONDS = 60.0
Item = TypeVar("Item")

_on = False


def turn_on() -> None:
    """From now on, steps end this process when they take too long."""
    global _on
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        _on = True


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """One step."""
    if not _on:
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def limited(items: Iterable[Item]) -> Generator[Item, None, Any]:
    """The items; each is a step. The result is that of a generator."""
    rest = iter(items)
    while True:
        with time_limit():
            try:
                item = next(rest)
            except StopIteration as end:
                return end.value
        yield item
