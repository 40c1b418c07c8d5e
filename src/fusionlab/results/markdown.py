"""A table as GitHub's Markdown, aligned so that its source can be read too."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fusionlab.results.superscript import raised
from fusionlab.results.tables import Column, Line, Table
from fusionlab.results.terminal import wide

# What would begin a tag, a link, emphasis or code. An underscore inside a word, as in run_name, begins
# nothing.
_SIGNS = re.compile(r"[\\`*|<>\[\]~&]|(?<!\w)_|_(?!\w)")


def render(table: Table) -> str:
    """Caption, answer, table, notes."""
    rows = [_cells(line, len(table.columns)) for line in table.lines]
    heads = [escape(column.head) for column in table.columns]
    # A span (what failed, and why) is longer than its column, and may be: only the source is less aligned
    # there.
    fitting = [row for row, line in zip(rows, table.lines, strict=True) if line.span is None]
    widths = [max(3, *(wide(row[at]) for row in [heads, *fitting])) for at in range(len(heads))]
    ruler = "|" + "|".join(_rule(column, width) for column, width in zip(table.columns, widths, strict=True)) + "|"
    lines = [f"**{escape(table.caption)}**", "", escape(table.headline), ""]
    lines += [_line(heads, widths, table.columns), ruler]
    lines += [_line(row, widths, table.columns) for row in rows]
    notes = [f"- {raised([number])} {escape(note)}" for number, note in enumerate(table.marked, 1)]
    notes += [f"- {escape(note)}" for note in table.notes]
    return "\n".join([*lines, "", *notes]) + "\n"


def escape(text: str) -> str:
    return _SIGNS.sub(lambda found: "\\" + found[0], text)


def _cells(line: Line, columns: int) -> list[str]:
    cells = [escape(cell) for cell in line.cells]
    if line.marks:
        cells[0] += f" {raised(line.marks)}"
    if line.span is not None:
        cells += [escape(line.span)]
    return cells + [""] * (columns - len(cells))


def _rule(column: Column, width: int) -> str:
    return " " + "-" * (width - 1) + ": " if column.right else " " + "-" * width + " "


def _line(cells: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> str:
    padded = []
    for cell, width, column in zip(cells, widths, columns, strict=True):
        space = " " * max(0, width - wide(cell))
        padded.append(space + cell if column.right else cell + space)
    return "| " + " | ".join(padded) + " |"
