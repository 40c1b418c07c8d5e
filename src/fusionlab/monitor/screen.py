"""Lines at the end of a terminal that are drawn again in place.

tqdm draws one line for each bar and loses its place when lines wrap or the window shrinks, so this is by hand: three
codes that every terminal but a dumb one knows (cursor up, erase the line, erase below).
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO

from fusionlab.errors import one_line, visible

USUAL = os.terminal_size((80, 24))
CUT = "..."

_UP, _ERASE_LINE, _ERASE_BELOW = "\x1b[{}F", "\x1b[K", "\x1b[J"


def can_redraw(stream: TextIO) -> bool:
    """Whether the stream is a terminal that knows these codes."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


class Screen:
    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._drawn: list[str] = []
        self._columns = 0

    def draw(self, make: Callable[[int, int], Sequence[str]]) -> None:
        """Replace the lines by those that `make` gives for a number of columns and rows."""
        columns, rows = self._size()
        most = max(rows - 1, 1)  # the cursor needs a row
        lines = [cut(self._encodable(line), columns - 1) for line in make(columns - 1, most)[:most]]
        if (lines, columns) == (self._drawn, self._columns):
            return
        self._write(self._back(columns) + "".join(f"{line}{_ERASE_LINE}\n" for line in lines) + _ERASE_BELOW)
        self._drawn, self._columns = lines, columns

    def clear(self) -> None:
        """Erase the lines; others may be printed here."""
        if self._drawn:
            self._write(self._back(self._size().columns) + _ERASE_BELOW)
            self._drawn = []

    def close(self) -> None:
        """Leave the lines, and an empty one below: a terminal shows there that Ctrl-C was typed."""
        if self._drawn:
            self._write(f"\r{_ERASE_LINE}")
            self._drawn = []

    def _back(self, columns: int) -> str:
        """To the first of the drawn lines; in a window that has become narrower they take more rows."""
        rows = sum(max(1, -(-width(line) // columns)) for line in self._drawn)
        return "\r" + (_UP.format(rows) if rows else "")

    def _encodable(self, line: str) -> str:
        coding = self.stream.encoding or "utf-8"
        line = visible(re.sub(r"[\t\r\n]", " ", line))
        return line.encode(coding, "backslashreplace").decode(coding)

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal is gone; a view does not stop a study
            self.stream.write(text)
            self.stream.flush()

    def _size(self) -> os.terminal_size:
        with suppress(OSError, ValueError):
            columns, rows = os.get_terminal_size(self.stream.fileno())
            return os.terminal_size((columns or USUAL.columns, rows or USUAL.lines))
        return USUAL


def cut(text: str, most: int) -> str:
    """The text, or its beginning, on this number of columns."""
    if width(text) <= most:
        return text
    while text and width(text) > most - len(CUT):
        text = text[:-1]
    return (text + CUT)[: max(most, 0)]


def shorten(text: str, most: int) -> str:
    """A name without its middle: its beginning and its end tell most."""
    text = one_line(text)
    if len(text) <= most:
        return text
    end = max(most - len(CUT), 0) // 2
    return f"{text[: max(most - len(CUT) - end, 0)]}{CUT}{text[len(text) - end :]}"


def width(text: str) -> int:
    """The columns of a text: Chinese characters and emoji take two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )
