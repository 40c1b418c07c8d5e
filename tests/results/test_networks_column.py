"""The gain of these very networks in every format: the interval over groups, and p by exact sign-flips of groups."""

from __future__ import annotations

import csv
import io
import itertools
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from result_fakes import fill
from scipy import stats

from fusionlab.results.csv_table import csv_text
from fusionlab.results.formatting import points
from fusionlab.results.latex import escape_latex, latex
from fusionlab.results.load import load
from fusionlab.results.page import page
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table
from fusionlab.results.text_tables import escape_markdown, markdown, terminal

SPEC = Spec.of({"caption": "c", "columns": ["method", "accuracy", "gain", "networks"]})
GOLDEN = {  # the cells of Max over its control, by the number of seeds
    1: "+19.0 (+2.7 … +35.3), p = 0.033",
    2: "+19.0 (+5.7 … +32.3), p = 0.009",
    3: "+19.0 (+9.3 … +28.7), p < 0.001",
}


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_the_interval_and_p_are_in_every_format(tmp_path: Path, seeds: int) -> None:
    study = fill(tmp_path / "study", seeds=tuple(range(seeds)), fusions=("max",), control=True)
    entries = load(study)
    table = make_table(entries, SPEC)
    at = [column.key for column in table.columns].index("networks")
    (cell,) = [line.cells[at] for line in table.lines if line.row.method == "Max"]
    assert cell == GOLDEN[seeds] and table.columns[at].head == "these networks, binding"
    html = unescape(re.sub(r"<[^>]+>", "", page(table, entries, name="x", out=tmp_path)))
    texts = (terminal(table), markdown(table), latex(table), html)
    for text, escaped in zip(texts, (cell, escape_markdown(cell), escape_latex(cell), cell), strict=True):
        assert escaped in text
    (line,) = [one for one in csv.DictReader(io.StringIO(csv_text(table))) if one["method"] == "Max"]
    low, high = (float(line[f"binding_gain_networks_{end}"]) for end in ("low", "high"))
    assert f"({points(low / 100)} … {points(high / 100)})" in cell
    # By hand: sums over groups of the binding videos, t over groups, and flips that are drawn.
    arms = {kind: [one for one in entries if one.kind == kind] for kind in ("fused", "control")}
    tests = arms["fused"][0].answers.of
    assert tests.groups is not None
    asked = [at for at, kind in enumerate(tests.kinds) if kind == "binding"]
    sums: dict[str, float] = {}
    for one, other in zip(arms["fused"], arms["control"], strict=True):
        for video in asked:
            d = float(one.answers.right[video]) - float(other.answers.right[video])
            sums[tests.groups[video]] = sums.get(tests.groups[video], 0.0) + d
    own = np.array(list(sums.values()))
    sizes = np.array([[tests.groups[video] for video in asked].count(name) for name in sums])
    mean, count = own.sum() / (seeds * len(asked)), len(own)
    residual = own / seeds - mean * sizes
    half = stats.t.ppf(0.975, count - 1) * np.sqrt(count / (count - 1) * (residual**2).sum()) / len(asked)
    assert (low, high) == pytest.approx((100 * (mean - half), 100 * (mean + half)), abs=1e-3)
    whole = {0: 1}
    for size in own.astype(int):
        grown: dict[int, int] = {}
        for (total, ways), sign in itertools.product(whole.items(), (-1, 1)):
            grown[total + sign * size] = grown.get(total + sign * size, 0) + ways
        whole = grown
    extreme = sum(ways for total, ways in whole.items() if abs(total) >= abs(own.sum()))
    assert float(line["binding_gain_networks_p"]) == pytest.approx(extreme / 2**count, rel=1e-5)
