"""A table of one's own: the values of one or more axes down, those of others across, one number in each cell.

It is made of the rows of a study's table, so a cell is a mean over what those are means over. Two rows in one cell are
an error that names the axis: nothing else is averaged. Rows without one of the axes are named below it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from fusionlab.errors import UserError, unknown
from fusionlab.results import formatting
from fusionlab.results.cells import Column, cell, kinds_of
from fusionlab.results.latex import GAP, SIGN, WIDTH, breakable, escape_latex, packages
from fusionlab.results.load import REFUSED, TOGETHER
from fusionlab.results.notes import saw_test_notes
from fusionlab.results.protocol_warnings import row_title
from fusionlab.results.rows import Row
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table
from fusionlab.results.text_tables import display_width, escape_markdown

VALUES = ("accuracy", "gain", "late", "networks", "seeds", "layers", "parameters", "seconds", "val_loss")
APART = "not comparable"


@dataclass(frozen=True)
class Cross:
    """`lines`: a name and its cells. `rows`: the row of the table that each cell shows, or None."""

    caption: str
    corner: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[tuple[Row | None, ...], ...]
    notes: tuple[str, ...] = ()


def make_cross(
    table: Table,
    down: Sequence[str],
    across: Sequence[str],
    value: str = "accuracy",
    where: Mapping[str, Any] | None = None,
) -> Cross:
    """`where`: {axis: value as typed}: only rows with it."""
    wanted = {axis: formatting.as_typed(one) for axis, one in (where or {}).items()}
    axes = list(dict.fromkeys(axis for row in table.rows for axis in row.axes))
    for axis in (*down, *across, *wanted):
        if axis not in axes:
            raise unknown("axis of this study", axis, axes)
    if not down or not across:
        hint = "rows=fusion cols=layer value=accuracy"
        raise UserError(
            "a table of one's own needs rows and cols", got=f"rows={','.join(down)} cols={','.join(across)}", hint=hint
        )
    if twice := [axis for axis in across if axis in down]:
        raise UserError("an axis stands in rows or in cols", got=", ".join(twice), allowed=axes)
    kinds = kinds_of(table.rows)
    if value not in (*VALUES, *kinds):
        raise unknown("value of a cell", value, (*VALUES, *kinds), form="value={}")
    needed = (*down, *across)
    chosen = [row for row in table.rows if all(_typed(row, axis) in (one, None) for axis, one in wanted.items())]
    fitting = [row for row in chosen if all(axis in row.axes for axis in needed)]
    if not fitting:
        hint = f"rows=fusion cols=layer, of {', '.join(axes)}"
        raise UserError("no row has these axes and values", got=", ".join([*needed, *wanted.values()]), hint=hint)
    places: dict[tuple[tuple[str, ...], tuple[str, ...]], Row] = {}
    for row in fitting:
        at = (_names(row, down), _names(row, across))
        if at in places:
            raise _two_rows(places[at], row, [one for one in fitting if (_names(one, down), _names(one, across)) == at])
        places[at] = row
    spec = table.spec
    lefts = _in_order(fitting, down, spec)
    tops = _in_order(fitting, across, spec)
    rows = tuple(tuple(places.get((left, top)) for top in tops) for left in lefts)
    return Cross(
        caption=formatting.plain(f"{table.caption.rstrip('.')}: {value} by {' × '.join([*down, *across])}"),
        corner=formatting.cell(f"{', '.join(down)} \\ {', '.join(across)}"),
        heads=tuple(formatting.cell(", ".join(top)) for top in tops),
        lines=tuple(
            (formatting.cell(", ".join(left)), tuple(_cell(row, value, table) for row in line))
            for left, line in zip(lefts, rows, strict=True)
        ),
        rows=rows,
        notes=_notes(table, chosen, needed, rows),
    )


def _typed(row: Row, axis: str) -> str | None:
    return formatting.as_typed(row.axes[axis]) if axis in row.axes else None


def _names(row: Row, axes: Sequence[str]) -> tuple[str, ...]:
    return tuple(formatting.as_typed(row.axes[axis]) for axis in axes)


def _in_order(rows: Sequence[Row], axes: Sequence[str], spec: Spec) -> list[tuple[str, ...]]:
    ordered = sorted(rows, key=lambda row: tuple(spec.place(axis, row.axes[axis]) for axis in axes))
    return list(dict.fromkeys(_names(row, axes) for row in ordered))


def _two_rows(one: Row, other: Row, together: Sequence[Row]) -> UserError:
    """Two rows in one cell: which axis separates them, and what to type."""
    axes = [axis for axis in one.axes if other.axes.get(axis) != one.axes[axis]]
    axes += [axis for axis in other.axes if axis not in one.axes]
    axis = axes[0]
    values = list(dict.fromkeys(formatting.as_typed(row.axes[axis]) for row in together if axis in row.axes))
    return UserError(
        f"several rows share a cell: {axis} varies",
        got=", ".join(values),
        hint=f"{axis}={values[0]}, to choose one, or cols=…,{axis}",
    )


def _cell(row: Row | None, value: str, table: Table) -> str:
    if row is None:
        return formatting.NONE
    if id(row) in table.apart:
        return APART
    if not row.done:
        return row.undone[0].status if row.undone else REFUSED
    if value == "val_loss":
        losses = [entry.result.get("val_loss") for entry in row.done]
        known = [loss for loss in losses if loss is not None]
        return f"{fmean(known):.3f}" if len(known) == len(losses) else formatting.NONE
    kind = table.kind if value in ("gain", "late", "networks") else TOGETHER
    column = Column(value, value, kind=kind) if value in VALUES else Column("kind", value, kind=value)
    return formatting.cell(cell(row, column, table.spec, table.told))


def _notes(
    table: Table, chosen: Sequence[Row], needed: Sequence[str], rows: Sequence[Sequence[Row | None]]
) -> tuple[str, ...]:
    notes = saw_test_notes([row for line in rows for row in line if row is not None])
    shown = {id(row) for line in rows for row in line}
    outside = [row_title(row, []) for row in chosen if id(row) not in shown]
    if outside:
        names = formatting.short_list(list(dict.fromkeys(outside)))
        notes.append(f"Not in it, since they lack {' or '.join(needed)}: {names}.")
    reasons = dict.fromkeys(table.apart[id(row)] for line in rows for row in line if id(row) in table.apart)
    notes += [f"{APART[:1].upper()}{APART[1:]}: {reason}." for reason in reasons]
    return tuple(formatting.plain(note) for note in notes)


def cross_text(cross: Cross) -> str:
    """For a terminal."""
    grid = [(cross.corner, *cross.heads), *((name, *cells) for name, cells in cross.lines)]
    widths = [max(display_width(line[at]) for line in grid) for at in range(len(grid[0]))]
    rows = ["  ".join(_padded(text, widths[at], at) for at, text in enumerate(line)).rstrip() for line in grid]
    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([cross.caption, "", rows[0], rule, *rows[1:], rule, *cross.notes]) + "\n"


def _padded(text: str, width: int, at: int) -> str:
    space = " " * (width - display_width(text))
    return space + text if at else text + space


def cross_markdown(cross: Cross) -> str:
    grid = [(cross.corner, *cross.heads), *((name, *cells) for name, cells in cross.lines)]
    rows = ["| " + " | ".join(map(escape_markdown, line)) + " |" for line in grid]
    rows.insert(1, "| --- |" + " ---: |" * len(cross.heads))
    notes = [f"- {escape_markdown(note)}" for note in cross.notes]
    return "\n".join([f"**{escape_markdown(cross.caption)}**", "", *rows, "", *notes]).rstrip() + "\n"


def cross_csv(cross: Cross) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(
        [formatting.safe(one) for one in line]
        for line in [(cross.corner, *cross.heads), *((name, *cells) for name, cells in cross.lines)]
    )
    return text.getvalue()


def cross_latex(cross: Cross) -> str:
    """A `table*`; columns that do not fit beside the others follow in a panel below them."""
    names = min(max(map(display_width, (cross.corner, *(name for name, _ in cross.lines)))) * SIGN * 1.1 + 0.05, 2.0)
    panels: list[list[int]] = [[]]
    room = WIDTH - names
    for at, head in enumerate(cross.heads):
        needed = max(map(display_width, (head, *(cells[at] for _, cells in cross.lines)))) * SIGN + GAP
        if needed > room and panels[-1]:
            panels.append([])
            room = WIDTH - names
        panels[-1].append(at)
        room -= needed
    notes = [breakable(note) + r"\par" for note in cross.notes]
    body = [
        r"\begin{table*}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{breakable(cross.caption)}}}",
        *(line for panel in panels for line in _panel(cross, panel, names)),
        *([r"\par\smallskip", r"\begin{minipage}{\linewidth}", *notes, r"\end{minipage}"] if notes else []),
        r"\end{table*}",
    ]
    return "\n".join([*packages("\n".join(body)), *body]) + "\n"


def _panel(cross: Cross, columns: Sequence[int], names: float) -> list[str]:
    grid = [(cross.corner, *(cross.heads[at] for at in columns))]
    grid += [(name, *(cells[at] for at in columns)) for name, cells in cross.lines]
    head, *rows = ["{}" + " & ".join([breakable(name), *map(escape_latex, cells)]) + r" \\" for name, *cells in grid]
    return [
        rf"\begin{{tabular}}{{@{{}}p{{{names:.2f}in}}{'r' * len(columns)}@{{}}}}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}\par",
    ]
