"""What the page says beside the table: settings that differ, whose figures stand where, and what it has no room for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from result_fakes import arm, fill, table_spec

from fusionlab.results.load import load
from fusionlab.results.page import page, room
from fusionlab.results.page.settings import Usual
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table, make_table

PLACE = {"streams": "both", "layer": "relu5", "temporal": "pool2d"}


def written(folder: Path, spec: Spec) -> tuple[Table, str]:
    entries = load(folder)
    table = make_table(entries, spec)
    return table, page(table, entries, name="x", out=folder)


def test_settings_are_held_against_the_control_and_most_rows(tmp_path: Path) -> None:
    named = arm(tmp_path, kind="control", axes={**PLACE, "fusion": "control", "seed": 0})["signature"]
    for name, rate in (("max", 0.1), ("sum", 0.1), ("conv", 0.2)):
        config = {"fusion": {"_target_": f"parts.{name}"}, "optim": {"lr": rate}}
        arm(tmp_path, kind="fused", axes={**PLACE, "fusion": name, "seed": 0}, config=config, control=named)
    rows = [row for row in make_table(load(tmp_path), Spec.of({"caption": "c"})).rows if row.kind == "fused"]
    found = Usual(rows).settings(next(row for row in rows if row.method == "Conv"))
    assert found is not None and found.against == ("its control", "most rows of its kind")
    assert found.lines == (
        ("fusion", "conv", ("(absent)", "(various)")),
        ("optim.lr", "0.2", ("(absent)", "0.1")),
    )


@pytest.mark.parametrize(("data", "switch"), [("ucf101", True), ("brush", False)])
def test_the_papers_figures_need_a_switch_where_the_data_differ(tmp_path: Path, data: str, switch: bool) -> None:
    spec = table_spec("how")
    spec["paper"]["data"] = data
    _, html = written(fill(tmp_path), Spec.of(spec))
    assert ("Show the paper's figures (of UCF101; our data is brush)" in html.replace("&#39;", "'")) == switch
    assert bool(re.search(r'<th scope="col" class="c\d+ num paper foreign"', html)) == switch


def test_what_has_no_room_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_LINES", 4000)
    monkeypatch.setattr(room, "_EVIDENCE", 3000)
    table, html = written(fill(tmp_path), Spec.of({"caption": "c"}))
    shown = int(re.search(r"The table shows (\d+) of (\d+) lines", html)[1])
    assert 0 < shown < len(table.lines) and html.count('<th scope="row" class="c0') == shown
    assert "Evidence is here for" in html
