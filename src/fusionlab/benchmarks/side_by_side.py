"""The ratio of the times of two actions, measured so that other work on the machine matters little.

Two passes of the same work can differ by 40 % on a shared machine, for minutes at a time. So both are run in turns,
A B B A A B …, each pair gives a ratio, and the result is the median of the ratios, with an interval that assumes
nothing about their distribution.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb

Action = Callable[[], object]
PAIRS = (11, 101)  # at least, so that the interval leaves out the outermost pair on both sides; at most


@dataclass(frozen=True)
class Ratio:
    median: float
    interval: tuple[float, float]
    pairs: int


def side_by_side(
    one: Action,
    other: Action,
    seconds: float,
    *,
    untimed: int = 3,
    least: int = PAIRS[0],
    clock: Callable[[], float] | None = None,
) -> Ratio:
    """The time of `one` relative to that of `other`. `clock`: another one than the wall's. `least`: pairs, from 6 on.

    Both first run `untimed` times. The last of these rounds determines how many pairs fit into `seconds`, so that no
    measured ratio changes the number of pairs.
    """
    clock = clock or time.perf_counter
    for _ in range(untimed - 1):
        one(), other()
    pairs = min(max(least, int(seconds / (_clock(one, clock) + _clock(other, clock)))), PAIRS[1])
    ratios = []
    for pair in range(pairs):
        if pair % 2 == 0:
            first = _clock(one, clock)
            ratios.append(first / _clock(other, clock))
        else:
            first = _clock(other, clock)
            ratios.append(_clock(one, clock) / first)
    return Ratio(statistics.median(ratios), interval(ratios), pairs)


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """A confidence interval of the median: from the k-th smallest to the k-th largest value.

    k is the largest number with

        2 · P(fewer than k of n values lie below the median) = 2 · Σ_{i<k} C(n, i) / 2ⁿ ≤ 1 − confidence
    """
    n, k, outside = len(values), 0, 0.0
    while 2 * (outside + comb(n, k) / 2**n) <= 1 - confidence:
        outside += comb(n, k) / 2**n
        k += 1
    assert k > 0, f"{n} values are too few for an interval"
    ordered = sorted(values)
    return ordered[k - 1], ordered[n - k]


def _clock(action: Action, clock: Callable[[], float]) -> float:
    begun = clock()
    action()
    return clock() - begun
