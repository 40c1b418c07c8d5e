"""A table for a terminal: aligned, no lines but those that say something, notes wrapped under it."""

from __future__ import annotations

import textwrap
import unicodedata

from fusionlab.results.superscript import raised
from fusionlab.results.tables import Column, Line, Table, is_name

_GAP = "  "


def render(table: Table) -> str:
    """The caption, the answer, the rows (baselines apart from fusions) and the notes."""
    heads = [column.head for column in table.columns]
    cells = [_cells(line) for line in table.lines]
    widths = [
        max(
            [
                wide(head),
                *(wide(row[at]) for row, line in zip(cells, table.lines, strict=True) if at < len(row)),
            ]
        )
        for at, head in enumerate(heads)
    ]
    total = sum(widths) + len(_GAP) * (len(widths) - 1)
    rule = "─" * total
    body = []
    last = None
    for row, line in zip(cells, table.lines, strict=True):
        if last is not None and last != (line.row.kind == "fused"):
            body.append(rule)
        last = line.row.kind == "fused"
        text = _GAP.join(_pad(cell, widths[at], table.columns[at]) for at, cell in enumerate(row))
        body.append((text if line.span is None else text + _GAP + line.span).rstrip())
    head = _GAP.join(_pad(head, widths[at], table.columns[at]) for at, head in enumerate(heads)).rstrip()
    width = max(72, min(total, 120))
    top = [*_wrapped(table.caption, width), *_wrapped(table.headline, width), ""]
    notes = [line for number, note in enumerate(table.marked, 1) for line in _wrapped(note, width, raised([number]))]
    notes += [line for note in table.notes for line in _wrapped(note, width, "·")]
    return "\n".join([*top, head, rule, *body, rule, *notes]) + "\n"


def _cells(line: Line) -> list[str]:
    cells = list(line.cells)
    if line.marks:
        cells[0] = f"{cells[0]} {raised(line.marks)}"
    return cells


def _pad(text: str, width: int, column: Column) -> str:
    space = " " * (width - wide(text))
    return text + space if is_name(column) or not column.right else space + text


def wide(text: str) -> int:
    """Columns that a terminal gives a text: two for a wide character, none for a combining one."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def _wrapped(text: str, width: int, lead: str = "") -> list[str]:
    first = f"{lead} " if lead else ""
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=" " * len(first)) or [""]
