"""How far a preparation is: a bar on a terminal, else a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NoReturn, Self

from tqdm import tqdm

from fusionlab.errors import one_line, show

EVERY = 2.0  # seconds between two lines at first; a long preparation says less often
SLOWER = 1.5


def aside(line: str) -> None:
    """Say it where it does not mix with what a command prints."""
    show(one_line(line), file=sys.stderr)


class Progress:
    """`next` once a video. The time left follows from those that were not there before."""

    def __init__(self, total: int, say: Callable[[str], None], verb: str = "prepare") -> None:
        self.total, self._say, self._verb = total, say, verb
        self.done = 0
        self._begun = self._told = time.monotonic()
        self._pause = EVERY
        self._bar: tqdm[NoReturn] | None = None
        if say in (show, aside) and sys.stderr.isatty():
            self._bar = tqdm(total=total, desc=verb, unit="video", file=sys.stderr, dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    @property
    def left(self) -> int:
        return self.total - self.done

    def next(self, failed: int = 0) -> None:
        """One more is done; `failed`: how many of them cannot be used."""
        self.done += 1
        if self._bar is not None:
            if failed:
                self._bar.set_postfix_str(f"{failed} cannot be used", refresh=False)
            self._bar.update()
            return
        now = time.monotonic()
        if self.left and now - self._told < self._pause:
            return
        self._told, self._pause = now, self._pause * SLOWER
        seconds = now - self._begun
        left = seconds / self.done * self.left
        bad = f", {failed} cannot be used" if failed else ""
        self._say(f"{self._verb}: {self.done} of {self.total} videos{bad}, {seconds:.0f} s, {left:.0f} s left")
