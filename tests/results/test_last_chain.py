"""Tables of a study with two chains show chain B, name the rate that each row repeats, and list chain A in the CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from result_fakes import arm, fill

from fusionlab.results.csv_table import csv_text
from fusionlab.results.load import load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table, make_table
from fusionlab.results.text_tables import terminal

RATE = "optim.fusion.lr"
AXES = {"streams": "both", "fusion": "cat", "layer": "relu5", "temporal": "pool2d"}


def edit(path: Path, **result: Any) -> str:
    """Change a record's result; returns its signature."""
    record = json.loads((path / "run.json").read_text())
    record["result"].update(result)
    (path / "run.json").write_text(json.dumps(record))
    signature: str = record["signature"]
    return signature


def one(folder: Path, seed: int, then: str, chosen_by: dict[str, str] | None = None, **axes: Any) -> Path:
    config = {"val": {"list": "cut", "then": then}, **({"chosen_by": chosen_by} if chosen_by else {})}
    before = set(folder.rglob("run.json"))
    arm(folder, kind="fused", axes={**AXES, **axes, "val.then": then, "seed": seed}, config=config)
    (made,) = set(folder.rglob("run.json")) - before
    return made.parent


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """Of `cat` two rates in chain A and one arm in chain B, of each seed; seeds choose other rates."""
    fill(tmp_path, seeds=(0, 1), config={"val": {"list": "cut", "then": "retrain"}})
    for seed, losses in enumerate(({0.1: 1.5, 0.2: 1.2}, {0.1: 0.9, 0.2: 1.0})):
        named = {}
        for rate, loss in losses.items():
            named[str(rate)] = edit(one(tmp_path, seed, "keep", **{RATE: rate}), val_loss=loss)
        best = min(losses, key=lambda rate: losses[rate])
        last = one(tmp_path, seed, "retrain", named)
        edit(last, val_loss=None, chosen={"rate": best, "signature": named[str(best)], "converged": None})
    return tmp_path


def made(folder: Path, **spec: Any) -> Table:
    return make_table(load(folder), Spec.of({"caption": "c", **spec}))


def test_rows_are_of_chain_b_and_have_no_axis_of_the_chain(both: Path) -> None:
    table = made(both)
    (row,) = [row for row in table.rows if row.axes.get("fusion") == "cat"]
    assert row.seeds == ((0,), (1,)) and "val.then" not in row.axes
    assert [first.axes[RATE] for first in row.done[0].first] == [0.1, 0.2]
    assert "val.then" not in [column.head for column in table.columns]
    assert any("Streams and arms were then trained anew on the whole list" in note for note in table.notes)


def test_the_rate_of_a_row_is_the_one_that_its_seeds_repeat(both: Path) -> None:
    (row,) = [row for row in made(both, select=RATE).rows if row.axes.get("fusion") == "cat"]
    assert row.axes[RATE] == "0.1/0.2" and not row.trials


def test_the_csv_has_the_nets_that_chose_without_figures_of_their_test(both: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(csv_text(made(both)))))
    first = [line for line in lines if line["status"] == "of the chain that chose"]
    assert [(line[RATE], line["seeds"], line["val_loss"], line["chosen"]) for line in first] == [
        ("0.1", "0", "1.5", "no"), ("0.2", "0", "1.2", "yes"), ("0.1", "1", "0.9", "yes"), ("0.2", "1", "1", "no"),
    ]  # fmt: skip
    assert {line["val.then"] for line in first} == {"keep"} and {line["accuracy"] for line in first} == {""}


def test_until_chain_b_is_there_a_row_is_missing_and_chain_a_does_not_stand_for_it(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,))
    one(tmp_path, 0, "keep")
    table = made(tmp_path)  # of saved records, without a plan: chain A is all there is
    assert any(row.axes.get("fusion") == "cat" for row in table.rows)
    assert "trained anew" not in terminal(table, notes=True)
