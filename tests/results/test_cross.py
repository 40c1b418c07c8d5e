"""A table of one's own: its cells are those of the study's table, and nothing is averaged unasked."""

from __future__ import annotations

import csv
import io
import shutil

import pytest

import fusionlab
from fusionlab.errors import UserError
from fusionlab.planning.report_study import make_report, report_folder, with_means_over
from fusionlab.results.cross import cross_csv, cross_latex, cross_markdown, cross_text, make_cross
from fusionlab.results.load import load, load_all
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table


@pytest.fixture
def wide(study, fakes):
    """Two layers and two temporal heads; sum at relu3 is not done."""
    for layer, temporal in (("relu3", "pool2d"), ("relu5", "conv3d")):
        for seed in (0, 1):
            axes = {"streams": "both", "fusion": "conv", "layer": layer, "temporal": temporal, "seed": seed}
            fakes["arm"](study, kind="fused", axes=axes, shares={"what": 0.5, "binding": 0.25})
    axes = {"streams": "both", "fusion": "sum", "layer": "relu3", "temporal": "pool2d", "seed": 0}
    fakes["arm"](study, kind="fused", axes=axes, reason="out of memory")
    return study


@pytest.fixture
def table(wide):
    return make_table(load(wide), Spec.of({"caption": "all"}))


def test_a_cell_is_the_tables(table):
    cross = make_cross(table, ["fusion"], ["layer"], "accuracy", {"temporal": "pool2d"})
    assert cross.heads == ("relu3", "relu5")
    assert dict(cross.lines) == {
        "max": ("–", "81.2 ± 0.9"),
        "sum": ("failed", "93.1 ± 0.9"),
        "conv": ("34.4 ± 0.0", "96.9 ± 0.9"),
    }
    assert cross.rows[2][0].axes["layer"] == "relu3" and cross.rows[0][0] is None
    assert cross.notes == ("Not in it, since they lack fusion or layer: Appearance alone, Motion alone, Late fusion.",)


def test_two_rows_in_one_cell_are_an_error_that_names_the_axis(table):
    with pytest.raises(UserError) as caught:
        make_cross(table, ["fusion"], ["layer"])
    assert caught.value.what == "several rows share a cell: temporal varies"
    assert "temporal=" in str(caught.value) and "cols=…,temporal" in str(caught.value)
    cross = make_cross(table, ["fusion"], ["layer", "temporal"])
    assert set(cross.heads) == {"relu3, pool2d", "relu5, pool2d", "relu5, conv3d"}


@pytest.mark.parametrize(
    ("down", "across", "value", "where", "what"),
    [
        (["fusoin"], ["layer"], "accuracy", {}, "unknown axis of this study"),
        (["fusion"], ["layer"], "accuracy", {"tempral": "x"}, "unknown axis of this study"),
        (["fusion"], ["layer"], "acc", {}, "unknown value of a cell"),
        (["fusion"], [], "accuracy", {}, "a table of one's own needs rows and cols"),
        (["layer"], ["layer"], "accuracy", {}, "an axis stands in rows or in cols"),
        (["fusion"], ["layer"], "accuracy", {"temporal": "nosuch"}, "no row has these axes and values"),
    ],
)
def test_what_is_wrong_is_said(table, down, across, value, where, what):
    with pytest.raises(UserError) as caught:
        make_cross(table, down, across, value, where)
    assert caught.value.what == what


@pytest.mark.parametrize("value", ["binding", "late", "seeds", "layers", "parameters", "seconds", "what"])
def test_every_value_is_the_rows(table, value):
    cross = make_cross(table, ["fusion"], ["layer"], value, {"temporal": "pool2d"})
    cell = dict(cross.lines)["conv"][1]
    expected = {"seeds": "2", "layers": "14", "parameters": "0.21M", "seconds": "5"}
    assert cell == expected.get(value, cell) and cell != "–"


def test_every_format_has_the_cells(table):
    cross = make_cross(table, ["fusion"], ["layer", "temporal"])
    rows = list(csv.reader(io.StringIO(cross_csv(cross))))
    assert tuple(rows[0][1:]) == cross.heads and [tuple(row[1:]) for row in rows[1:]] == [c for _, c in cross.lines]
    for text in (cross_text(cross), cross_markdown(cross)):
        assert "96.9 ± 0.9" in text and "relu5, conv3d" in text
    assert r"96.9 $\pm$ 0.9" in cross_latex(cross) and r"\resizebox" not in cross_latex(cross)


def test_a_report_writes_it_and_python_shows_it(wide):
    text = make_report(str(wide), cross=(["fusion"], ["layer"], "accuracy", {"temporal": "pool2d"}))
    assert "96.9 ± 0.9" in text and "81.2 ± 0.9" in text
    assert {path.name for path in (wide / "report").iterdir()} >= {"cross.md", "cross.csv", "cross.tex", "table.md"}
    shown = fusionlab.load(wide).table(rows="fusion", cols="layer", where={"temporal": "pool2d"})
    assert str(shown) == text


def test_several_folders_are_one_study(tmp_path, fakes):
    """Seed 0 on one machine, seed 1 on another, and one arm on both."""
    one, two = tmp_path / "one", tmp_path / "two"
    fakes["fill"](one, seeds=(0,), fusions=("sum",))
    fakes["fill"](two, seeds=(1,), fusions=("sum", "conv"))
    shared = next(place for place in one.iterdir() if place.name.startswith("fused"))
    shutil.copytree(shared, two / shared.name)
    entries = load_all({one: {}, two: {}})
    assert len(entries) == len(load(one)) + len(load(two)) - 1
    rows = {row.method: len(row.done) for row in make_table(entries, Spec.of({"caption": "c"})).rows}
    assert rows == {"Appearance alone": 2, "Motion alone": 2, "Late fusion": 2, "Sum": 2, "Conv": 1}
    make_report([str(one), str(two)])
    assert (tmp_path / "one+two" / "report" / "table.md").is_file() and not (one / "report").exists()
    assert fusionlab.load(one, two).rows()["accuracy_per_seed"].notna().all()


def test_an_arm_of_two_folders_is_the_done_one(tmp_path, fakes):
    axes = {"streams": "both", "fusion": "sum", "layer": "relu5", "seed": 0}
    fakes["arm"](tmp_path / "a", kind="fused", axes=axes, reason="killed")
    fakes["arm"](tmp_path / "b", kind="fused", axes=axes)
    for order in (("a", "b"), ("b", "a")):
        (entry,) = load_all({tmp_path / name: {} for name in order})
        assert entry.status == "done"


def test_names_that_are_too_long_need_a_folder(tmp_path):
    with pytest.raises(UserError, match="so many studies"):
        report_folder([tmp_path / ("x" * 150), tmp_path / ("y" * 150)])


@pytest.mark.parametrize(("typed", "over"), [(["seed"], ()), (["seed", "split"], ("split",)), (["split"], ("split",))])
def test_over_takes_splits_beside_seeds(typed, over):
    assert Spec.of(with_means_over({"caption": "c", "over": ["split"]}, typed)).over == over
    with pytest.raises(UserError, match="a row is a mean over seeds"):
        Spec.of(with_means_over({"caption": "c"}, ["layer"]))
