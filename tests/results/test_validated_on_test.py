"""Figures that test labels helped to choose carry a sign in every table, and a note says what it means."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from result_fakes import arm, fill

from fusionlab.results.cells import SAW_TEST
from fusionlab.results.cross import cross_text, make_cross
from fusionlab.results.csv_table import csv_text
from fusionlab.results.figures import make_figures, row_curves
from fusionlab.results.formatting import NONE
from fusionlab.results.latex import latex, short_latex
from fusionlab.results.load import load
from fusionlab.results.page import page
from fusionlab.results.rows import CEILING
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table, make_table
from fusionlab.results.text_tables import markdown, terminal

ON_TEST = {"val": {"list": "test", "then": "keep"}}


def table(folder: Path, config: dict[str, Any] | None = None, **spec: Any) -> Table:
    fill(folder, seeds=(0, 1), config=config or {})
    return make_table(load(folder), Spec.of({"caption": "c", **spec}))


def figures(made: Table) -> list[str]:
    """The cells with an accuracy or a gain."""
    places = [at for at, column in enumerate(made.columns) if column.key in ("accuracy", "kind", "gain", "late")]
    lines = [line for line in made.lines if line.row.done and line.row.kind != CEILING and line.span is None]
    return [cell for line in lines for at in places if (cell := line.cells[at]) != NONE]


def test_each_figure_has_the_sign(tmp_path: Path) -> None:
    made = table(tmp_path, ON_TEST)
    assert len(figures(made)) > 10 and not [cell for cell in figures(made) if SAW_TEST not in cell]
    (note,) = [note for note in made.notes if note.startswith(SAW_TEST)]
    assert "test labels helped to choose" in note and made.leading[0] == note
    assert made.headline.endswith(SAW_TEST)
    shown = [terminal(made), markdown(made), latex(made), short_latex(made)]
    assert all((SAW_TEST in text or r"\dag" in text) and "validated on the test list" in text for text in shown)
    assert "validated on the test list" in page(made, load(tmp_path), name="s", out=tmp_path)
    cross = make_cross(made, ["fusion"], ["layer"])
    assert all(SAW_TEST in cell for _, cells in cross.lines for cell in cells if cell != NONE)
    assert "validated on the test list" in " ".join(cross_text(cross).split())
    lines = list(csv.DictReader(io.StringIO(csv_text(made))))
    assert {line["saw_test"] for line in lines if line["status"] == "done"} == {"yes"}


def test_each_figure_of_a_report_says_it(tmp_path: Path) -> None:
    made = table(tmp_path, ON_TEST)
    figures = make_figures(made, load(tmp_path))
    assert len(figures) > 3
    for figure in figures:
        (line,) = [text for text in figure.sheet().texts if SAW_TEST in text.get_text()]
        assert "test labels helped to choose" in line.get_text() and line.get_text() in figure.svg()
        plain, noted = replace(figure, note="").sheet(), figure.sheet()
        assert noted.get_figheight() > plain.get_figheight() and noted.get_figwidth() == plain.get_figwidth()
        for one, other in zip(plain.axes, noted.axes, strict=True):
            inches = [(axes.bbox.x0, axes.bbox.width, axes.bbox.height, sheet.bbox.y1 - axes.bbox.y1)
                      for axes, sheet in ((one, plain), (other, noted))]  # fmt: skip
            assert inches[0] == pytest.approx(inches[1]), "what is drawn keeps its size and its place from above"
    curves = row_curves(next(row for row in made.rows if row.done and row.kind == "fused"))
    assert curves is None or SAW_TEST in curves.svg()


@pytest.mark.parametrize("listed", ["cut", "none"])
def test_others_have_none(tmp_path: Path, listed: str) -> None:
    made = table(tmp_path, {"val": {"list": listed, "then": "keep"}})
    assert not [cell for cell in figures(made) if SAW_TEST in cell]
    assert not any(SAW_TEST in figure.svg() for figure in make_figures(made, load(tmp_path)))
    assert SAW_TEST not in terminal(made, notes=True) + made.headline and "saw_test" not in csv_text(made)


def test_beside_rows_of_a_cut_the_figures_stand_in_no_column(tmp_path: Path) -> None:
    table(tmp_path)
    axes = {"streams": "both", "fusion": "cat", "layer": "relu5", "temporal": "pool2d"}
    for seed in (0, 1):
        arm(tmp_path, kind="fused", axes={**axes, "seed": seed}, config=ON_TEST)
    (span,) = [
        line.span
        for line in make_table(load(tmp_path), Spec.of({"caption": "c"})).lines
        if line.row.axes.get("fusion") == "cat"
    ]
    assert span is not None and "validation differs from most rows: val.list=test, not cut" in span
