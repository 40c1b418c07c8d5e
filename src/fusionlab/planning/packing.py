"""Which arms of a cohort are trained together: within a bound of memory, and so that no worker is idle at the end.

A job of some arms of a cohort takes

    seconds(arms)  =  its start  +  the frozen towers  +  Σ of each arm's own share, proportional to weight(arm)

so every piece of a cohort that is divided pays for the towers again. A cohort stays whole, unless

- it does not fit into the bound: then it becomes as few pieces as fit;
- some of its arms do not fit even alone: no division makes them fit. Then each of them is a job, and the others are
  divided as above, but only if that needs less memory at a time, which is that of the `workers` largest jobs. Else the
  cohort stays whole, which takes the least time: so where the frozen towers are most of the memory and do not fit;
- fewer jobs than workers are left for the last round: then the cohorts of these jobs are divided over the idle
  workers, into more pieces as long as these save enough wall time (`NEAR`, `SHARE`). So short cohorts stay whole.

How arms are packed changes no result, and no signature. Equal arguments give equal pieces.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from functools import cache

from fusionlab.study.plan import Arm

NEAR = 10.0  # seconds of wall time that further pieces have to save: a job's start takes up to 3, and times are rough
SHARE = 0.1  # the same for long cohorts: of the longest job that would be divided

Cohort = Sequence[Arm]
Pieces = list[list[Arm]]


def pack(
    cohorts: Sequence[Cohort],
    *,
    workers: int,
    bound: int | None,
    memory: Callable[[Cohort], int],
    weight: Callable[[Arm], float],
    seconds: Callable[[Cohort], float],
) -> list[Pieces]:
    """The pieces of each cohort, each a job; the arms of a piece are in the order of the cohort.

    `bound`: bytes that a job may use; None: unknown, so that memory divides nothing.
    """
    small: list[list[Arm]] = []
    large: list[Pieces] = []
    for arms in cohorts:
        over = [] if bound is None or memory(arms) <= bound else [arm for arm in arms if memory([arm]) > bound]
        fit = [arm for arm in arms if arm not in over]
        apart = [memory([arm]) for arm in over] + ([min(bound or 0, memory(fit))] if over and fit else [])
        if over and memory(arms) <= sum(sorted(apart, reverse=True)[:workers]):
            large.append([list(arms)])
            small.append([])
        else:
            large.append([[arm] for arm in over])
            small.append(fit)

    @cache
    def pieces(place: int, count: int) -> Pieces:
        """At least so many pieces of a cohort, where it has that many arms; more where they do not fit."""
        arms = small[place]
        least = 1 if bound is None or not arms else -(-memory(arms) // bound)
        for number in range(min(max(count, least), len(arms)), len(arms) + 1):
            made = balanced(arms, number, weight)
            if least == 1 or all(memory(piece) <= (bound or 0) for piece in made):
                break
        return large[place] + made

    def packed(divided: int, count: int) -> list[Pieces]:
        """The last cohorts, `divided` many, in at least `count` pieces each."""
        first = len(cohorts) - divided
        return [pieces(place, count if place >= first else 1) for place in range(len(cohorts))]

    def wall(of: Sequence[Pieces]) -> float:
        return wall_time([seconds(piece) for made in of for piece in made], workers)

    whole = packed(0, 1)
    divided = _last_round([len(made) for made in whole], workers)
    if not divided:
        return whole
    longest = max(seconds(piece) for made in whole[-divided:] for piece in made)
    chosen, least = whole, wall(whole) - max(NEAR, SHARE * longest)
    for count in range(2, workers // divided + 1):
        choice = packed(divided, count)
        if (time := wall(choice)) <= least:
            chosen, least = choice, time - max(NEAR, SHARE * longest)
    return chosen


def balanced(arms: Cohort, count: int, weight: Callable[[Arm], float]) -> Pieces:
    """`count` pieces of nearly equal weight: each arm, the heaviest first, goes to the lightest piece so far."""
    if count <= 1:  # no weight is asked: to measure one takes time
        return [list(arms)] if arms else []
    lightest = [(0.0, 0, piece) for piece in range(count)]
    places: list[list[int]] = [[] for _ in range(count)]
    for place in sorted(range(len(arms)), key=lambda place: (-weight(arms[place]), place)):
        total, number, piece = heapq.heappop(lightest)
        places[piece].append(place)
        heapq.heappush(lightest, (total + weight(arms[place]), number + 1, piece))
    return [[arms[place] for place in sorted(own)] for own in sorted(places, key=min)]


def wall_time(jobs: Sequence[float], workers: int) -> float:
    """The time until all jobs are done; a worker that is free takes the next one."""
    free = [0.0] * workers
    for seconds in jobs:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def _last_round(jobs: Sequence[int], workers: int) -> int:
    """The number of cohorts, from the last one on, whose jobs are in a last round that lacks some; else 0.

    `jobs`: the number of each cohort's.
    """
    left, cohorts = sum(jobs) % workers, 0
    while left > 0:
        cohorts += 1
        left -= jobs[-cohorts]
    return cohorts
