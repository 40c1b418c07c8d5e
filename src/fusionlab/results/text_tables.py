"""A table as text: for a terminal, and as GitHub's Markdown, whose source is aligned as well."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence

from fusionlab import errors
from fusionlab.results.cells import Column, is_name
from fusionlab.results.formatting import superscript
from fusionlab.results.notes import MOST
from fusionlab.results.rows import PAPER
from fusionlab.results.tables import Line, Table

_GAP = "  "
BOLD = "›"  # stands before a bold cell where the terminal has no bold
# What would begin a tag, a link, emphasis or code. An underscore inside a word, as in run_name, begins nothing.
_MARKUP = re.compile(r"[\\`*|<>\[\]~&]|(?<!\w)_|_(?!\w)")


def terminal(table: Table, *, ansi: bool = False, notes: bool = False) -> str:
    """The caption, the answer, the rows (a rule between baselines and fusions) and the most important notes, or all.

    `ansi`: whether what shows the text knows ANSI's bold; elsewhere a sign stands before the cell.
    """
    heads = [column.head for column in table.columns]
    cells = [_terminal_cells(line, ansi=ansi) for line in table.lines]
    widths = [max(display_width(row[at]) for row in [heads, *cells] if at < len(row)) for at in range(len(heads))]
    total = sum(widths) + len(_GAP) * (len(widths) - 1)
    rule = "─" * total
    body = []
    last = None
    for row, line in zip(cells, table.lines, strict=True):
        block = line.row.kind if line.row.kind in ("fused", PAPER) else "base"
        if last is not None and last != block:
            body.append(rule)
        last = block
        padded = [_pad(cell, widths[at], table.columns[at]) for at, cell in enumerate(row)]
        if ansi:
            padded = [
                f"{errors.BOLD}{cell}{errors.NOT_BOLD}" if at in line.bold else cell for at, cell in enumerate(padded)
            ]
        text = _GAP.join(padded)
        body.append((text if line.span is None else text + _GAP + line.span).rstrip())
    head = _GAP.join(_pad(head, widths[at], table.columns[at]) for at, head in enumerate(heads)).rstrip()
    width = max(72, min(total, 120))
    top = [*_wrap(table.caption, width), *_wrap(table.headline, width), ""]
    every = table.numbered()
    kept = every if notes else every[:MOST]
    below = [line for mark, note in kept for line in _wrap(note, width, "·" if mark is None else superscript([mark]))]
    if len(kept) < len(every):
        left = len(every) - len(kept)
        below.append(f"{left} further note{'s' * (left > 1)}: report/index.html (or --notes)")
    return "\n".join([*top, head, rule, *body, rule, *below]) + "\n"


def _terminal_cells(line: Line, *, ansi: bool) -> list[str]:
    cells = [f"{BOLD}{cell}" if at in line.bold and not ansi else cell for at, cell in enumerate(line.cells)]
    if line.marks:
        cells[0] = f"{cells[0]} {superscript(line.marks)}"
    return cells


def _pad(text: str, width: int, column: Column) -> str:
    space = " " * (width - display_width(text))
    return text + space if is_name(column) or not column.right else space + text


def display_width(text: str) -> int:
    """The width of a text on a terminal: a wide character takes two columns, a combining one none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def _wrap(text: str, width: int, lead: str = "") -> list[str]:
    first = f"{lead} " if lead else ""
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=" " * len(first)) or [""]


def markdown(table: Table) -> str:
    """The caption, the answer, the table and the notes."""
    rows = [_markdown_cells(line, len(table.columns)) for line in table.lines]
    heads = [escape_markdown(column.head) for column in table.columns]
    # A span (what failed, and why) may be longer than its column.
    fitting = [row for row, line in zip(rows, table.lines, strict=True) if line.span is None]
    widths = [max(3, *(display_width(row[at]) for row in [heads, *fitting])) for at in range(len(heads))]
    ruler = "|" + "|".join(_ruler(column, width) for column, width in zip(table.columns, widths, strict=True)) + "|"
    lines = [f"**{escape_markdown(table.caption)}**", "", escape_markdown(table.headline), ""]
    lines += [_markdown_line(heads, widths, table.columns), ruler]
    lines += [_markdown_line(row, widths, table.columns) for row in rows]
    notes = [
        f"- {'' if mark is None else superscript([mark]) + ' '}{escape_markdown(note)}"
        for mark, note in table.numbered()
    ]
    folded = notes[MOST:]
    if folded:
        more = f"{len(folded)} further note{'s' * (len(folded) > 1)}"
        folded = ["", f"<details><summary>{more}</summary>", "", *folded, "", "</details>"]
    return "\n".join([*lines, "", *notes[:MOST], *folded]) + "\n"


def escape_markdown(text: str) -> str:
    return _MARKUP.sub(lambda match: "\\" + match[0], text)


def _markdown_cells(line: Line, columns: int) -> list[str]:
    cells = [escape_markdown(cell) for cell in line.cells]
    cells = [f"**{cell}**" if at in line.bold else cell for at, cell in enumerate(cells)]
    if line.marks:
        cells[0] += f" {superscript(line.marks)}"
    if line.span is not None:
        cells += [escape_markdown(line.span)]
    return cells + [""] * (columns - len(cells))


def _ruler(column: Column, width: int) -> str:
    return " " + "-" * (width - 1) + ": " if column.right else " " + "-" * width + " "


def _markdown_line(cells: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> str:
    padded = []
    for cell, width, column in zip(cells, widths, columns, strict=True):
        space = " " * max(0, width - display_width(cell))
        padded.append(space + cell if column.right else cell + space)
    return "| " + " | ".join(padded) + " |"
