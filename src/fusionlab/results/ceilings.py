"""What each system could reach at best, as rows of their own below what was reached.

Records carry the ceilings of the system that they are of, exact fractions by kind of question. Nothing is added to
them here: a system that no arm of the table belongs to has no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from fusionlab.results.load import TOGETHER
from fusionlab.results.rows import Row

KIND = "ceiling"  # of such rows
ORDER = "order"  # the kind of question that asks for it
SCORES = "any function of the two streams' scores"


def ceiling_rows(rows: Sequence[Row]) -> list[Row]:
    """One for each system whose ceilings are known: streams, late fusion, fusions that are blind to order or see it."""
    found: list[tuple[str, Row]] = []
    for row in rows:
        if row.kind == "stream" and _known(row):
            found.append((row.method, row))
        elif row.kind == "late" and _known(row):
            found.append((SCORES, row))
    seen = [_known(row) for _, row in found]
    fused = []
    for row in rows:
        if row.kind == "fused" and _known(row) and _known(row) not in seen:
            seen.append(_known(row))
            fused.append(row)
    fused.sort(key=lambda row: sum(_known(row).values()))
    found += [(_fusion(row), row) for row in fused]
    return [
        replace(row, kind=KIND, axes={"system": name}, undone=(), gains={}, surplus=(), paper=None)
        for name, row in _first(found)
    ]


def _fusion(row: Row) -> str:
    """Where a kind of question asks for order, fusions are told apart by whether they see it."""
    known = _known(row)
    if ORDER not in known:
        return "any fusion"
    return "any fusion that sees order" if known[ORDER] == 1 else "any fusion that is blind to order"


def _first(found: Sequence[tuple[str, Row]]) -> list[tuple[str, Row]]:
    """Of rows of one name and equal ceilings the first."""
    kept: dict[tuple[str, str], tuple[str, Row]] = {}
    for name, row in found:
        kept.setdefault((name, str(sorted(_known(row).items()))), (name, row))
    return list(kept.values())


def _known(row: Row) -> Mapping[str, Fraction]:
    return {kind: share.ceiling for kind, share in row.shares.items() if kind != TOGETHER and share.ceiling is not None}
