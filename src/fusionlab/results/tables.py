"""Rows -> a table of plain texts, which each format writes down without further computation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fusionlab.results import formatting
from fusionlab.results.ceilings import ceiling_rows, paper_rows
from fusionlab.results.cells import SAW_TEST, Column, ceiling_cell, cell, is_name, make_columns
from fusionlab.results.contrasts import Contrast, contrast_notes, make_contrasts
from fusionlab.results.differences import Matrix, adjusted_gains, make_matrix
from fusionlab.results.doubling import doubling_notes
from fusionlab.results.headline import Claim, claim_of, headline
from fusionlab.results.load import DAMAGED, REFUSED, TOGETHER, Entry
from fusionlab.results.notes import MOST, general, leading, margin_of
from fusionlab.results.protocol_rules import refused_rows
from fusionlab.results.protocol_warnings import protocol_warnings, seed_text
from fusionlab.results.rows import Row, make_rows
from fusionlab.results.spec import Spec

if TYPE_CHECKING:
    from fusionlab.results.cross import Cross

WARNING = "Protocol warning"  # begins a note about rows that were made differently
REMARK = "the paper's row"  # begins a note about a number of the paper
REFUSAL = "refused: "  # begins a note about rows that cannot be trained
APART = "not in these columns: "  # begins the span of a row of another protocol


@dataclass(frozen=True)
class Line:
    """A cell per column; for unfinished arms the first cells, and a `span` over the others. `bold`: places of cells."""

    row: Row
    cells: tuple[str, ...]
    marks: tuple[int, ...] = ()
    span: str | None = None
    bold: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Table:
    caption: str
    headline: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    marked: tuple[str, ...]  # note n belongs to the lines that carry the mark n, counted from 1
    notes: tuple[str, ...]  # about the whole table
    rows: tuple[Row, ...]
    spec: Spec
    matrix: Matrix  # of all pairs of rows
    kind: str = TOGETHER  # the kind of question of the gains
    leading: tuple[str, ...] = ()  # the notes, of either sort, that every format shows; the others are folded
    told: dict[int, float] = field(default_factory=dict)  # the id of a row -> Holm's p of its gain over its control
    apart: dict[int, str] = field(default_factory=dict)  # the id of a row -> why its figures stand in no column
    contrasts: tuple[Contrast, ...] = ()
    cross: Cross | None = None  # the table of one's own, where one was asked for

    def numbered(self) -> list[tuple[int | None, str]]:
        """All notes with their marks, the leading ones first."""
        every: list[tuple[int | None, str]] = [*enumerate(self.marked, 1), *((None, note) for note in self.notes)]
        first = [one for text in self.leading for one in every if one[1] == text]
        return first + [one for one in every if one[1] not in self.leading]

    def __str__(self) -> str:
        """The table of one's own, if there is one, else the table."""
        if self.cross:
            from fusionlab.results.cross import cross_text

            return cross_text(self.cross)
        from fusionlab.results.text_tables import terminal

        return terminal(self)

    def _repr_markdown_(self) -> str:
        """The Markdown that a notebook shows."""
        if self.cross:
            from fusionlab.results.cross import cross_markdown

            return cross_markdown(self.cross)
        from fusionlab.results.text_tables import markdown

        return markdown(self)


def make_table(entries: Sequence[Entry], spec: Spec) -> Table:
    """The table of a study's entries."""
    rows = make_rows(entries, spec)
    apart = refused_rows(rows)
    shown = [row for row in rows if spec.control == "rows" or row.kind not in ("control", "tower")]
    alike = [row for row in shown if id(row) not in apart]
    absent = paper_rows(shown, spec)
    claim, named_twice = claim_of(entries)
    kind = gain_kind(rows, spec, claim)
    told, matrix = adjusted_gains(alike, kind), make_matrix(alike, kind)
    bold, no_bold = matrix.bold()
    contrasts = make_contrasts([row for row in rows if id(row) not in apart], kind)
    moved, still = doubling_notes(alike, kind, margin_of(claim), spec.decimals)
    warnings: dict[str, list[Row]] = {}
    for text, about in [*protocol_warnings(shown), *moved]:
        warnings.setdefault(text, []).extend(about)
    for row in [*shown, *absent]:
        for reason in dict.fromkeys(entry.reason for entry in row.refused):
            warnings.setdefault(f"{REFUSAL}{reason}", []).append(row)
        if row.paper and row.paper.remark:
            warnings.setdefault(f"{REMARK}: {row.paper.remark}", []).append(row)
    place = {id(row): at for at, row in enumerate([*shown, *absent])}
    first = {text: min(place[id(row)] for row in about) for text, about in warnings.items() if about}
    marked = {text: warnings[text] for text in sorted(first, key=lambda text: first[text])}
    marks: dict[int, list[int]] = {}
    for number, about in enumerate(marked.values(), 1):
        for key in dict.fromkeys(map(id, about)):
            marks.setdefault(key, []).append(number)
    columns = make_columns(shown, [*shown, *absent], spec, kind)
    best = frozenset(at for at, column in enumerate(columns) if _is_ranked(column, kind))
    lines: list[Line] = []
    for row in shown:
        own = best if id(row) in bold else frozenset()
        lines += _lines(row, columns, spec, tuple(marks.get(id(row), ())), told, apart.get(id(row)), own)
    for row in ceiling_rows(shown):
        lines.append(Line(row, tuple(formatting.cell(ceiling_cell(row, column, spec)) for column in columns)))
    for row in absent:
        cells = tuple(formatting.cell(cell(row, column, spec, told)) for column in columns)
        lines.append(Line(row, cells, tuple(marks.get(id(row), ()))))
    everywhere = [f"{WARNING}: {text}." for text, about in warnings.items() if not about]
    notes = [
        *everywhere,
        *named_twice,
        *general(alike, spec, kind, matrix, no_bold, claim),
        *still,
        *contrast_notes(contrasts, spec.decimals),
    ]
    notes = [formatting.plain(text) for text in notes]
    sign = f" {SAW_TEST}" if any(row.saw_test for row in rows) else ""
    texts = tuple(formatting.plain(text) for text in marked)
    return Table(
        caption=formatting.plain(spec.caption),
        headline=formatting.plain(headline([row for row in rows if id(row) not in apart], spec, kind, claim) + sign),
        columns=columns,
        lines=tuple(lines),
        marked=texts,
        notes=tuple(notes),
        rows=tuple(shown),
        spec=spec,
        kind=kind,
        leading=leading(notes, texts)[:MOST],
        told=told,
        apart=apart,
        matrix=matrix,
        contrasts=contrasts,
    )


def gain_kind(rows: Sequence[Row], spec: Spec, claim: Claim | None = None) -> str:
    """The kind of question for the gain: the table's, the claim's, or where late has the lowest ceiling."""
    if named := spec.gain or (claim or {}).get("question"):
        return str(named)
    late = [row for row in rows if row.kind == "late" and row.done]
    most = {kind: share.ceiling for row in late for kind, share in row.shares.items() if kind != TOGETHER}
    known = {kind: ceiling for kind, ceiling in most.items() if ceiling is not None and ceiling < 1}
    return min(known, key=lambda kind: known[kind]) if known else TOGETHER


def _is_ranked(column: Column, kind: str) -> bool:
    """Whether the best of this column are bold."""
    return column.key == "accuracy" if kind == TOGETHER else column.key == "kind" and column.kind == kind


def _lines(
    row: Row,
    columns: Sequence[Column],
    spec: Spec,
    marks: tuple[int, ...],
    told: dict[int, float],
    apart: str | None,
    bold: frozenset[int],
) -> list[Line]:
    lines = []
    names = tuple(formatting.cell(cell(row, column, spec, told)) for column in columns if is_name(column))
    if row.done and apart is not None:
        lines.append(Line(row, names, marks, formatting.cell(f"{APART}{apart}")))
    elif row.done:
        cells = tuple(formatting.cell(cell(row, column, spec, told)) for column in columns)
        lines.append(Line(row, cells, marks, bold=bold))
    together: dict[tuple[str, str, str], list[Entry]] = {}
    selected = row.tried[0].axis if row.tried else None
    for entry in row.undone:
        trial = f", {selected}={entry.axes[selected]}" if selected else ""
        together.setdefault((entry.status, entry.reason or "", trial), []).append(entry)
    for (status, reason, trial), entries in together.items():
        seeds = formatting.short_list(list(dict.fromkeys(seed_text(entry.seed) for entry in entries)))
        logs = formatting.short_list(list(dict.fromkeys(entry.log for entry in entries if entry.log)))
        word = "failed" if status == "failed" else "missing"
        which = "" if row.kind == DAMAGED else f", seed{'s' * (len(entries) > 1)} {seeds}"
        text = f"{word}{trial}{which}: {reason}" + (f" (log: {logs})" if logs else "")
        own = row if selected is None else replace(row, axes={**row.axes, selected: entries[0].axes[selected]})
        names = tuple(formatting.cell(cell(own, column, spec, told)) for column in columns if is_name(column))
        lines.append(Line(row, names, () if row.done else marks, formatting.cell(text)))
    if row.refused:
        lines.append(Line(row, names, () if lines else marks, REFUSED))
    return lines
