"""The printed cells of a table against the counts in its records, by scipy and numpy."""

from __future__ import annotations

import json

import numpy as np
from scipy import stats

from fusionlab.results.load import load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table


def counts_of(study):
    """(method's axis, kind of question or all) -> right answers of each seed, and their number."""
    counts = {}
    for path in sorted(study.rglob("run.json"), key=lambda path: json.loads(path.read_text())["axes"]["seed"]):
        record = json.loads(path.read_text())
        name = record["axes"].get("fusion") or record["axes"]["streams"]
        for kind, one in {**record["result"]["kinds"], "all": record["result"]}.items():
            counts.setdefault((name, kind), ([], one["total"]))[0].append(one["correct"])
    return counts


NAMES = {"Appearance alone": "appearance", "Motion alone": "motion", "Late fusion": "late",
         "Max": "max", "Sum": "sum", "Conv": "conv"}  # fmt: skip


def test_every_cell_is_its_number(study):
    counts = counts_of(study)
    table = make_table(load(study), Spec.of({"caption": "all", "columns": ["method", "accuracy", "kinds", "gain"]}))
    assert [column.head for column in table.columns] == [
        "method", "accuracy %", "what %", "of", "binding %", "of", "over late, binding",
    ]  # fmt: skip
    for line in table.lines[:6]:
        method, accuracy, what, _, binding, _, gain = line.cells
        right, total = counts[NAMES[method], "all"]
        shares = 100 * np.array(right) / total
        assert accuracy == f"{shares.mean():.1f} ± {shares.std(ddof=1):.1f}"
        for kind, cell in (("what", what), ("binding", binding)):
            right, total = counts[NAMES[method], kind]
            mean = int(np.mean(right))
            assert mean == np.mean(right), "a whole number of answers, for scipy"
            ends = stats.binomtest(mean, total).proportion_ci(0.95, method="wilson")
            assert cell == f"{100 * mean / total:.1f} ({100 * ends.low:.1f}–{100 * ends.high:.1f})"
        if line.row.kind != "fused":
            assert gain == "–"
            continue
        late, total = counts["late", "binding"]
        more = 100 * (np.array(counts[NAMES[method], "binding"][0]) - late) / total
        low, high = (100 * one for one in (line.row.gains["binding"].low, line.row.gains["binding"].high))
        assert gain == f"{more.mean():+.1f} ({low:+.1f} … {high:+.1f})" and low < more.mean() < high


def test_a_loss_has_a_minus(tmp_path, fakes):
    fakes["fill"](tmp_path, seeds=(0,), fusions=())
    axes = {"streams": "both", "fusion": "sum", "layer": "relu5", "temporal": "pool2d", "seed": 0}
    fakes["arm"](tmp_path, kind="fused", axes=axes, shares={"what": 1.0, "binding": 0.2})
    line = next(
        line for line in make_table(load(tmp_path), Spec.of({"caption": "all"})).lines if line.row.kind == "fused"
    )
    assert next(cell for cell in line.cells if "…" in cell).startswith("−30.0 (−")


def test_seconds_are_those_of_all_seeds(study):
    table = make_table(load(study), Spec.of({"caption": "all", "columns": ["method", "seeds", "seconds"]}))
    assert {line.cells[1:] for line in table.lines[:6]} == {("2", "5")}
