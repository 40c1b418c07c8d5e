"""Holm against statsmodels, effects against means of cells and against a regression."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.formula.api import ols
from statsmodels.stats.multitest import multipletests

from fusionlab.errors import UserError
from fusionlab.results.crossed import compare
from fusionlab.results.families import contrast, factorial, holm

CELLS = {
    (fusion, layer, head): {"fusion": fusion, "layer": layer, "temporal": head}
    for fusion, layer, head in itertools.product(("conv", "sum"), ("relu3", "relu4", "relu5"), ("avg", "pool3d"))
}


def drawn(key: int = 0) -> tuple[dict[tuple[str, str, str], np.ndarray], np.ndarray]:
    draw = np.random.default_rng(key)
    codes = np.repeat(np.arange(25), draw.integers(2, 5, 25))
    return {cell: (draw.random((3, len(codes))) < 0.5 + 0.03 * at) * 1.0 for at, cell in enumerate(CELLS)}, codes


@settings(max_examples=8)  # statsmodels collects garbage in each call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels_s(ps):
    assert holm(ps) == pytest.approx(multipletests(ps, method="holm")[1].tolist())


def test_an_empty_family_has_no_p():
    assert holm([]) == []


def test_a_main_effect_is_the_mean_over_the_other_axes():
    answers, codes = drawn()
    found = contrast(answers, factorial(CELLS, {"fusion": ("conv", "sum")}), codes)
    means = [np.mean([answers[cell] for cell in CELLS if cell[0] == fusion]) for fusion in ("conv", "sum")]
    assert found.mean == pytest.approx(means[0] - means[1])
    d = np.mean([answers[cell] for cell in CELLS if cell[0] == "conv"], axis=0)
    d = d - np.mean([answers[cell] for cell in CELLS if cell[0] == "sum"], axis=0)
    expected = compare(d, codes)
    assert found.method.p == pytest.approx(expected.method.p)
    assert found.networks.p == pytest.approx(expected.networks.p), "sums of sixths are scaled to integers"


def test_an_interaction_is_the_difference_of_differences():
    answers, codes = drawn(1)
    found = contrast(answers, factorial(CELLS, {"fusion": ("conv", "sum"), "temporal": ("pool3d", "avg")}), codes)
    frame = pd.DataFrame(
        [{"fusion": a, "layer": b, "head": c, "right": answers[a, b, c].mean()} for a, b, c in CELLS],
    )
    fit = ols("right ~ C(layer) + C(fusion, Treatment('sum')) * C(head, Treatment('avg'))", frame).fit()
    name = "C(fusion, Treatment('sum'))[T.conv]:C(head, Treatment('avg'))[T.pool3d]"
    assert found.mean == pytest.approx(fit.params[name])


def test_two_of_three_levels_are_compared():
    answers, codes = drawn(2)
    found = contrast(answers, factorial(CELLS, {"layer": ("relu5", "relu3")}), codes)
    means = [np.mean([answers[cell] for cell in CELLS if cell[1] == layer]) for layer in ("relu5", "relu3")]
    assert found.mean == pytest.approx(means[0] - means[1])


def test_the_gain_with_own_pairs_minus_the_gain_with_pairs_of_the_class():
    answers, codes = drawn(3)
    names = {("fused", "own"): 0, ("control", "own"): 1, ("fused", "class"): 2, ("control", "class"): 3}
    four = {name: answers[cell] for name, cell in zip(names, CELLS, strict=False)}
    cells = {name: {"arm": name[0], "pairs": name[1]} for name in names}
    weights = factorial(cells, {"arm": ("fused", "control"), "pairs": ("own", "class")})
    assert list(weights.values()) == [1, -1, -1, 1]
    x = list(four.values())
    found = contrast(four, weights, codes)
    assert found.mean == pytest.approx((x[0] - x[1] - x[2] + x[3]).mean())
    perfect = {name: np.full((3, 25), float(weight > 0)) for name, weight in weights.items()}
    perfect["fused", "own"] = np.random.default_rng(0).random((3, 25)) < 0.9
    wide = contrast(perfect, weights, np.arange(25))
    assert wide.method.high > 1, "an interaction is a share between −2 and 2"


def test_weights_that_are_no_contrast():
    answers, codes = drawn()
    first, second, *_ = answers
    with pytest.raises(UserError, match="add up to 0"):
        contrast(answers, {first: 1, second: 1}, codes)
    with pytest.raises(UserError, match="add up to 0"):
        contrast(answers, {}, codes)


def test_effects_of_what_the_grid_does_not_have():
    with pytest.raises(UserError, match="no such axis"):
        factorial(CELLS, {"lr": (1, 2)})
    with pytest.raises(UserError, match="no such level of fusion"):
        factorial(CELLS, {"fusion": ("conv", "max")})
    missing = dict(itertools.islice(CELLS.items(), 11))
    with pytest.raises(UserError, match="full grid") as error:
        factorial(missing, {"fusion": ("conv", "sum")})
    assert "0 of fusion=sum, layer=relu5, temporal=pool3d" in str(error.value)
