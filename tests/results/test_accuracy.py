"""The interval of an accuracy against statsmodels' cluster-robust variance, and against loops."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from fusionlab.errors import UserError
from fusionlab.results.accuracy import design_effect, effective_videos, wilson


def drawn(seeds: int, groups: int, key: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(key)
    codes = np.repeat(np.arange(groups), draw.integers(2, 6, groups))
    hard = 0.7 + 0.25 * draw.choice([-1, 1], groups)[codes]
    return (draw.random((seeds, len(codes))) < hard).astype(float), codes


def robust(share: np.ndarray, codes: np.ndarray) -> float:
    """V: the cluster-robust variance of a mean."""
    options = {"groups": codes, "df_correction": True}
    return sm.OLS(share, np.ones(len(share))).fit(cov_type="cluster", cov_kwds=options).bse[0] ** 2


@pytest.mark.parametrize("right, total", [(0, 10), (1, 3), (7, 10), (402, 448), (448, 448), (1, 100_000)])
def test_wilson_is_statsmodels_and_scipy_s(right, total):
    ends = proportion_confint(right, total, method="wilson")
    assert wilson(right / total, total) == pytest.approx(ends, abs=1e-12)
    expected = stats.binomtest(right, total).proportion_ci(0.9, method="wilson")
    assert wilson(right / total, total, 0.9) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("seeds", [1, 3])
def test_effective_videos_are_those_of_the_cluster_robust_variance(seeds):
    right, codes = drawn(seeds, 40)
    p, variance = right.mean(), robust(right.mean(axis=0), codes)
    ratio = stats.norm.ppf(0.975) / stats.t.ppf(0.975, 39)
    expected = p * (1 - p) / variance * ratio**2
    assert expected < len(codes), "a case where groups matter"
    assert effective_videos(right, codes) == pytest.approx(expected)
    assert effective_videos(right[0] if seeds == 1 else right, codes) == pytest.approx(expected)


def test_a_variance_over_splits_is_that_of_their_mean():
    (one, first), (two, second) = drawn(2, 30, 1), drawn(2, 25, 2)
    right, split = np.concatenate([one, two], axis=1), np.repeat([0, 1], [len(first), len(second)])
    p = (one.mean() + two.mean()) / 2
    variance = (robust(one.mean(axis=0), first) + robust(two.mean(axis=0), second)) / 4
    expected = p * (1 - p) / variance * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 53)) ** 2
    assert effective_videos(right, np.concatenate([first, second]), strata=split) == pytest.approx(expected)


def test_no_more_videos_than_there_are():
    codes = np.repeat(np.arange(30), 2)
    assert effective_videos(np.tile([0.0, 1.0], 30), codes) == 60, "each group is half right: V = 0"
    independent = np.random.default_rng(0).random((5, 300)) < 0.5
    assert effective_videos(independent, np.arange(300)) == 300


def test_where_all_are_right_the_column_says_what_groups_are_worth():
    rows = [drawn(2, 40, 3)[0], np.ones((2, len(drawn(2, 40, 3)[1])))]
    codes = drawn(2, 40, 3)[1]
    p, variance = rows[0].mean(), robust(rows[0].mean(axis=0), codes)
    ratio = stats.t.ppf(0.975, 39) / stats.norm.ppf(0.975)
    design = len(codes) * variance / (p * (1 - p)) * ratio**2
    assert design_effect(rows, codes) == pytest.approx(design)
    assert effective_videos(rows[0], codes) == pytest.approx(len(codes) / design)
    assert effective_videos(rows[1], codes, design=design) == pytest.approx(len(codes) / design)
    assert effective_videos(rows[1], codes) == effective_videos(1 - rows[1], codes) == 40
    assert design_effect(rows[1:], codes) is None
    assert design_effect([np.tile([0.0, 1.0], 40)], np.repeat(np.arange(40), 2)) == 1, "never below 1"
    low, high = wilson(1.0, effective_videos(rows[1], codes))
    assert high == pytest.approx(1) and low == pytest.approx(40 / (40 + stats.norm.ppf(0.975) ** 2))


def test_the_design_effect_of_a_column_is_a_ratio_of_sums():
    rows = [drawn(1, 40, 5)[0], drawn(1, 40, 5)[0] * drawn(1, 40, 5)[0][:, ::-1]]
    codes = drawn(1, 40, 5)[1]
    above = sum(robust(row[0], codes) for row in rows)
    below = sum(row.mean() * (1 - row.mean()) for row in rows)
    ratio = stats.t.ppf(0.975, 39) / stats.norm.ppf(0.975)
    assert design_effect(rows, codes) == pytest.approx(len(codes) * above / below * ratio**2)


def test_few_groups_have_no_interval():
    right, codes = drawn(1, 19)
    with pytest.raises(UserError, match="groups of videos"):
        effective_videos(right, codes)
