"""The statistics of a table: few, exact, and none that the data cannot carry.

Two things vary: the seeds (another training) and the videos (another draw of the test list). The seeds see
the *same* videos, so k seeds on n videos are never n·k independent answers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

CONFIDENCE = 0.95
_MOST_FLIPPED = 16  # 2^16 sign patterns are listed one by one; more seeds than that need no exact test


def mean(values: Sequence[float]) -> float:
    """m = Σ x / n"""
    return math.fsum(values) / len(values)


def sd(values: Sequence[float]) -> float | None:
    """s = sqrt(Σ (x − m)² / (n − 1)); one value has no spread, and none is invented."""
    if len(values) < 2:
        return None
    return math.sqrt(variance(values))


def variance(values: Sequence[float]) -> float:
    centre = mean(values)
    return math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)


def wilson(share: float, videos: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval: (p + z²/2n ± z sqrt(p(1−p)/n + z²/4n²)) / (1 + z²/n)

    `share` may be the mean over seeds; `videos` is still the number of videos, since the seeds see the same
    ones.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    n = float(videos)
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return max(0.0, low), min(1.0, high)


@dataclass(frozen=True)
class Difference:
    """A difference of shares, its interval (None where nothing varied), and what it rests on."""

    mean: float
    low: float | None
    high: float | None
    per_seed: tuple[float, ...]
    videos: int


def paired(differences: Sequence[Sequence[float]], confidence: float = CONFIDENCE) -> Difference:
    """The mean of d[seed][video] = one's answer (1 right, 0 wrong) − the other's, with its interval.

        d̄ ± sqrt( t(V−1)² var_v(d̄_v) / V  +  t(S−1)² var_s(d̄_s) / S )

    The videos and the seeds are two crossed samples, and each part of the variance gets the t of its own
    degrees of freedom: two seeds that disagree make a wide interval, because two seeds say little, and many
    videos do not hide it. What both parts hold in common is counted twice, so the interval errs on the wide
    side. With one seed it speaks of the videos only. Where nothing varies there is no interval.
    """
    videos = len(differences[0])
    assert all(len(row) == videos for row in differences), "each seed has the same videos"
    per_seed = tuple(mean(row) for row in differences)
    centre = mean(per_seed)
    squared = 0.0
    for means in ([mean(column) for column in zip(*differences, strict=True)], per_seed):
        if len(means) > 1:
            t = student(0.5 + confidence / 2, len(means) - 1)
            squared += t**2 * variance(means) / len(means)
    if squared <= 0:
        return Difference(centre, None, None, per_seed, videos)
    half = math.sqrt(squared)
    return Difference(centre, max(-1.0, centre - half), min(1.0, centre + half), per_seed, videos)


def unpaired(
    shares: Sequence[tuple[float, float]], videos: tuple[int, int], confidence: float = CONFIDENCE
) -> Difference:
    """The mean of (one's share − the other's), a pair a seed, where only shares are known and no single answers.

        d̄ − sqrt((p₁ − l₁)² + (u₂ − p₂)² + s²) … d̄ + sqrt((u₁ − p₁)² + (p₂ − l₂)² + s²),   s² = t(S−1)² var_s(d̄_s) / S

    with Wilson's limits l … u of either mean share: Newcombe's interval for two independent samples (1998, method 10),
    and to it what the seeds vary by, as in `paired`. The two answered the same videos. Where they tend to be right on
    the same ones, as systems on the same streams do, it is wider than it need be; only where they tend to be right on
    different ones would it be too narrow. Single answers tell which, and `paired` needs them.
    """
    per_seed = tuple(one - other for one, other in shares)
    centre, seeds = mean(per_seed), 0.0
    if len(per_seed) > 1:
        seeds = student(0.5 + confidence / 2, len(per_seed) - 1) ** 2 * variance(per_seed) / len(per_seed)
    first, second = (mean(column) for column in zip(*shares, strict=True))
    (low, high), (least, most) = (wilson(p, n, confidence) for p, n in zip((first, second), videos, strict=True))
    below = math.sqrt((first - low) ** 2 + (most - second) ** 2 + seeds)
    above = math.sqrt((high - first) ** 2 + (second - least) ** 2 + seeds)
    return Difference(centre, max(-1.0, centre - below), min(1.0, centre + above), per_seed, min(videos))


@cache
def student(probability: float, freedom: int) -> float:
    """The quantile of Student's t at `probability` ≥ ½ for df = 1, 2 …

    With t = √df tan θ the density is proportional to cos^(df−1) θ on (−π/2, π/2): smooth and bounded, so
    Simpson's rule integrates it and bisection inverts it.
    """
    assert 0.5 <= probability < 1, "the upper half only"
    # All of it: ∫ cos^(df−1) = B(1/2, df/2)
    whole = math.exp(math.lgamma(0.5) + math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2))
    wanted = (probability - 0.5) * whole
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _under_cosine(middle, freedom - 1) < wanted else (low, middle)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _under_cosine(angle: float, power: int, steps: int = 512) -> float:
    """∫_0^angle cos^power by Simpson's rule; of a high power all lies within 12/√power of 0."""
    end = min(angle, 12 / math.sqrt(power)) if power > 60 else angle
    width = end / steps
    inner = math.fsum((4 if k % 2 else 2) * math.cos(k * width) ** power for k in range(1, steps))
    return width / 3 * (1 + inner + max(0.0, math.cos(end)) ** power)


def smallest_p(seeds: int) -> float:
    """A two-sided sign-flip test over k paired seeds cannot go below 2 / 2^k, whatever the numbers."""
    return 2.0 / 2**seeds if seeds else 1.0


def sign_flip(per_seed: Sequence[float]) -> float | None:
    """p = share of the 2^k sign patterns under which |Σ ± d_s| is at least as large as it was.

    None where the test could not reach 5 % at all (fewer than six seeds): such a p says nothing and is not
    printed.
    """
    seeds = len(per_seed)
    if smallest_p(seeds) > 1 - CONFIDENCE or seeds > _MOST_FLIPPED:
        return None
    seen = abs(math.fsum(per_seed))
    patterns = itertools.product((1, -1), repeat=seeds)
    as_large = sum(
        abs(math.fsum(sign * value for sign, value in zip(signs, per_seed, strict=True))) >= seen * (1 - 1e-12)
        for signs in patterns
    )
    return as_large / 2**seeds
