"""A table as CSV for programs: plain numbers, percentages with four decimals, full counts.

One line per row, one per unfinished arm with its reason and log, and one per refused row with its reason. A cell that a
spreadsheet would take for a formula begins with a quote. Axes are written as they are typed; the titles of parts are
`method` and `temporal_title`.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from fusionlab.errors import visible
from fusionlab.results.load import REFUSED, TOGETHER, Entry
from fusionlab.results.protocol_warnings import seed_text
from fusionlab.results.rows import PAPER, Row
from fusionlab.results.statistics import sign_flip
from fusionlab.results.tables import Table, kinds_of

# A formula begins with one of these. Some spreadsheets skip blanks before it, and accept full-width characters.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def csv_text(table: Table) -> str:
    paper = table.spec.paper
    figures = list(paper.figures) if paper else []
    rows = [*table.rows, *(line.row for line in table.lines if line.row.kind == PAPER)]
    axes = list(dict.fromkeys(axis for row in rows for axis in row.axes))
    questions = [TOGETHER, *kinds_of(table.rows)]
    lines: list[dict[str, Any]] = []
    for row in rows:
        name = {"method": row.method, "kind": row.kind, **row.axes, "temporal_title": row.titles.get("temporal", "")}
        paper_cells = {f"paper_{figure}": text for figure, text in (row.paper.figures if row.paper else {}).items()}
        if row.paper and row.paper.figures:
            paper_cells["paper_certainty"] = row.paper.certainty
        if row.kind == PAPER:
            lines.append({**name, "status": "not run here", **paper_cells})
        if row.done:
            lines.append({**name, **_done(row, questions), **paper_cells})
        lines += [{**name, **_undone(entry), **paper_cells} for entry in row.undone]
        for reason in dict.fromkeys(entry.reason for entry in row.refused):  # of all seeds
            lines.append({**name, "status": REFUSED, "reason": reason, **paper_cells})
    titled = ["temporal_title"] if any("temporal" in row.titles for row in table.rows) else []
    heads = ["method", "kind", *axes, *titled, "status", "seeds", "reason", "log", "videos"]
    for kind in questions:
        prefix = "accuracy" if kind == TOGETHER else kind
        heads += [prefix, *(f"{prefix}_{what}" for what in ("sd", "low", "high", "ceiling"))]
        heads += [f"{prefix}_{what}" for what in ("gain", "gain_low", "gain_high", "gain_p")]
    heads += ["layers", "parameters", "trained_parameters", *(f"paper_{figure}" for figure in figures)]
    heads += ["paper_certainty"] if paper else []
    heads = list(dict.fromkeys(heads))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(head) for head in heads])
    writer.writerows([_cell(line.get(head, "")) for head in heads] for line in lines)
    return text.getvalue()


def _cell(value: object) -> str:
    """The value as text that no spreadsheet takes for a formula.

    >>> [_cell(value) for value in (-0.5, "+1e3", "=1+1", "@a", "-", None)]
    ['-0.5', '+1e3', "'=1+1", "'@a", "'-", '']
    """
    text = "" if value is None else visible(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share + 0.0:.4f}"


def _done(row: Row, questions: list[str]) -> dict[str, Any]:
    line: dict[str, Any] = {"status": "done", "seeds": " ".join(seed_text(seed) for seed in row.seeds)}
    for kind in questions:
        prefix = "accuracy" if kind == TOGETHER else kind
        share, gain = row.shares.get(kind), row.gains.get(kind)
        if share:
            numbers = {"": share.mean, "_sd": share.sd, "_low": share.low, "_high": share.high}
            line |= {prefix + what: _percent(number) for what, number in numbers.items()}
            line[f"{prefix}_ceiling"] = "" if share.ceiling is None else str(share.ceiling)
        if share and kind == TOGETHER:
            line["videos"] = share.videos
        if gain:
            numbers = {"_gain": gain.mean, "_gain_low": gain.low, "_gain_high": gain.high}
            line |= {prefix + what: _percent(number) for what, number in numbers.items()}
            p = sign_flip(gain.per_seed)
            line[f"{prefix}_gain_p"] = "" if p is None else f"{p:.6g}"
    for name in ("layers", "parameters", "trained_parameters"):
        number = row.number(name)
        line[name] = "" if number is None else number
    return line


def _undone(entry: Entry) -> dict[str, Any]:
    return {
        "status": entry.status,
        "seeds": seed_text(entry.seed),
        "reason": entry.reason,
        "log": entry.log or "",
    }
