"""Cost: accuracy against parameters or multiply-adds, with the rows that no cheaper row beats (the Pareto front)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure as Sheet

from fusionlab.results import formatting
from fusionlab.results.figures import style
from fusionlab.results.figures.style import Figure
from fusionlab.results.load import TOGETHER
from fusionlab.results.protocol_warnings import row_title, title_axes
from fusionlab.results.rows import Row
from fusionlab.results.tables import Table

_NAMED = 12  # rows of the front with a name


PRICES = {"parameters": "parameters", "multiply_adds": "multiply-adds a clip"}  # of the records: its words


def cost(table: Table, price: str = "parameters") -> Figure | None:
    """None where fewer than two rows have the price and an accuracy."""
    rows = [row for row in table.rows if id(row) not in table.apart and row.kind != "tower"]
    points = [(count, row.shares[table.kind].mean, row) for row in rows
              if (count := row.number(price)) and table.kind in row.shares]  # fmt: skip
    if len(points) < 2:
        return None
    best, axes = front(points), title_axes(table.rows)
    names = [style.cut(row_title(row, axes), 26) for _, _, row in best]
    question = "" if table.kind == TOGETHER else f" on {table.kind}"
    alt = f"{len(points)} rows. No row with fewer {PRICES[price]} is better than: {formatting.short_list(names)}."
    title = f"Accuracy{question} against {PRICES[price]}"
    name = "cost" if price == "parameters" else "cost-macs"
    return Figure(name, title, alt, lambda: _draw(title, PRICES[price], points, best, names))


def front(points: Sequence[tuple[int, float, Row]]) -> list[tuple[int, float, Row]]:
    """The Pareto front: each of these is better than all that cost no more."""
    best: list[tuple[int, float, Row]] = []
    for point in sorted(points, key=lambda one: (one[0], -one[1])):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    return best


def _draw(
    title: str,
    price: str,
    points: Sequence[tuple[int, float, Row]],
    best: Sequence[tuple[int, float, Row]],
    names: Sequence[str],
) -> Sheet:
    sheet = style.sheet(3.3)
    axes = style.panel(sheet, 0.5, 0.4, 4.4, 2.4)
    style.write(sheet, 0.5, 0.2, title, weight="bold")
    axes.set_xscale("log")
    low, high = min(count for count, _, _ in points), max(count for count, _, _ in points)
    axes.set_xlim(low / 1.15, high * 1.15)
    ends = [low, high] if high > 1.05 * low else [low]
    middle = [round((low * high) ** 0.5)] if high > 1.5 * low else []
    ticks = sorted({*ends, *middle})
    axes.set_xticks(ticks, [formatting.millions(tick) if tick >= 1e6 else f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(price, size=style.SMALL)
    bottom = min(mean for _, mean, _ in points)
    axes.set_ylim(max(0, bottom - 0.08), 1.02)
    shown = [tick / 10 for tick in range(11) if tick / 10 >= max(0, bottom - 0.08)]
    axes.set_yticks(shown, [formatting.percent(tick, 0) for tick in shown])
    axes.grid(color=style.LINE, lw=0.6)
    axes.set_axisbelow(True)
    axes.step([count for count, _, _ in best] + [high * 1.15], [mean for _, mean, _ in best] + [best[-1][1]],
              where="post", color=style.SOFT, lw=0.9, ls="--", label="front")  # fmt: skip
    for fused, marker, colour in ((True, "o", style.ACCENT), (False, "s", style.BASE)):
        own = [(count, mean) for count, mean, row in points if (row.kind == "fused") == fused]
        if own:
            counts, means = zip(*own, strict=True)
            axes.scatter(counts, means, s=22, marker=marker, color=colour, lw=0, zorder=3, label="mean")
    style.write(sheet, 5.1, 0.46, "not beaten by a cheaper row", size=style.SMALL, colour=style.SOFT)
    for number, ((count, mean, _), name) in enumerate(list(zip(best, names, strict=True))[:_NAMED], 1):
        axes.annotate(str(number), (count, mean), (4, 4), textcoords="offset points", size=style.SMALL, weight="bold")
        style.write(sheet, 5.1, 0.48 + 0.17 * number, f"{number}  {name}")
    y = 0.9 + 0.17 * min(len(best), _NAMED)
    style.write(sheet, 5.1, y, "●  fused", size=style.SMALL, colour=style.ACCENT)
    style.write(sheet, 5.1, y + 0.17, "■  not fused", size=style.SMALL, colour=style.BASE)
    return sheet
