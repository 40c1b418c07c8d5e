"""What is gathered into a row, in which order, and what is held against what."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from fusionlab.errors import UserError
from fusionlab.results.gains import Late
from fusionlab.results.load import load
from fusionlab.results.rows import make_rows
from fusionlab.results.spec import Spec
from fusionlab.results.tables import gain_kind, make_table

ALL = Spec.of({"caption": "all"})


def by_method(rows):
    return {row.method: row for row in rows}


def test_baselines_first_then_the_fusions_in_the_papers_order(study):
    rows = make_rows(load(study), ALL)
    assert [row.method for row in rows] == [
        "Appearance alone",
        "Motion alone",
        "Late fusion",
        "Max",
        "Sum",
        "Conv",
    ]


def test_a_row_is_its_seeds_mean(study):
    row = by_method(make_rows(load(study), ALL))["Conv"]
    assert row.shares["binding"].per_seed == (0.96, 0.94)
    assert row.shares["binding"].mean == pytest.approx(0.95)
    assert row.shares["binding"].sd == pytest.approx(np.std([0.96, 0.94], ddof=1))
    assert row.shares["binding"].videos == 100  # not 200: the seeds see the same videos
    assert row.accuracy.mean == pytest.approx((60 + 95) / 160)


def test_each_system_has_its_own_ceilings(study):
    rows = by_method(make_rows(load(study), ALL))
    of = {name: (row.shares["what"].ceiling, row.shares["binding"].ceiling) for name, row in rows.items()}
    assert of["Appearance alone"] == (1, Fraction(1, 4))
    assert of["Motion alone"] == (Fraction(1, 3), Fraction(1, 6))
    assert of["Late fusion"] == (1, Fraction(1, 2))
    assert of["Conv"] == (1, 1)
    assert rows["Late fusion"].accuracy.ceiling == (60 + Fraction(100, 2)) / 160


def test_a_gain_is_fusion_minus_late_per_video_and_seed(study):
    row = by_method(make_rows(load(study), ALL))["Sum"]
    assert row.over_late["binding"].mean == pytest.approx(0.9 - 0.5)
    assert row.over_late["binding"].per_seed == pytest.approx((0.4, 0.4))
    assert row.over_late["what"].mean == 0
    assert row.over_late["all"].mean == pytest.approx((90 - 50) / 160)


def test_a_partner_shares_seed_and_streams_and_all_axes_that_both_have(study):
    entries = load(study)
    fused = next(entry for entry in entries if entry.axes.get("fusion") == "conv" and entry.seed == (1,))
    late = [entry for entry in entries if entry.kind == "late"]
    right = next(entry for entry in late if entry.seed == (1,))
    assert Late(late).partner(fused) is right
    assert Late(entry for entry in late if entry is not right).partner(fused) is None
    other_seed = replace(right, axes={**right.axes, "seed": 0})
    other_streams = replace(right, record={**right.record, "stage_one": {"appearance": "x", "motion": "y"}})
    here = replace(fused, axes={**fused.axes, "split": 1})
    other_split = replace(right, axes={**right.axes, "split": 2})
    assert Late([other_seed, other_streams, other_split]).partner(here) is None
    assert Late([other_seed, other_streams, other_split, right]).partner(here) is right


def test_only_late_of_the_same_seed_and_streams_is_a_partner(tmp_path, fakes):
    fakes["fill"](tmp_path, seeds=(0,), fusions=())
    axes = {"streams": "both", "fusion": "sum", "layer": "relu5", "temporal": "pool2d", "seed": 1}
    fakes["arm"](tmp_path, kind="fused", axes=axes)
    table = make_table(load(tmp_path), ALL)
    assert table.rows[-1].over_late == {}
    assert any("no late fusion of the same seed" in note for note in table.marked)
    assert "could be compared with its control or with late fusion" in table.headline


def test_rows_differ_in_every_axis_but_the_seed(tmp_path, fakes):
    for depth in ("relu10", "relu4", "relu5"):
        for rate in (0.1, 0.01):
            axes = {"streams": "both", "fusion": "sum", "layer": depth, "optim.lr": rate, "seed": 0}
            fakes["arm"](tmp_path, kind="fused", axes=axes)
    table = make_table(load(tmp_path), Spec.of({"caption": "c", "rows": ["fusion", "layer"]}))
    assert [(row.axes["layer"], row.axes["optim.lr"]) for row in table.rows] == [
        (layer, rate) for layer in ("relu4", "relu5", "relu10") for rate in (0.01, 0.1)
    ]
    assert [column.head for column in table.columns][:3] == ["method", "layer", "optim.lr"]


def test_one_seed_by_two_recipes_is_two_rows(tmp_path, fakes):
    axes = {"streams": "both", "fusion": "sum", "layer": "relu5", "seed": 0}
    for rate in (0.1, 0.2):
        fakes["arm"](tmp_path, kind="fused", axes=axes, config={"optim": {"lr": rate}, "seed": 0})
    table = make_table(load(tmp_path), ALL)
    assert len(table.rows) == 2
    assert "recipe" in [column.head for column in table.columns]
    assert any("optim.lr" in note for note in table.marked)


def test_one_seed_on_two_pairs_of_streams_is_said(study):
    entries = load(study)
    fused = next(entry for entry in entries if entry.axes.get("fusion") == "conv")
    streams = {"appearance": "x", "motion": "y"}
    record = {
        **fused.record,
        "signature": "f" * 16,
        "config": {**fused.record["config"], "stage_one": streams},
    }
    table = make_table([*entries, replace(fused, record=record)], ALL)
    assert len(table.rows[-1].done) == 2
    assert any("a second record" in note and "stage_one.appearance" in note for note in table.marked)


def test_one_arm_found_twice_counts_once(study, tmp_path, fakes):
    fakes["fill"](tmp_path / "again")
    fakes["fill"](tmp_path / "once more")
    entries = [*load(tmp_path / "again"), *load(tmp_path / "once more")]
    assert all(len(row.done) == 2 for row in make_rows(entries, ALL))


def test_where_keeps_the_baselines(study, fakes):
    spec = Spec.of({"caption": "c", "where": {"layer": "relu3"}})
    table = make_table(load(study), spec)
    assert [row.kind for row in table.rows] == ["stream", "stream", "late"]
    assert "layer=relu3" in table.headline


def test_where_takes_lists_and_null(study):
    kept = make_rows(load(study), Spec.of({"caption": "c", "where": {"fusion": ["Sum", "max"], "init": None}}))
    assert [row.method for row in kept][3:] == ["Max", "Sum"]


def test_the_gain_is_taken_where_lates_ceiling_leaves_room(study):
    rows = make_rows(load(study), ALL)
    assert gain_kind(rows, ALL) == "binding"
    assert gain_kind([row for row in rows if row.kind == "fused"], ALL) == "all"


def test_answers_are_those_of_the_record_beside_them(study):
    """Predictions of another arm, whole and of the same videos, are none of this one."""
    one, other = (next(e for e in load(study) if e.axes.get("fusion") == name) for name in ("conv", "sum"))
    assert one.answers.right.sum() == one.result["correct"]
    (one.folder / "predictions.csv").write_bytes((other.folder / "predictions.csv").read_bytes())
    changed = next(e for e in load(study) if e.axes.get("fusion") == "conv" and e.seed == one.seed)
    with pytest.raises(UserError, match="the predictions do not belong to this record"):
        _ = changed.answers
    table = make_table(load(study), ALL)
    assert any("do not belong to this record" in note for note in table.marked)
    assert by_method(table.rows)["Conv"].over_late == {}


def test_seeds_apart_are_seeds(tmp_path, fakes):
    for init in (0, 1):
        axes = {"streams": "both", "fusion": "sum", "layer": "relu5", "seed.init": init, "seed.data": 7}
        fakes["arm"](tmp_path, kind="fused", axes={**axes, "seed": init})
    (row,) = make_rows(load(tmp_path), ALL)
    assert len(row.done) == 2
