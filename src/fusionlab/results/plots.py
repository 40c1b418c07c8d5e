"""The table as a picture: shares of right answers against their ceilings, and gains over the control and late.

Plain SVG text: no plotting library, the same bytes everywhere, sharp at any size, and the page's colours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from fusionlab.results import formatting
from fusionlab.results.cells import kinds_of
from fusionlab.results.crossed import Comparison
from fusionlab.results.load import REFUSED, TOGETHER
from fusionlab.results.protocol_warnings import row_title, title_axes
from fusionlab.results.rows import Row
from fusionlab.results.tables import Table

_LABEL, _PANEL, _GAP, _ROW, _TOP, _BOTTOM = 190, 292, 46, 27, 46, 62
_STYLE = """
.fl-text{font:12.5px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--ink,#1d2430)}
.fl-head{font-weight:600}
.fl-soft{fill:var(--soft,#667085);font-size:11px}
.fl-bad{fill:var(--bad,#b42318);font-size:11px}
.fl-paper{fill:var(--card,#fff)}
.fl-grid{stroke:var(--line,#e4e7ec)}
.fl-zero{stroke:var(--soft,#667085)}
.fl-out{fill:var(--out,#f1f2f5)}
.fl-ceiling{stroke:var(--ceiling,#c77700);stroke-width:2.5;stroke-linecap:round}
.fl-base{stroke:var(--base,#64748b);fill:var(--base,#64748b)}
.fl-fused{stroke:var(--accent,#0f766e);fill:var(--accent,#0f766e)}
.fl-whisker{stroke-width:2}
.fl-mean{stroke:none}
.fl-seed{fill:var(--card,#fff);stroke-width:1.1}
"""


def picture(table: Table) -> str:
    """A panel per kind of question and one for gains; each row of the table is a row here."""
    rows = table.rows
    questions = kinds_of(rows) or [TOGETHER]
    gains = [column for column in table.columns if column.key in ("gain", "late") and column.kind]
    panels: list[tuple[str, Callable[[int, float, Row], list[str]], tuple[float, float]]] = []
    for kind in questions:
        head = "accuracy, %" if kind == TOGETHER else f"{kind}, %"
        panels.append((head, _share_drawer(kind), (0.0, 1.0)))
    for column in gains:
        over, kind = ("control" if column.key == "gain" else "late"), str(column.kind)
        on = "" if kind == TOGETHER else f" on {kind}"
        own = [(row.gains if over == "control" else row.over_late).get(kind) for row in rows]
        ends = _ends([gain for gain in own if gain is not None])
        by_row = {id(row): gain for row, gain in zip(rows, own, strict=True)}
        panels.append((f"points over {over}{on}", _gain_drawer(by_row, ends), ends))
    width = _LABEL + len(panels) * (_PANEL + _GAP)
    height = _TOP + len(rows) * _ROW + _BOTTOM
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    label = f'role="img" aria-label="{escape(table.headline)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label} class="fl-picture">',
        f"<style>{_STYLE}</style>",
        f'<rect class="fl-paper" width="{width}" height="{height}"/>',
    ]
    axes = title_axes(rows)
    for at, row in enumerate(rows):
        parts.append(_text(_LABEL - 14, _middle(at) + 4, row_title(row, axes), anchor="end"))
    for number, (head, draw, ends) in enumerate(panels):
        left = _LABEL + number * (_PANEL + _GAP)
        parts += _frame(left, head, ends, len(rows))
        for at, row in enumerate(rows):
            parts += draw(left, _middle(at), row)
    parts += _legend(height)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _middle(row: int) -> float:
    return _TOP + (row + 0.5) * _ROW


def _text(x: float, y: float, text: str, *, anchor: str = "start", style: str = "") -> str:
    text = formatting.cell(text)
    if anchor == "end" and len(text) > 28:
        text = text[:27] + "…"
    words = f"fl-text {style}".strip()
    return f'<text class="{words}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _x(left: int, value: float, ends: tuple[float, float]) -> float:
    return left + _PANEL * (value - ends[0]) / (ends[1] - ends[0])


def _frame(left: int, head: str, ends: tuple[float, float], rows: int) -> list[str]:
    bottom = _TOP + rows * _ROW
    parts = [_text(left, _TOP - 20, head, style="fl-head")]
    for step in range(math.ceil(4 * ends[0]), math.floor(4 * ends[1]) + 1):
        x = _x(left, step / 4, ends)
        style = "fl-zero" if step == 0 else "fl-grid"
        parts.append(f'<line class="{style}" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>')
        label = formatting.percent(step / 4, 0) if ends == (0.0, 1.0) else formatting.points(step / 4, 0)
        parts.append(_text(x, bottom + 17, label, anchor="middle", style="fl-soft"))
    return parts


def _whisker(left: int, y: float, ends: tuple[float, float], low: float | None, high: float | None, style: str) -> str:
    if low is None or high is None:
        return ""
    x1, x2 = (_x(left, min(max(value, ends[0]), ends[1]), ends) for value in (low, high))
    return f'<line class="{style} fl-whisker" x1="{x1:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y:.1f}"/>'


def _dots(
    left: int, y: float, ends: tuple[float, float], values: Sequence[float], mean: float, style: str
) -> list[str]:
    dots = []
    if len(values) > 1:
        dots = [
            f'<circle class="{style} fl-seed" cx="{_x(left, value, ends):.1f}" cy="{y + 6:.1f}" r="2.4"/>'
            for value in values
        ]
    return [*dots, f'<circle class="{style} fl-mean" cx="{_x(left, mean, ends):.1f}" cy="{y:.1f}" r="4.6"/>']


def _style(row: Row) -> str:
    return "fl-fused" if row.kind == "fused" else "fl-base"


def _share_drawer(kind: str) -> Callable[[int, float, Row], list[str]]:
    ends = (0.0, 1.0)

    def draw(left: int, y: float, row: Row) -> list[str]:
        share = row.shares.get(kind)
        if share is None:
            word = "failed" if any(entry.status == "failed" for entry in row.undone) else "missing"
            if row.refused and not row.undone:
                return [_text(left + 6, y + 4, REFUSED, style="fl-soft")]
            return [_text(left + 6, y + 4, formatting.NONE if row.done else word, style="fl-bad")]
        parts = []
        if share.ceiling is not None:
            x = _x(left, float(share.ceiling), ends)
            top, height = y - _ROW / 2 + 1, _ROW - 2
            place = f'x="{x:.1f}" y="{top:.1f}" width="{left + _PANEL - x:.1f}" height="{height}"'
            mark = f'x1="{x:.1f}" y1="{y - 9:.1f}" x2="{x:.1f}" y2="{y + 9:.1f}"'
            tooltip = f"<title>ceiling {share.ceiling}</title>"
            parts += [f'<rect class="fl-out" {place}/>', f'<line class="fl-ceiling" {mark}>{tooltip}</line>']
        parts.append(_whisker(left, y, ends, share.low, share.high, _style(row)))
        return parts + _dots(left, y, ends, share.per_seed, share.mean, _style(row))

    return draw


def _ends(gains: Sequence[Comparison]) -> tuple[float, float]:
    """The range of the panel in steps of 25 points; it includes zero, all intervals and all seeds."""
    low = min([0.0, *(min([gain.method.low if gain.method else gain.mean, *gain.per_seed]) for gain in gains)])
    high = max([0.25, *(max([gain.method.high if gain.method else gain.mean, *gain.per_seed]) for gain in gains)])
    return math.floor(4 * low) / 4, math.ceil(4 * high) / 4


def _gain_drawer(
    gains: Mapping[int, Comparison | None], ends: tuple[float, float]
) -> Callable[[int, float, Row], list[str]]:
    def draw(left: int, y: float, row: Row) -> list[str]:
        gain = gains.get(id(row))
        if gain is None:
            return []
        low, high = (gain.method.low, gain.method.high) if gain.method else (None, None)
        whisker = _whisker(left, y, ends, low, high, _style(row))
        return [whisker, *_dots(left, y, ends, gain.per_seed, gain.mean, _style(row))]

    return draw


def _legend(height: int) -> list[str]:
    y = height - 16

    def line(style: str, x1: int, x2: int, y1: int, y2: int) -> str:
        return f'<line class="{style}" x1="{_LABEL + x1}" y1="{y + y1}" x2="{_LABEL + x2}" y2="{y + y2}"/>'

    def text(x: int, words: str) -> str:
        return _text(_LABEL + x, y, words, style="fl-soft")

    return [
        f'<circle class="fl-fused fl-mean" cx="{_LABEL + 5}" cy="{y - 4}" r="4.6"/>',
        text(15, "mean over seeds"),
        f'<circle class="fl-fused fl-seed" cx="{_LABEL + 122}" cy="{y - 4}" r="2.4"/>',
        text(130, "one seed"),
        line("fl-fused fl-whisker", 196, 222, -4, -4),
        text(228, "95 % interval"),
        line("fl-ceiling", 322, 322, -11, 2),
        text(330, "ceiling; shaded: beyond what such a system can know"),
    ]
