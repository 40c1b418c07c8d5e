"""The figures of a report, drawn by matplotlib: SVG for the page, PDF for LaTeX.

Only a report imports this package, since matplotlib is slow to import.

style.py      colours, sizes, fonts; SVG and PDF
accuracy.py   seeds, means, intervals, ceilings, gains
"""

from __future__ import annotations

from collections.abc import Sequence

from fusionlab.results.figures.accuracy import accuracy
from fusionlab.results.figures.style import Figure
from fusionlab.results.load import Entry
from fusionlab.results.rows import Row
from fusionlab.results.tables import Table

__all__ = ["Figure", "make_figures", "row_curves"]


def make_figures(table: Table, entries: Sequence[Entry]) -> list[Figure]:
    """All figures that the records have data for, the most important first."""
    found = [accuracy(table)]
    return [figure for figure in found if figure is not None]


def row_curves(row: Row) -> Figure | None:
    """The curves of one row's seeds; None without curves."""
    return None
