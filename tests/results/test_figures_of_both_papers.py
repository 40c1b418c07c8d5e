"""Every figure of the tables of 2014 and 2016, typed once more as the papers print them; beside brush there is none.

Figures that are fed in as our records come back as they are printed, beside the paper's own, in each format. Those of
Tables 1 and 2 of 2016 are in the house's `how` and `where`, and in test_papers_tables.py.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from result_fakes import table_spec

from fusionlab.records.record import new_record, write_record
from fusionlab.results.csv_table import csv_text
from fusionlab.results.latex import latex
from fusionlab.results.load import Entry, load
from fusionlab.results.page import page
from fusionlab.results.spec import PaperRow, Spec
from fusionlab.results.tables import Table, make_table
from fusionlab.results.text_tables import markdown, terminal

VIDEOS = 10_000  # so that a printed percentage with two decimals is a count
PRINTED = {
    "feichtenhofer2016_table3": """\
model,ucf101 vgg_m,ucf101 vgg16,hmdb51 vgg_m,hmdb51 vgg16
appearance,74.22,82.61,36.77,47.06
motion,82.34,86.25,51.50,55.23
late,85.94,90.62,54.90,58.17
""",
    "feichtenhofer2016_table4": """\
model,ucf101,hmdb51
conv pool2d,89.35,56.93
conv pool3d,89.64,57.58
cat conv3d,90.40,58.63
""",
    "feichtenhofer2016_table5": """\
model,ucf101,hmdb51
Spatiotemporal ConvNet (Karpathy),65.4,
LRCN (Donahue),82.9,
Composite LSTM (Srivastava),84.3,44.0
C3D (Tran),85.2,
"Two-Stream ConvNet, VGG-M (Simonyan)",88.0,59.4
Factorized ConvNet (Sun),88.1,59.1
Two-Stream Conv Pooling (Ng),88.2,
"Two-Stream ConvNet, VGG-16 (Wang)",91.4,58.5
late vgg16,91.7,58.7
cat vgg_m True,90.8,62.1
cat vgg16 False,91.8,64.6
cat vgg16 True,92.5,65.4
""",
    "feichtenhofer2016_table6": """\
model,ucf101 idt,hmdb51 idt,ucf101,hmdb51
iDT + high-dimensional Fisher vectors (Peng),87.9,61.1,,
C3D + iDT,90.4,,,
TDD + iDT,91.5,65.9,,
cat vgg_m True,92.5,67.3,90.8,62.1
cat vgg16 True,93.5,69.2,92.5,65.4
""",
    "feichtenhofer2016_text": """\
model,figure
late,85.94
conv relu5 identity,85.96
conv relu5 gaussian,85.59
sum relu5,85.20
conv fc8 identity,85.9
sum fc8,85.1
""",
    "simonyan2014_table1a": """\
model,0.5,0.9
None,42.5,52.3
imagenet None,70.8,72.8
imagenet fc8,72.7,59.9
""",
    "simonyan2014_table1b": """\
model,False,True
plain 1,,73.9
plain 5,,80.4
plain 10,79.9,81.0
trajectory 10,79.6,80.2
bidirectional 10,,81.2
""",
    "simonyan2014_table2": """\
model,figure
HMDB-51 only,46.6
Fine-tune a UCF-101 network,49.0
HMDB-51 plus 78 disjoint UCF-101 classes,52.8
Multi-task HMDB-51 and UCF-101,55.4
""",
    "simonyan2014_table3": """\
model,figure
bidirectional None scores,85.6
plain None scores,85.9
plain hmdb51 scores,86.2
plain hmdb51 svm,87.0
""",
    "simonyan2014_table4": """\
model,ucf101,hmdb51
Improved dense trajectories,85.9,57.2
"IDT, higher-dimensional encodings",87.9,61.1
"IDT, stacked Fisher",,66.8
Spatio-temporal HMAX,,22.8
Slow fusion ConvNet,65.4,
appearance scores,73.0,40.5
motion scores,83.7,54.6
late scores,86.9,58.0
late svm,88.0,59.4
""",
}
# table -> the axes of a row's name, those of its column
PLACES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "feichtenhofer2016_table3": ((), ("data", "backbone")),
    "feichtenhofer2016_table4": (("temporal",), ("data",)),
    "feichtenhofer2016_table5": (("motion", "keep_motion"), ("data",)),
    "feichtenhofer2016_table6": (("motion", "keep_motion"), ("data",)),
    "feichtenhofer2016_text": (("layer", "fusion.init"), ()),
    "simonyan2014_table1a": (
        ("weights.appearance", "optim.streams.from_layer"), ("backbone.appearance.dropout.fc6",),
    ),
    "simonyan2014_table1b": (
        ("data.sampling.stacking", "data.sampling.fields"), ("data.sampling.subtract_mean",),
    ),
    "simonyan2014_table2": ((), ()),
    "simonyan2014_table3": (("data.sampling.stacking", "multitask.motion", "combine"), ()),
    "simonyan2014_table4": (("combine",), ("data",)),
}  # fmt: skip
NAMED = ("simonyan2014_table2",)  # whose rows have names
OF_ONE_STREAM = ("simonyan2014_table1a", "simonyan2014_table1b")


def usual(value: Any) -> Any:
    """Of a list the first value, which is the usual one."""
    return value[0] if isinstance(value, list) else value


def place(table: str, row: PaperRow) -> tuple[str, str]:
    """The name of a row and of its column, as they are typed above."""
    axes, columns = PLACES[table]
    key = {axis: usual(value) for axis, value in row.key.items()}
    column = " ".join(str(key[axis]) for axis in columns)
    if row.cited or table in NAMED:
        return row.cited or str(row.name), column or "figure"
    system = [str(key.get("streams") or key.get("fusion") or key["kind"])]
    if table in OF_ONE_STREAM or table == "simonyan2014_table3":
        system = []
    return " ".join([*system, *(str(key[axis]) for axis in axes if axis in key)]), column or "figure"


@pytest.mark.parametrize("table", PRINTED)
def test_every_figure_is_the_papers(table: str) -> None:
    paper = Spec.of(table_spec(table)).paper
    assert paper is not None
    found = {}
    for row in paper.rows:
        for figure, text in row.figures.items():
            name, column = place(table, row)
            found[name, column if figure == "accuracy" else f"{column} {figure}"] = text
    printed = {}
    for line in csv.DictReader(io.StringIO(PRINTED[table])):
        printed |= {(line["model"], head): text for head, text in line.items() if head != "model" and text}
    assert found == printed


@pytest.mark.parametrize(("table", "of"), [("feichtenhofer2016_table1", "how"), ("feichtenhofer2016_table2", "where")])
def test_tables_1_and_2_of_2016_are_those_of_the_house_beside_ucf101_alone(table: str, of: str) -> None:
    ours, house = (Spec.of(table_spec(name)).paper for name in (table, of))
    assert ours is not None and house is not None
    assert [(row.key, row.figures) for row in ours.rows] == [(row.key, row.figures) for row in house.rows]
    assert all(row.conditions["data"] == "ucf101" and row.conditions["split"] == 1 for row in ours.rows)


TOWERS = ("backbone", "appearance", "motion")


def fill(folder: Path, table: str, data: str | None = None, tower: str | None = None) -> list[PaperRow]:
    """A record for each row of the paper that is not cited, with its figure as our accuracy.

    `data`: of another set; `tower`: of other towers, which are no axis.
    """
    paper = Spec.of(table_spec(table)).paper
    assert paper is not None
    rows = [row for row in paper.rows if not row.cited and "accuracy" in row.figures]
    for number, row in enumerate(rows):
        wanted = {axis: usual(value) for axis, value in row.conditions.items()}
        kind = wanted.pop("kind", "fused")
        if data is not None:
            wanted["data"] = data
        named = {"late": {"fusion": "late", "layer": "softmax"}, "stream": {}, "fused": {"temporal": "pool2d"}}[kind]
        config: dict[str, Any] = {}
        if tower is not None:
            target = {"_target_": f"fusionlab.backbones.{tower}.Tower"}
            wanted = {axis: one for axis, one in wanted.items() if axis not in TOWERS}
            config = {"backbone": {"appearance": target, "motion": target}}
            if kind == "stream":
                config = {"stream": wanted["streams"], "tower": target}
        axes = {"streams": "both", **named, **wanted, "seed": 0}
        right = round(float(row.figures["accuracy"]) * VIDEOS / 100)
        result: dict[str, Any] = {"accuracy": right / VIDEOS, "correct": right, "total": VIDEOS, "kinds": {}}
        result |= {"classes": {"Archery": None}, "steps": 1, "best_step": 1, "data": "d" * 64}
        record = new_record(
            name=f"arm {number}", kind=kind, axes=axes, signature=f"{number:016x}", config=config, result=result,
            stage_one={}, circumstances={"seconds": 1.0},
        )  # fmt: skip
        write_record(folder / str(number), record, None)
    return rows


def made(folder: Path, table: str) -> tuple[Table, list[Entry]]:
    entries = load(folder)
    return make_table(entries, Spec.of({**table_spec(table), "decimals": 2})), entries


@pytest.mark.parametrize("table", [*PRINTED, "feichtenhofer2016_table1", "feichtenhofer2016_table2"])
def test_a_table_comes_back_as_printed(table: str, tmp_path: Path) -> None:
    rows = fill(tmp_path, table)
    own, entries = made(tmp_path, table)
    done = [row for row in own.rows if row.done]
    assert len(done) == len(rows)
    for row in done:
        share = row.accuracy
        assert row.paper is not None and share is not None, row.axes
        assert float(share.mean) * 100 == pytest.approx(float(row.paper.figures["accuracy"]), abs=1e-9)
    texts = {"terminal": terminal(own), "markdown": markdown(own), "latex": latex(own), "csv": csv_text(own)}
    texts["page"] = page(own, entries, name="x", out=tmp_path)
    paper = own.spec.paper
    assert paper is not None
    for row in paper.rows:
        for name, text in texts.items() if row.cited else ():
            assert "(cited)" in text and all(figure in text for figure in row.figures.values()), f"{name}: {row.cited}"
    cited = [row for row in paper.rows if row.cited]
    lines = list(csv.DictReader(io.StringIO(texts["csv"])))
    assert [line["status"] for line in lines].count("cited") == len(cited)
    assert any("Cited rows are other systems'" in note for note in own.notes) == bool(cited)


@pytest.mark.parametrize("table", sorted(set(PRINTED) - {"simonyan2014_table1a"}))
def test_our_rows_stand_in_the_paper_s_order(table: str, tmp_path: Path) -> None:
    """By kind, and on each data set; a table with two columns of figures goes line by line."""
    fill(tmp_path, table)
    found: dict[tuple[str, str], list[str]] = {}
    printed: dict[tuple[str, str], list[str]] = {}
    for row in made(tmp_path, table)[0].rows:
        assert row.paper is not None
        name, column = place(table, row.paper)
        found.setdefault((row.kind, column), []).append(name)
    paper = Spec.of(table_spec(table)).paper
    assert paper is not None
    for own in paper.rows:
        if not own.cited and "accuracy" in own.figures:
            name, column = place(table, own)
            printed.setdefault((str(own.key.get("kind", "fused")), column), []).append(name)
    assert found == printed


@pytest.mark.parametrize("table", [*OF_ONE_STREAM, "simonyan2014_table2"])
def test_a_table_of_one_stream_has_no_rows_of_the_other(table: str, tmp_path: Path) -> None:
    """The small second stream, which a study has in any case."""
    fill(tmp_path, table)
    for place in list(tmp_path.iterdir()):
        record = json.loads((place / "run.json").read_text(encoding="utf-8"))
        other = {"appearance": "motion", "motion": "appearance"}[record["axes"]["streams"]]
        record |= {"name": f"other {record['name']}", "axes": {**record["axes"], "streams": other}}
        write_record(tmp_path / f"other {place.name}", record, None)
    own, entries = made(tmp_path, table)
    assert own.rows and len(entries) == 2 * len(own.rows)


@pytest.mark.parametrize("table", [*PRINTED, "feichtenhofer2016_table1", "feichtenhofer2016_table2"])
def test_no_figure_stands_beside_other_towers(table: str, tmp_path: Path) -> None:
    """Which are no axis: data=ucf101 backbone=tiny. The paper's own are found there too."""
    fill(tmp_path / "other", table, tower="tiny")
    assert not any(row.paper for row in made(tmp_path / "other", table)[0].rows)
    paper = Spec.of(table_spec(table)).paper
    assert paper is not None
    of_both = {str(usual(row.conditions.get(one, "vgg_m"))) for row in paper.rows for one in TOWERS if not row.cited}
    for tower in of_both if len(of_both) == 1 else ():
        rows = fill(tmp_path / tower, table, tower=tower)
        assert sum(row.paper is not None for row in made(tmp_path / tower, table)[0].rows) == len(rows)


@pytest.mark.parametrize("table", [*PRINTED, "feichtenhofer2016_table1", "feichtenhofer2016_table2"])
def test_no_figure_stands_beside_brush(table: str, tmp_path: Path) -> None:
    fill(tmp_path, table, data="brush")
    own, _ = made(tmp_path, table)
    assert own.rows and not any(row.paper for row in own.rows)
    assert len(own.rows) == sum(line.row.kind not in ("ceiling",) for line in own.lines), "nor below ours"
    assert any("no comparable row" in note for note in own.notes)
