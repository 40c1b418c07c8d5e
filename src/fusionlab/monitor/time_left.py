"""The time that a study still needs, with its uncertainty.

1. Each finished job gives a ratio, its seconds to those that were planned for it. Jobs without a plan (the first study
   on a machine) count as planned with 1 s, each kind for itself.
2. The logarithms of these ratios are taken as normal, for each kind of job. Two jobs say little of how much they vary,
   so the variance is that of the jobs together with PRIOR more, which differ by SPREAD. If fewer than ENOUGH planned
   jobs of a kind have finished, those of all kinds count. Of a kind without a plan one must have finished.
3. A job that is left takes its planned seconds times a ratio: a running one the share of them that is left of its steps
   (or, as long as its steps are unknown, what is left after its seconds so far, but a tenth of these or those at
   least). A running job without a plan whose kind is unknown takes its seconds so far in proportion to its steps.
4. In each of FUTURES possible futures the mean, the spread and the ratio of each job are drawn, and the jobs are given
   to the workers that run, in their order, each after those that it needs. The middle future is the answer; the
   interval leaves out a tenth of the futures at each end.

Before ENOUGH jobs have finished the plan itself is the answer, "not yet compared"; without a plan it is unknown. Of
more than MOST jobs every k-th is drawn, and the time is k times theirs. Random numbers are seeded: the same facts give
the same text.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

ENOUGH = 2  # finished jobs
PRIOR, SPREAD = 4, 0.25
FUTURES = 100
MOST = 200  # jobs that are drawn in a future
LARGEST = 100.0  # logarithm of a ratio: with more the sum of all seconds could not be finite
LEAST_SHARE = 0.05  # of the steps of a job, before its own pace counts


@dataclass(frozen=True)
class Finished:
    """A finished job, and the seconds that were planned for it, if any."""

    kind: str
    seconds: float
    planned: float | None = None


@dataclass(frozen=True)
class Left:
    """A job that is not finished. `elapsed`: its seconds so far, None if it has not begun; `share`: of its steps."""

    id: str
    kind: str
    planned: float | None = None
    needs: tuple[str, ...] = ()
    elapsed: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class TimeLeft:
    """Seconds; None: unknown, with the reason. Without `low` and `high` the plan was not yet compared."""

    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def __str__(self) -> str:
        """As text: `about 12 min (8 to 20)`."""
        if self.seconds is None:
            return f"unknown ({self.reason})" if self.reason else "unknown"
        if self.low is None or self.high is None:
            return f"{duration(self.seconds)} as planned (not yet compared)"
        unit = _unit(self.seconds)
        low, high = _in(unit, self.low), _in(unit, self.high)
        return f"about {duration(self.seconds)}" + (f" ({low} to {high})" if low != high else "")


def duration(seconds: float | None) -> str:
    """Seconds for people.

    >>> [duration(s) for s in (None, 0.4, 42, 750, 9000, 400_000)]
    ['unknown', '0 s', '42 s', '12 min', '2.5 h', '111 h']
    """
    if seconds is None:
        return "unknown"
    unit = _unit(seconds)
    return f"{_in(unit, seconds)} {unit}"


def time_left(finished: Sequence[Finished], left: Sequence[Left], workers: int) -> TimeLeft:
    """The time until these jobs are finished by this number of workers; the order is that of their start."""
    if not left:
        return TimeLeft(0.0, 0.0, 0.0)
    workers = max(workers, sum(job.elapsed is not None for job in left))
    if workers < 1:
        return TimeLeft(reason="no worker is running")
    jobs = sorted(left, key=lambda job: job.elapsed is None)  # the running ones have their workers already
    running = sum(job.elapsed is not None for job in jobs)
    step = -(-len(jobs) // MOST)
    drawn = jobs if step == 1 else [*jobs[:running:step], *jobs[running::step]]
    groups = {key: _Group.of(finished, *key) for key in {_key(job) for job in drawn}}
    bases = [_base(job, groups[_key(job)]) for job in drawn]
    compared = len(finished) >= ENOUGH and all(groups[_key(job)].count or job.planned is None for job in drawn)
    known = [base for base in bases if base is not None]
    if len(known) < len(drawn) or not (compared or all(job.planned for job in drawn)):
        return TimeLeft(reason="too few jobs have finished")
    if not compared:
        whole = [_rest(job, base) for job, base in zip(drawn, known, strict=True)]
        return TimeLeft(step * _schedule(drawn, whole, workers))
    chance = random.Random(0)
    futures = []
    for _ in range(FUTURES):
        here = {key: group.draw(chance) for key, group in groups.items()}
        seconds = []
        for job, base in zip(drawn, known, strict=True):
            mean, spread = here[_key(job)]
            seconds.append(_rest(job, base * math.exp(min(chance.gauss(mean, spread), LARGEST))))
        futures.append(step * _schedule(drawn, seconds, workers))
    futures.sort()
    return TimeLeft(futures[FUTURES // 2], futures[FUTURES // 10], futures[-FUTURES // 10 - 1])


def _key(job: Left) -> tuple[str, bool]:
    return job.kind, job.planned is not None


@dataclass(frozen=True)
class _Group:
    """The logarithms of the ratios by which a group of jobs is judged."""

    mean: float
    squares: float  # the sum of squared distances from the mean
    count: int

    @classmethod
    def of(cls, finished: Sequence[Finished], kind: str, planned: bool) -> _Group:
        like = [one for one in finished if (one.planned is not None) == planned]
        own = [one for one in like if one.kind == kind]
        if planned and len(own) < ENOUGH:
            own = like
        logs = [math.log(one.seconds / (one.planned or 1.0)) for one in own]
        if len(logs) < (ENOUGH if planned else 1):
            return cls(0.0, 0.0, 0)
        mean = sum(logs) / len(logs)
        return cls(mean, sum((log - mean) ** 2 for log in logs), len(logs))

    def draw(self, chance: random.Random) -> tuple[float, float]:
        """A mean and a spread that the jobs allow."""
        freedom = PRIOR + max(self.count - 1, 0)
        spread = math.sqrt((PRIOR * SPREAD**2 + self.squares) / chance.gammavariate(freedom / 2, 2))
        return (chance.gauss(self.mean, spread / math.sqrt(self.count)) if self.count else 0.0), spread


def _base(job: Left, group: _Group) -> float | None:
    """The seconds of a whole job, but for its ratio; None if nothing tells them."""
    if job.planned is not None:
        return job.planned
    if group.count:
        return 1.0
    if job.elapsed is not None and job.share is not None and job.share >= LEAST_SHARE:
        return job.elapsed / job.share
    return None


def _rest(job: Left, whole: float) -> float:
    """What is left of a job that takes these seconds."""
    if job.elapsed is None:
        return whole
    if job.share is not None:
        return whole * (1 - min(job.share, 1))
    return max(whole - job.elapsed, max(whole, job.elapsed) / 10)


def _schedule(jobs: Sequence[Left], seconds: Sequence[float], workers: int) -> float:
    """The seconds until the last job has ended, if each takes the worker that is free first."""
    free = [0.0] * workers
    heapify(free)
    ends: dict[str, float] = {}
    for job, own in zip(jobs, seconds, strict=True):
        begin = max([heappop(free), *(ends.get(need, 0.0) for need in job.needs)])
        ends[job.id] = begin + own
        heappush(free, ends[job.id])
    return max(ends.values())


_UNITS: Mapping[str, float] = {"s": 1.0, "min": 60.0, "h": 3600.0}


def _unit(seconds: float) -> str:
    return "s" if seconds < 100 else "min" if seconds < 5400 else "h"


def _in(unit: str, seconds: float) -> str:
    number = seconds / _UNITS[unit]
    return f"{number:.1f}" if unit == "h" and number < 100 else f"{number:,.0f}"
