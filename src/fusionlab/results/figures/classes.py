"""Classes: the confusion matrix of the best fused row, and what it gains per class over its control."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure as Sheet
from numpy.typing import NDArray

from fusionlab.results import formatting
from fusionlab.results.figures import style
from fusionlab.results.figures.predicted import answers, best_fused, by_class, confusions, together
from fusionlab.results.figures.style import Figure
from fusionlab.results.protocol_warnings import row_title, title_axes
from fusionlab.results.rows import Row
from fusionlab.results.tables import Table

MOST = 18  # classes of a matrix
ENDS = 12  # classes of each end of the gains
OTHERS = "all others"


def confusion(table: Table, row: Row | None = None) -> Figure | None:
    """Of a row, by default the best fused one. Of many classes: those with the most wrong answers, and the others."""
    row = row or best_fused(table.rows, table.kind)
    found = None if row is None else confusions(row)
    if row is None or found is None:
        return None
    names, matrix = found
    name = row_title(row, title_axes(table.rows))
    wrong = matrix.sum() - np.trace(matrix)
    alt = f"{name}: true classes down, predicted ones across, in % of the true class, mean over {len(row.done)} seeds. "
    alt += f"{formatting.percent(wrong / matrix.sum())} % of the answers are wrong."
    if len(names) > MOST:
        alt += f" Of {len(names)} classes the {MOST - 1} with the most wrong answers are shown, the rest together."
        names, matrix = most_confused(names, matrix)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-12)

    def draw() -> Sheet:
        size = min(0.32, 5.0 / len(names))
        longest = max(len(style.cut(one, 30)) for one in names)
        sheet = style.sheet(0.5 + size * len(names) + 0.04 * longest + 0.2)
        style.write(
            sheet, 1.8, 0.2, style.cut(f"{name}: % of a true class (line) by predicted class", 80), weight="bold"
        )
        cells = [[(share, formatting.percent(share, 0) if share >= 0.005 else "") for share in line] for line in shares]
        style.grid(sheet, (1.8, 0.34), size, cells, names, names)
        return sheet

    return Figure("confusion", f"Confusion matrix of {name}", alt, draw)


def most_confused(names: list[str], matrix: NDArray[Any]) -> tuple[list[str], NDArray[Any]]:
    """The classes with the most wrong answers, of or as them, in their order; all others are one class."""
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    chosen = sorted(np.argsort(-wrong, kind="stable")[: MOST - 1].tolist())
    groups = np.zeros((MOST, len(names)))
    groups[-1] = 1
    for at, one in enumerate(chosen):
        groups[at, one], groups[-1, one] = 1, 0
    return [*(names[at] for at in chosen), OTHERS], groups @ matrix @ groups.T


def per_class(table: Table, row: Row | None = None, over: Row | None = None) -> Figure | None:
    """Gains of a row over another by class, sorted; by default the best fused row over its control, or over late."""
    row = row or best_fused(table.rows, table.kind)
    if row is None:
        return None
    late = next((one for one in table.rows if one.kind == "late" and answers(one)), None)
    over = over or (row.control if row.control is not None and answers(row.control) else late)
    pairs = [] if over is None else together(row, over)
    if over is None or not pairs:
        return None
    gains: dict[str, list[float]] = {}
    for own, other in pairs:
        before = by_class(other)
        for name, share in by_class(own).items():
            gains.setdefault(name, []).append(share - before[name])
    order = sorted(gains, key=lambda name: (-sum(gains[name]) / len(gains[name]), name))
    axes = title_axes(table.rows)
    first, second = row_title(row, axes), row_title(over, axes)
    more = sum(sum(one) > 1e-9 for one in gains.values())
    less = sum(sum(one) < -1e-9 for one in gains.values())
    alt = f"{first} over {second}: {more} classes gain, {less} lose, of {len(gains)}."
    if len(order) > 2 * ENDS:
        alt += f" Shown are the {ENDS} with the largest and the {ENDS} with the smallest gains."
        order = order[:ENDS] + order[-ENDS:]

    def draw() -> Sheet:
        high = 0.19 * len(order)
        sheet = style.sheet(0.5 + high + 0.3)
        style.write(sheet, 1.8, 0.2, style.cut(f"{first} over {second}, points per class", 80), weight="bold")
        axes = style.panel(sheet, 1.8, 0.36, 4.8, high)
        means = [sum(gains[name]) / len(gains[name]) for name in order]
        every = [value for name in order for value in gains[name]]
        axes.set_ylim(len(order), 0)
        axes.set_xlim(min(-0.02, *every) * 1.04, max(0.05, *every) * 1.04)
        for up, colour, hatch in ((True, style.ACCENT, None), (False, style.BAD, "////")):
            own = [(at + 0.5, mean) for at, mean in enumerate(means) if (mean >= 0) == up]
            if own:
                y, lengths = zip(*own, strict=True)
                fill = colour if up else style.CARD
                axes.barh(y, lengths, 0.55, facecolor=fill, edgecolor=colour, hatch=hatch, lw=0.6, label="mean")
        places = [at + 0.5 for at, name in enumerate(order) for _ in gains[name]]
        axes.scatter(every, places, s=6, facecolor=style.CARD, edgecolor=style.INK, lw=0.6, zorder=3, label="seed")
        axes.axvline(0, color=style.SOFT, lw=0.8)
        axes.set_yticks(
            [at + 0.5 for at in range(len(order))], [style.cut(name, 30) for name in order], color=style.INK
        )
        low, top = axes.get_xlim()
        ticks = [step / 4 for step in range(-4, 5) if low <= step / 4 <= top]
        axes.set_xticks(ticks, [formatting.points(tick, 0) for tick in ticks])
        axes.grid(axis="x", color=style.LINE, lw=0.6)
        axes.set_axisbelow(True)
        return sheet

    return Figure("per-class", f"Gains per class of {first} over {second}", alt, draw)
