"""A terminal of so many columns and rows: what is on it after some text was written."""

from __future__ import annotations

import io
import os
import re
import unicodedata


def ask(terminal):
    """The size of a fake terminal, in place of `os.get_terminal_size`."""
    return os.terminal_size((terminal.columns, terminal.rows))


class FakeTerminal(io.StringIO):
    """It knows what `Screen` writes: cursor up, erase to the end of the line, erase below; it wraps and scrolls."""

    encoding = "utf-8"

    def __init__(self, columns=80, rows=24):
        super().__init__()
        self.columns, self.rows = columns, rows
        self.lines, self.scrolled, self.row, self.column = [""], [], 0, 0

    def isatty(self):
        return True

    def fileno(self):
        """Not a number: `ask` is asked instead of the kernel."""
        return self

    def write(self, text):
        for code, up, other in re.findall(r"(\x1b\[(\d*)[FKJ])|([\s\S])", text):
            if code.endswith("F"):
                self.row, self.column = max(0, self.row - int(up)), 0
            elif code.endswith("K"):
                self.lines[self.row] = self.lines[self.row][: self.column]
            elif code.endswith("J"):
                self.lines[self.row] = self.lines[self.row][: self.column]
                del self.lines[self.row + 1 :]
            else:
                self._put(other)
        return super().write(text)

    def _put(self, one):
        if one == "\r":
            self.column = 0
        elif one == "\n":
            self._down()
        else:
            assert one >= "\xa0" or one.isprintable(), "it would steer the terminal"
            wide = 2 if unicodedata.east_asian_width(one) in "WF" else 1
            if self.column + wide > self.columns:
                self._down()
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + one + "\0" * (wide - 1) + line[self.column + wide :]
            self.column += wide

    def _down(self):
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append("")
        if len(self.lines) > self.rows:
            self.scrolled.append(self.lines.pop(0))
            self.row -= 1

    def resize(self, columns, rows):
        """As most terminals do it: lines that are longer now take several rows, and the cursor moves with its line."""
        kept, row = [], 0
        for number, line in enumerate(self.lines):
            if number == self.row:
                row = len(kept)
            kept += [line[at : at + columns] for at in range(0, max(len(line), 1), columns)]
        self.columns, self.rows, self.lines, self.row = columns, rows, kept, row
        while len(self.lines) > rows:
            self.scrolled.append(self.lines.pop(0))
            self.row -= 1

    @property
    def shown(self):
        """The lines on it, without empty ones at the end."""
        lines = [line.replace("\0", "").rstrip() for line in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines
