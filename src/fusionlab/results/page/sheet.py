"""The page's table: its lines and cells, with what sorting needs and what is told where a column has no room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fusionlab.results import formatting
from fusionlab.results.cells import Column
from fusionlab.results.load import REFUSED
from fusionlab.results.page.columns import Head, any_fits, paper_fits, pieces, style
from fusionlab.results.rows import CEILING, PAPER, Row
from fusionlab.results.shares import Share
from fusionlab.results.tables import Line, Table

MEASURED, CEILINGS, PRINTED = "measured", "ceilings", "printed"  # the blocks of a table; each is sorted by itself


@dataclass(frozen=True)
class Bar:
    """From 0 to 100: a share, its interval, and its ceiling."""

    mean: str
    low: str
    width: str
    ceiling: str | None

    @classmethod
    def of(cls, share: Share) -> Bar:
        ends = share.mean, share.low, share.high - share.low
        mean, low, width = (f"{100 * end:.1f}" for end in ends)
        return cls(mean, low, width, None if share.ceiling is None else f"{100 * float(share.ceiling):.1f}")


@dataclass(frozen=True)
class Cell:
    """`rank`: its place in the order of an axis' values. `foreign`: a figure of the paper's that is not of our data."""

    at: int
    text: str
    behind: tuple[str, ...]
    style: str
    bar: Bar | None = None
    rank: int | None = None
    foreign: bool = False


@dataclass(frozen=True)
class SheetLine:
    """`told`: the axes and the paper's figures of the line, for where their columns have no room: (at, head, cell).

    `evidence`: the number of the row's evidence.
    """

    style: str
    block: str
    cells: tuple[Cell, ...]
    marks: tuple[int, ...]
    told: tuple[tuple[int, str, Cell], ...]
    span: str | None
    span_style: str
    span_width: int
    evidence: int | None


class Sheet:
    """The lines of the page's table."""

    def __init__(self, table: Table, heads: Sequence[Head]) -> None:
        self._table, self._heads = table, heads
        self._fits = any_fits(table)
        self._ranks = {
            at: _ranks(column, table) for at, column in enumerate(table.columns) if column.key.startswith("axis:")
        }

    def lines(self, chosen: Sequence[int], evidence: Mapping[int, int]) -> list[SheetLine]:
        """The lines at these places. `evidence`: the id of a row -> the number of its evidence."""
        lines = []
        last = None
        for at in chosen:
            group = _group(self._table.lines[at].row)
            first = " first" if last is not None and last != group else ""
            last = group
            lines.append(self._line(self._table.lines[at], group + first, evidence))
        return lines

    def _line(self, line: Line, style: str, evidence: Mapping[int, int]) -> SheetLine:
        columns = self._table.columns
        cells = tuple(
            self._cell(line, at, column, text)
            for at, (column, text) in enumerate(zip(columns, line.cells, strict=False))
        )
        told = tuple(
            (cell.at, self._heads[cell.at].text, cell)
            for cell in cells
            if (self._heads[cell.at].axis or columns[cell.at].key.startswith("paper:")) and cell.text != formatting.NONE
            if self._heads[cell.at].need
        )
        control = " control" if line.row.kind == "control" else ""
        foreign = " foreign" if line.row.kind == PAPER and not self._fits else ""
        return SheetLine(
            style=f"{style}{control}{foreign}",
            block={CEILING: CEILINGS, PAPER: PRINTED}.get(line.row.kind, MEASURED),
            cells=cells,
            marks=line.marks,
            told=told,
            span=line.span,
            span_style="name" if line.span == REFUSED else "failed",
            span_width=max(1, len(columns) - len(cells)),
            evidence=evidence.get(id(line.row)),
        )

    def _cell(self, line: Line, at: int, column: Column, text: str) -> Cell:
        number, behind = pieces(column, text)
        row = line.row
        share = row.shares.get(column.kind or "") if column.key == "kind" and row.kind != CEILING else None
        foreign = column.key.startswith("paper:") and not (row.kind == PAPER or paper_fits(row, self._table.spec))
        return Cell(
            at,
            number,
            behind,
            style(column) + (" foreign" if self._heads[at].foreign else "") + (" best" if at in line.bold else ""),
            None if share is None else Bar.of(share),
            self._ranks[at].get(text) if at in self._ranks else None,
            foreign,
        )


def _group(row: Row) -> str:
    return row.kind if row.kind in ("fused", CEILING, PAPER) else "base"


def _ranks(column: Column, table: Table) -> dict[str, int]:
    """The texts of an axis in the order of its values: layers by depth, not by name."""
    axis = column.key.removeprefix("axis:")
    values = {formatting.cell(row.text(axis) or formatting.NONE): row.axes.get(axis) for row in table.rows}
    ordered = sorted(values, key=lambda text: table.spec.place(axis, values[text]))
    return {text: at for at, text in enumerate(ordered)}


def by_importance(table: Table) -> list[int]:
    """The places of all lines: baselines and ceilings, then fusions from the best down, then those not done."""

    def key(at: int) -> tuple[bool, bool, float]:
        line = table.lines[at]
        share = line.row.shares.get(table.kind)
        return line.row.kind == "fused", line.span is not None, 0.0 if share is None else -share.mean

    return sorted(range(len(table.lines)), key=key)


def rows_of(lines: Sequence[Line]) -> list[Row]:
    """The rows behind the lines, each once, without ceilings and the paper's."""
    return list({id(line.row): line.row for line in lines if line.row.kind not in (CEILING, PAPER)}.values())
