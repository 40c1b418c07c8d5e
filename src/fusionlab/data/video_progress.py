"""VideoProgress over videos: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NoReturn, Self

from tqdm import tqdm

from fusionlab.errors import one_line, show

EVERY = 2.0  # seconds between the first two lines; later the pauses grow
SLOWER = 1.5


def show_on_stderr(line: str) -> None:
    """Show a line where it does not mix with the output of a command."""
    show(one_line(line), file=sys.stderr)


class VideoProgress:
    """Call `next` once a video."""

    def __init__(self, total: int, say: Callable[[str], None], verb: str = "prepare") -> None:
        self.total, self._say, self._verb = total, say, verb
        self.done = 0
        self._begun = self._shown = time.monotonic()
        self._pause = EVERY
        self._bar: tqdm[NoReturn] | None = None
        if say in (show, show_on_stderr) and sys.stderr.isatty():
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
        """One more video is done; `failed`: how many so far cannot be used."""
        self.done += 1
        if self._bar is not None:
            if failed:
                self._bar.set_postfix_str(f"{failed} cannot be used", refresh=False)
            self._bar.update()
            return
        now = time.monotonic()
        if self.left and now - self._shown < self._pause:
            return
        self._shown, self._pause = now, self._pause * SLOWER
        seconds = now - self._begun
        left = seconds / self.done * self.left
        bad = f", {failed} cannot be used" if failed else ""
        self._say(f"{self._verb}: {self.done} of {self.total} videos{bad}, {seconds:.0f} s, {left:.0f} s left")
