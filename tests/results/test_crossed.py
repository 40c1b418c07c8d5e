"""Each number against another library's, against loops over indices, or against all sign patterns."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.formula.api import ols

from fusionlab.errors import UserError
from fusionlab.results.crossed import (
    FEWEST_GROUPS,
    Estimate,
    compare,
    not_worse,
    seeds_needed,
    sign_flip,
    smallest_gap,
)


def drawn(seeds: int, groups: int, key: int = 0, spread: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Differences of −1, 0, 1 in groups of 2 to 5 videos, more often 1 in some seeds and groups; and their groups."""
    draw = np.random.default_rng(key)
    codes = np.repeat(np.arange(groups), draw.integers(2, 6, groups))
    better = 0.4 + spread * draw.normal(size=(seeds, 1)) + 0.2 * draw.normal(size=groups)[codes]
    return (draw.random((seeds, len(codes))) < better).astype(float) - (draw.random((seeds, len(codes))) < 0.2), codes


def written_out(d: np.ndarray, codes: np.ndarray) -> tuple[float, float, float, np.ndarray]:
    """MS_S, MS_G, MS_E and z, by loops over indices."""
    k, n = d.shape
    groups = int(codes.max()) + 1
    centre = sum(d[s, v] for s in range(k) for v in range(n)) / (k * n)
    z = np.zeros((k, groups))
    for s in range(k):
        for v in range(n):
            z[s, codes[v]] += groups / n * (d[s, v] - centre)
    of_seed = [sum(z[s, g] for g in range(groups)) / groups for s in range(k)]
    of_group = [sum(z[s, g] for s in range(k)) / k for g in range(groups)]
    seeds = groups * sum(value**2 for value in of_seed) / (k - 1)
    own = k * sum(value**2 for value in of_group) / (groups - 1)
    rest = 0.0
    for s in range(k):
        for g in range(groups):
            rest += (z[s, g] - of_seed[s] - of_group[g]) ** 2 / ((k - 1) * (groups - 1))
    return seeds, own, rest, z


@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.0), (3, 0.2), (5, 0.02), (10, 0.1)])
def test_the_method_s_interval_as_written_out(seeds, spread):
    d, codes = drawn(seeds, 30, seeds, spread)
    ms_s, ms_g, ms_e, _ = written_out(d, codes)
    a, b, k, g = max(ms_s, ms_e), max(ms_g, ms_e), seeds, 30
    se = math.sqrt((a + b - ms_e) / (k * g))
    free = max(1, (a + b - ms_e) ** 2 / (a**2 / (k - 1) + b**2 / (g - 1) + ms_e**2 / ((k - 1) * (g - 1))))
    floor = math.sqrt(ms_s / (k * g))
    half = max(stats.t.ppf(0.975, free) * se, stats.t.ppf(0.975, k - 1) * floor)
    p = max(2 * stats.t.sf(abs(d.mean()) / se, free), 2 * stats.t.sf(abs(d.mean()) / floor, k - 1))
    found = compare(d, codes)
    assert (found.mean, found.videos, found.groups, found.why) == (pytest.approx(d.mean()), d.shape[1], 30, None)
    assert found.per_seed == pytest.approx(d.mean(axis=1))
    method = found.method
    assert (method.low, method.high) == pytest.approx((d.mean() - half, d.mean() + half))
    assert (method.p, method.se, method.freedom) == pytest.approx((p, se, free))


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_mean_squares_are_those_of_an_analysis_of_variance(seeds):
    d, codes = drawn(seeds, 24, 7)
    z = written_out(d, codes)[3]
    frame = pd.DataFrame([(s, g, z[s, g]) for s in range(seeds) for g in range(24)], columns=["s", "g", "z"])
    squares = sm.stats.anova_lm(ols("z ~ C(s) + C(g)", frame).fit())["mean_sq"]
    found = compare(d, codes).squares
    expected = squares["C(s)"], squares["C(g)"], squares["Residual"]
    assert (found.of_seeds, found.of_groups, found.rest) == pytest.approx(expected)


def test_the_networks_interval_is_the_cluster_robust_one():
    d, codes = drawn(3, 30, 1)
    over_seeds = d.mean(axis=0)
    fit = sm.OLS(over_seeds, np.ones(len(codes))).fit(
        cov_type="cluster", cov_kwds={"groups": codes, "df_correction": True}, use_t=True
    )
    found = compare(d, codes).networks
    assert found.se == pytest.approx(fit.bse[0])
    assert (found.low, found.high) == pytest.approx(tuple(fit.conf_int()[0]))


def test_videos_that_are_their_own_groups_give_the_paired_t_interval_and_mcnemar_s_test():
    d, _ = drawn(1, 30)
    found = compare(d, np.arange(d.shape[1]))
    ends = stats.ttest_1samp(d[0], 0).confidence_interval(0.95)
    assert (found.networks.low, found.networks.high) == pytest.approx((ends.low, ends.high))
    one, other = int((d > 0).sum()), int((d < 0).sum())
    assert found.networks.p == pytest.approx(stats.binomtest(one, one + other).pvalue, rel=1e-12)
    assert found.method is None and "one seed" in found.why


@pytest.mark.parametrize("key", range(8))
def test_the_sign_flip_is_all_patterns_counted(key):
    sums = np.random.default_rng(key).integers(-4, 6, 11).astype(float)
    observed = abs(sums.sum())
    patterns = [abs(np.dot(signs, sums)) >= observed for signs in itertools.product((1, -1), repeat=len(sums))]
    assert sign_flip(sums) == pytest.approx(np.mean(patterns), rel=1e-12)
    assert sign_flip(sums / 6) == pytest.approx(np.mean(patterns), rel=1e-12), "of a contrast with other weights"
    test = stats.permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(sums) == pytest.approx(test.pvalue, rel=1e-12)


def test_a_sign_flip_of_many_groups_keeps_small_p():
    assert sign_flip(np.ones(200)) == pytest.approx(2.0**-199)
    one, other = 900, 700
    values = np.array([1.0] * one + [-1.0] * other)
    assert sign_flip(values) == pytest.approx(stats.binomtest(one, one + other).pvalue, rel=1e-9)
    assert sign_flip(np.zeros(30)) == 1.0
    assert sign_flip(np.array([math.pi, 1.0])) is None


def test_p_of_sums_that_are_no_integers_is_t_s():
    d, codes = drawn(3, 30)
    found = compare(d * math.pi / 4, codes).networks
    assert found.p == pytest.approx(2 * stats.t.sf(abs(d.mean() * math.pi / 4) / found.se, 29))


def test_splits_are_strata():
    """d̄ is per seed the mean of splits; MS_G/(kG) the mean of the splits' own variances, over splits."""
    parts = [drawn(4, groups, key) for key, groups in enumerate((25, 40))]
    d = np.concatenate([part for part, _ in parts], axis=1)
    codes = np.concatenate([codes for _, codes in parts])  # both splits begin with group 0
    split = np.repeat([0, 1], [part.shape[1] for part, _ in parts])
    found = compare(d, codes, strata=split)
    per_seed = np.mean([part.mean(axis=1) for part, _ in parts], axis=0)
    assert found.per_seed == pytest.approx(per_seed) and found.mean == pytest.approx(per_seed.mean())
    assert found.groups == 65
    alone = [compare(*part) for part in parts]
    assert found.networks.se == pytest.approx(math.sqrt(sum(one.networks.se**2 for one in alone)) / 2)
    assert found.networks.freedom == 63
    squares, apart = found.squares, [one.squares for one in alone]
    assert squares.of_seeds / (4 * 65) == pytest.approx(per_seed.var(ddof=1) / 4)
    rest = sum(one.rest / (4 * one.groups) for one in apart) / 4
    # The parts' residuals are taken from their own z, whose scale is that of their own number of groups.
    assert squares.rest / (4 * 65) == pytest.approx(rest)


def test_one_split_is_no_split():
    d, codes = drawn(3, 30)
    assert compare(d, codes, strata=np.full(len(codes), 2)) == compare(d, codes)


def test_seeds_with_videos_of_their_own():
    d, codes = drawn(5, 30)
    found = compare(d, codes, own_videos=True)
    ends = stats.ttest_1samp(d.mean(axis=1), 0)
    interval = ends.confidence_interval(0.95)
    assert (found.method.low, found.method.high) == pytest.approx((interval.low, interval.high))
    assert (found.method.p, found.method.freedom) == pytest.approx((ends.pvalue, 4))
    each = [compare(row[None], codes).networks.se for row in d]
    assert found.networks.se == pytest.approx(math.sqrt(sum(se**2 for se in each)) / 5)
    assert found.groups == 150
    by_seed = [np.bincount(codes, weights=row) for row in d]
    assert found.networks.p == pytest.approx(sign_flip(np.concatenate(by_seed)))
    assert compare(d, np.stack([codes] * 5), own_videos=True) == found
    none = compare(d, None, own_videos=True)
    assert none.method == found.method and none.networks is None and "do not name" in none.why


def test_the_sign_is_the_first_s():
    d, codes = drawn(3, 30)
    one, other = compare(d, codes), compare(-d, codes)
    assert one.mean > 0 > other.mean
    for mine, theirs in ((one.method, other.method), (one.networks, other.networks)):
        assert (mine.low, mine.high, mine.p) == pytest.approx((-theirs.high, -theirs.low, theirs.p))


def test_two_seeds_have_no_interval_of_the_method():
    d, codes = drawn(2, 30)
    found = compare(d, codes)
    assert found.method is None and found.networks and "two seeds" in found.why
    assert found.per_seed == pytest.approx(d.mean(axis=1))


def test_too_few_groups_or_none_have_no_interval():
    d, codes = drawn(3, FEWEST_GROUPS - 1)
    found = compare(d, codes)
    assert found.method is found.networks is None and found.why.startswith("19 groups")
    found = compare(d, None)
    assert found.method is found.networks is found.groups is None and "do not name" in found.why
    d, codes = drawn(3, FEWEST_GROUPS)
    assert compare(d, codes).why is None
    found = compare(d, codes, strata=(codes == 0).astype(int))
    assert found.method is None and "split" in found.why


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_where_nothing_varies_there_is_no_interval(value):
    codes = np.repeat(np.arange(30), 3)
    for own in (False, True):
        found = compare(np.full((3, 90), value), codes, own_videos=own)
        assert (found.mean, found.method, found.networks) == (pytest.approx(value), None, None) and found.why


def test_what_varies_over_seeds_alone_or_over_groups_alone():
    codes = np.arange(30)
    seeds = np.repeat([[0.0], [1.0], [1.0], [0.0]], 30, axis=1)
    found = compare(seeds, codes)
    interval = stats.ttest_1samp(seeds[:, 0], 0).confidence_interval(0.95)
    assert found.method.low == pytest.approx(interval.low) and found.networks is None
    assert found.method.high == 1.0 < interval.high, "no limit beyond what can be"
    found = compare(np.repeat([[0.0, 1.0] * 15], 4, axis=0), codes)
    interval = stats.ttest_1samp([0.0, 1.0] * 15, 0).confidence_interval(0.95)
    assert (found.method.low, found.method.high) == pytest.approx((interval.low, interval.high))
    assert found.method.freedom == pytest.approx(29) and found.method.p > 0


def test_nothing_to_compare_is_an_error():
    with pytest.raises(UserError, match="nothing to compare"):
        compare(np.zeros((3, 0)), np.zeros(0, dtype=int))


@pytest.mark.parametrize(("low", "margin", "expected"), [(-0.005, 0.01, True), (-0.01, 0.01, False), (0.1, 0.0, True)])
def test_not_worse(low, margin, expected):
    assert not_worse(Estimate(low, 0.2, 0.5, 0.01, 4), margin) is expected


def test_the_smallest_gap_and_the_seeds_needed():
    d, codes = drawn(5, 60, 3, 0.04)
    found = compare(d, codes)
    free = found.method.freedom
    gap = (stats.t.ppf(0.975, free) + stats.t.ppf(0.8, free)) * found.method.se
    assert smallest_gap(found.method) == pytest.approx(gap)
    assert seeds_needed(found, gap * 1.0001) == 5
    ms_s, ms_g, ms_e, _ = written_out(d, codes)
    a, group_part = max(ms_s, ms_e), max(0, ms_g - ms_e) / 5

    def gap_of(k: int) -> float:
        b = group_part * k + ms_e
        total = a + b - ms_e
        free = total**2 / (a**2 / (k - 1) + b**2 / 59 + ms_e**2 / ((k - 1) * 59))
        return (stats.t.ppf(0.975, free) + stats.t.ppf(0.8, free)) * math.sqrt(total / (k * 60))

    for k in (3, 4, 8, 20):
        assert seeds_needed(found, gap_of(k) * 1.0001) == k
    least = (stats.t.ppf(0.975, 59) + stats.t.ppf(0.8, 59)) * math.sqrt(group_part / 60)
    assert seeds_needed(found, least) is None
    assert seeds_needed(found, least * 1.05) > 20
    with pytest.raises(UserError, match="seeds needed"):
        seeds_needed(compare(d[:1], codes), 0.01)


def test_the_seeds_needed_where_each_has_its_own_videos():
    d, codes = drawn(5, 30)
    found = compare(d, codes, own_videos=True)
    s = d.mean(axis=1).std(ddof=1)

    def gap_of(k: int) -> float:
        return (stats.t.ppf(0.975, k - 1) + stats.t.ppf(0.8, k - 1)) * s / math.sqrt(k)

    assert seeds_needed(found, gap_of(12) * 1.0001) == 12
