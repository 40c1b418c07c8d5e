"""Which columns of the page's table are seen at which width: the most important first, the others as room allows."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from fusionlab.results import formatting
from fusionlab.results.cells import GAINS, Column
from fusionlab.results.load import TOGETHER
from fusionlab.results.rows import PAPER, Row
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table

PHONE = 480  # pixels: below, cells are smaller
NAME = 124  # pixels of the method's column on a phone, where names wrap
WIDEST_NAME = 230  # and on a wide screen
_BAR = 84  # a bar is not readable below this width
_IMPORTANCE = ("gain", "axis", "accuracy", "late", "control", "parameters", "layers", "networks", "seeds", "seconds")


@dataclass(frozen=True)
class _Type:
    """Pixels of one sign of a number, of the smaller text behind it, of a head, of a name; and around a cell."""

    number: float
    small: float
    head: float
    name: float
    room: int


_WIDE, _NARROW = _Type(9.6, 7.7, 8.2, 9.2, 20), _Type(9.0, 7.4, 8.0, 8.6, 14)  # of a wide font; page.css has its sizes


@dataclass(frozen=True)
class Head:
    """A column on the page. `need`: the width in pixels from which it is seen; 0: always. `least`: its own width.

    `foreign`: the paper's figures, of which none is of our data. `axis`: its name, if it is one.
    """

    at: int
    text: str
    style: str
    need: int
    least: int
    foreign: bool
    axis: str | None


def make_heads(table: Table) -> list[Head]:
    """The table's columns in its order."""
    order = sorted(range(len(table.columns)), key=lambda at: _importance(table.columns[at], table))
    texts = [[line.cells[at] for line in table.lines if at < len(line.cells)] for at in range(len(table.columns))]
    name = min(WIDEST_NAME, max((_width(text, _WIDE.name) for text in texts[0]), default=0) + _WIDE.room)
    needs, least = [0] * len(table.columns), [NAME] * len(table.columns)
    narrow = wide = 0.0
    for place, at in enumerate(order):
        if table.columns[at].key != "method":
            own = _column_width(table.columns[at], texts[at], _NARROW)
            full = _column_width(table.columns[at], texts[at], _WIDE)
            narrow, wide = narrow + own, wide + full
            fits = place == 1 or narrow + NAME < PHONE
            needs[at] = 0 if place == 1 else round(narrow + NAME if fits else wide + max(name, NAME))
            least[at] = round(own if fits and table.columns[at].right else full)
    return [
        Head(at, column.head, style(column), needs[at], least[at], is_foreign(column, table), _axis(column))
        for at, column in enumerate(table.columns)
    ]


def style(column: Column) -> str:
    """Its class on the page."""
    side = "num" if column.right else "name"
    if column.key in GAINS:
        return f"{side} gain"
    own = {"kind": " share", "ceiling": " ceiling"}
    return side + own.get(column.key, " paper" if column.key.startswith("paper:") else "")


def pieces(column: Column, text: str) -> tuple[str, tuple[str, ...]]:
    """A cell's number, and the smaller texts behind it: the interval, and p."""
    if column.key not in ("accuracy", "control", "kind", *GAINS) or text == formatting.NONE:
        return text, ()
    number, gap, rest = text.partition(" (" if column.key in GAINS else " ")
    behind, comma, p = (gap + rest).strip().partition("), ")
    return number, tuple(filter(None, (behind + comma.strip(), p)))


def paper_fits(row: Row, spec: Spec) -> bool:
    """Whether a row's data set is the paper's, so that its figures may stand beside ours."""
    entry = next(iter((*row.done, *row.undone, *row.refused)), None)
    data = None if entry is None else entry.value("data")
    return spec.paper is not None and data is not None and str(data).casefold() in map(str.casefold, spec.paper.data)


def is_foreign(column: Column, table: Table) -> bool:
    """Whether a column has figures of the paper and none of its rows is of the paper's data."""
    return column.key.startswith("paper:") and not any_fits(table)


def any_fits(table: Table) -> bool:
    """Whether some row is of the paper's data; then the paper's rows that were not run here are shown too."""
    return any(paper_fits(row, table.spec) for row in table.rows if row.kind != PAPER)


def _axis(column: Column) -> str | None:
    return column.key.removeprefix("axis:") if column.key.startswith("axis:") else None


def _importance(column: Column, table: Table) -> tuple[int, int]:
    group = column.key.partition(":")[0]
    ranked = ("accuracy", None) if table.kind == TOGETHER else ("kind", table.kind)
    if group == "method":
        return (0, 0)
    if (column.key, column.kind) == ranked:
        return (1, 0)
    if group == "ceiling":
        return (4 if column.kind == table.kind else 7, 1)
    if group == "paper":
        return (4, 2) if any_fits(table) else (20, 0)
    if group == "kind":
        return (7, 0)
    at = _IMPORTANCE.index(group)
    return (2 + at if at < 5 else 9 + at, 0)


def _column_width(column: Column, texts: Sequence[str], sizes: _Type) -> float:
    """Long words of names and heads are broken."""
    widest = min(110.0, max((_width(word, sizes.head) for word in column.head.split()), default=0.0) + 12)
    for text in texts:
        if column.right:
            number, behind = pieces(column, text)
            parts = number.split(" ") if sizes is _NARROW else [number]
            widest = max(
                widest, *(_width(one, sizes.number) for one in parts), *(_width(one, sizes.small) for one in behind)
            )
        else:
            widest = max(widest, min(130.0, max((_width(word, sizes.name) for word in text.split()), default=0.0)))
    return sizes.room + max(widest, _BAR if column.key == "kind" else 0)


def _width(text: str, pixels: float) -> float:
    if text.isascii():
        return len(text) * pixels
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text) * pixels
