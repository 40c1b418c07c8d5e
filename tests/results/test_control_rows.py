"""The control and its towers as rows, and what fusions gain over it: paired by seed, on the same videos."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from result_fakes import GROUP, arm, fill

from fusionlab.results.crossed import compare
from fusionlab.results.csv_table import csv_text
from fusionlab.results.load import load
from fusionlab.results.rows import NO_CONTROL, Row, make_rows
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table, make_table
from fusionlab.results.text_tables import markdown, terminal

ALL = Spec.of({"caption": "c"})
PLACE = {"layer": "relu5", "temporal": "pool2d"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("controlled"), seeds=(0, 1, 2), control=True)


def table(folder: Path, **spec: object) -> Table:
    return make_table(load(folder), Spec.of({"caption": "c", **spec}))


def row_of(rows: object, method: str) -> Row:
    return next(row for row in rows if row.method == method)


def notes_of(made: Table, method: str) -> list[str]:
    line = next(line for line in made.lines if line.row.method == method)
    return [made.marked[mark - 1] for mark in line.marks]


def test_the_order_of_rows(filled: Path) -> None:
    assert [row.method for row in make_rows(load(filled), ALL)] == [
        "Appearance alone", "Motion alone", "Appearance trained on", "Motion trained on", "Late fusion",
        "Trained on, not fused", "Max", "Sum", "Conv",
    ]  # fmt: skip


def test_a_gain_is_fused_minus_control_of_the_same_seed_and_video(filled: Path) -> None:
    entries = load(filled)
    row = row_of(make_rows(entries, ALL), "Conv")
    assert row.control is not None and row.control.kind == "control"
    d = []
    for seed in (0, 1, 2):
        (one,) = (e for e in entries if e.axes.get("fusion") == "conv" and e.axes["seed"] == seed)
        (other,) = (e for e in entries if e.kind == "control" and e.axes["seed"] == seed)
        assert one.record["control"] == other.record["signature"]
        kinds = one.answers.of.kinds
        d.append([
            int(a) - int(b)
            for a, b, kind in zip(one.answers.right, other.answers.right, kinds, strict=True)
            if kind == "binding"
        ])  # fmt: skip
    gain = row.gains["binding"]
    assert gain.mean == pytest.approx(np.mean(d)) and gain.per_seed == pytest.approx([np.mean(own) for own in d])
    assert gain.mean == pytest.approx(0.96 - 0.55) and row.over_late["binding"].mean == pytest.approx(0.96 - 0.5)
    groups = np.array([int(name[-3:]) // GROUP for name in one.answers.of.videos if "binding" in name])
    assert gain == compare(np.array(d, dtype=float), groups) and gain.method is not None and gain.groups == 34


def test_the_control_has_a_gain_over_late_and_none_over_itself(filled: Path) -> None:
    row = row_of(make_rows(load(filled), ALL), "Trained on, not fused")
    assert row.gains == {} and row.no_gain is None and row.over_late["binding"].mean == pytest.approx(0.05)


def test_towers_have_their_own_answers_and_ceilings(filled: Path) -> None:
    rows = make_rows(load(filled), ALL)
    tower, stream = row_of(rows, "Motion trained on"), row_of(rows, "Motion alone")
    assert tower.shares["binding"].mean == pytest.approx(stream.shares["binding"].mean)
    assert tower.ceilings == stream.ceilings and tower.axes["layer"] == "relu5"
    one, other = tower.done[0], stream.done[0]
    assert one.answers.of is other.answers.of
    assert one.answers.right.sum() == one.result["correct"]


def test_a_control_at_the_scores_is_late_fusion_and_is_marked(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,), fusions=())
    (late,) = (entry for entry in load(tmp_path) if entry.kind == "late")
    axes = {"streams": "both", "fusion": "sum", "layer": "fc8", "seed": 0}
    arm(tmp_path, kind="fused", axes=axes, control=late.record["signature"], shares={"what": 1, "binding": 0.6})
    made = table(tmp_path)
    row = row_of(made.rows, "Sum")
    assert row.control is not None and row.control.kind == "late"
    assert row.gains["binding"] == row.over_late["binding"] and row.gains["binding"].mean == pytest.approx(0.1)
    assert notes_of(made, "Sum") == ["its control is late fusion: above such a meeting there is nothing to train on"]


def test_another_classifier_is_marked(filled: Path, tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,), fusions=("max",), control=True)
    (control,) = (entry for entry in load(tmp_path) if entry.kind == "control")
    axes = {"streams": "both", "fusion": "bilinear", **PLACE, "seed": 0}
    config = {"fusion": {"classifier": "svm"}}
    arm(tmp_path, kind="fused", axes=axes, control=control.record["signature"], config=config)
    assert notes_of(table(tmp_path), "Bilinear") == ["its classifier is a linear SVM, that of its control a softmax"]


def test_older_records_have_the_column_over_late_alone_and_one_note(tmp_path: Path) -> None:
    made = table(fill(tmp_path, seeds=(0, 1, 2)))
    assert [column.head for column in made.columns if column.head.startswith("over")] == ["over late, binding"]
    assert row_of(made.rows, "Conv").no_gain == NO_CONTROL and made.marked == ()
    assert len([note for note in made.notes if note.startswith("No control: ")]) == 1
    assert made.headline.startswith("Gains over late fusion on binding: from +24.0 (Max) to +46.0 (Conv)")


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (None, "no gain over the control: its records name no control"),
        ("f" * 16, "no gain over the control: its control is not among these records"),
    ],
)
def test_a_row_without_a_control_says_why(tmp_path: Path, named: str | None, reason: str) -> None:
    fill(tmp_path, seeds=(0,), control=True)
    arm(tmp_path, kind="fused", axes={"streams": "both", "fusion": "cat", **PLACE, "seed": 0}, control=named)
    made = table(tmp_path)
    assert notes_of(made, "Concatenation") == [reason] and notes_of(made, "Conv") == []


def test_a_failed_control_and_one_that_lacks_a_seed(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0, 1), fusions=("sum",))
    axes = {"streams": "both", "fusion": "control", **PLACE}
    controls = [
        arm(tmp_path, kind="control", axes={**axes, "seed": 0}),
        arm(tmp_path, kind="control", axes={**axes, "seed": 1}, reason="diverged"),
    ]
    for seed, control in enumerate(controls):
        own = {"streams": "both", "fusion": "conv", **PLACE, "seed": seed}
        arm(tmp_path, kind="fused", axes=own, control=control["signature"])
    other = {"streams": "both", "fusion": "max", **PLACE, "seed": 1}
    arm(tmp_path, kind="fused", axes=other, control=controls[1]["signature"])
    made = table(tmp_path)
    assert "its gain is over fewer seeds: its control lacks some" in notes_of(made, "Conv")
    assert len(row_of(made.rows, "Conv").gains["all"].per_seed) == 1
    assert "no gain over the control: its control has no arm of the same seed (diverged)" in notes_of(made, "Max")


def test_predictions_of_other_videos_make_no_pairs(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,), control=True)
    (place,) = (entry.folder for entry in load(tmp_path) if entry.kind == "control")
    text = (place / "predictions.csv").read_text().replace("v_what_000", "v_other")
    (place / "predictions.csv").write_text(text)
    record = (place / "run.json").read_text()
    digest = next(entry.result["predictions"] for entry in load(tmp_path) if entry.kind == "control")
    (place / "run.json").write_text(record.replace(digest, __import__("hashlib").sha256(text.encode()).hexdigest()))
    made = table(tmp_path)
    reason = "no gain over the control: the test videos or labels differ, so no pairs"
    assert [note for note in notes_of(made, "Conv") if note.startswith(reason)]
    assert row_of(made.rows, "Conv").over_late["binding"].mean == pytest.approx(0.46)


def test_where_keeps_the_controls_of_its_rows_only(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,), fusions=("sum",), control=True)
    deep = {"streams": "both", "layer": "fc6", "temporal": "pool2d", "seed": 0}
    towers = {"appearance": {"what": 1, "binding": 0.2}, "motion": {"what": 0.3, "binding": 0.2}}
    control = arm(tmp_path, kind="control", axes={**deep, "fusion": "control"}, towers=towers)
    both = {**deep, "fusion": "conv", "layer": "relu3+fc6"}
    arm(tmp_path, kind="fused", axes=both, control=control["signature"])
    methods = {
        layer: [(row.kind, row.axes.get("layer")) for row in table(tmp_path, where={"layer": layer}).rows[2:]]
        for layer in ("relu5", "relu3+fc6")
    }
    assert methods["relu5"] == [("tower", "relu5")] * 2 + [("late", None), ("control", "relu5"), ("fused", "relu5")]
    assert methods["relu3+fc6"] == [
        ("tower", "fc6"), ("tower", "fc6"), ("late", None), ("control", "fc6"), ("fused", "relu3+fc6"),
    ]  # fmt: skip


def test_a_where_table_ranks_rows_and_has_the_control_as_a_column(filled: Path) -> None:
    made = table(filled, control="column", rank=True, columns=["method", "accuracy", "gain"])
    assert [line.row.method for line in made.lines if line.row.kind != "ceiling"] == [
        "Appearance alone", "Motion alone", "Late fusion", "Conv", "Sum", "Max",
    ]  # fmt: skip
    assert [column.head for column in made.columns][:3] == ["method", "accuracy %", "control %"]
    control = row_of(make_rows(load(filled), ALL), "Conv").control
    assert control is not None and control.accuracy is not None
    assert control.accuracy.per_seed == pytest.approx((115 / 160, 113 / 160, 111 / 160))
    cells = {line.row.method: line.cells[2] for line in made.lines if line.row.kind != "ceiling"}
    assert cells["Conv"].startswith("70.6 ± 1.") and cells["Late fusion"] == "–"
    assert "over control, binding" in [column.head for column in made.columns]


def test_every_format_has_both_columns(filled: Path) -> None:
    made = table(filled)
    for text in (terminal(made), markdown(made)):
        assert "over control, binding" in text and "over late, binding" in text and "Trained on, not fused" in text
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(csv_text(made)))}
    assert lines["Conv"]["control"] == "Trained on, not fused relu5 pool2d"
    assert float(lines["Conv"]["binding_gain"]) == pytest.approx(41.0)
    assert float(lines["Conv"]["binding_late"]) == pytest.approx(46.0)
    assert float(lines["Conv"]["binding_gain_p_holm"]) == pytest.approx(
        made.told[id(row_of(made.rows, "Conv"))], rel=1e-5
    )
    assert lines["Conv"]["binding_gain_networks_low"] != "" and lines["Motion trained on"]["kind"] == "tower"
