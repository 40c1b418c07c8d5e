"""Contrasts: what true pairs of clips add to a gain, and the effects of a full grid, against differences by hand."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from result_fakes import arm, fill

from fusionlab.results.contrasts import PAIRS, contrast_notes, contrasts_csv, grid_axes, make_contrasts
from fusionlab.results.load import load
from fusionlab.results.report import report
from fusionlab.results.rows import make_rows
from fusionlab.results.spec import Spec

SEEDS = (0, 1, 2)
SHARES = {("conv", "own"): 0.9, ("conv", "class"): 0.5, ("control", "own"): 0.6, ("control", "class"): 0.45}


def with_pairs(folder: Path) -> Path:
    """A fusion and its control, trained on pairs of one clip and on pairs of one class; and late fusion."""
    for seed in SEEDS:
        axes = {"streams": "both", "fusion": "late", "layer": "softmax", "seed": seed}
        arm(folder, kind="late", axes=axes, shares={"what": 1.0, "binding": 0.4})
    for pairs in ("own", "class"):
        for seed in SEEDS:
            axes = {"streams": "both", "layer": "relu5", "temporal": "pool2d", PAIRS: pairs, "seed": seed}
            named = None
            for fusion in ("control", "conv"):
                kind = "control" if fusion == "control" else "fused"
                shares = {"what": 1.0, "binding": SHARES[fusion, pairs] - 0.01 * seed * (fusion == "conv")}
                one = arm(folder, kind=kind, axes={**axes, "fusion": fusion}, shares=shares, control=named)
                named = one["signature"]
    return folder


def test_own_pairs_minus_class_pairs(tmp_path: Path) -> None:
    rows = make_rows(load(with_pairs(tmp_path)), Spec(""))
    (found,) = [one for one in make_contrasts(rows, "binding") if one.sort == "pairs"]
    assert found.name == "Conv" and found.gain.mean == pytest.approx((0.9 - 0.6) - (0.5 - 0.45))
    gains = {row.axes[PAIRS]: row.gains["binding"] for row in rows if row.kind == "fused"}
    by_hand = np.subtract(gains["own"].per_seed, gains["class"].per_seed)
    assert found.gain.per_seed == pytest.approx(by_hand.tolist()) and found.gain.groups == 34
    (note,) = [note for note in contrast_notes([found], 1) if note.startswith("Own pairs of clips")]
    assert "Conv +25.0" in note
    assert [row.kind for row in rows].count("late") == 1
    for row in rows:
        if row.kind in ("fused", "control"):  # one late fusion for the rows of both
            own = [entry.answers.right.mean() for entry in row.done]
            late = [entry.answers.right.mean() for entry in load(tmp_path) if entry.kind == "late"]
            assert row.over_late["all"].per_seed == pytest.approx(np.subtract(own, late).tolist())


def test_without_twins_there_is_none(tmp_path: Path) -> None:
    rows = make_rows(load(fill(tmp_path, control=True)), Spec(""))
    assert make_contrasts(rows, "binding") == ()


def grid(folder: Path, *, hole: bool = False) -> Path:
    shares = {("sum", "pool2d"): 0.5, ("sum", "conv3d"): 0.6, ("max", "pool2d"): 0.5, ("max", "conv3d"): 0.9}
    for (fusion, temporal), share in list(shares.items())[: 3 if hole else 4]:
        for seed in SEEDS:
            axes = {"streams": "both", "fusion": fusion, "layer": "relu5", "temporal": temporal, "seed": seed}
            arm(folder, kind="fused", axes=axes, shares={"what": 1.0, "binding": share})
    return folder


def test_main_effects_and_interactions_of_a_full_grid(tmp_path: Path) -> None:
    rows = make_rows(load(grid(tmp_path)), Spec.of({"caption": "c"}))
    assert grid_axes(rows) == ["fusion", "temporal"]
    found = {one.name: one for one in make_contrasts(rows, "binding")}
    assert {name: one.sort for name, one in found.items()} == {
        "Sum − Max": "main", "conv3d − pool2d": "main", "(Sum − Max) × (conv3d − pool2d)": "interaction",
    }  # fmt: skip
    assert found["Sum − Max"].gain.mean == pytest.approx((0.5 + 0.6) / 2 - (0.5 + 0.9) / 2)
    assert found["conv3d − pool2d"].gain.mean == pytest.approx((0.6 + 0.9) / 2 - 0.5)
    assert found["(Sum − Max) × (conv3d − pool2d)"].gain.mean == pytest.approx((0.6 - 0.9) - (0.5 - 0.5))
    lines = list(csv.DictReader(io.StringIO(contrasts_csv(list(found.values())))))
    assert [float(line["points"]) for line in lines] == pytest.approx([-15.0, 25.0, -30.0])
    for line, one in zip(lines, found.values(), strict=True):
        assert float(line["p"]) == pytest.approx(one.gain.method.p, rel=1e-5) and "p_holm" not in line, (
            "there are two families"
        )
        assert json.loads(line["per_seed"]) == pytest.approx([100 * gain for gain in one.gain.per_seed], abs=1e-4)


def test_a_grid_with_a_hole_has_no_effects(tmp_path: Path) -> None:
    rows = make_rows(load(grid(tmp_path, hole=True)), Spec.of({"caption": "c"}))
    assert grid_axes(rows) == [] and make_contrasts(rows, "binding") == ()


def test_the_report_writes_them(tmp_path: Path) -> None:
    text = report(grid(tmp_path / "study"), {"caption": "c", "gain": "binding"}, tmp_path / "out", notes=True)
    assert "Effects over the full grid" in text and "conv3d − pool2d +25.0" in text
    assert (tmp_path / "out" / "contrasts.csv").read_text().count("\n") == 4
