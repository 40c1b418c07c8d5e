"""Twice the budget: no row of its own, a mark where a row moves, one note about all others."""

from __future__ import annotations

from pathlib import Path

import pytest
from result_fakes import arm, fill

from fusionlab.results.load import load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table, make_table

BUDGET = "optim.fusion.budget"


def doubled(folder: Path, shares: dict[str, float], *, claim: dict[str, object] | None = None) -> Table:
    """Two seeds, and some arms of the first with twice the budget."""
    fill(folder, control=True, claim=claim)
    for name, share in shares.items():
        kind = "control" if name == "control" else "fused"
        axes = {"streams": "both", "fusion": name, "layer": "relu5", "temporal": "pool2d", BUDGET: 2, "seed": 0}
        arm(folder, kind=kind, axes=axes, shares={"what": 1.0, "binding": share})
    return make_table(load(folder), Spec.of({"caption": "c"}))


def marks(table: Table) -> dict[str, list[str]]:
    lines = [line for line in table.lines if line.row.kind != "ceiling"]
    return {
        line.row.method: [note for mark in line.marks if "budget" in (note := table.marked[mark - 1])] for line in lines
    }


def test_they_are_no_rows_and_mark_what_moves(tmp_path: Path) -> None:
    table = doubled(tmp_path, {"control": 0.55, "max": 0.79, "sum": 0.905, "conv": 0.95})
    assert len(table.rows) == 9 and all(BUDGET not in row.axes and len(row.done) == 2 for row in table.rows)
    found = {method: notes for method, notes in marks(table).items() if notes}
    assert found == {"Max": ["with twice the budget +5.0 points on seed 0 (5 of 100 videos)"]}
    (note,) = [
        note for note in table.notes if note.startswith("With twice the budget no other row moved by more than 1")
    ]
    assert "from −1.0 to 0.0, 3 arms, seed 0)" in note and note not in table.leading


@pytest.mark.parametrize(
    ("margin", "marked"), [(6.0, []), (2.0, ["with twice the budget +5.0 points on seed 0 (5 of 100 videos)"])]
)
def test_the_margin_is_that_of_the_claim(tmp_path: Path, margin: float, marked: list[str]) -> None:
    claim = {"row": {"fusion": "conv"}, "against": "control", "kind": "not_worse", "margin": margin}
    table = doubled(tmp_path, {"max": 0.79}, claim=claim)
    assert marks(table)["Max"] == marked


def test_the_margin_of_a_claim_to_be_better_is_no_tolerance(tmp_path: Path) -> None:
    claim = {"row": {"fusion": "conv"}, "against": "control", "kind": "better", "margin": 25, "question": "binding"}
    table = doubled(tmp_path, {"max": 0.79}, claim=claim)
    assert marks(table)["Max"] == ["with twice the budget +5.0 points on seed 0 (5 of 100 videos)"]


def test_a_failed_one_is_said(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,))
    axes = {"streams": "both", "fusion": "conv", "layer": "relu5", "temporal": "pool2d", BUDGET: 2, "seed": 0}
    arm(tmp_path, kind="fused", axes=axes, reason="no memory")
    assert marks(make_table(load(tmp_path), Spec.of({"caption": "c"})))["Conv"] == [
        "with twice the budget seed 0 is failed: no memory"
    ]
