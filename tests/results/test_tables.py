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
            mean, worth = np.mean(right) / total, line.row.shares[kind].effective
            ends = [100 * one for one in wilson_by_hand(mean, worth)]
            assert cell == f"{100 * mean:.1f} ({ends[0]:.1f}–{ends[1]:.1f})"
        if line.row.kind != "fused":
            assert gain == "–"
            continue
        late, total = counts["late", "binding"]
        more = 100 * (np.array(counts[NAMES[method], "binding"][0]) - late) / total
        assert gain == f"{more[0]:+.1f}, {more[1]:+.1f} (2 seeds)"


def wilson_by_hand(share, videos):
    """The roots p of (share − p)² = z² p(1 − p) / n."""
    z = stats.norm.ppf(0.975)
    return sorted(np.roots([1 + z**2 / videos, -2 * share - z**2 / videos, share**2]).real)


def test_the_interval_of_three_seeds_is_the_methods(tmp_path, fakes):
    spec = Spec.of({"caption": "c", "columns": ["method", "gain", "networks"]})
    table = make_table(load(fakes["fill"](tmp_path, seeds=(0, 1, 2), control=True)), spec)
    assert [column.head for column in table.columns] == [
        "method", "over control, binding", "over late, binding", "these networks, binding",
    ]  # fmt: skip
    for line in table.lines:
        if line.row.kind == "fused":
            gain, late = line.row.gains["binding"], line.row.over_late["binding"]
            for cell, mean, one in (
                (line.cells[1], gain.mean, gain.method), (line.cells[2], late.mean, late.method),
                (line.cells[3], gain.mean, gain.networks),
            ):  # fmt: skip
                low, high = 100 * one.low, 100 * one.high
                assert cell.replace("*", "").partition(", p")[0] == f"{100 * mean:+.1f} ({low:+.1f} … {high:+.1f})"


def test_a_loss_has_a_minus(tmp_path, fakes):
    fakes["fill"](tmp_path, seeds=(0,), fusions=())
    axes = {"streams": "both", "fusion": "sum", "layer": "relu5", "temporal": "pool2d", "seed": 0}
    fakes["arm"](tmp_path, kind="fused", axes=axes, shares={"what": 1.0, "binding": 0.2})
    line = next(
        line for line in make_table(load(tmp_path), Spec.of({"caption": "all"})).lines if line.row.kind == "fused"
    )
    assert next(cell for cell in line.cells if "seed" in cell) == "−30.0 (1 seed)"


def test_seconds_are_those_of_all_seeds(study):
    table = make_table(load(study), Spec.of({"caption": "all", "columns": ["method", "seeds", "seconds"]}))
    assert {line.cells[1:] for line in table.lines[:6]} == {("2", "5")}
