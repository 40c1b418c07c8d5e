"""Calibration: each distinct job of a plan is tried for some seconds on synthetic batches, in a process of its own.

    <run.root>/calibration.json     what was measured, on which machine class and when; the next plan reads it

A job with more than `MOST` arms, or with more than fit into the memory, is tried with some of them: its other arms are
priced by their multiply-adds. A process that crashes, or takes too long, is a reason in words for its job.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fusionlab.config.run_config import AUTO, RunConfig, threads_of
from fusionlab.errors import UserError, one_line, show, visible
from fusionlab.records.files import parse_json, read_json, write_json
from fusionlab.records.lock import alone
from fusionlab.records.record import COUNT, KIND, TEXT, TREE, Rule, misfit
from fusionlab.sizes.memory_bound import memory_bound
from fusionlab.sizes.sizing import Sizes, content_key
from fusionlab.study.plan import Arm, Job, Plan
from fusionlab.study.worker import child_environment

FILE = "calibration.json"
SECONDS = 10.0  # of training, for each job
LONGEST = 300.0  # seconds of a process, with its start and at least two steps
MOST = 16  # arms that are tried together
KEPT = 200  # jobs in the file, the newest
GIB = 2**30

_SECONDS = Rule("seconds", lambda value: type(value) in (int, float) and 0 <= value < 1e7)
_MEASURED = {
    **dict.fromkeys(("step_s", "trunk_s", "view_s", "setup_s"), _SECONDS),
    "peak": Rule("bytes, or null", lambda value: value is None or COUNT.holds(value)),
}
_ENTRY = {**_MEASURED, "machine": TEXT, "date": TEXT, "arms": [{"kind": KIND, "config": {"*": TREE}}]}
_FILE = {"jobs": [_ENTRY]}

Say = Callable[[str], None]
Key = tuple[str, ...]  # the contents of a job's arms, without their seeds
CHILD = [sys.executable, "-m", "fusionlab.pricing.calibration_child"]


@dataclass(frozen=True)
class Calibrated:
    """What arms took together in one job. `arms`: those that were tried, without names.

    `step_s`: of a step, of which the frozen towers took `trunk_s`. `view_s`: of a clip in a validation. `setup_s`: of
    building the networks. `peak`: bytes, at most. `date`: of the measurement.
    """

    arms: tuple[Arm, ...]
    step_s: float
    trunk_s: float
    view_s: float
    setup_s: float
    peak: int | None
    date: str


@dataclass
class Calibration:
    """What was measured on this machine class, also earlier, and why some jobs have no measurement."""

    jobs: dict[Key, Calibrated] = field(default_factory=dict)
    reasons: dict[Key, str] = field(default_factory=dict)

    def of(self, arms: Sequence[Arm]) -> Calibrated | None:
        """The measurement of a job with these arms, or of those that stand for them."""
        return self.jobs.get(key_of(arms)) or self.jobs.get(key_of(sample(arms)))

    def reason(self, arms: Sequence[Arm]) -> str | None:
        """Why a job has no measurement; None if nothing was tried."""
        return self.reasons.get(key_of(arms))


def key_of(arms: Sequence[Arm]) -> Key:
    return tuple(sorted(map(content_key, arms)))


def sample(arms: Sequence[Arm], most: int = MOST) -> Sequence[Arm]:
    """At most so many arms, evenly from the whole list."""
    count = min(len(arms), most)
    return [arms[place * len(arms) // count] for place in range(count)]


def calibrate(
    plan: Plan,
    run: RunConfig,
    machine: str,
    *,
    seconds: float = SECONDS,
    longest: float = LONGEST,
    say: Say = show,
    child: Sequence[str] = CHILD,
) -> Calibration:
    """Measure each job of the plan that was not measured on this machine class before.

    `machine`: the name of the machine class. What is measured is kept at once, so that an interruption loses one job.
    """
    known, arms_of = read_calibration(run.root, machine), {arm.name: arm for arm in plan.arms}
    jobs = {key_of(arms): (job, arms) for job, arms in _jobs(plan, arms_of)}
    todo = {key: one for key, one in jobs.items() if known.of(one[1]) is None}
    if dates := sorted({found.date for _, arms in jobs.values() if (found := known.of(arms)) is not None}):
        say(
            f"calibrated before, on {', '.join(dates)}: {len(jobs) - len(todo)} of {len(jobs)} jobs ({_file(run.root)})"
        )
    bound, sizes = memory_bound(run, 1), Sizes()
    for number, (key, (job, arms)) in enumerate(todo.items(), start=1):
        said = f"calibrating {number} of {len(todo)}: {job.id}, {_count(len(arms))}"
        try:
            some = _fitting(sample(arms), bound, lambda tried: sizes.cohort_memory(tried, on_gpu=run.on_gpu))
            if not some:
                raise UserError("it needs more memory than there is", got=f"run.memory: {(bound or 0) / GIB:.1f} GiB")
            where = run.device.replace(AUTO, "cuda") if run.on_gpu else "cpu"  # a GPU that torch cannot use: a reason
            numbers = _in_child(some, where, threads_of(some[0].config), seconds, longest, child)
        except UserError as error:
            known.reasons[key] = one_line(error.brief)
            say(one_line(f"{said}: not measured: {known.reasons[key]}"))
            continue
        made = Calibrated(
            _nameless((arm.kind, arm.config) for arm in some), **numbers, date=datetime.now(UTC).date().isoformat()
        )
        known.jobs[key_of(some)] = made
        _keep(run.root, machine, made)
        peak = "" if made.peak is None else f", {made.peak / GIB:.2f} GiB"
        together = "" if len(some) == len(arms) else f", tried with {_count(len(some))}"
        say(f"{said}: {made.step_s:.3g} s a step{peak}{together}")
    return known


def _jobs(plan: Plan, arms_of: dict[str, Arm]) -> Iterator[tuple[Job, list[Arm]]]:
    for job in plan.jobs:
        if job.kind != "prepare":
            yield job, [arms_of[name] for name in job.arms]


def _nameless(arms: Iterable[tuple[str, dict[str, Any]]]) -> tuple[Arm, ...]:
    """Arms of a kind and a config, of whatever study."""
    return tuple(Arm("", kind, {}, "", config, "") for kind, config in arms)


def _count(arms: int) -> str:
    return "1 arm" if arms == 1 else f"{arms} arms"


def _fitting(arms: Sequence[Arm], bound: int | None, memory: Callable[[Sequence[Arm]], int]) -> Sequence[Arm]:
    """The arms, or a half of them, or a quarter …, as many as fit into the memory; none if one does not."""
    while arms and bound is not None and memory(arms) > bound:
        arms = sample(arms, len(arms) // 2) if len(arms) > 1 else []
    return arms


# -- the process


def _in_child(
    arms: Sequence[Arm], where: str, threads: int, seconds: float, longest: float, child: Sequence[str]
) -> dict[str, Any]:
    """The numbers that a process measures; a `UserError` says why there are none."""
    content = [{"kind": arm.kind, "config": arm.config} for arm in arms]
    task = json.dumps({"arms": content, "device": where, "seconds": seconds})
    try:
        done = subprocess.run(
            child,
            input=task.encode(),
            capture_output=True,
            env=child_environment(threads),
            timeout=longest,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError("its process took too long", got=f"more than {longest:g} s") from None
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise UserError("its process ended without a result", got=_describe_end(done))
    found = parse_json(lines[-1], "the process of a calibration")
    if isinstance(found, dict) and isinstance(found.get("reason"), str):
        raise UserError("it cannot be trained", got=found["reason"][:500])
    if wrong := misfit(found, _MEASURED):
        raise UserError(f"its process gave other numbers: {wrong[0]}", got=str(wrong[1])[:100])
    return dict(found)


def _describe_end(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode < 0:
        try:
            name = signal.Signals(-done.returncode).name
        except ValueError:  # a real-time signal has no name
            name = f"signal {-done.returncode}"
        return f"killed by {name}" + (" (often: out of memory)" if -done.returncode == signal.SIGKILL else "")
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
    return f"exit status {done.returncode}: {visible(last[0])[:300]}"


# -- the file


def _file(root: str) -> Path:
    return Path(root) / FILE


def read_calibration(root: str, machine: str) -> Calibration:
    """What was measured on this machine class; nothing if the file is missing or damaged."""
    known = Calibration()
    for entry in _entries(root):
        if entry["machine"] == machine:
            arms = _nameless((arm["kind"], arm["config"]) for arm in entry["arms"])
            known.jobs[key_of(arms)] = Calibrated(arms, **{name: entry[name] for name in (*_MEASURED, "date")})
    return known


def _entries(root: str) -> list[dict[str, Any]]:
    if not _file(root).is_file():
        return []
    try:
        content = read_json(_file(root))
    except UserError:
        return []
    return [] if misfit(content, _FILE) else list(content["jobs"])


def _keep(root: str, machine: str, made: Calibrated) -> None:
    """Add a measurement to the file, or replace an older one of the same job."""
    own = [{"kind": arm.kind, "config": arm.config} for arm in made.arms]
    numbers = {name: getattr(made, name) for name in (*_MEASURED, "date")}
    entry = {"machine": machine, "arms": own, **numbers}
    Path(root).mkdir(parents=True, exist_ok=True)
    with alone(Path(root) / f".{FILE}.lock", show, "calibration"):
        others = [one for one in _entries(root) if (one["machine"], one["arms"]) != (machine, own)]
        write_json(_file(root), {"jobs": [*others, entry][-KEPT:]})
