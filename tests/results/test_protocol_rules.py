"""Rows of another protocol do not stand in one column, and docs/reading-a-table.md has the rules that are used."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from result_fakes import arm, fill
from tree import ROOT

from fusionlab.results.csv_table import csv_text
from fusionlab.results.load import load
from fusionlab.results.protocol_rules import RULES
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table, make_table

AXES = {"streams": "both", "fusion": "cat", "layer": "relu5", "temporal": "pool2d"}
OPTIM = {"optim": {"fusion": {"lr": 0.002, "epochs": 8}, "streams": {"lr": 0.003}}}
USUAL = {**OPTIM, "data": {"sampling": {"crop": 48, "test": "middle"}}}
PAGE = ROOT / "docs" / "reading-a-table.md"
BEGIN, END = "<!-- rules: drawn by tests/results/test_protocol_rules.py -->", "<!-- rules: end -->"


def drawn() -> str:
    lines = ["| what | where a record has it | a difference | why |", "| --- | --- | --- | --- |"]
    lines += [f"| {one.name} | {one.place} | {'refused' if one.refused else 'a note'} | {one.why} |" for one in RULES]
    return "\n".join(lines)


def test_the_page_has_the_rules() -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    shown, _, after = rest.partition(END)
    assert after, "the page has a place for the rules"
    if shown.strip() != drawn():
        PAGE.write_text(f"{before}{BEGIN}\n{drawn()}\n{END}{after}", encoding="utf-8")
        pytest.fail(
            "the rules in docs/reading-a-table.md were out of date and were drawn anew: look at them and commit"
        )


@pytest.fixture
def usual(tmp_path: Path) -> Path:
    """A study whose arms name their training; streams and late too."""
    return fill(tmp_path, seeds=(0,), config=USUAL)


def other(folder: Path, config: dict[str, Any] | None = None, axes: dict[str, Any] | None = None, **more: Any) -> Table:
    """The table of a study with one more row, which differs."""
    arm(folder, kind="fused", axes={**AXES, **(axes or {}), "seed": 0}, config={**USUAL, **(config or {})}, **more)
    return make_table(load(folder), Spec.of({"caption": "c"}))


def spans(table: Table) -> dict[str, str]:
    return {line.row.method: line.span for line in table.lines if line.span is not None}


FLOW = {"flow": {"method": "tvl1", "rule": "field", "bound": 20.0}}
LR = {"optim": {**OPTIM["optim"], "fusion": {"lr": 0.1, "epochs": 8}}}
EPOCHS = {"optim": {**OPTIM["optim"], "fusion": {"lr": 0.002, "epochs": 16}}}
TEN = {"data": {"sampling": {"crop": 48, "test": "ten"}}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"decoder": "av 14.2.0"}, "decoder differs from most rows: decoder=av 14.2.0, not decord 0.6.0"),
        (FLOW, "optical flow differs from most rows: optical flow=tvl1 by field, ±20.0 px, not dis by bound, ±4.0 px"),
        (
            {"config": {"weights": {"appearance": "imagenet"}}},
            "weights differs from most rows: weights.appearance=imagenet, not drawn",
        ),
        (
            {"config": {"multitask": {"motion": {"dataset": {"_target_": "a.UCF101"}, "store": {}}}}},
            "weights differs from most rows: multitask.motion=UCF101 (a6357d9b), not as usual",
        ),
        ({"config": LR}, "training protocol differs from most rows: optim.fusion.lr=0.1, not 0.002"),
        ({"config": EPOCHS}, "budget differs from most rows: optim.fusion.epochs=16, not 8"),
        ({"config": TEN}, "test protocol differs from most rows: data.sampling.test=ten, not as usual"),
    ],
)
def test_a_row_of_another_protocol_keeps_its_line_and_no_figure_in_a_column(
    usual: Path, change: dict[str, Any], reason: str
) -> None:
    table = other(usual, **change)
    assert spans(table) == {"Concatenation": f"not in these columns: {reason}"}
    assert "Concatenation" not in table.headline and not any(row.method == "Concatenation" for row in table.matrix.rows)
    line = next(one for one in csv.DictReader(io.StringIO(csv_text(table))) if one["method"] == "Concatenation")
    assert line["not_comparable"] == reason and float(line["accuracy"]) == 100


@pytest.mark.parametrize(
    ("axis", "config"),
    [
        ("optim.fusion.lr", LR), ("optim", LR), ("optim.fusion.epochs", EPOCHS), ("data.sampling.test", TEN),
        ("data", TEN),
    ],
)  # fmt: skip
def test_what_an_axis_asks_about_is_no_breach(usual: Path, axis: str, config: dict[str, Any]) -> None:
    arm(usual, kind="fused", axes={**AXES, "fusion": "product", axis: "usual", "seed": 0}, config=USUAL)
    assert spans(other(usual, config=config, axes={axis: "other"})) == {}


def test_streams_that_are_trained_each_in_its_own_way_are_compared_each_with_its_own(tmp_path: Path) -> None:
    own = {"streams": {"lr": 0.003, "appearance": {"lr": 0.01}, "motion": {}}}
    for stream, rate in (("appearance", 0.01), ("motion", 0.003)):
        arm(tmp_path, kind="stream", axes={"streams": stream, "seed": 0}, config={"optim": {"streams": {"lr": rate}}})
    arm(tmp_path, kind="late", axes={"streams": "both", "fusion": "late", "seed": 0}, config={"optim": own})
    assert spans(make_table(load(tmp_path), Spec.of({"caption": "c"}))) == {}
    axes = {"streams": "both", "fusion": "late", "layer": "softmax", "seed": 0}
    arm(tmp_path, kind="late", axes=axes, config={"optim": {"streams": {"lr": 0.003}}})
    (span,) = spans(make_table(load(tmp_path), Spec.of({"caption": "c"}))).values()
    assert "training protocol" in span and "optim.streams.lr" in span


def test_arms_that_have_converged_may_differ_in_their_budget(usual: Path) -> None:
    assert spans(other(usual, config=EPOCHS, converged=True)) == {}


def test_not_converged_is_a_mark_and_no_refusal(usual: Path) -> None:
    table = other(usual, converged=False)
    (line,) = [line for line in table.lines if line.row.method == "Concatenation"]
    assert line.span is None
    assert [table.marked[mark - 1] for mark in line.marks if "converged" in table.marked[mark - 1]] == [
        "not converged: it reached the cap of its budget"
    ]


def test_what_older_records_lack_is_not_compared(usual: Path) -> None:
    assert spans(other(usual, decoder=None, flow=None)) == {}
