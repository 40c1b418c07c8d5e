"""Cells of the grid that cannot be trained: shown as refused in every format, never as failed or missing."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from fusionlab import status
from fusionlab.results.csv_table import csv_text
from fusionlab.results.latex import latex
from fusionlab.results.load import REFUSED, Entry, load
from fusionlab.results.page import page
from fusionlab.results.plots import picture
from fusionlab.results.report import frame
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table, make_table
from fusionlab.results.text_tables import markdown, terminal
from fusionlab.study.plan import Arm, Job, Plan, Refused

NO_MAP = "pool3d needs a map, and fc7 gives a vector"
TOO_LARGE = "bilinear has 10^6 outputs <b>& more"


@pytest.fixture
def refusing(study: Path) -> Path:
    """Two seeds of all arms and of three refused places; one arm is missing."""
    jobs, arms = [], []
    for entry in load(study):
        assert entry.folder is not None
        job = Job(f"job-{len(jobs)}", "cohort", f"jobs/{len(jobs)}", (), {}, (entry.name,))
        (study / job.folder / "published").mkdir(parents=True)
        entry.folder.rename(study / job.folder / "published" / entry.name)
        jobs.append(job)
        arms.append(Arm(entry.name, entry.kind, dict(entry.axes), entry.record["signature"], {}, job.id))
    axes = {"streams": "both", "fusion": "cat", "layer": "relu5", "temporal": "pool2d", "seed": 0}
    jobs.append(Job("job-missing", "cohort", "jobs/missing", (), {}, ("cat",)))
    arms.append(Arm("cat", "fused", axes, "0" * 16, {}, "job-missing"))
    cells = [
        Refused(f"{fusion} {seed}", "fused", {**axes, "fusion": fusion, **more, "seed": seed}, reason)
        for fusion, more, reason in (
            ("sum", {"layer": "fc7", "temporal": "pool3d"}, NO_MAP),
            ("conv", {"layer": "fc7", "temporal": "pool3d"}, NO_MAP),
            ("bilinear", {}, TOO_LARGE),
        )
        for seed in (0, 1)
    ]
    Plan.of("sweep", jobs, arms, cells).write(study)
    return study


def table(study: Path) -> Table:
    return make_table(load(study), Spec.of({"caption": "c"}))


def test_the_entries_and_the_frame_have_them(refusing: Path) -> None:
    refused = [entry for entry in load(refusing) if entry.status == "refused"]
    assert [(entry.name, entry.reason) for entry in refused[:2]] == [("sum 0", NO_MAP), ("sum 1", NO_MAP)]
    assert all(entry.record == {} and entry.result == {} for entry in refused)
    lines = frame(load(refusing))
    assert lines["status"].value_counts().to_dict() == {"done": 12, "refused": 6, "missing": 1}
    assert set(lines[lines["status"] == "refused"]["reason"]) == {NO_MAP, TOO_LARGE}
    assert set(lines[lines["fusion"] == "bilinear"]["seed"]) == {0, 1}


def test_a_row_for_each_place_and_a_note_for_each_reason(refusing: Path) -> None:
    shown = table(refusing)
    lines = {line.cells[:3]: line for line in shown.lines if line.span == "refused"}
    assert set(lines) == {
        ("Bilinear", "relu5", "pool2d"), ("Sum", "fc7", "pool3d"), ("Conv", "fc7", "pool3d"),
    }  # fmt: skip
    notes = {cells[0]: [shown.marked[mark - 1] for mark in line.marks] for cells, line in lines.items()}
    assert notes["Sum"] == notes["Conv"] == [f"refused: {NO_MAP}"]
    assert notes["Bilinear"] == [f"refused: {TOO_LARGE}"]
    spans = [line.span for line in shown.lines if line.span not in (None, "refused")]
    assert spans == ["missing, seed 0: no record of it (yet)"]
    assert not any("seeds" in note and "most rows" in note for note in shown.marked)


def test_the_numbers_of_the_others_are_those_without_them(refusing: Path) -> None:
    spec = Spec.of({"caption": "c", "rows": ["layer", "temporal"]})
    entries = load(refusing)
    kept = make_table([entry for entry in entries if entry.status != "refused"], spec)
    with_refused = make_table(entries, spec)
    assert [line.cells for line in with_refused.lines if line.span is None] == [
        line.cells for line in kept.lines if line.span is None
    ]
    assert [row.gains for row in with_refused.rows if row.done] == [row.gains for row in kept.rows if row.done]


def test_every_format_shows_them(refusing: Path) -> None:
    shown = table(refusing)
    text = terminal(shown, notes=True)
    assert len(re.findall(r"^(Sum|Conv|Bilinear).* refused$", text, re.M)) == 3
    assert text.count(NO_MAP) == 1
    assert len(re.findall(r"^\| (Sum|Conv|Bilinear).*\| +refused +\|", markdown(shown), re.M)) == 3
    assert markdown(shown).count(NO_MAP) == 1
    assert latex(shown).count(r"\emph{refused}") == 3
    assert picture(shown).count(">refused</text>") == 3 * 2  # a panel for each kind of question
    lines = list(csv.DictReader(io.StringIO(csv_text(shown))))
    refused = [(line["method"], line["reason"], line["seeds"]) for line in lines if line["status"] == "refused"]
    assert sorted(refused) == [("Bilinear", TOO_LARGE, ""), ("Conv", NO_MAP, ""), ("Sum", NO_MAP, "")]


def test_the_page_counts_them_apart_and_warns_of_nothing(refusing: Path) -> None:
    html = page(table(refusing), load(refusing), name="x", out=refusing)
    assert "<dd>12 of 13 done</dd>" in html
    assert "<dt>refused cells</dt><dd>6</dd>" in html
    assert len(re.findall(r'<td class="name" colspan="\d+">refused</td>', html)) == 3
    assert html.count(">record</a>") == 12
    assert "refused:" in html
    assert TOO_LARGE not in html  # its signs are escaped


def test_a_table_of_which_every_fusion_is_refused(refusing: Path) -> None:
    entries = [entry for entry in load(refusing) if entry.kind != "fused" or entry.status == "refused"]
    assert "Every fusion in this table is refused" in make_table(entries, Spec.of({"caption": "c"})).headline


def test_a_row_with_arms_and_refused_cells_shows_both(refusing: Path) -> None:
    """No plan has one today, since a refusal does not depend on the seed."""
    entries = load(refusing)
    done = next(entry for entry in entries if entry.axes.get("fusion") == "max" and entry.status == "done")
    cell = Entry("max 2", "fused", REFUSED, NO_MAP, None, {**done.axes, "seed": 2}, {})
    shown = make_table([*entries, cell], Spec.of({"caption": "c"}))
    spans = [line.span for line in shown.lines if line.row.method == "Max"]
    assert spans == [None, "refused"]


def test_status_groups_the_reasons(refusing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main([str(refusing)]) == 1  # an arm is missing
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [f"4 cells refused: {NO_MAP}", f"2 cells refused: {TOO_LARGE}"]
