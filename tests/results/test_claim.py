"""A claim, and the verdict of records on it, against the comparison that it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from result_fakes import arm, fill

from fusionlab.errors import UserError
from fusionlab.results.claim import Claim, claim_sentence
from fusionlab.results.crossed import Estimate, seeds_needed, smallest_gap
from fusionlab.results.gains import compare_pairs
from fusionlab.results.load import load
from fusionlab.results.rows import Row, make_rows
from fusionlab.results.spec import Spec

CONV = {"fusion": "conv", "layer": "relu5"}


def claim(**other: Any) -> dict[str, Any]:
    return {"row": CONV, "against": "control", "kind": "better", "margin": 0, "question": "binding", **other}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    folder = fill(tmp_path_factory.mktemp("claims") / "study", seeds=(0, 1, 2), control=True)
    return make_rows(load(folder), Spec(""))


def conv(rows: list[Row]) -> Row:
    return next(row for row in rows if row.axes.get("fusion") == "conv")


def test_a_claim_that_holds(rows: list[Row]) -> None:
    gain = conv(rows).gains["binding"]
    assert gain.method and gain.method.low > 0
    gap = f"a gap of {100 * smallest_gap(gain.method):.1f} points"
    text = claim_sentence(rows, Spec(""), claim())
    assert text.startswith("Claim, named before the run: Conv is better than its control on binding. It holds: +4")
    assert gap in text and f"{100 * gain.mean:+.1f}" in text
    low = 100 * gain.method.low
    assert "It holds" in claim_sentence(rows, Spec(""), claim(margin=low - 0.1))
    assert "cannot be decided" in claim_sentence(rows, Spec(""), claim(margin=low + 0.1))


def test_a_claim_that_does_not_hold(rows: list[Row]) -> None:
    text = claim_sentence(rows, Spec(""), claim(margin=90, against="late"))
    assert "Conv is better than late fusion by more than 90 points on binding. It does not hold: +" in text
    text = claim_sentence(rows, Spec(""), claim(row={"kind": "control"}, against=CONV, kind="not_worse", margin=2))
    assert "not worse than Conv by more than 2 points on binding. It does not hold: −" in text.replace("-", "−")


def test_a_claim_that_cannot_be_decided(rows: list[Row]) -> None:
    pairs = [*zip(conv(rows).done, next(row for row in rows if row.axes.get("fusion") == "max").done, strict=True)]
    compared = compare_pairs(pairs)[0]["binding"]
    assert compared.method and compared.mean > 0
    margin = round(100 * compared.mean, 2)
    text = claim_sentence(rows, Spec(""), claim(against={"fusion": "max"}, margin=margin))
    assert f"Conv is better than Max by more than {margin:g} points on binding. It cannot be decided: " in text
    seeds = seeds_needed(compared, margin / 100)
    assert seeds and text.endswith(f"or more; a gap of {margin:g} points needs {seeds} seeds.")
    text = claim_sentence(rows, Spec(""), claim(row={"fusion": "max"}, against=CONV, kind="not_worse", margin=margin))
    assert "Max is not worse than Conv" in text and "It cannot be decided: -" in text.replace("−", "-")
    text = claim_sentence(rows, Spec(""), claim(question="colour"))
    assert "It cannot be decided: there are no questions of kind colour, only of " in text and "binding" in text
    text = claim_sentence(rows, Spec(""), claim(row={"kind": "control"}))
    assert text.endswith("It cannot be decided: Trained on, not fused is not held against its control.")
    text = claim_sentence(rows, Spec(""), claim(row={"fusion": "bilinear"}))
    assert text.endswith("cannot be decided: no rows of this table have fusion=bilinear.")
    text = claim_sentence(rows, Spec(""), claim(row={"layer": "relu5"}))
    assert text.endswith("cannot be decided: 3 rows of this table have layer=relu5.")


def test_two_seeds_decide_nothing(tmp_path: Path) -> None:
    rows = make_rows(load(fill(tmp_path / "study", seeds=(0, 1), control=True)), Spec(""))
    text = claim_sentence(rows, Spec(""), claim())
    assert "It cannot be decided: +" in text and "(2 seeds) points; two seeds say too little" in text


@pytest.mark.parametrize(
    ("kind", "low", "high", "expected"),
    [
        ("better", 0.011, 0.05, True),
        ("better", 0.01, 0.05, None),
        ("better", -0.01, 0.01, False),
        ("not_worse", -0.009, 0.05, True),
        ("not_worse", -0.011, 0.05, None),
        ("not_worse", -0.05, -0.01, False),
    ],
)
def test_the_verdict_is_where_the_interval_lies(kind: str, low: float, high: float, expected: bool | None) -> None:
    estimate = Estimate(low, high, 0.5, 0.01, 4)
    assert Claim.of(claim(kind=kind, margin=1)).verdict(estimate) is expected


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("conv", "names a row"),
        (claim(rows=CONV), "unknown option of a claim"),
        ({"row": CONV, "against": "late", "kind": "better"}, "a claim without margin"),
        (claim(kind="best"), "no such kind of claim"),
        (claim(against="baseline"), "no row of a claim"),
        (claim(row={}), "no row of a claim"),
        (claim(row={"fusion": ["conv", "sum"]}), "no row of a claim"),
        (claim(margin="1"), "number of points"),
        (claim(margin=-1), "number of points"),
        (claim(kind="not_worse"), "only by a margin"),
        (claim(question=None), "no kind of question"),
    ],
)
def test_what_is_no_claim(tree: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Claim.of(tree)


def test_the_headline_is_the_claim_of_the_records(tmp_path: Path, spec: dict[str, Any]) -> None:
    from fusionlab.results.tables import make_table

    folder = fill(tmp_path / "study", seeds=(0, 1, 2))
    axes = {"streams": "both", "fusion": "sum", "layer": "relu4", "seed": 0}
    arm(folder, kind="fused", axes=axes, claim=claim(against="late"))
    assert make_table(load(folder), Spec.of(spec)).headline.startswith("Claim, named before the run: ")
