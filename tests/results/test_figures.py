"""Figures: what is drawn is what the table has; names are hostile; the same bytes; nothing is asked of the machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from result_fakes import CLASSES

from fusionlab.errors import UserError
from fusionlab.results.figures import make_figures, row_curves, style
from fusionlab.results.figures.accuracy import accuracy
from fusionlab.results.figures.classes import MOST, OTHERS, most_confused
from fusionlab.results.figures.cost import front
from fusionlab.results.load import load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table

CURVES = [
    {
        "epoch": n / 2,
        "step": 5 * n,
        "val_loss": 2 - n / 9,
        "val_accuracy": n / 9,
        "train_loss": 1.0,
        "train_accuracy": n / 8,
    }
    for n in range(1, 9)
]
HOSTILE = r"""$x_1^2$ \frac{<script>}{"&'} url(#m) 手勢 손"""


def figures_of(folder, spec=None):
    entries = load(folder)
    return {one.name: one for one in make_figures(make_table(entries, Spec.of(spec or {"caption": "?"})), entries)}


@pytest.fixture
def rich(study, fakes):
    """With a second layer and with curves."""
    for seed in (0, 1):
        for fusion, share in (("sum", 0.6), ("conv", 0.8)):
            axes = {"streams": "both", "fusion": fusion, "layer": "relu4", "temporal": "pool2d", "seed": seed}
            fakes["arm"](study, kind="fused", axes=axes, shares={"what": 1.0, "binding": share}, curves=CURVES,
                         parameters=1000 + 500 * len(fusion))  # fmt: skip
    return study


def offsets(axes, label):
    return [tuple(map(float, xy)) for one in axes.collections if one.get_label() == label for xy in one.get_offsets()]


def test_the_marks_of_accuracy_stand_at_the_numbers_of_the_table(study, spec):
    table = make_table(load(study), Spec.of(spec))
    sheet = accuracy(table).sheet()
    for axes, kind in zip(sheet.axes, ("what", "binding"), strict=False):
        drawn = {y: x for x, y in offsets(axes, "mean")}
        assert [drawn[at + 0.5] for at in range(len(table.rows))] == [row.shares[kind].mean for row in table.rows]
        seeds = sorted(x for x, _ in offsets(axes, "seed"))
        assert seeds == sorted(one for row in table.rows for one in row.shares[kind].per_seed)
        marks = next(one for one in axes.collections if one.get_label() == "ceiling").get_segments()
        assert [mark[0][0] for mark in marks] == [float(row.shares[kind].ceiling) for row in table.rows]


def test_all_figures_have_their_names_and_texts(rich):
    figures = figures_of(rich)
    assert {"accuracy", "cost", "curves", "per-class", "confusion", "knowledge", "pairs"} <= set(figures)
    assert any(name.startswith("heat-map") for name in figures)
    for figure in figures.values():
        root = ElementTree.fromstring(figure.svg())
        assert root.get("role") == "img"
        assert root[0].text == figure.title and root[1].text == figure.alt
        assert figure.pdf().startswith(b"%PDF")
    shown = " ".join(ElementTree.fromstring(figures["confusion"].svg()).itertext())
    assert all(name in shown for name in CLASSES)


def test_a_second_call_has_the_same_bytes(rich):
    for one, other in zip(figures_of(rich).values(), figures_of(rich).values(), strict=True):
        assert one is not other
        assert one.svg() == other.svg() and one.pdf() == other.pdf()
        assert not re.search(rb"/CreationDate|matplotlib\.org", one.pdf())


def test_the_cells_of_a_heat_map_are_the_accuracies(rich):
    figures = figures_of(rich)
    heat = next(one for name, one in figures.items() if name.startswith("heat-map") and "60.0" in one.svg())
    texts = [text.get_text() for axes in heat.sheet().axes for text in axes.texts]
    assert {"60.0", "80.0"} <= set(texts)


def test_ids_are_unique_when_figures_share_a_page(rich):
    table = make_table(load(rich), Spec.of({"caption": "?"}))
    figures = [*figures_of(rich).values(), *(one for row in table.rows if (one := row_curves(row)))]
    ids = [one for figure in figures for one in re.findall(r'<[^<>]* id="([^"]+)"', figure.svg())]
    assert len(ids) == len(set(ids)) > 20
    for figure in figures:
        text = figure.svg()
        used = re.findall(r'<[^<>]*(?:href="#|url\(#)([^")]+)', text)
        assert set(used) <= set(re.findall(r' id="([^"]+)"', text))


def test_colours_are_variables_with_the_light_colour_as_fallback(study):
    text = figures_of(study)["accuracy"].svg()
    assert "var(--accent,#0f766e)" in text and "var(--out,#f1f2f5)" in text
    bare = [tag for tag in re.findall(r"<[^<>]*>", text) if re.search(r"[^,]#(?:0f766e|f1f2f5|1d2430)", tag)]
    assert not bare


def test_hostile_names_stay_text(study, fakes):
    axes = {"streams": "both", "fusion": "mine", "layer": "relu5", "temporal": "pool2d", "seed": 0}
    fakes["arm"](study, kind="fused", axes=axes, shares={"what": 1.0, "binding": 1.0}, titles={"fusion": HOSTILE})
    for figure in figures_of(study).values():
        root = ElementTree.fromstring(figure.svg())
        assert not [node for node in root.iter() if node.tag.endswith("script")]
        figure.pdf()
    shown = " ".join(ElementTree.fromstring(figures_of(study)["accuracy"].svg()).itertext())
    assert HOSTILE[:25] in shown


def test_a_character_that_no_font_has_is_told():
    def draw():
        sheet = style.sheet(1)
        style.write(sheet, 0.1, 0.5, "a\U0001f9ff")
        return sheet

    assert style.Figure("x", "x", "x", draw).unprintable() == "\U0001f9ff"


def test_without_predictions_classes_are_left_out(study):
    for path in study.rglob("predictions.csv"):
        path.unlink()
    assert {"accuracy", "cost"} >= set(figures_of(study)) >= {"accuracy"}


def test_one_seed_a_failed_arm_and_curves_with_holes_are_drawn(tmp_path, fakes):
    axes = {"streams": "both", "fusion": "sum", "layer": "relu5", "temporal": "pool2d", "seed": 0}
    holes = [{"epoch": 1, "step": 1, "val_loss": None}, *CURVES[:2]]
    fakes["arm"](tmp_path, kind="fused", axes=axes, shares={"what": 1.0, "binding": 0.5}, curves=holes)
    fakes["arm"](tmp_path, kind="fused", axes={**axes, "fusion": "max"}, reason="nan")
    figures = figures_of(tmp_path)
    assert ">failed</text>" in figures["accuracy"].svg()
    assert figures["curves"].pdf() and figures["curves"].svg()


def test_the_front_has_the_rows_that_no_smaller_row_beats():
    points = [(3, 0.9, "c"), (1, 0.5, "a"), (2, 0.4, "b"), (3, 0.8, "d"), (4, 0.9, "e")]
    assert [name for _, _, name in front(points)] == ["a", "c"]


def test_of_many_classes_the_most_confused_are_kept_and_no_answer_is_lost():
    names = [f"c{n}" for n in range(101)]
    matrix = np.eye(101) * 10
    matrix[70, 3] = 5
    kept, cut = most_confused(names, matrix)
    assert len(kept) == MOST and kept[-1] == OTHERS and {"c70", "c3"} <= set(kept)
    assert cut.sum() == matrix.sum()
    assert cut[kept.index("c70"), kept.index("c3")] == 5


def test_shades_fall_evenly_in_grey_and_their_text_is_readable():
    def luminance(colour):
        linear = [(v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4)
                  for v in (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))]  # fmt: skip
        return float(np.dot((0.2126, 0.7152, 0.0722), linear))

    lightness = [116 * luminance(one) ** (1 / 3) - 16 for one in style.SHADES]
    assert all(6 < one - other < 17 for one, other in pairwise(lightness))
    for at in range(len(style.SHADES)):
        fill, text = style.shade((at + 0.5) / len(style.SHADES))
        low, high = sorted((luminance(fill), luminance(text)))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_a_figure_is_saved_by_its_ending(study, tmp_path):
    figure = figures_of(study)["accuracy"]
    figure.save(tmp_path / "x.pdf")
    figure.save(tmp_path / "x.svg")
    assert (tmp_path / "x.pdf").read_bytes() == figure.pdf()
    assert (tmp_path / "x.svg").read_text("utf-8") == figure.svg() + "\n"
    with pytest.raises(UserError, match="SVG or PDF"):
        figure.save(tmp_path / "x.png")


@pytest.mark.parametrize("wrong", [{"MPLBACKEND": "nonsense"}, {"MPLCONFIGDIR": "/proc/none"}])
def test_nothing_is_asked_of_the_machine(study: Path, wrong):
    code = f"import fusionlab; print(fusionlab.load({str(study)!r}).plot().svg()[:4])"
    env = {**os.environ, **wrong}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout == "<svg\n", done.stderr
