"""A table of several networks and data sets: which row of the paper stands beside ours, and which below."""

from __future__ import annotations

import csv
import io

import pytest

from fusionlab.errors import UserError
from fusionlab.results.csv_table import csv_text
from fusionlab.results.latex import latex
from fusionlab.results.load import Entry, load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table
from fusionlab.results.text_tables import markdown, terminal

SPEC = {
    "caption": "c",
    "rows": ["backbone", "data"],
    "columns": ["method", "axes", "seeds", "accuracy", "paper"],
    "paper": {
        "source": "a paper, Table 2",
        "data": ["ucf101", "hmdb51"],
        "figures": {"accuracy": "printed"},
        "absent": "rows",
        "everywhere": {"data.sampling.snippets": 64},
        "rows": [
            {"key": {"kind": "late", "backbone": "lstm", "data": "ucf101"}, "accuracy": "81.0", "certainty": "guessed",
             "remark": "another print has 82", "name": "LSTM"},
            {"key": {"kind": "stream", "streams": "appearance", "backbone": "i3d", "data": "ucf101"},
             "accuracy": "84.5", "certainty": "read"},
            {"key": {"kind": "late", "backbone": "i3d", "data": "ucf101"}, "accuracy": "93.4", "certainty": "read"},
            {"key": {"kind": "late", "backbone": "i3d", "data": "hmdb51"}, "accuracy": "66.4", "certainty": "read"},
        ],
    },
}  # fmt: skip


def filled(folder, fakes, *, snippets=64, data="fusionlab.data.ucf101.UCF101", **axes):
    """A stream and late fusion; `data` is the class of the set, and no axis."""
    config = {"data": {"dataset": {"_target_": data, "seed": 0}, "sampling": {"snippets": snippets}}}
    for kind, own in (("stream", {"streams": "appearance"}), ("late", {"streams": "both", "fusion": "late"})):
        fakes["arm"](folder, kind=kind, axes={**own, "backbone": "i3d", **axes, "seed": 0}, config=config)
    return load(folder)


def cells(table):
    heads = [column.head for column in table.columns]
    return [dict(zip(heads, line.cells, strict=True)) for line in table.lines if line.row.kind != "ceiling"]


def test_rows_that_were_not_run_stand_below_ours(tmp_path, fakes):
    table = make_table(filled(tmp_path, fakes), Spec.of(SPEC))
    ours, below = cells(table)[:2], cells(table)[2:]
    assert [(row["method"], row["backbone"], row["data"], row["printed"]) for row in ours] == [
        ("Appearance alone", "i3d", "ucf101", "84.5"),
        ("Late fusion", "i3d", "ucf101", "93.4"),
    ]
    assert [(row["method"], row["backbone"], row["data"], row["printed"]) for row in below] == [
        ("LSTM", "lstm", "ucf101", "81.0"),
        ("Late fusion", "i3d", "hmdb51", "66.4"),
    ]
    assert all(row["seeds"] == row["accuracy %"] == "–" for row in below)


def test_they_bring_no_column_but_those_of_the_table(tmp_path, fakes):
    rows = [{**row, "key": {**row["key"], "fusion": f"f{number}", "layer": f"l{number}"}}
            for number, row in enumerate(SPEC["paper"]["rows"][:1])]  # fmt: skip
    more = {
        **SPEC,
        "paper": {**SPEC["paper"], "rows": [*SPEC["paper"]["rows"], *rows, {**rows[0], "key": {"layer": "l9"}}]},
    }
    assert "layer" not in cells(make_table(filled(tmp_path, fakes), Spec.of(more)))[0]


def test_their_remarks_and_sources_are_notes(tmp_path, fakes):
    table = make_table(filled(tmp_path, fakes), Spec.of(SPEC))
    (line,) = [line for line in table.lines if line.row.axes.get("backbone") == "lstm"]
    assert [table.marked[mark - 1] for mark in line.marks] == ["the paper's row: another print has 82"]
    (sources,) = [note for note in table.notes if note.startswith("Sources")]
    assert "guessed (the rows that were not run here)" in sources and "read (Appearance alone, Late fusion" in sources
    assert any(note.startswith("The last rows are the paper's") for note in table.notes)
    assert not any("In the paper, but" in note or "Videos and networks differ" in note for note in table.notes)


def test_by_default_they_are_a_note(tmp_path, fakes):
    spec = {**SPEC, "paper": {**SPEC["paper"], "absent": "note"}}
    table = make_table(filled(tmp_path, fakes), Spec.of(spec))
    assert len(cells(table)) == 2
    (note,) = [note for note in table.notes if note.startswith("In the paper, but not run here")]
    assert "lstm ucf101 81.0" in note and "i3d hmdb51 66.4" in note


@pytest.mark.parametrize("other", [{"snippets": 16}, {"data": "fusionlab.data.folder.Folder"}])
def test_without_a_comparable_row_there_are_none(tmp_path, fakes, other):
    """`everywhere` is of streams and late fusion too."""
    table = make_table(filled(tmp_path, fakes, **other), Spec.of(SPEC))
    assert len(cells(table)) == 2 and "printed" not in cells(table)[0]
    assert any("no comparable row" in note for note in table.notes)


def test_every_format_has_them(tmp_path, fakes):
    table = make_table(filled(tmp_path, fakes), Spec.of(SPEC))
    for text in (terminal(table), markdown(table), latex(table)):
        assert text.index("93.4") < text.index("81.0") < text.index("66.4")
    assert terminal(table).count("───\n") == 3, "a rule below the heads, above the paper's rows, below them"
    rows = list(csv.DictReader(io.StringIO(csv_text(table))))
    assert [(row["status"], row["backbone"], row["paper_accuracy"]) for row in rows] == [
        ("done", "i3d", "84.5"), ("done", "i3d", "93.4"), ("not run here", "lstm", "81.0"),
        ("not run here", "i3d", "66.4"),
    ]  # fmt: skip
    assert rows[2]["paper_certainty"] == "guessed"


def entry(kind, config, **axes):
    return Entry(name="", kind=kind, status="missing", reason=None, log=None, axes=axes, record={"config": config})


def test_a_stream_has_its_tower_and_weights_under_the_names_of_the_whole_config():
    tower = {"_target_": "fusionlab.backbones.video_resnet.R2Plus1D", "depth": 34}
    stream = entry("stream", {"stream": "motion", "tower": tower, "weights": {"source": "flow.pt"}})
    whole = entry("late", {"backbone": {"motion": tower}, "weights": {"motion": "flow.pt"}})
    for one in (stream, whole):
        assert one.value("backbone.motion.depth") == 34 and one.value("weights.motion") == "flow.pt"
        assert one.value("backbone.appearance.depth") is None and one.value("weights.appearance") is None


def test_weights_are_those_of_both_streams():
    file = {"appearance": "a.pt", "motion": "a.pt"}
    assert entry("late", {"weights": file}).value("weights") == "a.pt"
    assert entry("late", {"weights": {**file, "motion": "b.pt"}}).value("weights") == "a.pt and b.pt"
    assert entry("late", {}).value("weights") is None and entry("late", {}, weights="c").value("weights") == "c"
    stream = {"stream": "motion", "weights": {"source": "b.pt"}}
    assert entry("stream", stream).value("weights") == "b.pt"


def test_data_is_the_axis_or_the_class():
    config = {"data": {"dataset": {"_target_": "fusionlab.data.hmdb51.HMDB51"}}}
    assert entry("late", config).value("data") == "hmdb51"
    assert entry("late", config, data="mine").value("data") == "mine"
    assert entry("late", {}).value("data") is None


def test_another_place_for_them_is_refused():
    with pytest.raises(UserError, match="note, rows"):
        Spec.of({**SPEC, "paper": {**SPEC["paper"], "absent": "row"}})
