"""The columns of a table and the text of each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fusionlab.results import formatting
from fusionlab.results.crossed import FEWEST_SEEDS, Comparison, Estimate
from fusionlab.results.load import TOGETHER
from fusionlab.results.rows import Row, shown_axes
from fusionlab.results.shares import Share
from fusionlab.results.spec import Spec

GAINS = ("gain", "late", "networks")  # the keys of columns that show what a row gains
SAW_TEST = "†"  # behind each figure that test labels helped to choose
SIGN = "*"  # behind a gain that Holm's test tells from 0
_HEADS = {"accuracy": "accuracy %", "layers": "#layers", "parameters": "#params", "seconds": "s"}


@dataclass(frozen=True)
class Column:
    """`key`: what its cells show; `kind`: the kind of question, if they depend on it."""

    key: str
    head: str
    right: bool = True
    kind: str | None = None


def make_columns(rows: Sequence[Row], every: Sequence[Row], spec: Spec, kind: str) -> tuple[Column, ...]:
    """`every`: also the rows that were not run here."""
    columns: list[Column] = []
    on = "" if kind == TOGETHER else f", {formatting.cell(kind)}"
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
            if spec.control == "column" and any(row.control for row in rows):
                columns.append(Column("control", "control %"))
            if any(row.gains for row in rows):
                columns.append(Column("gain", f"over control{on}", kind=kind))
            if any(row.over_late for row in rows):
                columns.append(Column("late", f"over late{on}", kind=kind))
        elif name == "networks":
            if any(row.gains or row.over_late for row in rows):
                columns.append(Column("networks", f"these networks{on}", kind=kind))
        else:
            columns.append(Column(name, _HEADS.get(name, name), right=name != "method"))
    return tuple(columns)


def kinds_of(rows: Sequence[Row]) -> list[str]:
    """The kinds of question, in the records' order."""
    return [kind for kind in dict.fromkeys(kind for row in rows for kind in row.shares) if kind != TOGETHER]


def is_name(column: Column) -> bool:
    """Whether a column identifies the row; these columns stand first."""
    return column.key == "method" or column.key.startswith("axis:")


def ceiling_cell(row: Row, column: Column, spec: Spec) -> str:
    """A cell of a ceiling's row: the best possible value."""
    if column.key == "method":
        return row.method
    share = row.shares.get(column.kind or TOGETHER)
    if column.key not in ("accuracy", "kind", "ceiling") or share is None or share.ceiling is None:
        return formatting.NONE
    if column.key == "ceiling":
        return formatting.ceiling(share.ceiling)
    return formatting.percent(float(share.ceiling), spec.decimals)


def cell(row: Row, column: Column, spec: Spec, told: Mapping[int, float]) -> str:
    """`told`: the id of a row -> Holm's p of its gain."""
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
    if group in GAINS:
        return _marked(_gain_cell(row, group, column.kind or TOGETHER, spec, told), row)
    owner = row.control if group == "control" else row
    share = owner.shares.get(column.kind or TOGETHER) if owner else None
    if share is None:
        return formatting.NONE
    if group == "ceiling":
        return formatting.ceiling(share.ceiling)
    return _marked(_share(share, spec.decimals) if group == "kind" else _accuracy(share, spec.decimals), row)


def _marked(text: str, row: Row) -> str:
    return f"{text}{SAW_TEST}" if row.saw_test and text != formatting.NONE else text


def _accuracy(share: Share, decimals: int) -> str:
    """Mean ± sd over seeds; one seed has no sd."""
    spread = "" if share.sd is None else f" ± {formatting.percent(share.sd, decimals)}"
    return formatting.percent(share.mean, decimals) + spread


def _share(share: Share, decimals: int) -> str:
    return f"{formatting.percent(share.mean, decimals)} {formatting.between(share.low, share.high, decimals)}"


def _gain_cell(row: Row, group: str, kind: str, spec: Spec, told: Mapping[int, float]) -> str:
    gain = (row.over_late if group == "late" else row.gains or row.over_late).get(kind)
    if group == "gain":
        gain = row.gains.get(kind)
    if gain is None:
        return formatting.NONE
    sign = SIGN if group == "gain" and told.get(id(row), 1.0) <= 0.05 else ""
    if group != "networks":
        return gain_text(gain, gain.method, spec.decimals, sign)
    p = f", {formatting.probability(gain.networks.p)}" if gain.networks else ""
    return gain_text(gain, gain.networks, spec.decimals) + p


def gain_text(gain: Comparison, estimate: Estimate | None, decimals: int, sign: str = "") -> str:
    """The mean and the interval; without one, the gains of up to two seeds, or the mean and the number of seeds."""
    if estimate is not None:
        limits = formatting.points_between(estimate.low, estimate.high, decimals)
        return f"{formatting.points(gain.mean, decimals)}{sign} {limits}"
    seeds = len(gain.per_seed)
    values = gain.per_seed if seeds < FEWEST_SEEDS else (gain.mean,)
    return f"{', '.join(formatting.points(one, decimals) for one in values)} ({seeds} seed{'s' * (seeds > 1)})"
