"""Packing against brute force: every way to divide a few arms."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from fusionlab.planning.packing import NEAR, SHARE, balanced, pack, wall_time
from fusionlab.study.plan import Arm


@dataclass(frozen=True)
class Case:
    """Cohorts of arms that have a weight and a memory each; above a trunk that has both too."""

    cohorts: list[list[Arm]]
    weights: dict[str, float]
    sizes: dict[str, int]
    trunk_s: float
    trunk_bytes: int

    def memory(self, arms: Sequence[Arm]) -> int:
        return self.trunk_bytes + sum(self.sizes[arm.name] for arm in arms)

    def weight(self, arm: Arm) -> float:
        return self.weights[arm.name]

    def seconds(self, arms: Sequence[Arm]) -> float:
        return self.trunk_s + sum(map(self.weight, arms))

    def pack(self, workers: int, bound: int | None = None) -> list[list[list[Arm]]]:
        return pack(
            self.cohorts, workers=workers, bound=bound, memory=self.memory, weight=self.weight, seconds=self.seconds,
        )  # fmt: skip

    def wall(self, packed: Sequence[Sequence[Sequence[Arm]]], workers: int) -> float:
        return wall_time([self.seconds(piece) for pieces in packed for piece in pieces], workers)


def made(weights: Sequence[Sequence[float]], trunk_s: float = 0.0, sizes: Any = None, trunk_bytes: int = 0) -> Case:
    cohorts = [[arm(f"{c}.{a}") for a in range(len(own))] for c, own in enumerate(weights)]
    by_name = {f"{c}.{a}": one for c, own in enumerate(weights) for a, one in enumerate(own)}
    return Case(cohorts, by_name, sizes or dict.fromkeys(by_name, 1), trunk_s, trunk_bytes)


def arm(name: str) -> Arm:
    return Arm(name, "fused", {}, "0" * 16, {}, "cohort")


def drawn(rng: random.Random, cohorts: int, arms: int) -> Case:
    weights = [[rng.choice([0.0, 1.0, 5.0, rng.uniform(0, 300)]) for _ in range(rng.randint(1, arms))]
               for _ in range(rng.randint(1, cohorts))]  # fmt: skip
    case = made(weights, rng.choice([0.0, 3.0, rng.uniform(0, 500)]))
    sizes = {name: rng.randint(1, 50) for name in case.weights}
    return Case(case.cohorts, case.weights, sizes, case.trunk_s, rng.randint(0, 60))


def partitions(arms: Sequence[Arm]) -> Iterator[list[list[Arm]]]:
    """Every way to divide some arms into pieces."""
    if not arms:
        yield []
        return
    first, *rest = arms
    for partition in partitions(rest):
        yield [[first], *partition]
        for place in range(len(partition)):
            yield [*partition[:place], [first, *partition[place]], *partition[place + 1 :]]


CASES = [(seed, workers) for seed in range(150) for workers in (1, 2, 3, 5)]


def each_case(cohorts: int, arms: int) -> Iterator[tuple[Case, int, random.Random]]:
    for seed, workers in CASES:
        rng = random.Random(seed)
        yield drawn(rng, cohorts, arms), workers, rng


def test_each_arm_is_in_one_piece_and_the_pieces_keep_the_order() -> None:
    for case, workers, rng in each_case(5, 7):
        packed = case.pack(workers, rng.choice([None, rng.randint(1, 300)]))
        for arms, pieces in zip(case.cohorts, packed, strict=True):
            assert sorted((one for piece in pieces for one in piece), key=arms.index) == arms
            assert all(piece and piece == sorted(piece, key=arms.index) for piece in pieces)


def test_a_piece_fits_into_the_bound_or_is_one_arm_that_does_not_or_the_whole_cohort() -> None:
    whole = apart = 0
    for case, workers, rng in each_case(4, 7):
        bound = rng.randint(1, 300)
        for arms, pieces in zip(case.cohorts, case.pack(workers, bound), strict=True):
            over = [one for one in arms if case.memory([one]) > bound]
            too_large = [piece for piece in pieces if case.memory(piece) > bound]
            if pieces == [arms] and too_large and len(arms) > 1:
                assert over
                whole += 1
            else:
                assert sorted(too_large, key=lambda piece: arms.index(piece[0])) == [[one] for one in over]
                apart += len(over) > 0
    assert whole > 20 and apart > 20


def test_a_cohort_that_no_division_makes_fit_takes_no_more_memory_at_a_time_than_whole() -> None:
    """And no longer than whole where it takes as much. At a time: the `workers` largest jobs."""
    for case, workers, rng in each_case(1, 7):
        arms, bound = case.cohorts[0], rng.randint(1, 120)
        if all(case.memory([one]) <= bound for one in arms):
            continue
        (pieces,) = case.pack(workers, bound)
        used = sum(sorted(map(case.memory, pieces), reverse=True)[:workers])
        if len(pieces) <= sum(case.memory([one]) > bound for one in arms) + 1:
            assert used <= case.memory(arms)
        if case.trunk_bytes > bound and workers > 1 and case.memory(arms) <= 2 * case.trunk_bytes:
            assert pieces == [arms], "each of two jobs would have the frozen towers in memory"


def test_a_cohort_that_fits_stays_whole_where_no_worker_would_be_idle() -> None:
    for case, workers, _ in each_case(5, 6):
        most = max(map(case.memory, case.cohorts))
        whole = Case(case.cohorts * workers, *list(vars(case).values())[1:])
        for bound in (None, most):
            assert whole.pack(workers, bound) == [[arms] for arms in whole.cohorts]
            assert case.pack(1, bound) == [[arms] for arms in case.cohorts]


def test_equal_arms_need_no_more_pieces_than_any_other_division_within_the_bound() -> None:
    """With one worker memory alone divides."""
    for count in range(1, 8):
        for bound in range(1, 12):
            case = made([[1.0] * count], trunk_bytes=2)
            (pieces,) = case.pack(1, bound)
            fit = [len(one) for one in partitions(case.cohorts[0]) if all(case.memory(p) <= bound for p in one)]
            assert len(pieces) == min(fit, default=count)


def test_one_cohort_takes_hardly_longer_than_in_the_best_of_all_divisions() -> None:
    """4/3: the worst ratio of the heaviest-first rule. `NEAR` and `SHARE`: what is not worth a further piece."""
    divided = 0
    for case, workers, _ in each_case(1, 6):
        packed, whole = case.pack(workers), case.seconds(case.cohorts[0])
        best = min(case.wall([one], workers) for one in partitions(case.cohorts[0]) if len(one) <= workers)
        assert case.wall(packed, workers) <= 4 / 3 * best + max(NEAR, SHARE * whole)
        divided += len(packed[0]) > 1
        if len(packed[0]) > 1:
            assert case.wall(packed, workers) < whole - max(NEAR, SHARE * whole) + 1e-9
    assert divided > 50


def test_the_heaviest_piece_is_near_the_lightest_possible() -> None:
    """Heaviest first is within 4/3 − 1/(3 m) of the best of all divisions into m pieces (Graham, 1969)."""
    for seed in range(60):
        rng = random.Random(seed)
        case = made([[rng.choice([1.0, 10.0, rng.uniform(0, 30)]) for _ in range(rng.randint(2, 7))]])
        for count in range(2, len(case.cohorts[0]) + 1):
            ways = (one for one in partitions(case.cohorts[0]) if len(one) == count)
            best = min(max(map(case.seconds, one)) for one in ways)
            most = max(map(case.seconds, balanced(case.cohorts[0], count, case.weight)))
            assert best <= most <= (4 / 3 - 1 / (3 * count)) * best + 1e-9


def test_no_study_takes_longer_than_with_whole_cohorts() -> None:
    shorter = 0
    for case, workers, _ in each_case(6, 6):
        before, after = (case.wall(of, workers) for of in ([[arms] for arms in case.cohorts], case.pack(workers)))
        assert after <= before
        shorter += after < before - NEAR
    assert shorter > 20


@pytest.mark.parametrize(
    ("weights", "trunk_s", "workers", "counts"),
    [
        ([[60.0] * 12], 240, 2, [2]),  # a lone cohort on two workers: two halves
        ([[60.0] * 12], 240, 1, [1]),
        ([[0.2] * 12], 1, 2, [1]),  # too short to be worth a second start
        ([[60.0] * 12], 9000, 2, [1]),  # nearly all is the trunk's, which each half would pay for
        ([[60.0] * 12] * 2, 240, 2, [1, 1]),
        ([[60.0] * 12] * 3, 240, 2, [1, 1, 2]),
        ([[60.0] * 12] * 5, 240, 3, [1, 1, 1, 1, 1]),  # two are left for three workers
        ([[60.0] * 12] * 6, 240, 4, [1, 1, 1, 1, 2, 2]),
        ([[60.0] * 12], 0, 8, [6]),  # two arms each; with eight pieces, some would have two as well
        ([[0.0, 600.0]], 10, 2, [1]),  # an arm and its late fusion
        ([[500.0, 0.0, 0.0], [1.0]], 1, 2, [1, 1]),
    ],
)
def test_cohorts_of_the_last_round_are_divided_over_idle_workers(
    weights: list[list[float]], trunk_s: float, workers: int, counts: list[int]
) -> None:
    case = made(weights, trunk_s)
    packed = case.pack(workers)
    assert [len(pieces) for pieces in packed] == counts
    assert packed == case.pack(workers), "equal arguments give equal pieces"


def test_pieces_are_more_where_memory_divides_too() -> None:
    case = made([[60.0] * 12], 240)
    assert [len(piece) for piece in case.pack(4, 5)[0]] == [3, 3, 3, 3], "three pieces would do, on three workers"
    assert [len(piece) for piece in case.pack(1, 5)[0]] == [4, 4, 4]
    sizes = {f"0.{place}": 9 if place == 4 else 1 for place in range(12)}
    single, *others = made([[60.0] * 12], 240, sizes).pack(1, 6)[0]
    assert [one.name for one in single] == ["0.4"] and [len(piece) for piece in others] == [6, 5]


@pytest.mark.parametrize("weight", [lambda _: 0.0, lambda one: float(one.name)])
def test_balanced_pieces_are_never_empty(weight: Callable[[Arm], float]) -> None:
    arms = [arm(str(number)) for number in range(7)]
    for count in range(1, 8):
        pieces = balanced(arms, count, weight)
        assert len(pieces) == count and all(pieces)
        assert sorted((one for piece in pieces for one in piece), key=arms.index) == arms
