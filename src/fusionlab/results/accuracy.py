"""The interval of a single accuracy: Wilson's, with as many videos as the groups of videos are worth.

Of a mean over seeds only the test list varies here: all seeds answer the same videos.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionlab.results.crossed import CONFIDENCE, t_quantile
from fusionlab.results.squares import Reals, group_variance

Codes = NDArray[np.integer[Any]]


def wilson(share: float, videos: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval: (p + z²/2n ± z sqrt(p(1−p)/n + z²/4n²)) / (1 + z²/n)

    `share` may be the mean over seeds; `videos` is still the number of videos, since all seeds see the same ones, or
    `effective_videos` where they come in groups.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    n = float(videos)
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return max(0.0, low), min(1.0, high)


def effective_videos(right: Reals, groups: Codes, *, strata: Codes | None = None, design: float | None = None) -> float:
    """n* = min(N, p(1−p)/V (z / t_{G−1})²),   V = G/(G−1) Σ_g (Σ_{v∈g} (x̄_v − p))² / N²

    `right` is (seeds, videos) or (videos,), 1 where the answer was right; x̄_v is the mean over seeds. Where p is 0 or 1
    there is no V: n* = N / `design`, the `design_effect` of the column's other rows, or G without one. With splits
    (`strata`) p and V are those of their mean.
    """
    ratio, variance, count, videos = _parts(right, groups, strata)
    if ratio <= 0:
        return videos / max(1.0, design) if design is not None else float(count)
    return min(float(videos), ratio / variance * _narrowing(count)) if variance > 0 else float(videos)


def design_effect(rows: Iterable[Reals], groups: Codes, *, strata: Codes | None = None) -> float | None:
    """N Σ V / Σ p(1−p) (t_{G−1} / z)² over the rows of a column, at least 1; None if each row has p of 0 or 1."""
    parts = [_parts(right, groups, strata) for right in rows]
    below = sum(ratio for ratio, *_ in parts)
    if below <= 0:
        return None
    _, _, count, videos = parts[0]
    return max(1.0, videos * sum(variance for _, variance, *_ in parts) / below / _narrowing(count))


def _parts(right: Reals, groups: Codes, strata: Codes | None) -> tuple[float, float, int, int]:
    """p(1−p), V, the free groups + 1, N."""
    share = np.atleast_2d(np.asarray(right, dtype=np.float64)).mean(axis=0)
    mean, variance, free = group_variance(share, groups, strata)
    alike = share.min() == share.max() and share[0] in (0, 1)  # p itself may be 1 − 1e-16
    return 0.0 if alike else mean * (1 - mean), variance, free + 1, len(share)


def _narrowing(groups: int) -> float:
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    return (z / float(t_quantile(0.5 + CONFIDENCE / 2, groups - 1))) ** 2
