"""Rows -> a table of plain texts. The formats write it down; none of them counts anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusionlab.results import figures
from fusionlab.results.ceilings import ceiling_rows
from fusionlab.results.load import DAMAGED, TOGETHER, Entry
from fusionlab.results.notes import general, headline
from fusionlab.results.protocol_warnings import guards, seed_text
from fusionlab.results.rows import Row, Share, make_rows, shown_axes
from fusionlab.results.spec import Spec

GUARD = "Protocol guard"  # begins a note about rows that were not made alike
REMARK = "the paper's row"  # begins a note that is about a printed number, not about ours


@dataclass(frozen=True)
class Column:
    """`kind` and `figure` say which kind of question or which figure of the paper a column is about."""

    key: str
    head: str
    right: bool = True
    kind: str | None = None


@dataclass(frozen=True)
class Line:
    """A cell per column; or, for what was not done, the first cells and a `span` over the others."""

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
    marked: tuple[str, ...]  # note n belongs to the lines that carry the mark n, counted from 1
    notes: tuple[str, ...]  # about the whole table
    rows: tuple[Row, ...]
    spec: Spec


def make_table(entries: Sequence[Entry], spec: Spec) -> Table:
    """The one way from entries to a table."""
    rows = make_rows(entries, spec)
    warned: dict[str, list[Row]] = {}
    for text, about in guards(rows):
        warned.setdefault(text, []).extend(about)
    for row in rows:
        if row.paper and row.paper.remark:
            warned.setdefault(f"{REMARK}: {row.paper.remark}", []).append(row)
    first = {text: min(rows.index(row) for row in about) for text, about in warned.items() if about}
    marked = {text: warned[text] for text in sorted(first, key=lambda text: first[text])}
    everywhere = [f"{GUARD}: {text}." for text, about in warned.items() if not about]
    kind = gain_kind(rows, spec)
    columns = _columns(rows, spec, kind)
    lines: list[Line] = []
    for row in rows:
        marks = tuple(number for number, about in enumerate(marked.values(), 1) if row in about)
        lines += _lines(row, columns, spec, marks)
    for row in ceiling_rows(rows):
        lines.append(Line(row, tuple(figures.cell(_most(row, column, spec)) for column in columns)))
    return Table(
        caption=figures.plain(spec.caption),
        headline=figures.plain(headline(rows, spec, kind)),
        columns=columns,
        lines=tuple(lines),
        marked=tuple(figures.plain(text) for text in marked),
        notes=tuple(figures.plain(text) for text in [*everywhere, *general(rows, spec, kind)]),
        rows=tuple(rows),
        spec=spec,
    )


def kinds_of(rows: Sequence[Row]) -> list[str]:
    """The kinds of question, in the records' order."""
    return [kind for kind in dict.fromkeys(kind for row in rows for kind in row.shares) if kind != TOGETHER]


def gain_kind(rows: Sequence[Row], spec: Spec) -> str:
    """Where the gain is taken: the spec's kind, or the one on which late's ceiling leaves most room."""
    if spec.gain is not None:
        return spec.gain
    late = [row for row in rows if row.kind == "late" and row.done]
    most = {kind: share.ceiling for row in late for kind, share in row.shares.items() if kind != TOGETHER}
    known = {kind: ceiling for kind, ceiling in most.items() if ceiling is not None and ceiling < 1}
    return min(known, key=lambda kind: known[kind]) if known else TOGETHER


def _columns(rows: Sequence[Row], spec: Spec, kind: str) -> tuple[Column, ...]:
    columns: list[Column] = []
    for name in spec.columns:
        if name == "axes":
            columns += [Column(f"axis:{axis}", figures.cell(axis), right=False) for axis in shown_axes(rows, spec)]
        elif name == "kinds":
            for one in kinds_of(rows):
                columns += [Column("kind", f"{figures.cell(one)} %", kind=one), Column("ceiling", "of", kind=one)]
        elif name == "paper":
            if spec.paper and any(row.paper for row in rows):
                columns += [Column(f"paper:{key}", head) for key, head in spec.paper.figures.items() if head]
        elif name == "gain":
            if any(row.gains for row in rows):
                on = "" if kind == TOGETHER else f", {kind}"
                columns.append(Column("gain", f"over late{figures.cell(on)}", kind=kind))
        else:
            heads = {"accuracy": "accuracy %", "layers": "#layers", "parameters": "#params", "seconds": "s"}
            columns.append(Column(name, heads.get(name, name), right=name != "method"))
    return tuple(columns)


def _lines(row: Row, columns: Sequence[Column], spec: Spec, marks: tuple[int, ...]) -> list[Line]:
    lines = []
    if row.done:
        lines.append(Line(row, tuple(figures.cell(_cell(row, column, spec)) for column in columns), marks))
    names = tuple(figures.cell(_cell(row, column, spec)) for column in columns if is_name(column))
    together: dict[tuple[str, str], list[Entry]] = {}
    for entry in row.undone:
        together.setdefault((entry.status, entry.reason or ""), []).append(entry)
    for (status, reason), entries in together.items():
        seeds = figures.listed([seed_text(entry.seed) for entry in entries])
        logs = figures.listed(list(dict.fromkeys(entry.log for entry in entries if entry.log)))
        word = "failed" if status == "failed" else "not there"
        which = "" if row.kind == DAMAGED else f", seed{'s' * (len(entries) > 1)} {seeds}"
        text = f"{word}{which}: {reason}" + (f" (log: {logs})" if logs else "")
        lines.append(Line(row, names, () if row.done else marks, figures.cell(text)))
    return lines


def _most(row: Row, column: Column, spec: Spec) -> str:
    """A cell of a ceiling: what could be reached."""
    if column.key == "method":
        return row.method
    share = row.shares.get(column.kind or TOGETHER)
    if column.key not in ("accuracy", "kind", "ceiling") or share is None or share.ceiling is None:
        return figures.NONE
    if column.key == "ceiling":
        return figures.ceiling(share.ceiling)
    return figures.percent(float(share.ceiling), spec.decimals)


def is_name(column: Column) -> bool:
    """Whether a column says which row it is, rather than what came of it. These stand first."""
    return column.key == "method" or column.key.startswith("axis:")


def _cell(row: Row, column: Column, spec: Spec) -> str:
    group, _, name = column.key.partition(":")
    if group == "method":
        return row.method
    if group == "axis":
        return figures.NONE if row.axes.get(name) is None else figures.typed(row.axes[name])
    if group == "paper":
        return row.paper.figures.get(name, figures.NONE) if row.paper else figures.NONE
    if group == "seeds":
        return str(len(row.done))
    if group == "seconds":
        seconds = [entry.record.get("circumstances", {}).get("seconds") for entry in row.done]
        known = [one for one in seconds if one is not None]
        return f"{sum(known):.0f}" if known else figures.NONE
    if group in ("layers", "parameters"):
        number = row.number(group)
        write = figures.millions if group == "parameters" else str
        return figures.NONE if number is None else write(number)
    if group == "gain":
        return _gain(row, column.kind or TOGETHER, spec.decimals)
    share = row.shares.get(column.kind or TOGETHER)
    if share is None:
        return figures.NONE
    if group == "ceiling":
        return figures.ceiling(share.ceiling)
    return _share(share, spec.decimals) if group == "kind" else _accuracy(share, spec.decimals)


def _accuracy(share: Share, decimals: int) -> str:
    """Mean ± sd over seeds; one seed has no sd, and none is invented."""
    spread = "" if share.sd is None else f" ± {figures.percent(share.sd, decimals)}"
    return figures.percent(share.mean, decimals) + spread


def _share(share: Share, decimals: int) -> str:
    return f"{figures.percent(share.mean, decimals)} {figures.between(share.low, share.high, decimals)}"


def _gain(row: Row, kind: str, decimals: int) -> str:
    gain = row.gains.get(kind)
    if gain is None:
        return figures.NONE
    text = figures.points(gain.mean, decimals)
    if gain.low is None or gain.high is None:
        return text
    return f"{text} {figures.points_between(gain.low, gain.high, decimals)}"
