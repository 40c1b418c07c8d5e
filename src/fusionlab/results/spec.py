"""What a table's yaml may say: a plain dict, checked once, so that a typo is answered and not ignored.

caption   one sentence: the question
rows      axes that are shown as columns after the method, always; or `varying`: those that vary.
          Axes that vary and are not named are shown too: a row is never a mean over anything but seeds.
where     {axis: value | [values]}: which fused rows belong here (null in a list: the axis may be absent).
          The baselines always do.
order     {axis: [values]}: in which order; what is not listed follows by name
columns   some of COLUMNS
decimals  of our percentages: 1 or 2
gain      the kind of question on which fusions are held against late; default: where late's ceiling is lowest
paper     the paper's own numbers
    source, setting   what they are, and from which data and nets
    data              the data set's name here, e.g. ucf101: other data is said to be other
    figures           {figure: heading}: its columns; a heading of null: in the CSV only
    where             {axis: value | [values]}: what all its fused rows have in common, besides their keys
    rows              [{key: {axis: value | [values]}, certainty: ..., <figure>: "printed text", remark: ...}];
                      one without figures says, by its remark, why arms like these have none
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fusionlab.errors import UserError, unknown
from fusionlab.results.load import Entry

COLUMNS = ("method", "axes", "seeds", "accuracy", "kinds", "gain", "layers", "parameters", "seconds", "paper")
DEFAULT = ("method", "axes", "accuracy", "kinds", "gain", "layers", "parameters", "paper")
VARYING = "varying"
_KEYS = ("caption", "rows", "where", "order", "columns", "decimals", "gain", "paper")
_PAPER = ("source", "setting", "data", "figures", "where", "rows")

# The papers' order of methods and of depth, where a table names no other.
ORDER: dict[str, Sequence[Any]] = {
    "streams": ("appearance", "motion", "both"),
    "fusion": ("late", "max", "cat", "bilinear", "product", "sum", "conv"),
    "temporal": ("pool2d", "pool3d", "conv3d"),
}
# How the paper's tables call what is typed shorter here.
NAMES = {
    "sum": "Sum",
    "max": "Max",
    "cat": "Concatenation",
    "conv": "Conv",
    "bilinear": "Bilinear",
    "product": "Product",
    "late": "Late fusion",
}


@dataclass(frozen=True)
class PaperRow:
    """`key` tells it from the paper's other rows; `conditions` are all that an arm like it fulfils."""

    key: Mapping[str, Any]
    figures: Mapping[str, str]
    certainty: str
    remark: str | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Paper:
    source: str
    setting: str = ""
    data: str = ""
    figures: Mapping[str, str | None] = field(default_factory=dict)
    rows: Sequence[PaperRow] = ()


@dataclass(frozen=True)
class Spec:
    caption: str
    rows: Sequence[str] = ()
    where: Mapping[str, Any] = field(default_factory=dict)
    order: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    columns: Sequence[str] = DEFAULT
    decimals: int = 1
    gain: str | None = None
    paper: Paper | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Spec:
        """From a yaml's plain dict; anything unknown in it is the writer's to know about."""
        _known("part of a table", content, _KEYS)
        if not isinstance(content.get("caption"), str):
            raise UserError("a table needs a caption", got=content.get("caption"), hint="caption: one sentence")
        rows = content.get("rows") or VARYING
        if not (rows == VARYING or isinstance(rows, list)):
            raise UserError("a table's rows are a list of axes", got=rows, allowed=[VARYING, "[fusion, layer]"])
        columns = content.get("columns") or DEFAULT
        _known("column", columns, COLUMNS)
        decimals = content.get("decimals", 1)
        if decimals not in (1, 2):
            raise UserError("a table's decimals", got=decimals, allowed=["1", "2"])
        paper = content.get("paper")
        return cls(
            caption=content["caption"],
            rows=() if rows == VARYING else tuple(rows),
            where=dict(content.get("where") or {}),
            order={**ORDER, **(content.get("order") or {})},
            columns=tuple(columns),
            decimals=decimals,
            gain=content.get("gain"),
            paper=None if paper is None else _paper(paper),
        )

    def place(self, axis: str, value: Any) -> tuple[Any, ...]:
        """Where a value stands among an axis' values: by `order`, then by name, relu5 before relu10."""
        listed = list(self.order.get(axis, ()))
        if value in listed:
            return (0, listed.index(value), ())
        return (1, value is not None, natural(value))


def _known(what: str, names: Iterable[Any], allowed: Sequence[str]) -> None:
    for name in names:
        if name not in allowed:
            raise unknown(what, str(name), allowed)


def _paper(content: Mapping[str, Any]) -> Paper:
    _known("part of a table's paper", content, _PAPER)
    figures = dict(content.get("figures") or {})
    common = dict(content.get("where") or {})
    rows = []
    for row in content.get("rows") or ():
        _known("figure of the paper", row, ("key", "certainty", "remark", *figures))
        if not row.get("key") or not row.get("certainty"):
            raise UserError("a row of the paper has a key and says how certain it is", got=dict(row))
        numbers = {figure: str(row[figure]) for figure in figures if row.get(figure) is not None}
        key = dict(row["key"])
        conditions = {**common, **key} if "fusion" in key else key
        rows.append(PaperRow(key, numbers, row["certainty"], row.get("remark"), conditions))
    return Paper(
        content.get("source", "the paper"),
        content.get("setting", ""),
        content.get("data", ""),
        figures,
        tuple(rows),
    )


def matches(entry: Entry, conditions: Mapping[str, Any]) -> bool:
    """Each condition holds: a value, or one of a list; null stands for an axis that the arm has not."""
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
