"""The mean and the spread over seeds. Intervals and tests of differences are in crossed.py."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean(values: Sequence[float]) -> float:
    """m = Σ x / n"""
    return math.fsum(values) / len(values)


def sd(values: Sequence[float]) -> float | None:
    """s = sqrt(Σ (x − m)² / (n − 1)); None for one value."""
    if len(values) < 2:
        return None
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))
