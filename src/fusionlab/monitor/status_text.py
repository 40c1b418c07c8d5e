"""The view of a study as text: counts, workers, time left; jobs and arms by name where they are few; all failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fusionlab.errors import one_line, visible
from fusionlab.monitor.live import View
from fusionlab.monitor.running import Running, workers_text
from fusionlab.monitor.status import ArmRow, JobRow, Summary

MOST = 40  # jobs, arms or failures that are listed without a flag


def status_text(view: View, *, jobs: bool = False, arms: bool = False) -> str:
    """`jobs`, `arms`: list all of them, however many there are."""
    summary = view.summary
    parts = [
        _counted(view),
        _jobs(view, jobs),
        _arms(summary.arms, arms),
        _failures(summary, jobs or arms),
        [one_line(line) for line in (summary.by_other_code, *summary.refusals) if line],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _counted(view: View) -> list[str]:
    summary = view.summary
    lines = [
        f"arms     {len(summary.arms)}: {_counts(summary.arm_counts)}",
        *(f"{stage:<8} {sum(counts.values())}: {_counts(counts)}" for stage, counts in summary.stages.items()),
        f"workers  {workers_text(view.workers)}",
    ]
    if view.note:
        lines.append(f"         the queue is unknown: {one_line(view.note)}")
    if summary.settled < len(summary.arms):
        lines.append(f"left     {view.left}")
    if view.best:
        lines.append(f"best     {one_line(view.best.arm)}: validation loss {view.best.val_loss:.4g}")
    return lines


def _jobs(view: View, every: bool) -> list[str]:
    rows, running = view.summary.jobs, {one.job: one for one in view.running}
    every = every or len(rows) <= MOST
    shown = rows if every else [row for row in rows if row.state == "running"]
    shown = [*shown, *([] if every else [row for row in rows if row.state == "failed"][:MOST])]
    head = f"{len(rows)} jobs" if every else f"{len(rows)} jobs, of which these run or failed (--jobs lists all)"
    return [head, *(_job(row, running.get(row.id)) for row in shown)]


def _job(row: JobRow, running: Running | None) -> str:
    facts = [f"{row.done} of {len(row.arms)} arms"] if row.arms else []
    facts += [f"attempt {row.attempts}"] if row.attempts > 1 else []
    if running is not None:
        facts += [running.progress, running.place]
    elif row.state == "waiting" and row.reason:
        facts.append(row.reason)
    return f"  {row.state:<10} {row.kind:<8} {one_line(row.id)}: {one_line(', '.join(filter(None, facts)))}".rstrip(
        ": "
    )


def _arms(rows: Sequence[ArmRow], every: bool) -> list[str]:
    if len(rows) > MOST and not every:
        return [f"{len(rows)} arms: --arms lists them"]
    return [f"{len(rows)} arms", *map(_arm, rows)]


def _arm(row: ArmRow) -> str:
    why = f": {one_line(row.reason or '')}" if row.state == "blocked" else ""
    code = f", by other code: {one_line(row.code)}" if row.code else ""
    return f"  {row.state:<10} {one_line(row.name)}{why}{code}"


def _failures(summary: Summary, every: bool) -> list[str]:
    """All that failed itself, with what shows the log; the others that wait for it are counted."""
    failures = summary.failures
    if not failures:
        return []
    shown = failures if every else failures[:MOST]
    lines = [f"{len(failures)} failed"]
    for one in shown:
        lines.append(f"  {one_line(one.name)}: {one_line(one.reason or 'no reason is known')}")
        lines += [f"    {visible(one.command).replace(chr(10), ' ')}"] if one.command else []
    lines += [f"  and {len(failures) - len(shown)} more: --arms lists them"] if len(shown) < len(failures) else []
    blocked = summary.arm_counts.get("blocked", 0)
    return [*lines, f"  {blocked} more arms need what failed"] if blocked else lines


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"
