"""Heat maps: accuracy over two axes of the grid, fusion × layer where they vary; one for each of the other values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure as Sheet

from fusionlab.results import formatting
from fusionlab.results.figures import style
from fusionlab.results.figures.style import Figure
from fusionlab.results.load import TOGETHER
from fusionlab.results.rows import Row, varies
from fusionlab.results.tables import Table

MOST = 6  # maps
_LINES, _HEADS = 30, 12
_LABEL, _TOP, _HIGH = 1.7, 0.5, 0.22


def heat_maps(table: Table) -> list[Figure]:
    """A map per value of the axes that are not shown in it; none where fewer than two axes vary."""
    rows = [row for row in table.rows if row.kind == "fused" and id(row) not in table.apart]
    every = dict.fromkeys(["fusion", "layer", *(axis for row in rows for axis in row.axes)])
    axes = [axis for axis in every if any(axis in row.axes for row in rows) and varies(axis, rows)]
    if len(axes) < 2:
        return []
    down, across = axes[:2]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.text(axis) or "" for axis in axes[2:]), []).append(row)
    shown = list(groups.items())[:MOST]
    shares = [row.shares[table.kind].mean for _, own in shown for row in own if table.kind in row.shares]
    if not shares:
        return []
    ends, left = (min(shares), max(shares)), len(groups) - len(shown)
    figures = []
    for number, (values, own) in enumerate(shown, 1):
        where = ", ".join(f"{axis}={value}" for axis, value in zip(axes[2:], values, strict=True))
        slug = re.sub(r"[^a-z0-9]+", "-", "-".join(values).lower()).strip("-")[:40]
        name = "heat-map" if len(groups) == 1 else f"heat-map-{number}" + (f"-{slug}" if slug else "")
        question = "" if table.kind == TOGETHER else f" on {table.kind}"
        title = f"Accuracy{question}, {down} by {across}" + (f", {where}" if where else "")
        alt = (
            f"Cells have the mean over seeds in %, from {formatting.percent(ends[0])} to {formatting.percent(ends[1])}."
        )
        if left and number == len(shown):
            alt += f" Left out: {left} further maps."
        lines, heads = ({row.text(axis) or "": None for row in own} for axis in (down, across))
        for names, most, axis in ((lines, _LINES, down), (heads, _HEADS, across)):
            if len(names) > most:
                alt += f" Left out: {len(names) - most} further values of {axis}."
        figures.append(_figure(name, title, alt, table, own, (down, across), list(lines)[:_LINES],
                               list(heads)[:_HEADS], ends))  # fmt: skip
    return figures


def _figure(name: str, title: str, alt: str, table: Table, rows: Sequence[Row], axes: tuple[str, str],
            lines: Sequence[str], heads: Sequence[str], ends: tuple[float, float]) -> Figure:  # fmt: skip
    place = {tuple(row.text(axis) or "" for axis in axes): row for row in rows}

    def draw() -> Sheet:
        wide = min(0.75, (style.WIDTH - _LABEL - 0.1) / len(heads))
        sheet = style.sheet(_TOP + _HIGH * len(lines) + 1.1)
        style.write(sheet, _LABEL, 0.2, style.cut(title, 80), weight="bold")
        cells = [[_cell(place, (line, head), table.kind, ends) for head in heads] for line in lines]
        style.grid(sheet, (_LABEL, _TOP - 0.2), (wide, _HIGH), cells, lines, heads)
        return sheet

    return Figure(name, title, alt, draw)


def _cell(
    place: Mapping[tuple[str, ...], Row], at: tuple[str, str], kind: str, ends: tuple[float, float]
) -> tuple[float | None, str]:
    row = place.get(at)
    if row is None:
        return None, ""
    if kind in row.shares:
        mean = row.shares[kind].mean
        return (mean - ends[0]) / (ends[1] - ends[0] or 1), formatting.percent(mean)
    if any(entry.status == "failed" for entry in row.undone):
        return None, "failed"
    return None, "missing" if row.undone else "refused" if row.refused else formatting.NONE
