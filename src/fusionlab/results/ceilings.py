"""Rows below the others: what each system could reach at best, and the paper's rows that were not run here.

Records carry the ceilings of their own system, exact fractions by kind of question; a system without an arm in the
table has no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from fusionlab.results.crossed import compare
from fusionlab.results.gains import stack_answers
from fusionlab.results.rows import CEILING, PAPER, Row
from fusionlab.results.spec import CITED, PaperRow, Spec

ORDER = "order"  # the kind of question that asks for the order of frames
SCORES = "any function of the two streams' scores"


def ceiling_rows(rows: Sequence[Row]) -> list[Row]:
    """A row per system with known ceilings: each stream, late fusion, and fusions blind to order or aware of it."""
    systems: list[tuple[str, Row]] = []
    for row in rows:
        if row.kind in ("stream", "late") and row.ceilings:
            systems.append((row.method if row.kind == "stream" else SCORES, row))
    seen = [row.ceilings for _, row in systems]
    fused = []
    for row in rows:
        if row.kind == "fused" and row.ceilings and row.ceilings not in seen:
            seen.append(row.ceilings)
            fused.append(row)
    fused.sort(key=lambda row: sum(row.ceilings.values()))
    systems += [(_fused_system(row), row) for row in fused]
    first: dict[tuple[str, str], tuple[str, Row]] = {}  # of rows with one name and equal ceilings
    for name, row in systems:
        first.setdefault((name, str(sorted(row.ceilings.items()))), (name, row))
    return [
        replace(row, kind=CEILING, axes={"system": name}, undone=(), gains={}, over_late={}, surplus=(), paper=None)
        for name, row in first.values()
    ]


def _fused_system(row: Row) -> str:
    """If a kind of question asks for order, it matters whether a fusion sees it."""
    known = row.ceilings
    if ORDER not in known:
        return "any fusion"
    return "any fusion that sees order" if known[ORDER] == 1 else "any fusion that is blind to order"


def paper_rows(rows: Sequence[Row], spec: Spec) -> list[Row]:
    """The paper's rows that were not run here, if the table is to have them and has another row of the paper."""
    shown = [row.paper for row in rows if row.paper]
    if spec.paper is None or spec.paper.absent != "rows" or not shown:
        return []
    return [Row(PAPER, _axes_of(row), paper=row) for row in spec.paper.rows if row.figures and row not in shown]


def _axes_of(row: PaperRow) -> dict[str, Any]:
    """A key's axes; of a list the first value, which is the usual one."""
    key = {axis: value for axis, value in row.key.items() if axis not in ("kind", CITED)}
    values = {axis: value[0] if isinstance(value, list) else value for axis, value in key.items()}
    return {axis: value for axis, value in values.items() if value is not None}


def lies_above(row: Row, kind: str, limit: Fraction) -> bool:
    """Whether the whole interval of a row lies above a limit: over seeds and videos, with few seeds over videos."""
    found = stack_answers(row.done, kind)
    if found is not None:
        compared = compare(found.right.astype(np.float64) - float(limit), found.groups, strata=found.splits)
        estimate = compared.method or compared.networks
        if estimate is not None:
            return estimate.low > 0
    share = row.shares.get(kind)
    return share is not None and share.low > limit
