"""The report's page: one self-contained HTML file with links to the records."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from fusionlab.records.record import FILE
from fusionlab.results import formatting
from fusionlab.results.cells import GAINS, Column, is_name
from fusionlab.results.differences import pairs_text
from fusionlab.results.load import REFUSED, Entry
from fusionlab.results.notes import MOST
from fusionlab.results.protocol_warnings import row_title, seed_text, title_axes
from fusionlab.results.rows import CEILING, PAPER
from fusionlab.results.shares import Share
from fusionlab.results.tables import Line, Table

STYLE = files("fusionlab.results").joinpath("page.css").read_text(encoding="utf-8")
FOOTER = """<footer>The same table: <a href="table.md">Markdown</a> · <a href="table.csv">CSV</a> ·
<a href="table.tex">LaTeX</a> · <a href="plot.svg">picture</a></footer>"""


class Figure(Protocol):
    """What the page needs of a figure."""

    @property
    def title(self) -> str: ...

    def svg(self) -> str: ...


def page(
    table: Table,
    entries: Sequence[Entry],
    *,
    name: str,
    out: Path,
    figures: Sequence[Figure] = (),
    mistakes: Mapping[int, Sequence[Any]] | None = None,
) -> str:
    """`name` is the study's; links to records are relative to `out`, the folder that the page will lie in.

    `mistakes`: the id of a row -> its typical mistakes.
    """
    return (
        "\n".join(
            [
                "<!doctype html>",
                '<html lang="en"><head><meta charset="utf-8">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>{_text(name)} – fusionlab</title>",
                f"<style>{STYLE}</style></head><body><main>",
                f'<header><p class="over">fusionlab · {_text(name)}</p>',
                f"<h1>{_text(table.caption)}</h1>",
                f'<p class="lead">{_text(table.headline)}</p>',
                _facts(entries),
                "</header>",
                _table(table),
                *(f'<section class="card scroll"><h2>{_text(one.title)}</h2>{one.svg()}</section>' for one in figures),
                _notes(table),
                _pairs(table),
                _evidence(entries, out),
                FOOTER,
                "</main></body></html>",
            ]
        )
        + "\n"
    )


def _text(value: object) -> str:
    return escape(formatting.plain(value))


def _facts(entries: Sequence[Entry]) -> str:
    """Facts about all arms in one line: seeds, videos, decoder, code."""
    done = [entry for entry in entries if entry.status == "done"]
    refused = sum(entry.status == REFUSED for entry in entries)

    def shared(values: Mapping[str, None]) -> str:
        return formatting.short_list(list(values), 3)

    around = [entry.record.get("circumstances", {}) for entry in done]
    packages = [one.get("packages", {}) for one in around]
    facts = {
        "arms": f"{len(done)} of {len(entries) - refused} done",
        "refused cells": str(refused) if refused else "",
        "seeds": shared({seed_text(entry.seed): None for entry in entries if entry.seed}),
        "test videos": shared({str(entry.result["total"]): None for entry in done if "total" in entry.result}),
        "decoder": shared({str(entry.result["decoder"]): None for entry in done if entry.result.get("decoder")}),
        "data": shared({str(entry.result["data"])[:10]: None for entry in done if entry.result.get("data")}),
        "code": shared({str(one["commit"])[:10]: None for one in around if one.get("commit")}),
        "device": shared({str(one["device"]): None for one in around if one.get("device")}),
        "torch": shared({str(one["torch"]): None for one in packages if one.get("torch")}),
    }
    items = [f"<div><dt>{_text(what)}</dt><dd>{_text(value)}</dd></div>" for what, value in facts.items() if value]
    return f'<dl class="facts">{"".join(items)}</dl>'


def _table(table: Table) -> str:
    heads = "".join(
        f'<th scope="col" class="{"num" if column.right else "name"}{_own(column)}">{_text(column.head)}</th>'
        for column in table.columns
    )
    body: list[str] = []
    last = None
    for line in table.lines:
        block = line.row.kind if line.row.kind in ("fused", CEILING, PAPER) else "base"
        first = " first" if last is not None and last != block else ""
        last = block
        body.append(f'<tr class="{block}{first}">{_line(line, table.columns)}</tr>')
    rows = "\n".join(body)
    whole = f"<table><thead><tr>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table>"
    return f'<section class="card scroll">{whole}</section>'


def _own(column: Column) -> str:
    if column.key in GAINS:
        return " gain"
    return {"kind": " share", "ceiling": " ceiling"}.get(column.key, " paper" if "paper:" in column.key else "")


def _line(line: Line, columns: Sequence[Column]) -> str:
    cells = []
    for at, (column, text) in enumerate(zip(columns, line.cells, strict=False)):
        inside = _text(text)
        if column.key == "method" and line.marks:
            inside += f"<sup>{','.join(str(mark) for mark in line.marks)}</sup>"
        if column.key == "kind" and line.row.kind != CEILING and (share := line.row.shares.get(column.kind or "")):
            inside = _share(text, share)
        elif column.key in ("accuracy", "control", *GAINS) and text != formatting.NONE:
            number, gap, rest = text.partition(" (" if column.key in GAINS else " ")
            inside = f"<b>{_text(number)}</b>" + (f" <small>{_text(gap + rest).strip()}</small>" if rest else "")
        tag = "th scope=row" if column.key == "method" else "td"
        style = "num" if column.right and not is_name(column) else "name"
        best = " best" if at in line.bold else ""
        cells.append(f'<{tag} class="{style}{_own(column)}{best}">{inside}</{tag.split()[0]}>')
    if line.span is not None:
        style = "name" if line.span == REFUSED else "failed"
        cells.append(f'<td class="{style}" colspan="{max(1, len(columns) - len(line.cells))}">{_text(line.span)}</td>')
    return "".join(cells)


def _share(text: str, share: Share) -> str:
    """The number, its interval, and a bar from 0 to 100 with the interval on it and the ceiling as a mark."""
    number, _, rest = text.partition(" ")
    ceiling = "" if share.ceiling is None else f'<u style="left:{100 * float(share.ceiling):.1f}%"></u>'
    band = f'<s style="left:{100 * share.low:.1f}%;width:{100 * (share.high - share.low):.1f}%"></s>'
    bar = f'<i class="bar"><i style="width:{100 * share.mean:.1f}%"></i>{band}{ceiling}</i>'
    return f"<b>{_text(number)}</b> <small>{_text(rest)}</small>{bar}"


def _notes(table: Table) -> str:
    """The most important notes; the others are folded."""
    items = [
        f"<li>{'' if mark is None else f'<sup>{mark}</sup> '}{_text(note)}</li>" for mark, note in table.numbered()
    ]
    text = f'<section class="notes"><h2>How to read the table</h2><ul>{"".join(items[:MOST])}</ul>'
    if folded := items[MOST:]:
        more = f"{len(folded)} further note{'s' * (len(folded) > 1)}"
        text += f"<details><summary>{more}</summary><ul>{''.join(folded)}</ul></details>"
    return text + "</section>"


def _pairs(table: Table) -> str:
    """What each row gains over each other one, folded."""
    if not table.matrix.pairs:
        return ""
    axes = title_axes(table.rows)
    text = pairs_text(table.matrix, lambda row: row_title(row, axes), table.spec.decimals)
    return (
        f'<details class="card scroll"><summary>All pairs: {len(table.matrix.pairs)} differences of rows</summary>'
        f"<pre>{escape(text)}</pre></details>"
    )


def _evidence(entries: Sequence[Entry], out: Path) -> str:
    """One line per arm, with a link to the record behind the cells above."""
    lines = []
    arms = [entry for entry in entries if entry.status != REFUSED]
    place = os.path.abspath(out)
    for entry in arms:
        seconds = entry.record.get("circumstances", {}).get("seconds")
        best = entry.result.get("best_step")
        steps = formatting.NONE if best is None else f"{best} of {entry.result.get('steps')}"
        right = formatting.percent(entry.result["accuracy"], 2) if "accuracy" in entry.result else formatting.NONE
        cells = [
            _linked(entry, place),
            f'<td class="{"failed" if entry.status == "failed" else "name"}">{_text(entry.status)}</td>',
            f'<td class="num">{right}</td>',
            f'<td class="num">{steps}</td>',
            f'<td class="num">{formatting.NONE if seconds is None else f"{seconds:.1f}"}</td>',
            f"<td><code>{_text(entry.record.get('signature', ''))}</code></td>",
            f"<td>{_text(entry.log or '')}</td>",
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    heads = "".join(
        f"<th>{head}</th>" for head in ("arm", "status", "accuracy %", "best step", "s", "signature", "log")
    )
    return (
        f'<details class="card scroll"><summary>Evidence: {len(arms)} arms and their records</summary>'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></details>"
    )


def _linked(entry: Entry, out: str) -> str:
    if entry.folder is None:
        return f"<td>{_text(entry.name)}</td>"
    way = os.path.relpath(os.path.join(entry.folder, FILE), out)
    return f'<td><a href="{escape(quote(os.fsencode(way)))}">{_text(entry.name)}</a></td>'
