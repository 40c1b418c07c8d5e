"""The tables that come with the house, and answers to a mistyped one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusionlab.errors import UserError
from fusionlab.results.load import load
from fusionlab.results.spec import Spec, natural
from fusionlab.results.tables import make_table

TABLES = sorted(path.stem for path in (Path(__file__).parents[2] / "conf" / "table").glob("*.yaml"))


@pytest.mark.parametrize("name", TABLES)
def test_each_table_makes_a_table(name, study, fakes):
    table = make_table(load(study), Spec.of(fakes["table_spec"](name)))
    assert [line.row.method for line in table.lines][:3] == [
        "Appearance alone",
        "Motion alone",
        "Late fusion",
    ]


def test_the_tables_of_the_house():
    assert {"how", "where", "when", "all"} <= set(TABLES)


# The printed accuracies once more, typed by hand: a figure in a yaml cannot change alone.
PRINTED = {
    "how": [
        ({"kind": "stream", "streams": "appearance"}, "74.22"),
        ({"kind": "stream", "streams": "motion"}, "82.34"),
        ({"kind": "late"}, "85.94"),
        ({"fusion": "max"}, "82.70"),
        ({"fusion": "cat"}, "83.53"),
        ({"fusion": "bilinear"}, "85.05"),
        ({"fusion": "sum"}, "85.20"),
        ({"fusion": "conv", "fusion.init": ["identity", None]}, "85.96"),
        ({"fusion": "conv", "fusion.init": "gaussian"}, "85.59"),
    ],
    "where": [
        ({"kind": "late"}, "85.94"),
        ({"layer": "relu2"}, "82.25"),
        ({"layer": "relu3"}, "83.43"),
        ({"layer": "relu4"}, "82.55"),
        ({"layer": "relu5"}, "85.96"),
        ({"fusion": "conv", "layer": "fc8"}, "85.9"),
        ({"fusion": "sum", "layer": "fc8"}, "85.1"),
        ({"layer": "relu5+fc8"}, "86.04"),
        ({"layer": "relu3+relu5+fc6"}, "81.55"),
    ],
    "when": [
        ({"temporal": "pool2d"}, "89.35"),
        ({"temporal": "pool3d"}, "89.64"),
        ({"temporal": "conv3d"}, "90.40"),
    ],
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_papers_numbers(name, fakes):
    rows = Spec.of(fakes["table_spec"](name)).paper.rows
    assert len(rows) == len(PRINTED[name])
    for row, (key, accuracy) in zip(rows, PRINTED[name], strict=True):
        assert key.items() <= row.key.items()
        assert row.figures["accuracy"] == accuracy
        assert row.certainty


def test_the_paper_stands_beside_its_own_rows_only(study, spec, fakes):
    for temporal in ("pool2d", "pool3d"):
        for init in ("identity", "gaussian"):
            axes = {
                "streams": "both",
                "fusion": "conv",
                "layer": "relu5",
                "temporal": temporal,
                "fusion.init": init,
            }
            fakes["arm"](study, kind="fused", axes={**axes, "seed": 0})
    table = make_table(load(study), Spec.of(spec))
    at = [column.key for column in table.columns].index("paper:accuracy")
    found = {(*map(row.axes.get, ("fusion", "temporal", "fusion.init")),): None for row in table.rows}
    for line in table.lines:
        found[(*map(line.row.axes.get, ("fusion", "temporal", "fusion.init")),)] = line.cells[at]
    assert found[("conv", "pool2d", "identity")] == "85.96"
    assert found[("conv", "pool2d", "gaussian")] == "85.59"
    assert found[("conv", "pool3d", "identity")] == "–"
    assert found[("max", "pool2d", None)] == "82.70"


def test_it_says_whose_numbers_they_are(study, spec):
    (note,) = [note for note in make_table(load(study), Spec.of(spec)).notes if note.startswith("The paper's numbers")]
    assert "UCF101" in note
    assert "Ours are of brush" in note
    assert "not the numbers" in note


def test_nothing_done_is_said_too(tmp_path, fakes, spec):
    axes = {"streams": "both", "fusion": "conv", "layer": "relu5", "temporal": "pool2d", "seed": 0}
    fakes["arm"](tmp_path, kind="fused", axes=axes, reason="no memory")
    table = make_table(load(tmp_path), Spec.of(spec))
    assert table.headline == "No fusion is done yet."
    assert "No arm is done yet." in table.notes
    assert table.lines[0].span == "failed, seed 0: no memory (log: log.txt)"


@pytest.mark.parametrize(
    "change, said",
    [
        ({"colums": []}, "columns"),
        ({"columns": ["acuracy"]}, "accuracy"),
        ({"caption": None}, "caption"),
        ({"decimals": 3}, "1, 2"),
        ({"rows": "varrying"}, "varying"),
        ({"paper": {"figure": {}}}, "figures"),
        (
            {"paper": {"figures": {"accuracy": "x"}, "rows": [{"key": {"fusion": "sum"}, "accuracy": "1"}]}},
            "certain",
        ),
        (
            {"paper": {"rows": [{"key": {"fusion": "sum"}, "acuracy": "1", "certainty": "c"}]}},
            "figure of the paper",
        ),
    ],
)
def test_a_mistyped_table_is_answered(change, said):
    with pytest.raises(UserError) as caught:
        Spec.of({"caption": "c", **change})
    assert said in str(caught.value)


def test_names_sort_with_their_numbers():
    assert sorted(["relu10", "fc6", "relu5", "a"], key=natural) == ["a", "fc6", "relu5", "relu10"]
