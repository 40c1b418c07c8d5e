"""Each number against another library's, or against loops over indices."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from scipy import stats

from fusionlab.results.statistics import mean, paired, sd, sign_flip, smallest_p, student, unpaired, wilson


@pytest.mark.parametrize("right, total", [(0, 10), (1, 3), (7, 10), (402, 448), (448, 448), (1, 100_000)])
def test_wilson_is_scipys(right, total):
    expected = stats.binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert wilson(right / total, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_mean_and_sd_are_numpys():
    values = [0.8596, 0.8520, 0.8353]
    assert mean(values) == pytest.approx(np.mean(values), abs=1e-15)
    assert sd(values) == pytest.approx(np.std(values, ddof=1), abs=1e-15)


def test_one_value_has_no_sd():
    assert sd([0.5]) is None


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 9, 61, 62, 447, 3782, 19_000])
@pytest.mark.parametrize("probability", [0.5, 0.6, 0.975, 0.995, 0.9999])
def test_student_is_scipys(probability, freedom):
    assert student(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-6, abs=1e-9)


def test_one_seed_is_the_paired_t_interval_over_videos():
    draw = random.Random(3)
    differences = [draw.choice([-1.0, 0.0, 0.0, 1.0, 1.0]) for _ in range(50)]
    result = paired([differences])
    test = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (result.mean, result.low, result.high) == pytest.approx(
        (np.mean(differences), test.low, test.high), abs=1e-6
    )


def test_three_seeds_as_written_in_loops():
    draw = random.Random(4)
    seeds, videos = 3, 40
    d = [[draw.choice([-1.0, 0.0, 1.0, 1.0]) + 0.1 * s for _ in range(videos)] for s in range(seeds)]
    total = 0.0
    for s in range(seeds):
        for v in range(videos):
            total += d[s][v]
    centre = total / (seeds * videos)
    var_v = var_s = 0.0
    for v in range(videos):
        var_v += (sum(d[s][v] for s in range(seeds)) / seeds - centre) ** 2 / (videos - 1)
    for s in range(seeds):
        var_s += (sum(d[s][v] for v in range(videos)) / videos - centre) ** 2 / (seeds - 1)
    a, b = var_v / videos, var_s / seeds
    half = math.sqrt(stats.t.ppf(0.975, videos - 1) ** 2 * a + stats.t.ppf(0.975, seeds - 1) ** 2 * b)
    result = paired(d)
    assert (result.mean, result.low, result.high) == pytest.approx((centre, centre - half, centre + half), abs=1e-6)


def test_the_sign_is_the_firsts():
    assert paired([[1.0, 1.0, 0.0]]).mean > 0
    assert paired([[-1.0, -1.0, 0.0]]).mean < 0


def test_nothing_that_varies_has_no_interval():
    result = paired([[0.0] * 10, [0.0] * 10])
    assert (result.mean, result.low, result.high) == (0.0, None, None)


def test_a_share_and_a_difference_of_shares_have_no_limits_beyond_what_can_be():
    for videos in range(1, 500):
        assert (wilson(0.0, videos)[0], wilson(1.0, videos)[1]) == pytest.approx((0.0, 1.0))
        assert all(0 <= limit <= 1 for share in (0.0, 1.0) for limit in wilson(share, videos))
    most, least = paired([[1.0] * 9 + [0.0]]), paired([[-1.0] * 9 + [0.0]])
    assert (most.high, least.low) == (1.0, -1.0) and most.low == -least.high > 0.5
    loose = unpaired([(1.0, 0.0)], (5, 5))
    assert loose.high == 1.0 and loose.low > 0


def test_the_interval_covers_as_often_as_it_says():
    """Crossed draws of two seeds and 60 videos: it may err on the wide side, never much on the narrow."""
    draw = np.random.default_rng(5)
    hits, rounds = 0, 300
    for _ in range(rounds):
        seed = draw.normal(0, 0.1, size=(2, 1))
        video = draw.normal(0, 0.4, size=(1, 60))
        result = paired((0.2 + seed + video + draw.normal(0, 0.3, size=(2, 60))).tolist())
        assert result.low is not None
        hits += result.low <= 0.2 <= result.high
    assert hits / rounds >= 0.95


def test_unpaired_is_newcombe_s():
    """The table of his paper of 1998 (method 10): 56/70 − 48/80, and 9/10 − 3/10."""
    result = unpaired([(56 / 70, 48 / 80)], (70, 80))
    assert (result.mean, result.low, result.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    result = unpaired([(0.9, 0.3)], (10, 10))
    assert (result.mean, result.low, result.high) == pytest.approx((0.6, 0.1705, 0.8090), abs=5e-5)


def test_unpaired_over_seeds_as_written_out():
    shares, videos = [(0.99, 0.52), (0.98, 0.5), (0.95, 0.54)], (768, 768)
    d = [one - other for one, other in shares]
    seeds = stats.t.ppf(0.975, 2) ** 2 * np.var(d, ddof=1) / 3
    (p, q), ((l1, u1), (l2, u2)) = np.mean(shares, axis=0), (wilson(m, 768) for m in np.mean(shares, axis=0))
    result = unpaired(shares, videos)
    low = np.mean(d) - math.sqrt((p - l1) ** 2 + (u2 - q) ** 2 + seeds)
    high = np.mean(d) + math.sqrt((u1 - p) ** 2 + (q - l2) ** 2 + seeds)
    assert (result.mean, result.low, result.high) == pytest.approx((np.mean(d), low, high), abs=1e-6)
    assert result.per_seed == pytest.approx(d) and result.videos == 768


def test_unpaired_is_wider_than_paired_where_both_are_right_on_the_same_videos():
    one, other = [1.0] * 80 + [0.0] * 20, [1.0] * 60 + [0.0] * 40
    held = paired([[a - b for a, b in zip(one, other, strict=True)]])
    loose = unpaired([(0.8, 0.6)], (100, 100))
    assert loose.mean == pytest.approx(held.mean)
    assert loose.low < held.low and held.high < loose.high


def test_few_seeds_get_no_p():
    for seeds in range(1, 6):
        assert smallest_p(seeds) == 2 / 2**seeds
        assert sign_flip([0.1] * seeds) is None


@pytest.mark.parametrize("seed", range(3))
def test_sign_flip_is_scipys_exact_test(seed):
    draw = random.Random(seed)
    values = [draw.gauss(0.05, 0.1) for _ in range(7)]
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert sign_flip(values) == pytest.approx(expected.pvalue, abs=1e-12)


def test_sign_flip_reaches_its_floor_and_not_below():
    values = [0.1, 0.2, 0.3, 0.15, 0.05, 0.4]
    assert sign_flip(values) == smallest_p(6) == 2 / 64
    for signs in itertools.product((1, -1), repeat=6):
        result = sign_flip([sign * value for sign, value in zip(signs, values, strict=True)])
        assert result is not None
        assert result >= 2 / 64
