"""Accuracy: seeds, mean and interval of each row against its ceiling; gains over the control and over late fusion."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet

from fusionlab.results import formatting
from fusionlab.results.cells import kinds_of
from fusionlab.results.crossed import Comparison
from fusionlab.results.figures import style
from fusionlab.results.figures.style import Figure
from fusionlab.results.load import REFUSED, TOGETHER
from fusionlab.results.protocol_warnings import row_title, title_axes
from fusionlab.results.rows import Row
from fusionlab.results.tables import Table

MOST = 60  # rows
_QUESTIONS = 4
_LABEL, _GAP, _ROW, _TOP, _BOTTOM = 1.5, 0.24, 0.2, 0.46, 0.52
_MARKS = {True: ("o", style.ACCENT), False: ("s", style.BASE)}  # fused or not: shape and colour


def accuracy(table: Table) -> Figure | None:
    """A panel per kind of question, and one for each column of gains; a line for each row of the table."""
    if not table.rows:
        return None
    rows = table.rows[:MOST]
    every = kinds_of(table.rows) or [TOGETHER]
    questions = every[:_QUESTIONS]
    alt = f"{table.headline} One line per row of the table: seeds, mean, 95 % interval and ceiling."
    if left := len(table.rows) - len(rows):
        alt += f" Left out: {left} further rows, which are in the table."
    if left := len(every) - len(questions):
        alt += f" Left out: {left} further kinds of question."
    return Figure("accuracy", "Accuracy, ceilings and gains", alt, lambda: _draw(table, rows, questions))


def _draw(table: Table, rows: Sequence[Row], questions: Sequence[str]) -> Sheet:
    gains = [(column.key == "gain", str(column.kind)) for column in table.columns if column.key in ("gain", "late")]
    gains = [one for one in gains if one[1] in questions or one[1] == TOGETHER]
    count = len(questions) + len(gains)
    width = max(style.WIDTH, _LABEL + count * (1.15 + _GAP))
    wide = (width - _LABEL - count * _GAP) / count
    height = len(rows) * _ROW
    sheet = style.sheet(_TOP + height + _BOTTOM, width)
    axes_of_titles = title_axes(table.rows)
    for at, row in enumerate(rows):
        name = style.cut(row_title(row, axes_of_titles), 30)
        style.write(sheet, _LABEL - 0.1, _TOP + (at + 0.65) * _ROW, name, anchor="right")

    def panel(number: int, head: str, under: str) -> Axes:
        most = int(wide * 15)
        place = (_LABEL + number * (wide + _GAP), _TOP, wide, height)
        axes = style.panel(sheet, *place, style.cut(head, most), style.cut(under, most))
        axes.set_ylim(len(rows), 0)
        axes.set_yticks([])
        return axes

    for number, kind in enumerate(questions):
        _shares(panel(number, "all videos" if kind == TOGETHER else kind, "accuracy, %"), rows, kind)
    for number, (over_control, kind) in enumerate(gains, len(questions)):
        own = [(row.gains if over_control else row.over_late).get(kind) for row in rows]
        over = "gain over control" if over_control else "gain over late"
        _gains(panel(number, over, "points" if kind == TOGETHER else f"{kind}, points"), rows, own)
    _legend(sheet, _TOP + height + 0.42)
    return sheet


def _shares(axes: Axes, rows: Sequence[Row], kind: str) -> None:
    axes.set_xlim(0, 1)
    _scale(axes, [0, 0.25, 0.5, 0.75, 1], lambda value: formatting.percent(value, 0))
    shares = [(at + 0.5, row, row.shares[kind]) for at, row in enumerate(rows) if kind in row.shares]
    known = [(y, float(share.ceiling)) for y, _, share in shares if share.ceiling is not None]
    if known:
        places, ceilings = zip(*known, strict=True)
        beyond = [1 - most for most in ceilings]
        axes.barh(places, beyond, left=ceilings, height=0.92, color=style.OUT, edgecolor=style.LINE, hatch="////", lw=0)
        axes.vlines(
            ceilings, [y - 0.36 for y in places], [y + 0.36 for y in places], color=style.CEILING, lw=1.8,
            clip_on=False, label="ceiling",
        )  # fmt: skip
    _points(axes, [(y, row, share.mean, share.low, share.high, share.per_seed) for y, row, share in shares])
    for at, row in enumerate(rows):
        if kind not in row.shares:
            word = "failed" if any(entry.status == "failed" for entry in row.undone) else "missing"
            colour = style.BAD
            if row.refused and not row.undone:
                word, colour = REFUSED, style.SOFT
            elif row.done:
                word = formatting.NONE
            axes.text(0.03, at + 0.68, word, size=style.SMALL, color=colour, va="baseline")


def _gains(axes: Axes, rows: Sequence[Row], gains: Sequence[Comparison | None]) -> None:
    found = [
        (at + 0.5, row, gain.mean, *((gain.method.low, gain.method.high) if gain.method else (None, None)),
         gain.per_seed) for at, (row, gain) in enumerate(zip(rows, gains, strict=True)) if gain
    ]  # fmt: skip
    every = [
        value for _, _, mean, low, high, seeds in found for value in (mean, low, high, *seeds) if value is not None
    ]
    low, high = math.floor(4 * min([0.0, *every])) / 4, math.ceil(4 * max([0.25, *every])) / 4
    axes.set_xlim(low, high)
    ticks = [step / 4 for step in range(round(4 * low), round(4 * high) + 1)]
    _scale(axes, ticks[:: 1 + len(ticks) // 6], lambda value: formatting.points(value, 0))
    axes.axvline(0, color=style.SOFT, lw=0.8)
    _points(axes, found)


def _scale(axes: Axes, ticks: Sequence[float], text: Callable[[float], str]) -> None:
    axes.set_xticks(ticks, [text(tick) for tick in ticks])
    axes.grid(axis="x", color=style.LINE, lw=0.6)
    axes.set_axisbelow(True)


def _points(
    axes: Axes, points: Sequence[tuple[float, Row, float, float | None, float | None, Sequence[float]]]
) -> None:
    """Means (label mean), seeds (label seed) and intervals, of fused rows and of the others."""
    for fused, (marker, colour) in _MARKS.items():
        own = [one for one in points if (one[1].kind == "fused") == fused]
        bars = [(y, low, high) for y, _, _, low, high, _ in own if low is not None and high is not None]
        if bars:
            axes.hlines(*zip(*bars, strict=True), color=colour, lw=1.4)
        seeds = [(value, y + 0.3) for y, *_, per_seed in own if len(per_seed) > 1 for value in per_seed]
        if seeds:
            values, places = zip(*seeds, strict=True)
            axes.scatter(
                values, places, s=5, marker=marker, facecolor=style.CARD, edgecolor=colour, lw=0.7,
                clip_on=False, zorder=3, label="seed",
            )  # fmt: skip
        if own:
            axes.scatter(
                [one[2] for one in own], [one[0] for one in own], s=20, marker=marker, color=colour, lw=0,
                clip_on=False, zorder=4, label="mean",
            )  # fmt: skip


def _legend(sheet: Sheet, y: float) -> None:
    axes = style.panel(sheet, _LABEL, y - 0.12, 5.2, 0.16)
    axes.set_xlim(0, 5.2)
    axes.set_ylim(0, 1)
    axes.set_axis_off()
    for x, fused in ((0.05, True), (0.62, False)):
        marker, colour = _MARKS[fused]
        axes.scatter([x], [0.5], s=20, marker=marker, color=colour, lw=0, clip_on=False)
    axes.scatter([1.42], [0.5], s=5, marker="o", facecolor=style.CARD, edgecolor=style.ACCENT, lw=0.7)
    axes.hlines([0.5], [2.05], [2.3], color=style.ACCENT, lw=1.4)
    axes.vlines([3.1], [0.05], [0.95], color=style.CEILING, lw=1.8)
    words = ((0.13, "fused"), (0.7, "not fused"), (1.5, "one seed"), (2.36, "95 % interval"),
             (3.18, "ceiling; hatched: beyond it"))  # fmt: skip
    for x, word in words:
        axes.text(x, 0.24, word, size=style.SMALL, color=style.SOFT, va="baseline")
