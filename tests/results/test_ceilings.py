"""Ceilings as rows: one for each system of the table, exact, and nothing that no arm belongs to."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fusionlab.results.ceilings import SCORES, ceiling_rows
from fusionlab.results.rows import CEILING, Row
from fusionlab.results.shares import Share
from fusionlab.results.spec import Spec
from fusionlab.results.tables import gain_kind

HALF, ONE, THIRD = Fraction(1, 2), Fraction(1), Fraction(1, 3)


def row(kind: str, ceilings: dict[str, Fraction], **axes: Any) -> Row:
    shares = {name: Share(0.4, None, 0.3, 0.5, 10, most, (0.4,)) for name, most in ceilings.items()}
    shares["all"] = Share(0.4, None, 0.3, 0.5, 20, sum(ceilings.values(), Fraction(0)) / 2, (0.4,))
    entry = cast(Any, SimpleNamespace(seed=(0,), result={}))
    return Row(kind, axes, (entry,), shares=shares)


STREAM = row("stream", {"what": THIRD, "order": HALF}, streams="motion")
LATE = row("late", {"what": ONE, "order": HALF})
BLIND = row("fused", {"what": ONE, "order": HALF}, fusion="sum")
SEES = row("fused", {"what": ONE, "order": ONE}, fusion="sum", temporal="conv3d")


def methods(*rows: Row) -> list[str]:
    return [one.method for one in ceiling_rows(rows)]


def test_each_system_of_the_table_has_its_row_once() -> None:
    assert methods(STREAM, STREAM, LATE, SEES, SEES) == [
        "Ceiling: Motion alone", f"Ceiling: {SCORES}", "Ceiling: any fusion that sees order",
    ]  # fmt: skip
    (only,) = ceiling_rows([STREAM])
    assert only.kind == CEILING and only.shares["what"].ceiling == THIRD and not only.undone


def test_fusions_that_can_know_no_more_than_the_scores_have_no_row_of_their_own() -> None:
    assert methods(LATE, BLIND) == [f"Ceiling: {SCORES}"]


def test_fusions_are_told_apart_where_order_is_asked_and_only_there() -> None:
    binding = row("late", {"binding": HALF, "order": HALF})
    fused = [row("fused", {"binding": ONE, "order": most}, fusion="sum") for most in (ONE, HALF)]
    assert methods(binding, *fused)[1:] == [
        "Ceiling: any fusion that is blind to order", "Ceiling: any fusion that sees order",
    ]  # fmt: skip
    assert methods(row("fused", {"binding": ONE}, fusion="max")) == ["Ceiling: any fusion"]


@pytest.mark.parametrize("kind", ["stream", "late", "fused"])
def test_where_nothing_is_known_there_is_no_row(kind: str) -> None:
    assert methods(row(kind, {}, streams="motion", fusion="sum")) == []


def test_a_gain_is_taken_where_late_fusion_has_the_lowest_ceiling_below_one() -> None:
    table = Spec.of({"caption": "all"})
    assert gain_kind([row("late", {"what": HALF, "order": THIRD, "how": ONE})], table) == "order"
    assert gain_kind([row("late", {"what": ONE, "how": ONE})], table) == "all"
    assert gain_kind([row("fused", {"order": HALF}, fusion="sum")], table) == "all"
