"""The progress of a sweep: a bar on a terminal (arms, failures, time left), else a line per change."""

from __future__ import annotations

import sys
from typing import NoReturn, Self, TextIO

from tqdm import tqdm

from fusionlab.errors import one_line, show
from fusionlab.study.status import Summary


class SweepProgress:
    """Shows one `Summary` after the other; only changes are printed."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self._bar: tqdm[NoReturn] | None = None
        self._shown: dict[str, str] = {}

    def show(self, summary: Summary) -> None:
        if self.stream.isatty():
            self._draw(summary)
        else:
            self._lines(summary)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self, summary: Summary) -> None:
        if self._bar is None:
            # `initial` excludes earlier sessions from the rate, so that the time left is right.
            self._bar = tqdm(
                total=len(summary.arms),
                initial=summary.settled,
                desc="arms",
                unit="arm",
                file=self.stream,
                dynamic_ncols=True,
                mininterval=0,
            )
        self._bar.set_postfix_str(_counts(summary, ("failed", "blocked", "running")), refresh=False)
        self._bar.update(summary.settled - self._bar.n)
        self._bar.refresh()

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
            show(f"[{summary.settled}/{len(summary.arms)} arms] {one_line(line)}", file=self.stream)

    def _changed(self, name: str, state: str) -> bool:
        before, self._shown[name] = self._shown.get(name), state
        return before != state


def _counts(summary: Summary, states: tuple[str, ...]) -> str:
    counts = summary.arm_counts
    return ", ".join(f"{counts[state]} {state}" for state in states if counts.get(state))
