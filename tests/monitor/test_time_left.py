import heapq
import math
import random

import pytest

from fusionlab.monitor.time_left import MOST, Finished, Left, TimeLeft, duration, time_left

HOUR = 3600.0


def halves(count=6, ratio=2.0, planned=100.0):
    """Finished jobs that all took `ratio` times their plan."""
    return [Finished("cohort", ratio * planned, planned) for _ in range(count)]


def jobs(count, planned=100.0, kind="cohort"):
    return [Left(f"{kind}{number}", kind, planned) for number in range(count)]


def test_jobs_that_took_twice_their_plan_make_the_others_twice_as_long():
    left = time_left(halves(count=40), jobs(40), workers=1)
    assert left.low < 40 * 200.0 < left.high
    assert left.seconds == pytest.approx(40 * 200.0, rel=0.1)


def test_more_workers_share_the_jobs_but_one_job_has_one_worker():
    one, four = (time_left(halves(), jobs(40), workers).seconds for workers in (1, 4))
    assert one / four == pytest.approx(4, rel=0.1)
    assert time_left(halves(), jobs(1), 8).seconds == time_left(halves(), jobs(1), 1).seconds


def test_a_job_begins_after_those_that_it_needs():
    first = [Left("stream", "stream", 100.0)]
    free = time_left(halves(), [*first, Left("cohort", "cohort", 100.0)], 2)
    after = time_left(halves(), [*first, Left("cohort", "cohort", 100.0, needs=("stream", "published long ago"))], 2)
    assert after.seconds / free.seconds == pytest.approx(2, rel=0.2)


def test_a_running_job_needs_the_share_that_is_left_of_its_steps():
    whole = time_left(halves(), [Left("a", "cohort", 100.0, elapsed=0.0, share=0.0)], 1)
    quarter = time_left(halves(), [Left("a", "cohort", 100.0, elapsed=500.0, share=0.75)], 1)
    assert quarter.seconds == pytest.approx(whole.seconds / 4)
    assert time_left(halves(), [Left("a", "cohort", 100.0, elapsed=500.0, share=1.5)], 1).seconds == 0


def test_without_steps_a_running_job_needs_what_its_seconds_leave_and_a_tenth_at_least():
    plan = [Left("a", "cohort", 100.0, elapsed=30.0)]
    assert time_left([], plan, 1) == TimeLeft(70.0)
    assert time_left([], [Left("a", "cohort", 100.0, elapsed=95.0)], 1) == TimeLeft(10.0)
    assert time_left([], [Left("a", "cohort", 100.0, elapsed=1000.0)], 1) == TimeLeft(100.0)


def test_before_two_jobs_have_finished_the_plan_is_the_answer():
    one = time_left(halves(1), jobs(3), 1)
    assert one == TimeLeft(300.0)
    assert str(one) == "5 min as planned (not yet compared)"
    assert time_left(halves(2), jobs(3), 1).high is not None


def test_without_a_plan_jobs_of_the_same_kind_tell():
    stream = [Finished("stream", 50.0), Finished("stream", 60.0)]
    assert str(time_left([], jobs(2, planned=None), 1)) == "unknown (too few jobs have finished)"
    assert time_left(stream, jobs(2, planned=None), 1).seconds is None, "a stream says nothing about a cohort"
    one = time_left([*stream, Finished("cohort", 55.0)], jobs(20, planned=None), 1)
    assert one.low < 20 * 55.0 < one.high
    assert time_left([Finished("cohort", 55.0)], jobs(20, planned=None), 1).seconds is None, "one job in all"
    cohorts = [Finished("cohort", 50.0), Finished("cohort", 60.0)]
    assert time_left([*stream, *cohorts], jobs(20, planned=None), 1).seconds == pytest.approx(20 * 55.0, rel=0.3)


def test_without_a_plan_a_running_job_goes_on_at_its_own_pace():
    finished = [Finished("stream", 50.0), Finished("stream", 60.0)]
    own = time_left(finished, [Left("a", "cohort", None, elapsed=300.0, share=0.25)], 1)
    assert own.low < 900.0 < own.high
    assert own.seconds == pytest.approx(900.0, rel=0.3)
    assert time_left(finished, [Left("a", "cohort", None, elapsed=3.0, share=0.001)], 1).seconds is None


def test_planned_kinds_of_which_none_has_finished_are_judged_by_the_others():
    streams = [Finished("stream", 300.0, 100.0), Finished("stream", 300.0, 100.0)]
    assert time_left(streams, jobs(30), 1).seconds == pytest.approx(30 * 300.0, rel=0.3)
    own = [Finished("cohort", 50.0, 100.0)] * 8
    assert time_left([*streams, *own], jobs(30), 1).seconds == pytest.approx(30 * 50.0, rel=0.2)


def test_jobs_that_vary_more_have_a_wider_interval_and_more_jobs_a_narrower_one():
    def width(*ratios):
        left = time_left([Finished("cohort", 100.0 * one, 100.0) for one in ratios], jobs(50), 1)
        return left.high / left.low

    assert width(1, 3, 1, 3) > 1.3 * width(1, 1, 1, 1)
    assert width(*[1] * 50) < width(1, 1)


def test_nothing_left_and_nobody_who_works():
    assert time_left([], [], 0).seconds == 0
    assert str(time_left(halves(), jobs(3), 0)) == "unknown (no worker is running)"
    assert time_left(halves(), [Left("a", "cohort", 100.0, elapsed=1.0)], 0).seconds > 0, "a running job has a worker"


def test_a_ratio_too_large_for_a_number_leaves_a_number():
    left = time_left([Finished("cohort", 1e9, 1e-299)] * 2, jobs(3), 1)
    assert 0 < left.low <= left.seconds <= left.high < math.inf


def test_of_many_jobs_a_part_is_drawn():
    many = 50 * MOST
    left = time_left(halves(count=200), jobs(many), 4)
    assert left.seconds == pytest.approx(many * 200.0 / 4, rel=0.1)
    assert left == time_left(halves(count=200), jobs(many), 4), "the same facts, the same text"


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (TimeLeft(720.0, 480.0, 1200.0), "about 12 min (8 to 20)"),
        (TimeLeft(40.0, 39.9, 40.2), "about 40 s"),
        (TimeLeft(2 * HOUR, 1.26 * HOUR, 110 * HOUR), "about 2.0 h (1.3 to 110)"),
        (TimeLeft(), "unknown"),
    ],
)
def test_as_text(left, text):
    assert str(left) == text


def test_a_unit_changes_where_its_number_would_be_long():
    assert [duration(one) for one in (99.4, 100, 5399, 5400)] == ["99 s", "2 min", "90 min", "1.5 h"]


def simulated(seed, scale, workers=3):
    """A study that is looked at when a third of it is done: (finished, left, the true seconds that remain).

    Event by event: each worker takes the next job whose needs are done. Plans are wrong by a common factor, and each
    job by its own.
    """
    chance = random.Random(seed)
    factor = math.exp(chance.gauss(0, scale))
    plan = {f"s{one}": ("stream", chance.uniform(50, 100), ()) for one in range(4)}
    plan |= {
        f"c{one:02d}": ("cohort", chance.uniform(50, 400), (f"s{one % 4}", f"s{(one + 1) % 4}")) for one in range(20)
    }
    true = {job: planned * factor * math.exp(chance.gauss(0, 0.3)) for job, (_, planned, _) in plan.items()}
    begun, ends, now, waiting, running = {}, {}, 0.0, list(plan), []
    while waiting or running:
        for job in list(waiting):
            if len(running) < workers and all(need in ends for need in plan[job][2]):
                waiting.remove(job)
                begun[job] = now
                heapq.heappush(running, (now + true[job], job))
        now, job = heapq.heappop(running)
        ends[job] = now
    look = sorted(ends.values())[len(plan) // 3]
    finished = [Finished(plan[job][0], true[job], plan[job][1]) for job, end in ends.items() if end <= look]
    left = [
        Left(
            job, kind, planned, needs,
            elapsed=look - begun[job] if begun[job] <= look else None,
            share=(look - begun[job]) / true[job] if begun[job] <= look else None,
        )
        for job, (kind, planned, needs) in plan.items() if ends[job] > look
    ]  # fmt: skip
    return finished, left, max(ends.values()) - look


def coverage(scale, change=lambda finished: finished):
    """The share of simulated studies whose true time lies in the interval."""
    hits = []
    for seed in range(60):
        finished, left, true = simulated(seed, scale)
        one = time_left(change(finished), left, 3)
        hits.append(one.low <= true <= one.high)
    return sum(hits) / len(hits)


def test_the_interval_holds_the_true_time_of_most_simulated_studies():
    assert coverage(scale=0.7) >= 0.7


def test_without_the_comparison_with_the_plan_it_would_not():
    """The oracle can fail: if finished jobs are said to have taken what was planned."""
    assert coverage(0.7, lambda finished: [Finished(one.kind, one.planned, one.planned) for one in finished]) < 0.5


def test_the_interval_is_not_as_wide_as_to_hold_anything():
    finished, left, _ = simulated(1, 0.7)
    one = time_left(finished, left, 3)
    assert one.high / one.low < 2
