"""Paired differences over two crossed samples, the seeds and the groups of videos: two questions, two intervals.

*The method*: would other seeds and other videos give the same gain?  *These networks*: would these very networks keep
it on other videos?  All seeds answer the same videos, and the videos of one group (one person, one scene) are alike, so
neither the k seeds nor the N videos are independent answers. docs/statistics.md explains the formulas in words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.results.squares import FEWEST_GROUPS as FEWEST_GROUPS
from fusionlab.results.squares import Reals, Squares, group_codes, group_sums, mean_squares, mean_weights

CONFIDENCE = 0.95
POWER = 0.80
FEWEST_SEEDS = 3  # with two, no interval of the method is honest (one degree of freedom, ±12.7 standard errors)
_MOST_SEEDS = 10_000  # that `seeds_needed` looks at
_NOTHING = 1e-12  # a standard error that is rounding
_FINEST = 1000  # differences that are multiples of 1/m, m up to this, are scaled to integers for the sign-flip test


@dataclass(frozen=True)
class Estimate:
    """An interval of a mean difference, the p of "it is 0", its standard error and degrees of freedom."""

    low: float
    high: float
    p: float
    se: float
    freedom: float


@dataclass(frozen=True)
class Comparison:
    """A mean paired difference. `why` says, in words, why an interval is missing."""

    mean: float
    per_seed: tuple[float, ...]
    videos: int
    groups: int | None
    method: Estimate | None
    networks: Estimate | None
    why: str | None
    squares: Squares | None = None


def compare(
    d: Reals,
    groups: NDArray[np.integer[Any]] | None,
    *,
    strata: NDArray[np.integer[Any]] | None = None,
    own_videos: bool = False,
    bound: float = 1.0,
) -> Comparison:
    """The mean of d (seeds, videos), one's answer (1 right, 0 wrong) − the other's, and its two intervals.

        the method:      d̄ ± max(t_ν SE, t_{k−1} sqrt(MS_S / (kG))), p the larger of the two
        these networks:  d̄ ± t_{G−1} sqrt(MS_G / (kG)), p by the exact sign-flip of whole groups

    `groups` are codes (videos,), or (seeds, videos) where seeds have test videos of their own: then the method's
    interval is that of the seeds alone, t_{k−1} s / √k, which the videos' variance is a part of. `strata` are codes of
    splits: the mean is per seed the mean of splits, and groups are compared within their split. No limit of an interval
    lies beyond ± `bound`, which is 1 for shares.
    """
    d = np.atleast_2d(np.asarray(d, dtype=np.float64))
    k, n = d.shape
    if not k or not n:
        raise UserError("there is nothing to compare", got=f"{k} seeds, {n} videos")
    codes = np.zeros(n, dtype=np.intp) if strata is None else np.unique(strata, return_inverse=True)[1]
    per_seed = mean_weights(codes) @ d.T
    centre = float(per_seed.mean())
    if own_videos and k > 1:  # each seed is a stratum of its own, of one network
        by_seed = np.repeat(np.arange(k), n) * (codes.max() + 1) + np.tile(codes, k)
        rows, flat = d.reshape(1, -1), by_seed
        within = None if groups is None else group_codes(by_seed, np.broadcast_to(groups, d.shape).reshape(-1))
    else:
        rows, flat, within = d, codes, None if groups is None else group_codes(codes, np.asarray(groups))
    squares, why = None, None
    if within is None:
        why = "the predictions do not name the groups of their videos"
    else:
        squares, why = mean_squares(rows, within, flat)
    networks = None if squares is None else _networks(rows, within, squares, centre, bound)
    if squares is not None and networks is None:
        why = "all groups of videos have the same difference, so nothing shows how they vary"
    method = None
    if k < FEWEST_SEEDS:
        few = "one seed says" if k == 1 else "two seeds say"
        why = why or f"{few} too little about how seeds vary"
    elif own_videos:
        squares = Squares(float(per_seed.var(ddof=1)), 0.0, 0.0, k, 1, 1)  # each seed's mean is one group of its own
    if squares is not None and k >= FEWEST_SEEDS:
        method = _method(squares, centre, bound)
    if method is None and k >= FEWEST_SEEDS:
        why = why or "all seeds have the same difference, so nothing shows how they vary"
    found = None if within is None else int(within.max()) + 1
    return Comparison(centre, tuple(map(float, per_seed)), n, found, method, networks, why, squares)


def sign_flip(sums: Reals) -> float | None:
    """p = the share of sign patterns of whole groups under which |Σ ± D_g| is at least as large as it was. Exact.

    Of the sums of |D_g| that are flipped, those up to (Σ|D_g| − |Σ D_g|)/2 are half of the patterns that count, so the
    convolution ends there. None if the sums are no multiples of 1/m, m = 1 … 1000.
    """
    fractions = (Fraction(value).limit_denominator(_FINEST) for value in np.unique(np.abs(sums)).tolist())
    m = math.lcm(*(fraction.denominator for fraction in fractions))
    whole = np.rint(sums * m)
    if m > _FINEST or np.abs(sums * m - whole).max() > 1e-6:
        return None
    total = int(abs(whole.sum()))
    if not total:
        return 1.0
    sizes = np.abs(whole[whole != 0]).astype(np.intp)
    last = (int(sizes.sum()) - total) // 2
    share = np.zeros(last + 1)
    share[0] = 1.0
    for size in np.sort(sizes):
        share /= 2
        if size <= last:
            share[size:] += share[: last + 1 - size].copy()
    return min(1.0, 2 * float(share.sum()))


def not_worse(estimate: Estimate, margin: float) -> bool:
    """Whether the lower end lies above −margin: "without loss", as far as the margin says."""
    return estimate.low > -abs(margin)


def smallest_gap(estimate: Estimate) -> float:
    """(t_ν,.975 + t_ν,.80) SE: the smallest true gap that these seeds and videos find in 80 % of cases."""
    return float(_reach(np.array([estimate.freedom]))[0]) * estimate.se


def seeds_needed(comparison: Comparison, margin: float) -> int | None:
    """The smallest number of seeds, three or more, that finds a gap of `margin`; None where no number suffices.

    The videos stay as they are, so more seeds make only the seeds' part of SE² smaller.
    """
    if comparison.squares is None or len(comparison.per_seed) == 1:
        raise UserError("without two seeds and groups of videos the seeds needed are not known", got=comparison.why)
    seeds = np.arange(FEWEST_SEEDS, _MOST_SEEDS + 1)
    found = np.array([comparison.squares.variance(int(k)) for k in seeds])
    enough = np.flatnonzero(_reach(found[:, 1]) * np.sqrt(found[:, 0]) <= margin)
    return int(seeds[enough[0]]) if len(enough) else None


def t_quantile(probability: float, freedom: float | Reals) -> Any:
    """The quantile of Student's t."""
    from scipy.special import stdtrit  # imported late, so that commands start fast

    return stdtrit(freedom, probability)


def _reach(freedom: Reals) -> Reals:
    return np.asarray(t_quantile(0.5 + CONFIDENCE / 2, freedom) + t_quantile(POWER, freedom))


def _p(ratio: float, freedom: float) -> float:
    from scipy.special import stdtr

    return float(min(1.0, 2 * stdtr(freedom, -abs(ratio))))


def _method(squares: Squares, centre: float, bound: float) -> Estimate | None:
    squared, freedom = squares.variance()
    parts = ((squared, freedom), (squares.of_seeds / (squares.seeds * squares.groups), squares.seeds - 1.0))
    if squared <= _NOTHING**2:
        return None
    half = max(float(t_quantile(0.5 + CONFIDENCE / 2, free)) * value**0.5 for value, free in parts)
    p = max(_p(centre / value**0.5, free) for value, free in parts if value > 0)
    return Estimate(max(-bound, centre - half), min(bound, centre + half), p, squared**0.5, freedom)


def _networks(
    d: Reals, groups: NDArray[np.intp] | None, squares: Squares, centre: float, bound: float
) -> Estimate | None:
    squared = squares.of_groups / (squares.seeds * squares.groups)
    if squared <= _NOTHING**2 or groups is None:
        return None
    se = squared**0.5
    half = float(t_quantile(0.5 + CONFIDENCE / 2, squares.free)) * se
    p = sign_flip(group_sums(d.sum(axis=0, keepdims=True), groups)[0])
    p = _p(centre / se, squares.free) if p is None else p
    return Estimate(max(-bound, centre - half), min(bound, centre + half), p, se, float(squares.free))
