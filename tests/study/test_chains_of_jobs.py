"""A cohort that chooses among arms of other cohorts: a failed arm is no choice, and stops it only if none is left."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from fusionlab.study.job_states import READY, RUNNING, Failure, JobStates, State
from fusionlab.study.plan import Arm, Job, needing_first

STREAM = Job("s", "stream", "../streams/s", (), {}, ("s",))
FIRST = [Job(name, "cohort", f"jobs/{name}", ("s",), {}, (f"{name}-1", f"{name}-2")) for name in ("a", "b")]
LAST = Job("last", "cohort", "jobs/last", ("s", "a", "b"), {}, ("z",))
LOST = {"x": Failure("diverged", Path("log"))}
STATES = {
    "done": State("published", published=frozenset({"1", "2"})),
    "one failed": State("failed", failed=LOST, published=frozenset({"2"}), reason="diverged"),
    "all failed": State("failed", failed=LOST, reason="diverged"),
    "running": RUNNING,
    "ready": READY,
}


def settled(order: Sequence[tuple[str, str]]) -> State:
    """The state of the last job, after states were set in this order."""
    states = JobStates([STREAM, *FIRST, LAST])
    states.set("s", State("published", published=frozenset({"s"})))
    for job, name in order:
        states.set(job, STATES[name])
    return states.known["last"]


@pytest.mark.parametrize(("a", "b"), list(product(STATES, repeat=2)))
def test_it_waits_for_each_and_needs_one_published_arm(a: str, b: str) -> None:
    expected = "ready"
    if {"running", "ready"} & {a, b}:
        expected = "waiting"
    elif a == b == "all failed":
        expected = "blocked"
    for order in ([("a", a), ("b", b)], [("b", b), ("a", a)], [("a", "running"), ("b", b), ("a", a)]):
        assert settled(order).name == expected
    if expected == "blocked":
        assert settled([("a", a), ("b", b)]).reason == "diverged"


def test_a_failed_stream_still_stops_it() -> None:
    states = JobStates([STREAM, *FIRST, LAST])
    states.set("s", State("failed", reason="no memory"))
    for job in ("a", "b", "last"):
        assert (states.known[job].name, states.known[job].through) == ("blocked", "s")


def test_needs_follow_the_arms() -> None:
    arms = [
        Arm("x1", "fused", {}, "X1", {}, "a"), Arm("x2", "fused", {}, "X2", {}, "b"),
        Arm("z", "fused", {}, "Z", {"chosen_by": {"0.1": "X1", "0.2": "X2"}}, "last"),
    ]  # fmt: skip
    jobs = [STREAM, *FIRST, Job("last", "cohort", "jobs/last", ("s", "gone"), {}, ("z",))]
    made = {job.id: job.needs for job in needing_first(jobs, arms)}
    assert made == {"s": (), "a": ("s",), "b": ("s",), "last": ("s", "a", "b")}
    assert needing_first(jobs, arms[:2]) == jobs
