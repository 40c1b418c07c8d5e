"""Two things run in turns: the ratio of their times, and an interval that no noise can narrow."""

from __future__ import annotations

import random
from math import comb

import pytest
from scipy import stats

from fusionlab.benchmarks import side_by_side as bench
from fusionlab.benchmarks.side_by_side import interval, side_by_side


class Clock:
    """A clock that goes on only where something says that it took time."""

    def __init__(self) -> None:
        self.now, self.log, self.slow = 0.0, "", 1.0

    def perf_counter(self) -> float:
        return self.now

    def takes(self, name: str, seconds: float) -> None:
        self.now += self.slow * seconds
        self.log += name


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(bench, "time", made)
    return made


def test_in_turns_and_the_ratio_of_each_pair(clock: Clock) -> None:
    found = side_by_side(lambda: clock.takes("A", 3.0), lambda: clock.takes("B", 2.0), seconds=60)
    assert clock.log == "AB" * 3 + "ABBA" * 6
    assert (found.median, found.interval, found.pairs) == (1.5, (1.5, 1.5), 12)


def test_a_machine_that_grows_slower_does_not_lean_to_one_side(clock: Clock) -> None:
    def run(name: str) -> None:
        clock.takes(name, 1.0)
        clock.slow *= 1.01

    found = side_by_side(lambda: run("A"), lambda: run("B"), seconds=1000)
    assert found.interval[0] < 1 < found.interval[1]
    assert found.median == pytest.approx(1, abs=0.011)


def test_the_first_runs_are_not_timed(clock: Clock) -> None:
    times = iter([100.0, 50.0])
    found = side_by_side(lambda: clock.takes("A", next(times, 1.0)), lambda: clock.takes("B", 1.0), seconds=40)
    assert (found.median, found.pairs) == (1.0, 20)


def test_never_too_few_pairs_and_never_for_ever(clock: Clock) -> None:
    assert side_by_side(lambda: clock.takes("A", 9.0), lambda: clock.takes("B", 9.0), seconds=1).pairs == 11
    few = side_by_side(lambda: clock.takes("A", 9.0), lambda: clock.takes("B", 9.0), seconds=1, untimed=1, least=6)
    assert few.pairs == 6
    assert side_by_side(lambda: clock.takes("A", 0.1), lambda: clock.takes("B", 0.1), seconds=99).pairs == 101


@pytest.mark.parametrize("n", range(6, 102))
def test_the_narrowest_interval_that_holds_the_median_with_95_percent(n: int) -> None:
    low, high = interval(range(1, n + 1))
    assert low + high == n + 1, "as far from one end as from the other"
    outside = 2 * stats.binom.cdf(low - 1, n, 0.5)  # fewer than `low` of n below the median, or above it
    assert outside <= 0.05 < 2 * stats.binom.cdf(low, n, 0.5)


def test_the_order_of_the_values_says_nothing() -> None:
    values = [random.Random(0).lognormvariate(0, 1) for _ in range(25)]
    assert interval(values) == interval(sorted(values)) == (sorted(values)[7], sorted(values)[17])


def test_it_holds_the_median_as_often_as_it_says() -> None:
    """Whatever the spread: here one with a tail on one side, whose mean is far from its median."""
    draw = random.Random(0)
    held = 0
    for _ in range(2000):
        low, high = interval([draw.lognormvariate(0, 2) for _ in range(15)])
        held += low <= 1 <= high
    promised = 1 - 2 * sum(comb(15, i) for i in range(4)) / 2**15
    assert held / 2000 == pytest.approx(promised, abs=0.012)


def test_too_few_for_an_interval() -> None:
    with pytest.raises(AssertionError, match="too few"):
        interval([1.0] * 5)
