"""Feichtenhofer 2016, Tables 1 to 4: figures fed in as our records come back as they are printed, in all formats."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from result_fakes import table_spec

from fusionlab.records.record import new_record, write_record
from fusionlab.results.cross import cross_csv, cross_markdown, make_cross
from fusionlab.results.csv_table import csv_text
from fusionlab.results.latex import escape_latex, latex, short_latex
from fusionlab.results.load import load
from fusionlab.results.page import page
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table
from fusionlab.results.text_tables import markdown, terminal

VIDEOS = 10_000  # so that a printed percentage with two decimals is a count
CONV = {"streams": "both", "fusion": "conv", "fusion.init": "identity"}
KEPT = {"streams": "both", "layer": "relu5_3", "keep_motion": True, "tower_weight": 0.5}
LATE = ("late", {"streams": "both", "fusion": "late", "layer": "softmax"})
Printed = tuple[str, dict[str, Any], str, str | None, str | None]  # kind, axes, accuracy, layers, parameters
TABLES: dict[str, tuple[str, list[Printed]]] = {
    "table 1": ("how", [
        ("stream", {"streams": "appearance"}, "74.22", None, None),
        ("stream", {"streams": "motion"}, "82.34", None, None),
        (*LATE, "85.94", "16", "181.42M"),
        ("fused", {"streams": "both", "fusion": "max", "layer": "relu5"}, "82.70", "13", "97.31M"),
        ("fused", {"streams": "both", "fusion": "cat", "layer": "relu5"}, "83.53", "13", "172.81M"),
        ("fused", {"streams": "both", "fusion": "bilinear", "layer": "relu5"}, "85.05", "10", "6.61M"),
        ("fused", {"streams": "both", "fusion": "sum", "layer": "relu5"}, "85.20", "13", "97.31M"),
        ("fused", {**CONV, "layer": "relu5"}, "85.96", "14", "97.58M"),
    ]),
    "table 2": ("where", [
        (*LATE, "85.94", "16", "181.42M"),
        ("fused", {**CONV, "layer": "relu2"}, "82.25", "11", "91.90M"),
        ("fused", {**CONV, "layer": "relu3"}, "83.43", "12", "93.08M"),
        ("fused", {**CONV, "layer": "relu4"}, "82.55", "13", "95.48M"),
        ("fused", {**CONV, "layer": "relu5"}, "85.96", "14", "97.57M"),
        ("fused", {**CONV, "layer": "relu5+fc8"}, "86.04", "17", "181.68M"),
        ("fused", {**CONV, "layer": "relu3+relu5+fc6"}, "81.55", "17", "190.06M"),
    ]),
    "table 3, VGG-M-2048": ("all", [
        ("stream", {"streams": "appearance"}, "74.22", None, None),
        ("stream", {"streams": "motion"}, "82.34", None, None),
        (*LATE, "85.94", None, None),
    ]),
    "table 3, VGG-16": ("all", [
        ("stream", {"streams": "appearance"}, "82.61", None, None),
        ("stream", {"streams": "motion"}, "86.25", None, None),
        (*LATE, "90.62", None, None),
    ]),
    "table 4": ("when", [
        ("fused", {**KEPT, "fusion": "conv", "temporal": "pool2d"}, "89.35", None, None),
        ("fused", {**KEPT, "fusion": "conv", "temporal": "pool3d"}, "89.64", None, None),
        ("fused", {**KEPT, "fusion": "cat", "temporal": "conv3d"}, "90.40", None, None),
    ]),
}  # fmt: skip


def fill(folder, rows: list[Printed]) -> None:
    for number, (kind, axes, accuracy, layers, parameters) in enumerate(rows):
        right = round(float(accuracy) * VIDEOS / 100)
        result: dict[str, Any] = {"accuracy": right / VIDEOS, "correct": right, "total": VIDEOS, "kinds": {}}
        result |= {"classes": {"Archery": None}, "steps": 1, "best_step": 1, "data": "d" * 64}
        if layers:
            result["layers"] = int(layers)
        if parameters:
            result["parameters"] = round(float(parameters.removesuffix("M")) * 1e6)
        own = {**axes, "seed": 0}
        name = ",".join(f"{axis}={value}" for axis, value in own.items())
        config: dict[str, Any] = {
            "into": "appearance",
            "data": {"dataset": {"_target_": "fusionlab.data.ucf101.UCF101"}},
        }
        config |= {axis: value for axis, value in axes.items() if "." not in axis}
        record = new_record(
            name=name, kind=kind, axes=own, signature=f"{number:016x}", config=config, result=result,
            stage_one={}, circumstances={"seconds": 1.0},
        )  # fmt: skip
        write_record(folder / str(number), record, None)


@pytest.mark.parametrize("which", TABLES)
def test_a_table_of_the_paper_comes_back_as_printed(which: str, tmp_path) -> None:
    name, rows = TABLES[which]
    fill(tmp_path, rows)
    entries = load(tmp_path)
    table = make_table(entries, Spec.of({**table_spec(name), "decimals": 2}))
    formats = {
        "terminal": terminal(table), "markdown": markdown(table), "latex": latex(table), "short": short_latex(table),
    }  # fmt: skip
    lines = {line["method"] + line.get("layer", "") + line.get("temporal", ""): line
             for line in csv.DictReader(io.StringIO(csv_text(table))) if line["status"] == "done"}  # fmt: skip
    html = page(table, entries, name="x", out=tmp_path)
    assert len(lines) == len(rows) == sum(bool(row.done) for row in table.rows)
    for kind, axes, accuracy, layers, parameters in rows:
        row = next(one for one in table.rows if all(one.axes.get(axis) == value for axis, value in axes.items()))
        assert row.kind == kind
        for form, text in formats.items():
            method = escape_latex(row.method) if form in ("latex", "short") else row.method
            own = [
                line for line in text.splitlines() if line.lstrip("| ").replace(r"\allowbreak{}", "").startswith(method)
            ]
            shown = [line for line in own if accuracy in line]
            assert shown, f"{form}: {method} {accuracy}"
            if parameters and form != "latex":
                assert any(parameters in line for line in shown), f"{form}: {method} {parameters}"
        line = lines[row.method + str(axes.get("layer", "")) + str(axes.get("temporal", ""))]
        assert float(line["accuracy"]) == pytest.approx(float(accuracy), abs=1e-9)
        assert line["layers"] == (layers or "")
        assert f">{accuracy}<" in html
        if row.paper and "accuracy" in row.paper.figures:
            assert row.paper.figures["accuracy"] == accuracy, "the paper's own figure stands beside it"
            assert line["paper_accuracy"] == accuracy
    if len([row for row in rows if row[0] == "fused"]) > 1:
        down, across = {"how": ("fusion", "layer"), "where": ("layer", "fusion")}.get(name, ("temporal", "fusion"))
        cross = make_cross(table, [down], [across], "accuracy", {})
        for _, axes, accuracy, _, _ in (row for row in rows if row[0] == "fused"):
            assert axes[down] and accuracy in cross_markdown(cross) and accuracy in cross_csv(cross)
