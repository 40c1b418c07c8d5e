"""The content of a table's yaml, checked once, so that a typo is an error.

caption   one sentence: the question
rows      axes that always have a column after the method; or `varying`: those that vary.
          Other axes that vary have a column too: a row is a mean over seeds only.
where     {axis: value | [values]}: the fused rows of the table (null in a list: the axis may be absent).
          Baselines are always part of it, but for the other stream where it has {streams: appearance}.
order     {axis: [values]}: the order of values; others follow by name
columns   some of COLUMNS; `gain` is two: over the control, and over late fusion; `networks` is the gain of these very
          networks on other videos
decimals  of our percentages: 1 or 2
gain      the kind of question on which fusions are compared; default: where late's ceiling is lowest
select    an axis, such as optim.fusion.lr, or null: of its values each row has the one with the lowest validation loss
control   rows (the default), or column: the controls and the streams trained on have no rows, and a column shows the
          accuracy of each row's control
over      [split], or [] (the default): the splits of a data set are no rows; a row is the mean of them, its gains are
          compared within each split, and an arm that lacks a split is not done
rank      true: the fusions stand by their accuracy, the best first
paper     the paper's own numbers
    source, setting   the tables they come from, and the data and networks
    data              the data set's name here, e.g. ucf101, or several: a note says if ours is another
    figures           {figure: heading}: its columns; a heading of null: in the CSV only
    where             {axis: value | [values]}: what all its fused rows have in common, besides their keys
    everywhere        the same of all its rows, streams and late fusion too
    absent            note (the default): its rows that were not run here are named below the table; or rows: they are
                      rows of the table, below ours
    rows              [{key: {axis: value | [values]}, certainty: …, <figure>: "printed text", remark: …, name: …}];
                      the remark of a row without figures gives the reason; its name stands where it was not run here.
                      A key {cited: name, data: …} is a system of others': no arm is ever held against its row
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fusionlab.errors import UserError, unknown
from fusionlab.results.load import Entry

COLUMNS = (
    "method", "axes", "seeds", "accuracy", "kinds", "gain", "networks", "layers", "parameters", "seconds", "paper",
)  # fmt: skip
DEFAULT = ("method", "axes", "accuracy", "kinds", "gain", "layers", "parameters", "paper")
VARYING = "varying"
CONTROLS = ("rows", "column")
_KEYS = (
    "caption", "rows", "where", "order", "columns", "decimals", "gain", "select", "over", "control", "rank", "paper",
)  # fmt: skip
_PAPER = ("source", "setting", "data", "figures", "where", "everywhere", "absent", "rows")
_ABSENT = ("note", "rows")
CITED = "cited"  # in the key of a paper's row: a system of others'

# The papers' order of methods and of depth, unless a table has its own.
ORDER: dict[str, Sequence[Any]] = {
    "streams": ("appearance", "motion", "both"),
    "fusion": ("late", "control", "joint", "max", "cat", "bilinear", "product", "sum", "conv"),
    "temporal": ("pool2d", "pool3d", "conv3d"),
}
# The names in the paper's tables, for records without titles.
NAMES = {
    "sum": "Sum",
    "max": "Max",
    "cat": "Concatenation",
    "conv": "Conv",
    "bilinear": "Bilinear",
    "product": "Product",
    "late": "Late fusion",
    "control": "Trained on, not fused",
}


@dataclass(frozen=True)
class PaperRow:
    """`key` distinguishes it from the paper's other rows; a comparable arm fulfils all `conditions`."""

    key: Mapping[str, Any]
    figures: Mapping[str, str]
    certainty: str
    remark: str | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None

    @property
    def cited(self) -> str | None:
        """The name of a system of others'."""
        return self.key.get(CITED)


@dataclass(frozen=True)
class Paper:
    source: str
    setting: str = ""
    data: Sequence[str] = ()
    figures: Mapping[str, str | None] = field(default_factory=dict)
    rows: Sequence[PaperRow] = ()
    absent: str = "note"


@dataclass(frozen=True)
class Spec:
    caption: str
    rows: Sequence[str] = ()
    where: Mapping[str, Any] = field(default_factory=dict)
    order: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    columns: Sequence[str] = DEFAULT
    decimals: int = 1
    gain: str | None = None
    select: str | None = None
    over: Sequence[str] = ()
    control: str = "rows"
    rank: bool = False
    paper: Paper | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Spec:
        """From a yaml's plain dict; anything unknown in it is an error."""
        _check_names("part of a table", content, _KEYS)
        if not isinstance(content.get("caption"), str):
            raise UserError("a table needs a caption", got=content.get("caption"), hint="caption: one sentence")
        rows = content.get("rows") or VARYING
        if not (rows == VARYING or isinstance(rows, list)):
            raise UserError("a table's rows are a list of axes", got=rows, allowed=[VARYING, "[fusion, layer]"])
        columns = content.get("columns") or DEFAULT
        _check_names("column", columns, COLUMNS)
        decimals = content.get("decimals", 1)
        if decimals not in (1, 2):
            raise UserError("a table prints 1 or 2 decimals", got=decimals, allowed=["1", "2"])
        control, rank, select = content.get("control", "rows"), content.get("rank", False), content.get("select")
        if control not in CONTROLS:
            raise unknown("place for a table's controls", str(control), CONTROLS, form="control: {}")
        if not isinstance(rank, bool):
            raise UserError("rank says whether rows stand by accuracy", got=rank, allowed=["true", "false"])
        if not (select is None or isinstance(select, str)):
            raise UserError("a table selects on one axis", got=select, hint="select: optim.fusion.lr")
        over = [axis for axis in content.get("over") or [] if axis != "seed"]
        if over not in ([], ["split"]):
            got = f"over={','.join(map(str, over))}"
            raise UserError(
                "a row is a mean over seeds, and over splits", got=got, allowed=["seed", "split"], hint="over=split"
            )
        where = dict(content.get("where") or {})
        if both := [axis for axis in over if axis in where]:
            hint = f"where: without {both[0]}, or over: []"
            raise UserError("a mean over an axis has all its values", got=f"where: {where}", hint=hint)
        paper = content.get("paper")
        return cls(
            caption=content["caption"],
            rows=() if rows == VARYING else tuple(rows),
            where=where,
            order={**ORDER, **(content.get("order") or {})},
            columns=tuple(columns),
            decimals=decimals,
            gain=content.get("gain"),
            select=select,
            over=tuple(over),
            control=control,
            rank=rank,
            paper=None if paper is None else _paper(paper),
        )

    def place(self, axis: str, value: Any) -> tuple[Any, ...]:
        """The sort key of an axis' value: by `order`, then by name, relu5 before relu10."""
        first = list(self.order.get(axis, ()))
        if value in first:
            return (0, first.index(value), ())
        return (1, value is not None, natural(value))


def _check_names(what: str, names: Iterable[Any], allowed: Sequence[str]) -> None:
    for name in names:
        if name not in allowed:
            raise unknown(what, str(name), allowed)


def _paper(content: Mapping[str, Any]) -> Paper:
    _check_names("part of a table's paper", content, _PAPER)
    figures = dict(content.get("figures") or {})
    common, everywhere = dict(content.get("where") or {}), dict(content.get("everywhere") or {})
    absent, data = content.get("absent", "note"), content.get("data") or ()
    if absent not in _ABSENT:
        raise unknown("place for the paper's rows that were not run", str(absent), _ABSENT, form="absent: {}")
    rows = []
    for row in content.get("rows") or ():
        _check_names("figure of the paper", row, ("key", "certainty", "remark", "name", *figures))
        if not row.get("key") or not row.get("certainty"):
            raise UserError("a row of the paper needs a key and a certainty", got=dict(row))
        printed_text = {figure: str(row[figure]) for figure in figures if row.get(figure) is not None}
        key = dict(row["key"])
        conditions = {**everywhere, **(common if "fusion" in key else {}), **key}
        rows.append(PaperRow(key, printed_text, row["certainty"], row.get("remark"), conditions, row.get("name")))
    return Paper(
        content.get("source", "the paper"),
        content.get("setting", ""),
        (data,) if isinstance(data, str) else tuple(data),
        figures,
        tuple(rows),
        absent,
    )


def matches(entry: Entry, conditions: Mapping[str, Any]) -> bool:
    """Whether an entry fulfils each condition: a value, or one of a list; null: the arm does not have the axis."""
    return all(_one_of(entry.value(axis), wanted) for axis, wanted in conditions.items())


def _one_of(value: Any, wanted: Any) -> bool:
    allowed = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    return any(_folded(value) == _folded(one) for one in allowed)


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def natural(value: Any) -> tuple[Any, ...]:
    """Sort key in which numbers inside a name count as numbers."""
    if isinstance(value, (int, float)):
        return ((0, float(value), ""),)
    parts = re.split(r"(\d+)", str(value))
    return tuple((0, float(part), "") if part.isdecimal() else (1, 0.0, part) for part in parts if part)
