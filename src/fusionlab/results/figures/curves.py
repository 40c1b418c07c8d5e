"""Curves: training and validation over epochs, small multiples of the rows; each seed is thin, their mean is thick."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet

from fusionlab.results.figures import style
from fusionlab.results.figures.style import Figure
from fusionlab.results.notes import saw_test_line
from fusionlab.results.protocol_warnings import row_title, title_axes
from fusionlab.results.rows import Row
from fusionlab.results.tables import Table

MOST = 24  # rows
_ACROSS, _WIDE, _HIGH = 4, 1.36, 0.85
_PARTS = (("train", "--", style.BASE), ("val", "-", style.ACCENT))


def curves(table: Table) -> Figure | None:
    """A panel per row that has curves: accuracy, or the loss in records without it."""
    rows = [row for row in table.rows if _drawn(row)]
    if not rows:
        return None
    what = _what(rows)
    alt = f"{'Accuracy in %' if what == 'accuracy' else 'Loss'} over epochs, a panel per row: validation solid, "
    alt += "training dashed; thin lines are seeds."
    if left := len(rows) - MOST:
        alt += f" Left out: {left} further rows." if left > 0 else ""
    axes = title_axes(table.rows)
    titles = [style.cut(row_title(row, axes), 22) for row in rows]
    return Figure("curves", "Training and validation curves", alt, lambda: _draw(rows[:MOST], titles, what))


def row_curves(row: Row) -> Figure | None:
    """Accuracy and loss of one row; None without curves."""
    if not _drawn(row):
        return None
    alt = "Validation solid, training dashed, over epochs; thin lines are seeds."
    # The page has many of these; its signature keeps their ids apart.
    name = f"curves-{str(row.done[0].record.get('signature', ''))[:16] or 'row'}"
    return Figure(name, f"Curves of {row.method}", alt, lambda: _draw_row(row), saw_test_line([row]))


def _of(row: Row) -> list[Sequence[dict[str, Any]]]:
    return [found for entry in row.done if (found := entry.result.get("curves"))]


def _drawn(row: Row) -> bool:
    """Late fusion has a loss at one place, and no curve."""
    return any(len(one) > 1 for one in _of(row))


def _what(rows: Sequence[Row]) -> str:
    known = any(
        "val_accuracy" in point or "train_accuracy" in point for row in rows for one in _of(row) for point in one
    )
    return "accuracy" if known else "loss"


def _draw(rows: Sequence[Row], titles: Sequence[str], what: str) -> Sheet:
    deep = math.ceil(len(rows) / _ACROSS)
    sheet = style.sheet(0.35 + deep * (_HIGH + 0.48))
    for at, row in enumerate(rows):
        left, top = 0.36 + at % _ACROSS * (_WIDE + 0.28), 0.5 + at // _ACROSS * (_HIGH + 0.48)
        _lines(style.panel(sheet, left, top, _WIDE, _HIGH, titles[at]), row, what)
    style.write(sheet, 0.36, 0.16, _legend(what), size=style.SMALL, colour=style.SOFT)
    return sheet


def _draw_row(row: Row) -> Sheet:
    sheet = style.sheet(1.6)
    style.write(sheet, 0.4, 0.14, "solid: validation, dashed: training; thin: one seed", size=style.SMALL,
                colour=style.SOFT)  # fmt: skip
    _lines(style.panel(sheet, 0.4, 0.42, 2.8, 0.9, "accuracy, %"), row, "accuracy")
    _lines(style.panel(sheet, 3.8, 0.42, 2.8, 0.9, "loss"), row, "loss")
    return sheet


def _legend(what: str) -> str:
    value = "accuracy, %" if what == "accuracy" else "loss"
    return f"{value}, over epochs; solid: validation, dashed: training; thin: one seed"


def _lines(axes: Axes, row: Row, what: str) -> None:
    top = last = 0.0
    for part, dashes, colour in _PARTS:
        seeds = [found for one in _of(row) if (found := _points(one, f"{part}_{what}"))]
        for one in seeds:
            axes.plot(*zip(*one, strict=True), color=colour, lw=0.5, alpha=0.55, ls=dashes, label="seed")
            last = max(last, one[-1][0])
            top = max(top, *sorted(value for _, value in one)[-max(1, len(one) * 9 // 10) :])
        places = [tuple(x for x, _ in one) for one in seeds]
        if len(seeds) > 1 and len(set(places)) == 1:
            mean = [sum(values) / len(seeds) for values in zip(*([y for _, y in one] for one in seeds), strict=True)]
            axes.plot(places[0], mean, color=colour, lw=1.4, ls=dashes, label="mean")
    axes.set_xlim(0, last or 1)
    axes.set_xticks([0, last or 1], ["0", f"{last:g}"])
    axes.set_ylim(0, 1 if what == "accuracy" else (top or 1) * 1.05)
    ticks = [0, 0.5, 1] if what == "accuracy" else [0, top or 1]
    axes.set_yticks(ticks, ["0", "50", "100"] if what == "accuracy" else ["0", f"{top:.2g}"])
    axes.grid(axis="y", color=style.LINE, lw=0.6)


def _points(curve: Sequence[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    """(epoch, value), without the values that are no numbers."""
    every = [(point["epoch"], point.get(name)) for point in curve]
    return [(float(x), float(y)) for x, y in every if isinstance(y, int | float) and math.isfinite(y)]
