"""The progress of a sweep: on a terminal a few lines that are drawn again in place, else a line for each change.

The lines are, in the order in which a small terminal keeps them: arms and time left, stages, workers, the last
failure, the best arm so far, the running jobs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Self, TextIO

from fusionlab.errors import one_line, show
from fusionlab.monitor.live import View
from fusionlab.monitor.running import Running, workers_text
from fusionlab.monitor.screen import Screen, can_redraw, shorten
from fusionlab.monitor.status import Failed, Summary

STATE_EVERY = 30.0  # seconds between two plain lines about workers and time
MOST_JOBS = 8  # running ones on a terminal


class SweepProgress:
    """Shows one `View` after the other; only changes are printed."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.clock = clock
        self._screen = Screen(self.stream) if can_redraw(self.stream) else None
        self._shown: dict[str, str] = {}
        self._seen: Summary | None = None
        self._failed: dict[str, Failed] = {}  # in the order in which they were seen
        self._state, self._next_state = "", self.clock() + STATE_EVERY

    def show(self, view: View) -> None:
        if view.summary is not self._seen:
            self._seen = view.summary
            now = {one.name: one for one in view.summary.failures}
            kept = {name: now[name] for name in self._failed if name in now}
            self._failed = {**kept, **{name: one for name, one in now.items() if name not in kept}}
            if self._screen is None:
                self._lines(view.summary)
        if self._screen is not None:
            failures = tuple(self._failed.values())
            self._screen.draw(lambda columns, rows: view_lines(view, failures, columns, rows))
        else:
            self._state_line(view)

    def say(self, line: str) -> None:
        """Print a line that stays."""
        if self._screen is not None:
            self._screen.clear()
        show(one_line(line), file=self.stream)

    def close(self) -> None:
        if self._screen is not None:
            self._screen.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lines(self, summary: Summary) -> None:
        changes = []
        for job in summary.jobs:
            if self._changed(f"job {job.id}", job.state) and job.state in ("running", "published", "failed"):
                at = f" ({job.by})" if job.by else ""
                changes.append(f"job {job.id}: {job.state}{at}")
        for arm in summary.arms:
            if self._changed(f"arm {arm.name}", arm.state) and arm.state in ("done", "failed", "blocked"):
                why = f": {arm.reason}" if arm.reason else ""
                changes.append(f"arm {arm.name}: {arm.state}{why}")
        for line in changes:
            self._line(summary, line)

    def _state_line(self, view: View) -> None:
        """What runs and the time left: at once where workers are queued, then at most every STATE_EVERY seconds."""
        summary, now = view.summary, self.clock()
        waits = any(row.state != "running" for row in view.workers) and not self._state
        if summary.settled == len(summary.arms) or not (waits or now >= self._next_state):
            return
        best = f"; best so far {view.best.arm}: {_loss(view)}" if view.best else ""
        state = f"workers: {workers_text(view.workers)}; time left: {view.left}{best}"
        if state != self._state:
            self._state, self._next_state = state, now + STATE_EVERY
            self._line(summary, state)

    def _line(self, summary: Summary, text: str) -> None:
        show(f"[{summary.settled}/{len(summary.arms)} arms] {one_line(text)}", file=self.stream)

    def _changed(self, name: str, state: str) -> bool:
        before, self._shown[name] = self._shown.get(name), state
        return before != state


def view_lines(view: View, failures: tuple[Failed, ...], columns: int, rows: int) -> list[str]:
    """The view on so many columns and rows, the most important first; `failures`: the last one last."""
    summary = view.summary
    over = summary.settled == len(summary.arms)
    others = _counts(summary.arm_counts, ("failed", "blocked", "running"))
    first = f"arms {summary.arm_counts.get('done', 0)} of {len(summary.arms)}" + (f", {others}" if others else "")
    lines = [first if over else f"{first}; time left: {view.left}"]
    lines.append("jobs " + ", ".join(_stage(stage, counts) for stage, counts in summary.stages.items()))
    if not over:
        lines.append(f"workers {workers_text(view.workers)}" + (f"; {view.note}" if view.note else ""))
    if failures:
        last = failures[-1]
        lines.append(f"failed {len(failures)}, the last {shorten(last.name, columns // 3)}: {one_line(last.reason)}")
    if view.best:
        name = shorten(view.best.arm, columns - len(f"best so far {_loss(view)} "))
        lines.append(f"best so far {name} {_loss(view)}")
    places = min(MOST_JOBS, rows - len(lines))
    jobs = view.running if len(view.running) <= places else view.running[: max(places - 1, 0)]
    lines += [_job(job, columns) for job in jobs]
    if len(view.running) > len(jobs) and len(lines) < rows:
        lines.append(f"  and {len(view.running) - len(jobs)} more jobs")
    return lines


def _stage(stage: str, counts: Mapping[str, int]) -> str:
    return f"{stage} {counts.get('published', 0)} of {sum(counts.values())}"


def _job(job: Running, columns: int) -> str:
    return f"  {shorten(job.job, columns // 4)}  {one_line(job.progress)}  {one_line(job.place)}"


def _loss(view: View) -> str:
    return f"(validation loss {view.best.val_loss:.4g})" if view.best else ""


def _counts(counts: Mapping[str, int], states: tuple[str, ...]) -> str:
    return ", ".join(f"{counts[state]} {state}" for state in states if counts.get(state))
