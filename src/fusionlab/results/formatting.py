"""The format of numbers and names, the same in every output."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction

from fusionlab.errors import one_line, visible

NONE = "–"
WIDEST = 1000
_MINUS = "\N{MINUS SIGN}"
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

# A formula begins with one of these. Some spreadsheets skip blanks before it, and accept full-width characters.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def percent(share: float, decimals: int = 1) -> str:
    """0.8596 -> "86.0" (or "85.96" with two decimals); never "-0.0"."""
    text = f"{100 * share:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", _MINUS)


def points(difference: float, decimals: int = 1) -> str:
    """A difference of shares in percentage points, always with its sign: 0.25 -> "+25.0"."""
    text = percent(difference, decimals)
    return text if text.startswith(_MINUS) or float(text) == 0 else "+" + text


def exact(difference: float | None) -> str:
    """A share in percent with four decimals, for programs.

    >>> [exact(share) for share in (-0.125, -1e-9, None)]
    ['-12.5000', '0.0000', '']
    """
    return "" if difference is None else f"{round(100 * difference, 4) + 0.0:.4f}"


def exact_list(differences: Iterable[float]) -> str:
    """Several of them in one cell, as a list of JSON, which no spreadsheet takes for a formula.

    >>> safe(exact_list([-0.0208, 0.0729]))
    '[-2.0800, 7.2900]'
    """
    return f"[{', '.join(map(exact, differences))}]"


def distance(share: float) -> str:
    """A margin or a gap in words: 0.01 -> "1 point", 0.125 -> "12.5 points"."""
    return f"{100 * share:g} point{'s' * (f'{100 * share:g}' != '1')}"


def between(low: float, high: float, decimals: int = 1) -> str:
    return f"({percent(low, decimals)}–{percent(high, decimals)})"


def points_between(low: float, high: float, decimals: int = 1) -> str:
    return f"({points(low, decimals)} … {points(high, decimals)})"


def probability(p: float) -> str:
    """0.0312 -> "p = 0.031"; never "p = 0.000"."""
    return "p < 0.001" if p < 0.0005 else f"p = {p:.3f}"


def millions(count: int) -> str:
    """97578533 -> "97.58M", as the paper prints parameters; a small number stays an integer."""
    return str(count) if abs(count) < 10_000 else f"{count / 1e6:.2f}M"


def ceiling(most: Fraction | None) -> str:
    """An exact ceiling stays exact: "1/4", "1"."""
    return NONE if most is None else str(most)


def as_typed(value: object) -> str:
    """The value of an axis as it is typed: true, not True."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def short_list(items: list[str], most: int = 6) -> str:
    """a, b, c … and the number of the others, if there are many."""
    return ", ".join(items) if len(items) <= most else ", ".join(items[:most]) + f" and {len(items) - most} more"


def plain(text: object) -> str:
    """One line without unsafe characters: names and reasons are not ours."""
    return one_line(text)


def cell(text: object) -> str:
    """`plain` of limited length, since a column is as wide as its widest cell."""
    line = plain(text)
    return line if len(line) <= WIDEST else line[:WIDEST] + "…"


def superscript(marks: Iterable[int | str]) -> str:
    """The marks of notes: 1, 12 -> "¹ ¹²"."""
    return " ".join(str(mark).translate(_SUPERSCRIPTS) for mark in marks)


def safe(value: object) -> str:
    """The value as the text of a CSV cell, which no spreadsheet takes for a formula.

    >>> [safe(value) for value in (-0.5, "+1e3", "=1+1", "@a", "-", None)]
    ['-0.5', '+1e3', "'=1+1", "'@a", "'-", '']
    """
    text = "" if value is None else visible(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
