"""The statistics of a table: means, intervals, tests, and the gains of fusions over late fusion.

Two things vary: the seeds (another training) and the videos (another draw of the test list). All seeds see the *same*
videos, so k seeds on n videos are never n·k independent answers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionlab.errors import UserError
from fusionlab.results.accuracy import wilson as wilson
from fusionlab.results.load import TOGETHER, Entry

CONFIDENCE = 0.95
_MOST_FLIPPED = 16  # 2^16 sign patterns are enumerated; more seeds than that need no exact test
_OWN_AXES = ("fusion", "layer", "temporal", "streams")  # in these a fused arm and its late fusion may differ

NO_PREDICTIONS = "no predictions"  # how a reason begins that only a missing file gives


def mean(values: Sequence[float]) -> float:
    """m = Σ x / n"""
    return math.fsum(values) / len(values)


def sd(values: Sequence[float]) -> float | None:
    """s = sqrt(Σ (x − m)² / (n − 1)); None for one value."""
    if len(values) < 2:
        return None
    return math.sqrt(variance(values))


def variance(values: Sequence[float]) -> float:
    centre = mean(values)
    return math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)


@dataclass(frozen=True)
class Difference:
    """A difference of shares and its interval (None if nothing varied)."""

    mean: float
    low: float | None
    high: float | None
    per_seed: tuple[float, ...]
    videos: int


def paired(differences: Sequence[Sequence[float]], confidence: float = CONFIDENCE) -> Difference:
    """The mean of d[seed][video] = one's answer (1 right, 0 wrong) − the other's, with its interval.

        d̄ ± sqrt( t(V−1)² var_v(d̄_v) / V  +  t(S−1)² var_s(d̄_s) / S )

    The videos and the seeds are two crossed samples, and each part of the variance gets the t of its own degrees of
    freedom: two seeds that disagree make a wide interval, however many videos there are. What both parts share is
    answer_counts twice, so the interval is rather too wide than too narrow. With one seed it covers the videos only. If
    nothing varies there is no interval.
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
    """The mean of (one's share − the other's), a pair for each seed, if the single answers are not known.

        d̄ − sqrt((p₁ − l₁)² + (u₂ − p₂)² + s²) … d̄ + sqrt((u₁ − p₁)² + (p₂ − l₂)² + s²),   s² = t(S−1)² var_s(d̄_s) / S

    with Wilson's limits l … u of each mean share: Newcombe's interval for two independent samples (1998, method 10),
    widened by the variance of the seeds as in `paired`. In truth both answered the same videos. If they tend to be
    right on the same ones, as systems on the same streams do, the interval is too wide; it would be too narrow only
    if they tended to be right on different ones. `paired` is exact, but needs the single answers.
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


def student(probability: float, freedom: int) -> float:
    """The quantile of Student's t with `freedom` degrees of freedom."""
    from scipy.special import stdtrit  # only a table needs it: imported late, so that commands start fast

    return float(stdtrit(freedom, probability))


def smallest_p(seeds: int) -> float:
    """A two-sided sign-flip test over k paired seeds cannot go below 2 / 2^k, whatever the numbers."""
    return 2.0 / 2**seeds if seeds else 1.0


def sign_flip(per_seed: Sequence[float]) -> float | None:
    """p = share of the 2^k sign patterns under which |Σ ± d_s| is at least as large as it was.

    None for fewer than six seeds: the test cannot reach 5 % then.
    """
    seeds = len(per_seed)
    if smallest_p(seeds) > 1 - CONFIDENCE or seeds > _MOST_FLIPPED:
        return None
    observed = abs(math.fsum(per_seed))
    patterns = itertools.product((1, -1), repeat=seeds)
    as_large = sum(
        abs(math.fsum(sign * value for sign, value in zip(signs, per_seed, strict=True))) >= observed * (1 - 1e-12)
        for signs in patterns
    )
    return as_large / 2**seeds


def gains(done: Sequence[Entry], late: Sequence[Entry]) -> tuple[dict[str, Difference], str | None]:
    """The gains of arms over late fusion, per kind of question and together; or {} and the reason.

    Each arm is compared with late fusion of the same seed, the same frozen streams and the same videos.
    """
    partners = [partner(entry, late) for entry in done]
    pairs = [(entry, other) for entry, other in zip(done, partners, strict=True) if other is not None]
    if not pairs:
        return {}, "there is no late fusion of the same seed and the same streams to compare with"
    try:
        return differences(pairs), None
    except UserError as error:
        return {}, f"{error.what} ({error.got})"


def partner(entry: Entry, late: Sequence[Entry]) -> Entry | None:
    """The late fusion with the same seed and stage one, and with equal values on the other axes that both have."""
    for other in late:
        same_streams = other.record["stage_one"] == entry.record["stage_one"]
        shared = (set(entry.place) & set(other.place)) - set(_OWN_AXES)
        alike = all(entry.axes[axis] == other.axes[axis] for axis in shared)
        if same_streams and alike and entry.seed == other.seed:
            return other
    return None


def differences(pairs: Sequence[tuple[Entry, Entry]]) -> dict[str, Difference]:
    """d[seed][video] = (first right on video) − (second right on video), a pair for each seed."""
    first, _ = pairs[0]
    tested = first.answers.of
    for entry in itertools.chain.from_iterable(pairs):
        if not entry.answers.of.same_videos(tested):
            raise UserError("the test videos or labels differ, so no pairs", got=f"{entry.name} and {first.name}")
    d = np.array([one.answers.right.astype(float) - other.answers.right for one, other in pairs])
    kinds = np.array([kind or "" for kind in tested.kinds])
    chosen = {TOGETHER: d, **{kind: d[:, kinds == kind] for kind in dict.fromkeys(filter(None, tested.kinds))}}
    return {kind: paired(columns.tolist()) for kind, columns in chosen.items()}
