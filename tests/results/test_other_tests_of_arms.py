"""Arms that were tested in several ways: an entry for each test, compared within it; and the tables of accuracies."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from result_fakes import CLASSES, arm, counted, fill, predictions

from fusionlab.errors import UserError
from fusionlab.records.files import read_json, write_json
from fusionlab.records.other_test_file import arm_identity, read_other_test, write_other_test
from fusionlab.records.other_tests import FILE, FOLDER, Asked, OtherTest
from fusionlab.records.record import find_records, read_record
from fusionlab.results.load import Entry, load
from fusionlab.results.report import report
from fusionlab.results.rows import Row, make_rows
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table, make_table
from fusionlab.results.test_table import accuracy_table, sensitivity_table

SAMPLING = {"test": "middle", "snippets": 3}
CONFIG = {"data": {"sampling": SAMPLING}}
FRAME = Asked(("frame",))
BOTH = Asked(("middle", "frame"))
SHARES = {
    "late": {"what": 0.9, "binding": 0.4}, "control": {"what": 1.0, "binding": 0.45},
    "conv": {"what": 1.0, "binding": 0.8}, "sum": {"what": 1.0, "binding": 0.7},
}  # fmt: skip


def add(place: Path, test: OtherTest, shares: dict[str, float], **result: Any) -> None:
    """A test beside a record."""
    record = read_record(place)
    answers = predictions(shares, Random(f"{record['name']} {test.name}"))
    towers = {}
    if record["kind"] == "control":
        towers = {
            tower: predictions({"what": 0.5, "binding": 0.2}, Random(tower)) for tower in ("appearance", "motion")
        }
        result["towers"] = {tower: counted(own) for tower, own in towers.items()}
    counts = {**counted(answers), **result}
    write_other_test(place / FOLDER / test.name, test, arm_identity(record), counts, answers, towers=towers)


def places(folder: Path) -> dict[tuple[str, int], Path]:
    """(fusion or stream, seed) -> the folder of its record."""
    found = {}
    for file in find_records(folder):
        axes = read_record(file)["axes"]
        found[str(axes.get("fusion", axes["streams"])), axes["seed"]] = file.parent
    return found


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Two seeds, each arm tested by frame too."""
    folder = fill(tmp_path / "study", fusions=("sum", "conv"), control=True, config=CONFIG)
    for (name, _), place in places(folder).items():
        add(place, OtherTest("frame"), SHARES.get(name, {"what": 0.8, "binding": 0.2}))
    return folder


def rows(folder: Path, asked: Asked, **spec: object) -> list[Row]:
    return make_rows(load(folder, asked=asked), Spec.of({"caption": "c", **spec}))


def row_of(rows: list[Row], method: str, **axes: object) -> Row:
    (row,) = (one for one in rows if one.method == method and axes.items() <= one.axes.items())
    return row


def test_one_protocol_replaces_the_arms_own(filled: Path) -> None:
    plain, framed = load(filled), load(filled, asked=FRAME)
    assert [entry.axes for entry in framed] == [entry.axes for entry in plain], "nothing varies"
    for one, other in zip(plain, framed, strict=True):
        assert [both.value("data.sampling.test") for both in (one, other)] == ["middle", "frame"]
        assert other.value("data.sampling.snippets") == 3 and other.folder == one.folder / FOLDER / "frame"  # type: ignore[operator]
        assert int(other.answers.right.sum()) == other.result["correct"]
        assert other.result["parameters"] == one.result["parameters"], "it is the same net"
    assert [entry.result["correct"] for entry in framed] != [entry.result["correct"] for entry in plain]


def test_each_row_is_compared_within_its_own_test(filled: Path) -> None:
    """Hand-computed from the shares: conv − control on binding is 41 points by middle, and 35 by frame."""
    made = rows(filled, BOTH)
    for test, gain, over_late in (("middle", 0.41, 0.46), ("frame", 0.35, 0.40)):
        row = row_of(made, "Conv", test=test)
        assert row.control is not None and row.control.axes["test"] == test
        assert row.gains["binding"].mean == pytest.approx(gain)
        assert row.over_late["binding"].mean == pytest.approx(over_late)
    assert {row.axes["test"] for row in made} == {"middle", "frame"}
    tower = row_of(made, "Motion trained on", test="frame")
    assert tower.shares["binding"].mean == pytest.approx(0.2)
    assert not any("test protocol" in str(line.span) for line in table(filled, BOTH).lines), "the axis asks about it"


def table(folder: Path, asked: Asked) -> Table:
    return make_table(load(folder, asked=asked), Spec.of({"caption": "c"}))


def test_protocols_that_no_axis_tells_apart_do_not_stand_together(filled: Path, tmp_path: Path) -> None:
    entries = [*load(filled, asked=FRAME), *load(alone(tmp_path))]
    spans = [line.span for line in make_table(entries, Spec.of({"caption": "c"})).lines if line.row.method == "Max"]
    assert len(spans) == 1 and "test protocol differs" in str(spans[0])


def alone(folder: Path) -> Path:
    axes = {"streams": "both", "fusion": "max", "layer": "relu5", "temporal": "pool2d", "seed": 0}
    arm(folder / "alone", kind="fused", axes=axes, config=CONFIG)
    return folder / "alone"


def test_what_is_missing_or_damaged_is_told(filled: Path) -> None:
    gone, damaged, others = (places(filled)[name, seed] for name, seed in (("conv", 0), ("conv", 1), ("sum", 0)))
    (gone / FOLDER / "frame" / FILE).unlink()
    (damaged / FOLDER / "frame" / FILE).write_text("{}")
    file = others / FOLDER / "frame" / FILE
    write_json(file, {**read_json(file), "weights": "others"})
    found = {(entry.axes.get("fusion"), entry.axes["seed"]): entry for entry in load(filled, asked=FRAME)}
    assert (found["conv", 0].status, found["conv", 0].reason) == ("missing", "not tested by frame (yet)")
    assert found["conv", 1].status == "failed" and "not a valid test" in str(found["conv", 1].reason)
    assert found["sum", 0].status == "failed" and "another weights" in str(found["sum", 0].reason)
    assert found["sum", 1].status == "done"


def test_an_arm_with_one_head_keeps_its_scores_under_each_combination(filled: Path) -> None:
    asked = Asked((), ("scores", "logits"))
    for (name, _), place in places(filled).items():
        if name in ("late", "control"):
            add(place, OtherTest("middle", combine="logits"), {"what": 0.5, "binding": 0.3})
    made = rows(filled, asked)
    conv, control = (row_of(made, name, combine="logits") for name in ("Conv", "Trained on, not fused"))
    assert conv.shares["binding"].mean == row_of(made, "Conv", combine="scores").shares["binding"].mean
    assert conv.control is control and conv.gains["binding"].mean == pytest.approx(0.95 - 0.3)
    alone_notes, both_notes = (" ".join(table(filled, one).notes) for one in (Asked((), ("logits",)), asked))
    assert "two streams: the mean of their outputs before the softmax" in alone_notes, "no column says it"
    assert "before the softmax" not in both_notes
    marked = {line.row.method: line for line in table(filled, asked).lines if line.row.axes.get("combine") == "logits"}
    notes = table(filled, asked).marked
    said = {name: any("one head" in notes[mark - 1] for mark in line.marks) for name, line in marked.items()}
    assert said["Conv"] and said["Motion alone"] and not said["Late fusion"] and not said["Trained on, not fused"]


def test_a_combination_of_two_heads_that_is_missing_is_missing(filled: Path) -> None:
    found = {entry.axes.get("fusion"): entry for entry in load(filled, asked=Asked(combine=("svm",)))}
    assert found["late"].status == found["control"].status == "missing"
    assert found["conv"].status == "done"


def test_a_test_is_of_one_arm(filled: Path, tmp_path: Path) -> None:
    first, second = places(filled)["conv", 0], places(filled)["conv", 1]
    record = arm_identity(read_record(second))
    with pytest.raises(UserError, match="another signature"):
        read_other_test(first / FOLDER / "frame", OtherTest("frame"), record)
    with pytest.raises(UserError, match="another test"):
        read_other_test(second / FOLDER / "frame", OtherTest("final"), record)


def test_a_test_that_was_edited_is_no_result(filled: Path) -> None:
    place = places(filled)["conv", 0] / FOLDER / "frame"
    content = read_json(place / FILE)
    write_json(place / FILE, {**content, "result": {**content["result"], "accuracy": 0.99}})
    entry = next(one for one in load(filled, asked=FRAME) if one.axes.get("fusion") == "conv" and one.seed == (0,))
    assert entry.status == "failed" and entry.reason is not None and "this test was edited" in entry.reason
    assert "–" in next(line for line in accuracy_table([entry], FRAME).splitlines() if "conv" in line)


def test_the_table_of_accuracies(filled: Path) -> None:
    entries = load(filled, asked=Asked())
    lines = accuracy_table(entries, Asked(("middle", "frame", "final"))).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == ["arm, accuracy %", "middle", "frame", "final"]
    assert len(lines) == 2 + len(entries) and len({len(line) for line in lines}) == 1
    conv = next(line for line in lines if "fusion=conv" in line and "seed=0" in line)
    right = (60 + 96) / 160, (60 + 80) / 160
    assert [cell.strip() for cell in conv.split("|")[2:-1]] == [*(f"{100 * one:.1f}" for one in right), "–"]


def test_the_table_of_sensitivity(filled: Path) -> None:
    asked = Asked((), (), ("motion:mean", "appearance:mean"))
    place = places(filled)["conv", 0]
    add(place, OtherTest("middle", "motion:mean"), {"what": 1.0, "binding": 0.36})
    entries = load(filled, asked=Asked())
    text = sensitivity_table(entries, asked)
    assert "Sensitivity" in text and "off the training's distribution" in text
    conv = next(line for line in text.splitlines() if "fusion=conv" in line and "seed=0" in line)
    assert [cell.strip() for cell in conv.split("|")[2:-1]] == ["97.5", "60.0 (−37.5)", "–"]
    assert all(isinstance(entry, Entry) and "ablate" not in entry.axes for entry in load(filled, asked=asked))
    assert set(CLASSES.values()) == {"what", "binding"}


def test_a_report_shows_the_tests_that_are_asked_for(filled: Path, tmp_path: Path) -> None:
    """Whatever the study asked for; what no test has made yet is missing, with its reason."""
    shown = {asked: report(filled, {"caption": "c"}, tmp_path / "out", asked=asked) for asked in (None, FRAME, BOTH)}
    assert shown[None] != shown[FRAME] and " middle " in shown[BOTH] and " frame " in shown[BOTH]
    assert "not tested by final (yet)" in report(filled, {"caption": "c"}, tmp_path / "out", asked=Asked(("final",)))
