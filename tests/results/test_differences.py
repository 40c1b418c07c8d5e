"""Two families of tests: rows against their control, and all pairs; what is bold, and at size."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from result_fakes import arm, fill
from statsmodels.stats.multitest import multipletests

from fusionlab.results import page as pages
from fusionlab.results.crossed import compare
from fusionlab.results.differences import adjusted_gains, make_matrix, pairs_csv, pairs_text
from fusionlab.results.latex import latex
from fusionlab.results.load import load
from fusionlab.results.rows import make_rows
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table, make_table
from fusionlab.results.text_tables import BOLD, markdown, terminal

ALL = Spec.of({"caption": "c"})


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("five"), seeds=(0, 1, 2, 3, 4), control=True)


def test_the_rows_against_their_control_are_a_family_of_holm(filled: Path) -> None:
    rows = make_rows(load(filled), ALL)
    told = adjusted_gains(rows, "binding")
    fused = [row for row in rows if row.kind == "fused"]
    ps = [row.gains["binding"].method.p for row in fused]
    expected = multipletests(ps, method="holm")[1]
    assert [told[id(row)] for row in fused] == pytest.approx(list(expected)) and len(told) == 3
    table = make_table(load(filled), ALL)
    at = next(at for at, column in enumerate(table.columns) if column.key == "gain")
    signs = {line.row.method: "*" in line.cells[at] for line in table.lines if line.row.kind == "fused"}
    assert signs == {row.method: p <= 0.05 for row, p in zip(fused, expected, strict=True)} and any(signs.values())
    assert "Holm's correction over all 3 rows" in table.notes[0]


def test_all_pairs_are_a_family_of_their_own(filled: Path) -> None:
    rows = make_rows(load(filled), ALL)
    matrix = make_matrix(rows, "binding")
    both = [row for row in rows if row.kind in ("late", "control", "fused")]
    assert list(matrix.rows) == both and len(matrix.pairs) == 5 * 4 // 2 < len(rows) * (len(rows) - 1) // 2
    tested = [pair for pair in matrix.pairs if pair.gain.method]
    expected = multipletests([pair.gain.method.p for pair in tested], method="holm")[1]
    assert [pair.p for pair in tested] == pytest.approx(list(expected))
    pair = next(one for one in matrix.pairs if (one.first.method, one.second.method) == ("Max", "Conv"))
    of = [kind == "binding" for kind in pair.first.done[0].answers.of.kinds]
    d = [
        a.answers.right[of].astype(float) - b.answers.right[of]
        for a, b in zip(pair.first.done, pair.second.done, strict=True)
    ]
    groups = np.unique(np.array(pair.first.done[0].answers.of.groups)[of], return_inverse=True)[1]
    assert pair.gain == compare(np.array(d), groups) and pair.gain.mean < 0


def test_the_best_and_all_that_are_not_told_from_it_are_bold(filled: Path) -> None:
    table = make_table(load(filled), ALL)
    bold, why = table.matrix.bold()
    assert why is None
    best = max(table.matrix.rows, key=lambda row: row.shares["binding"].mean)
    kept = {row.method for row in table.matrix.rows if id(row) in bold}
    by_hand = {best.method} | {
        other.method
        for pair in table.matrix.pairs
        if best in (pair.first, pair.second)
        for other in (pair.first, pair.second)
        if other is not best and pair.p > 0.05
    }
    assert kept == by_hand and "Conv" in kept and "Late fusion" not in kept
    at = next(at for at, column in enumerate(table.columns) if column.kind == "binding" and column.key == "kind")
    cells = {line.cells[at] for line in table.lines if at in line.bold}
    assert len(cells) == len(kept)
    for cell in cells:
        assert f"{BOLD}{cell}" in terminal(table) and f"**{cell}**" in markdown(table)
    assert terminal(table, ansi=True).count("\x1b[1m") == len(cells) and BOLD not in terminal(table, ansi=True)
    assert latex(table).count(r"\textbf{") == len(cells)
    html = pages.page(table, load(filled), name="x", out=filled)
    assert html.count(' best">') == len(cells) and "All pairs: 10 differences" in html


def test_with_two_seeds_nothing_is_bold_and_that_is_said(tmp_path: Path) -> None:
    table = make_table(load(fill(tmp_path, control=True)), ALL)
    assert not any(line.bold for line in table.lines)
    assert "No row is bold: with fewer than 3 seeds no row can be told from another." in table.notes


def test_the_matrix_as_text_and_csv(filled: Path) -> None:
    matrix = make_matrix(make_rows(load(filled), ALL), "binding")
    text = pairs_text(matrix, lambda row: row.method, 1)
    lines = text.splitlines()
    assert len(lines) == 1 + len(matrix.rows) + 1 and len({len(line) for line in lines[:-1]}) == 1
    conv = next(line for line in lines if "Conv" in line).split()
    there, back = conv[2], next(line for line in lines if "Late" in line).split()[3 + 4]
    assert there.startswith("+46.0") and back.startswith("−46.0") and there[-1] == back[-1] == "*"
    rows = list(csv.DictReader(io.StringIO(pairs_csv(matrix, lambda row: row.method))))
    assert len(rows) == 10 and all(json.loads(row["per_seed"]) for row in rows)
    row = next(row for row in rows if (row["first"], row["second"]) == ("Late fusion", "Conv"))
    assert float(row["gain"]) == pytest.approx(-46.0) and float(row["low"]) < -46 < float(row["high"])


def test_one_row_makes_no_pairs(tmp_path: Path) -> None:
    rows = [row for row in make_rows(load(fill(tmp_path, seeds=(0, 1, 2))), ALL) if row.method == "Conv"]
    matrix = make_matrix(rows, "binding")
    assert (
        matrix.pairs == ()
        and pairs_text(matrix, str, 1) == "No pairs of rows: there are no two rows of both streams with predictions.\n"
    )


def study(folder: Path, shares: dict[str, float], seeds: dict[str, int], **more: Any) -> Table:
    """Fusions at relu5 with these shares of binding; answers of equal shares are equal in all seeds."""
    for name, share in shares.items():
        for seed in range(seeds.get(name, 3)):
            axes = {"streams": "both", "fusion": name, "layer": "relu5", "temporal": "pool2d", "seed": seed}
            arm(folder, kind="fused", axes=axes, shares={"what": 1.0, "binding": share}, **more)
    return make_table(load(folder), Spec.of({"caption": "c", "gain": "binding"}))


def bold(table: Table) -> set[str]:
    return {line.row.method for line in table.lines if line.bold}


def test_rows_whose_differences_are_all_equal_are_told_apart(tmp_path: Path) -> None:
    """Nothing varies, so there is no p; a difference of 100 points in each video is none of chance."""
    table = study(tmp_path, {"conv": 1.0, "sum": 0.0, "max": 1.0}, {})
    constant = {(pair.first.method, pair.second.method): (pair.p, pair.differ) for pair in table.matrix.pairs}
    assert constant == {
        ("Max", "Sum"): (None, True), ("Max", "Conv"): (None, False), ("Sum", "Conv"): (None, True),
    }  # fmt: skip
    assert bold(table) == {"Max", "Conv"}
    why = "all groups of videos have the same difference, so nothing shows how they vary"
    assert pairs_text(table.matrix, lambda row: row.method, 1).endswith(f"No pair is tested: {why}.\n")
    assert "all that have no difference to it." in next(note for note in table.notes if note.startswith("Brackets"))


def test_p_of_0_tells_rows_apart(tmp_path: Path) -> None:
    matrix = study(tmp_path, {"conv": 0.9, "sum": 0.1, "max": 0.9}, {}).matrix
    sure = replace(matrix, pairs=tuple(replace(pair, p=0.0) for pair in matrix.pairs))
    assert sure.bold()[0] == {id(max(matrix.rows, key=lambda row: row.shares["binding"].mean))}


def test_a_row_that_shares_too_few_seeds_is_not_bold_and_that_is_said(tmp_path: Path) -> None:
    table = study(tmp_path, {"conv": 0.9, "sum": 0.89, "max": 0.88}, {"max": 2})
    assert bold(table) == {"Conv", "Sum"}
    (note,) = [note for note in table.notes if note.startswith("Brackets")]
    assert note.endswith(
        "Not judged, so not bold: Max; with the best row they share too few seeds or groups of videos."
    )
