"""Knowledge: videos that either stream alone answers right, both, or neither, and how many the fusion has right."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure as Sheet
from numpy.typing import NDArray

from fusionlab.results import formatting
from fusionlab.results.figures import style
from fusionlab.results.figures.predicted import best_fused, together
from fusionlab.results.figures.style import Figure
from fusionlab.results.protocol_warnings import row_title, title_axes
from fusionlab.results.rows import Row
from fusionlab.results.tables import Table

PARTS = ("both streams", "appearance only", "motion only", "neither stream")


def knowledge(table: Table, row: Row | None = None) -> Figure | None:
    """Of a row, by default the best fused one; None without the answers of both streams and of the row."""
    row = row or best_fused(table.rows, table.kind)
    streams = [
        next((one for one in table.rows if one.kind == "stream" and one.axes.get("streams") == name and one.done), None)
        for name in ("appearance", "motion")
    ]
    if row is None or streams[0] is None or streams[1] is None:
        return None
    seeds = together(streams[0], streams[1], row)
    if not seeds:
        return None
    parts = np.mean([_count(*(own.right for own in one)) for one in seeds], axis=0)
    name = row_title(row, title_axes(table.rows))
    texts = [
        f"{right:.0f} of {size:.0f} ({formatting.percent(right / size, 0)} %)" if size else formatting.NONE
        for size, right in parts
    ]
    listed = "; ".join(f"{part}: {text}" for part, text in zip(PARTS, texts, strict=True))
    alt = (
        f"Videos that streams alone answer right, and how many of them {name} has right; mean over {len(seeds)} seeds. "
    )
    return Figure(
        "knowledge", f"What either stream knows, and {name}", f"{alt}{listed}.", lambda: _draw(name, parts, texts)
    )


def _count(appearance: NDArray[Any], motion: NDArray[Any], fused: NDArray[Any]) -> list[tuple[int, int]]:
    parts = (appearance & motion, appearance & ~motion, ~appearance & motion, ~appearance & ~motion)
    return [(int(part.sum()), int((part & fused).sum())) for part in parts]


def _draw(name: str, parts: NDArray[Any], texts: list[str]) -> Sheet:
    sheet = style.sheet(1.75)
    style.write(
        sheet, 1.3, 0.2, style.cut(f"videos that a stream alone has right, and of these {name}", 80), weight="bold"
    )
    axes = style.panel(sheet, 1.3, 0.34, 4.2, 1.1)
    axes.set_ylim(4, 0)
    axes.set_xlim(0, float(parts[:, 0].max()) or 1)
    y = [at + 0.5 for at in range(4)]
    axes.barh(y, parts[:, 0], height=0.62, facecolor=style.OUT, edgecolor=style.BASE, lw=0.6, hatch="////", label="all")
    axes.barh(y, parts[:, 1], height=0.62, facecolor=style.ACCENT, lw=0, label="right")
    axes.set_yticks(y, PARTS, color=style.INK)
    for at, text in enumerate(texts):
        style.write(sheet, 5.6, 0.34 + (at + 0.6) * 1.1 / 4, text)
    axes.set_xticks([])
    style.write(sheet, 1.3, 1.62, f"filled: {style.cut(name, 40)} is right; hatched: it is wrong", size=style.SMALL,
                colour=style.SOFT)  # fmt: skip
    return sheet
