"""Pairs: what the row of a line gains over that of a column, with a mark where the two differ."""

from __future__ import annotations

from matplotlib.figure import Figure as Sheet

from fusionlab.results import formatting
from fusionlab.results.figures import style
from fusionlab.results.figures.style import Figure
from fusionlab.results.load import TOGETHER
from fusionlab.results.protocol_warnings import row_title, title_axes
from fusionlab.results.tables import Table

MOST = 20  # rows


def pairs(table: Table) -> Figure | None:
    matrix = table.matrix
    if not matrix.pairs:
        return None
    rows = matrix.rows[:MOST]
    axes = title_axes(table.rows)
    names = [f"{number}  {row_title(row, axes)}" for number, row in enumerate(rows, 1)]
    gains = {(id(pair.first), id(pair.second)): pair.gain.mean for pair in matrix.pairs}
    gains |= {(second, first): -gain for (first, second), gain in gains.items()}
    told = {frozenset((id(pair.first), id(pair.second))) for pair in matrix.pairs if pair.differ}
    most = max((abs(gain) for gain in gains.values()), default=0) or 1
    question = "" if matrix.kind == TOGETHER else f" on {matrix.kind}"
    alt = f"Points{question} that a line gains over a column; {len(told)} of {len(matrix.pairs)} pairs differ (*)."
    if left := len(matrix.rows) - len(rows):
        alt += f" Left out: {left} further rows."

    def cell(first: int, second: int) -> tuple[float | None, str]:
        gain = gains.get((first, second))
        if gain is None:
            return None, ""
        mark = "*" if frozenset((first, second)) in told else ""
        return 0.62 * abs(gain) / most, formatting.points(gain, 1 if len(rows) <= 10 else 0) + mark

    def draw() -> Sheet:
        wide = min(0.5, 4.9 / len(rows))
        sheet = style.sheet(0.4 + 0.22 * len(rows) + 0.3)
        style.write(sheet, 1.9, 0.2, f"points{question} that a line gains over a column; * they differ", weight="bold")
        cells = [[cell(id(first), id(second)) for second in rows] for first in rows]
        style.grid(sheet, (1.9, 0.34), (wide, 0.22), cells, names, [str(at) for at in range(1, len(rows) + 1)])
        return sheet

    return Figure("pairs", "All pairs of rows", alt, draw)
