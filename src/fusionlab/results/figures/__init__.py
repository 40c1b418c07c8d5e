"""The figures of a report, drawn by matplotlib: SVG for the page, PDF for LaTeX.

Only a report imports this package, since matplotlib is slow to import.

style.py      colours, sizes, fonts; SVG and PDF
predicted.py  what rows answered, by class and by video
accuracy.py, heat_maps.py, cost.py, curves.py, classes.py, knowledge.py, pairs.py: the figures
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fusionlab.results.figures import style  # first: it imports matplotlib whatever MPLBACKEND says
from fusionlab.results.figures.accuracy import accuracy
from fusionlab.results.figures.classes import confusion, per_class
from fusionlab.results.figures.cost import cost
from fusionlab.results.figures.curves import curves, row_curves
from fusionlab.results.figures.heat_maps import heat_maps
from fusionlab.results.figures.knowledge import knowledge
from fusionlab.results.figures.pairs import pairs
from fusionlab.results.load import Entry
from fusionlab.results.notes import saw_test_line
from fusionlab.results.tables import Table

Figure = style.Figure

__all__ = ["Figure", "figure_files", "make_figures", "row_curves"]


def make_figures(table: Table, entries: Sequence[Entry]) -> list[Figure]:
    """All figures that the table's rows have data for, the most important first."""
    found = [
        accuracy(table), *heat_maps(table), cost(table), cost(table, "multiply_adds"), curves(table), per_class(table),
        confusion(table), knowledge(table), pairs(table),
    ]  # fmt: skip
    note = saw_test_line(table.rows)
    return [replace(figure, note=note) for figure in found if figure is not None]


def figure_files(figures: Sequence[Figure], *, pdf: bool) -> dict[str, str | bytes]:
    """The files of a report's figures: name -> content. PDF takes most of a report's time: its fonts are cut out."""
    files: dict[str, str | bytes] = {f"figures/{figure.name}.svg": figure.svg() + "\n" for figure in figures}
    return files | ({f"figures/{figure.name}.pdf": figure.pdf() for figure in figures} if pdf else {})
