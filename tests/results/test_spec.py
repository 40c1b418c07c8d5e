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
    spec = Spec.of(fakes["table_spec"](name))
    methods = list(dict.fromkeys(line.row.method for line in make_table(load(study), spec).lines))
    streams = [spec.where["streams"]] if "streams" in spec.where else ["appearance", "motion"]
    baselines = [*(f"{one.capitalize()} alone" for one in streams), "Late fusion"]
    assert methods[: len(baselines)] == baselines


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
        ({"layer": ["relu2", "relu2_2"]}, "82.25"),
        ({"layer": ["relu3", "relu3_3"]}, "83.43"),
        ({"layer": ["relu4", "relu4_3"]}, "82.55"),
        ({"layer": ["relu5", "relu5_3"]}, "85.96"),
        ({"fusion": "conv", "layer": "fc8"}, "85.9"),
        ({"fusion": "sum", "layer": "fc8"}, "85.1"),
        ({"layer": ["relu5+fc8", "relu5_3+fc8"]}, "86.04"),
        ({"layer": ["relu3+relu5+fc6", "relu3_3+relu5_3+fc6"]}, "81.55"),
    ],
    "when": [
        ({"temporal": "pool2d"}, "89.35"),
        ({"temporal": ["pool3d", "pool3d_paper"]}, "89.64"),
        ({"temporal": ["conv3d", "conv3d_paper"]}, "90.40"),
    ],
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_papers_numbers(name, fakes):
    rows = [row for row in Spec.of(fakes["table_spec"](name)).paper.rows if row.figures]
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
    cells = {(*map(row.axes.get, ("fusion", "temporal", "fusion.init")),): None for row in table.rows}
    for line in table.lines:
        cells[(*map(line.row.axes.get, ("fusion", "temporal", "fusion.init")),)] = line.cells[at]
    assert cells[("conv", "pool2d", "identity")] == "85.96"
    assert cells[("conv", "pool2d", "gaussian")] == "85.59"
    assert cells[("conv", "pool3d", "identity")] == "–"
    assert cells[("max", "pool2d", None)] == "82.70"


def paper_cells(study, fakes, name, **axes):
    """What stands in the paper's column beside a new arm, and the notes that its row is marked with."""
    from_here = {"streams": "both", "fusion": "conv", "layer": "relu5", "temporal": "pool2d", **axes, "seed": 0}
    fakes["arm"](study, kind="fused", axes=from_here)
    table = make_table(load(study), Spec.of(fakes["table_spec"](name)))
    at = [column.key for column in table.columns].index("paper:accuracy")
    (line,) = [line for line in table.lines if line.row.axes.items() >= axes.items()]
    return line.cells[at], [table.marked[mark - 1] for mark in line.marks]


@pytest.mark.parametrize(
    "name, axes, printed",
    [
        ("how", {"layer": "relu5_3"}, "85.96"),
        ("how", {"fusion.init": "identity"}, "85.96"),
        ("how", {"keep_motion": True}, "–"),
        ("how", {"into": "motion"}, "–"),
        ("where", {"layer": "relu3_3+relu5_3+fc6"}, "81.55"),
        ("where", {"layer": "relu5_3+fc8"}, "86.04"),
        ("where", {"layer": "relu5+relu4"}, "–"),
        ("when", {"keep_motion": True}, "89.35"),
        ("when", {"keep_motion": True, "layer": "relu5_3", "temporal": "pool3d_paper"}, "89.64"),
        ("when", {"keep_motion": True, "into": "motion"}, "–"),
        ("when", {"keep_motion": True, "tower_weight": 0.3}, "–"),
        ("when", {"fusion.init": "gaussian"}, "–"),
    ],
)
def test_the_paper_stands_beside_its_own_networks_only(study, fakes, name, axes, printed):
    cell, _ = paper_cells(study, fakes, name, **axes)
    assert cell == printed


def test_a_switch_is_written_keep_batch_typed(study, fakes):
    for kept in (True, False):
        axes = {"streams": "both", "fusion": "conv", "layer": "relu5", "temporal": "pool3d", "keep_motion": kept}
        fakes["arm"](study, kind="fused", axes={**axes, "seed": 0}, shares={"what": 1.0, "binding": 1.0})
    table = make_table(load(study), Spec.of(fakes["table_spec"]("all")))
    at = [column.key for column in table.columns].index("axis:keep_motion")
    assert {line.cells[at] for line in table.lines} == {"–", "true", "false"}
    text = " ".join((table.headline, *table.notes))
    assert "pool3d keep_motion=false" in text and "pool3d keep_motion=true" in text
    assert "True" not in text and "False" not in text


def test_a_row_without_the_papers_figures_says_why(study, fakes):
    _, marked = paper_cells(study, fakes, "when", temporal="pool3d")
    assert [note for note in marked if "keep_motion=true" in note]
    (certain,) = [
        note
        for note in make_table(load(study), Spec.of(fakes["table_spec"]("how"))).notes
        if note.startswith("Sources")
    ]
    assert "Conv" in certain
    notes = make_table(load(study), Spec.of(fakes["table_spec"]("when"))).notes
    assert not [note for note in notes if note.startswith("Sources")], "no figure of the paper is shown"
    (absent,) = [note for note in notes if note.startswith("In the paper, but not run here")]
    assert absent.count("89.") == 2 and "False" not in absent and "fused" not in absent


def test_the_two_deviations_of_the_parameters_are_stated(fakes):
    rows = {
        str(row.key.get("layer")) + row.key.get("fusion", ""): row.remark
        for name in ("how", "where")
        for row in Spec.of(fakes["table_spec"](name)).paper.rows
    }
    bilinear = next(text for key, text in rows.items() if key.endswith("bilinear"))
    triple = next(text for key, text in rows.items() if "relu3+relu5+fc6" in key)
    assert "13,137,248, 99 % more" in bilinear and round(13_137_248 / 6.61e6 - 1, 2) == 0.99
    assert "207,346,117 parameters, 9.1 % more" in triple and round(207_346_117 / 190.06e6 - 1, 3) == 0.091


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
    "change, words",
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
def test_a_mistyped_table_is_answered(change, words):
    with pytest.raises(UserError) as caught:
        Spec.of({"caption": "c", **change})
    assert words in str(caught.value)


def test_names_sort_with_their_numbers():
    assert sorted(["relu10", "fc6", "relu5", "a"], key=natural) == ["a", "fc6", "relu5", "relu10"]
