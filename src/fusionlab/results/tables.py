"""Rows -> a table of plain texts, which each format writes down without further computation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusionlab.results import formatting
from fusionlab.results.load import DAMAGED, REFUSED, TOGETHER, Entry
from fusionlab.results.notes import general, headline
from fusionlab.results.protocol_warnings import protocol_warnings, seed_text
from fusionlab.results.rows import Row, Share, ceiling_rows, make_rows, paper_rows, shown_axes
from fusionlab.results.spec import Spec

WARNING = "Protocol warning"  # begins a note about rows that were made differently
REMARK = "the paper's row"  # begins a note about a number of the paper
REFUSAL = "refused: "  # begins a note about rows that cannot be trained


@dataclass(frozen=True)
class Column:
    """`key`: what its cells show; `kind`: the kind of question, if they depend on it."""

    key: str
    head: str
    right: bool = True
    kind: str | None = None


@dataclass(frozen=True)
class Line:
    """A cell per column; for unfinished arms the first cells, and a `span` over the others."""

    row: Row
    cells: tuple[str, ...]
    marks: tuple[int, ...] = ()
    span: str | None = None


@dataclass(frozen=True)
class Table:
    caption: str
    headline: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    marked: tuple[str, ...]  # note n belongs to the lines that carry the mark n, answer_counts from 1
    notes: tuple[str, ...]  # about the whole table
    rows: tuple[Row, ...]
    spec: Spec

    def __str__(self) -> str:
        from fusionlab.results.text_tables import terminal

        return terminal(self)

    def _repr_markdown_(self) -> str:
        """The Markdown that a notebook shows."""
        from fusionlab.results.text_tables import markdown

        return markdown(self)


def make_table(entries: Sequence[Entry], spec: Spec) -> Table:
    """The table of a study's entries."""
    rows = make_rows(entries, spec)
    absent = paper_rows(rows, spec)
    every = [*rows, *absent]
    warnings: dict[str, list[Row]] = {}
    for text, about in protocol_warnings(rows):
        warnings.setdefault(text, []).extend(about)
    for row in every:
        for reason in dict.fromkeys(entry.reason for entry in row.refused):
            warnings.setdefault(f"{REFUSAL}{reason}", []).append(row)
        if row.paper and row.paper.remark:
            warnings.setdefault(f"{REMARK}: {row.paper.remark}", []).append(row)
    first = {text: min(every.index(row) for row in about) for text, about in warnings.items() if about}
    marked = {text: warnings[text] for text in sorted(first, key=lambda text: first[text])}
    everywhere = [f"{WARNING}: {text}." for text, about in warnings.items() if not about]
    kind = gain_kind(rows, spec)
    columns = _columns(rows, every, spec, kind)
    lines: list[Line] = []
    marks = [tuple(number for number, about in enumerate(marked.values(), 1) if row in about) for row in every]
    for row, own in zip(rows, marks, strict=False):
        lines += _lines(row, columns, spec, own)
    for row in ceiling_rows(rows):
        lines.append(Line(row, tuple(formatting.cell(_ceiling_cell(row, column, spec)) for column in columns)))
    for row, own in zip(absent, marks[len(rows) :], strict=True):
        lines.append(Line(row, tuple(formatting.cell(_cell(row, column, spec)) for column in columns), own))
    return Table(
        caption=formatting.plain(spec.caption),
        headline=formatting.plain(headline(rows, spec, kind)),
        columns=columns,
        lines=tuple(lines),
        marked=tuple(formatting.plain(text) for text in marked),
        notes=tuple(formatting.plain(text) for text in [*everywhere, *general(rows, spec, kind)]),
        rows=tuple(rows),
        spec=spec,
    )


def kinds_of(rows: Sequence[Row]) -> list[str]:
    """The kinds of question, in the records' order."""
    return [kind for kind in dict.fromkeys(kind for row in rows for kind in row.shares) if kind != TOGETHER]


def gain_kind(rows: Sequence[Row], spec: Spec) -> str:
    """The kind of question for the gain: the spec's, else the one on which late fusion has the lowest ceiling."""
    if spec.gain is not None:
        return spec.gain
    late = [row for row in rows if row.kind == "late" and row.done]
    most = {kind: share.ceiling for row in late for kind, share in row.shares.items() if kind != TOGETHER}
    known = {kind: ceiling for kind, ceiling in most.items() if ceiling is not None and ceiling < 1}
    return min(known, key=lambda kind: known[kind]) if known else TOGETHER


def _columns(rows: Sequence[Row], every: Sequence[Row], spec: Spec, kind: str) -> tuple[Column, ...]:
    columns: list[Column] = []
    for name in spec.columns:
        if name == "axes":
            own = (*spec.rows, *shown_axes(rows, spec))
            axes = [axis for axis in shown_axes(every, spec) if axis in own]
            columns += [Column(f"axis:{axis}", formatting.cell(axis), right=False) for axis in axes]
        elif name == "kinds":
            for one in kinds_of(rows):
                columns += [Column("kind", f"{formatting.cell(one)} %", kind=one), Column("ceiling", "of", kind=one)]
        elif name == "paper":
            if spec.paper and any(row.paper for row in rows):
                columns += [Column(f"paper:{key}", head) for key, head in spec.paper.figures.items() if head]
        elif name == "gain":
            if any(row.gains for row in rows):
                on = "" if kind == TOGETHER else f", {kind}"
                columns.append(Column("gain", f"over late{formatting.cell(on)}", kind=kind))
        else:
            heads = {"accuracy": "accuracy %", "layers": "#layers", "parameters": "#params", "seconds": "s"}
            columns.append(Column(name, heads.get(name, name), right=name != "method"))
    return tuple(columns)


def _lines(row: Row, columns: Sequence[Column], spec: Spec, marks: tuple[int, ...]) -> list[Line]:
    lines = []
    if row.done:
        lines.append(Line(row, tuple(formatting.cell(_cell(row, column, spec)) for column in columns), marks))
    names = tuple(formatting.cell(_cell(row, column, spec)) for column in columns if is_name(column))
    together: dict[tuple[str, str], list[Entry]] = {}
    for entry in row.undone:
        together.setdefault((entry.status, entry.reason or ""), []).append(entry)
    for (status, reason), entries in together.items():
        seeds = formatting.short_list([seed_text(entry.seed) for entry in entries])
        logs = formatting.short_list(list(dict.fromkeys(entry.log for entry in entries if entry.log)))
        word = "failed" if status == "failed" else "missing"
        which = "" if row.kind == DAMAGED else f", seed{'s' * (len(entries) > 1)} {seeds}"
        text = f"{word}{which}: {reason}" + (f" (log: {logs})" if logs else "")
        lines.append(Line(row, names, () if row.done else marks, formatting.cell(text)))
    if row.refused:
        lines.append(Line(row, names, () if lines else marks, REFUSED))
    return lines


def _ceiling_cell(row: Row, column: Column, spec: Spec) -> str:
    """A cell of a ceiling's row: the best possible value."""
    if column.key == "method":
        return row.method
    share = row.shares.get(column.kind or TOGETHER)
    if column.key not in ("accuracy", "kind", "ceiling") or share is None or share.ceiling is None:
        return formatting.NONE
    if column.key == "ceiling":
        return formatting.ceiling(share.ceiling)
    return formatting.percent(float(share.ceiling), spec.decimals)


def is_name(column: Column) -> bool:
    """Whether a column identifies the row; these columns stand first."""
    return column.key == "method" or column.key.startswith("axis:")


def _cell(row: Row, column: Column, spec: Spec) -> str:
    group, _, name = column.key.partition(":")
    if group == "method":
        return row.method
    if group == "axis":
        return row.text(name) or formatting.NONE
    if group == "paper":
        return row.paper.figures.get(name, formatting.NONE) if row.paper else formatting.NONE
    if group == "seeds":
        return str(len(row.done)) if row.done else formatting.NONE
    if group == "seconds":
        seconds = [entry.record.get("circumstances", {}).get("seconds") for entry in row.done]
        known = [one for one in seconds if one is not None]
        return f"{sum(known):.0f}" if known else formatting.NONE
    if group in ("layers", "parameters"):
        number = row.number(group)
        write = formatting.millions if group == "parameters" else str
        return formatting.NONE if number is None else write(number)
    if group == "gain":
        return _gain(row, column.kind or TOGETHER, spec.decimals)
    share = row.shares.get(column.kind or TOGETHER)
    if share is None:
        return formatting.NONE
    if group == "ceiling":
        return formatting.ceiling(share.ceiling)
    return _share(share, spec.decimals) if group == "kind" else _accuracy(share, spec.decimals)


def _accuracy(share: Share, decimals: int) -> str:
    """Mean ± sd over seeds; one seed has no sd."""
    spread = "" if share.sd is None else f" ± {formatting.percent(share.sd, decimals)}"
    return formatting.percent(share.mean, decimals) + spread


def _share(share: Share, decimals: int) -> str:
    return f"{formatting.percent(share.mean, decimals)} {formatting.between(share.low, share.high, decimals)}"


def _gain(row: Row, kind: str, decimals: int) -> str:
    gain = row.gains.get(kind)
    if gain is None:
        return formatting.NONE
    text = formatting.points(gain.mean, decimals)
    if gain.low is None or gain.high is None:
        return text
    return f"{text} {formatting.points_between(gain.low, gain.high, decimals)}"
