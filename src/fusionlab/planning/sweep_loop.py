"""A study from its plan to its table: workers are started, watched and ended; then the report is printed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError, one_line, show
from fusionlab.planning.grid import PlannedStudy
from fusionlab.planning.pack_study import pack_study
from fusionlab.planning.preflight import check_files
from fusionlab.planning.report_study import make_report, price_line, stages
from fusionlab.pricing.planned_times import remember_prices
from fusionlab.pricing.price_text import repeated
from fusionlab.study.devices import keep_forkable
from fusionlab.study.forked import in_fork
from fusionlab.study.launchers.local import Local
from fusionlab.study.plan import DATA_VARIABLE, STREAMS_FOLDER, STREAMS_VARIABLE
from fusionlab.study.status import Status, Summary
from fusionlab.study.sweep_progress import SweepProgress

POLL = 0.3  # seconds between two reads of the ledger


def run_study(study: PlannedStudy) -> int:
    """Work on the study until no job is left here. Returns 0: all arms are done, 1: some failed, 130: Ctrl-C."""
    begun = time.monotonic()
    keep_forkable()
    devices = study.run.expect_devices()
    check_files(study)
    own = pack_study(study)
    plan, new = own.plan.write(own.folder)
    study = replace(own, plan=plan)
    show(
        f"{'new' if new else 'continued'} study: {study.folder} "
        f"({len(study.plan.arms)} arms, {len(study.plan.jobs)} jobs)"
    )
    try:  # networks are measured for it, so parts of the user run
        in_fork(lambda: remember_prices(plan, study.folder, study.run, own.workers))
    except UserError as error:
        show(one_line(f"the times are not planned: {error.what} ({error.got})"))
    for line in plan.refusals:
        show(one_line(line))
    if study.equal:
        show(repeated(study.equal))
    session, threads = uuid.uuid4().hex, study.threads
    streams = os.path.abspath(Path(study.run.root) / STREAMS_FOLDER)
    launcher = Local(variables={STREAMS_VARIABLE: streams, DATA_VARIABLE: study.run.data}, devices=devices)
    status = Status(study.folder, session=session, retries=study.run.retries)
    signals = _handle_signals()
    try:
        if any(row.state != "published" for row in status.summary().jobs):
            launcher.start(
                study.folder,
                own.workers,
                threads=threads,
                session=session,
                retries=study.run.retries,
            )
            _watch(status, launcher)
    except _Detached:
        verbs = "\n".join(f"  python -m fusionlab.{verb} {study.folder}" for verb in ("status", "cancel"))
        with suppress(OSError):  # the terminal is gone, but the output may be a file
            show(f"the terminal was closed; the workers go on:\n{verbs}", file=sys.stderr)
        return 128 + signal.SIGHUP
    except KeyboardInterrupt:
        launcher.end()
        show(f"interrupted; this continues it:\n  {study.plan.command}", file=sys.stderr)
        return 130
    except BaseException:  # such as a full disk: the workers would go on without supervision
        launcher.end()
        raise
    finally:
        for number, before in signals.items():
            signal.signal(number, before)
    return _close(study, status.summary(), launcher, time.monotonic() - begun)


class _Detached(Exception):
    """Raised when the terminal was closed."""


def _handle_signals() -> dict[int, Any]:
    """Let a scheduler's SIGTERM end a sweep like Ctrl-C, and SIGHUP detach it; returns the previous handlers."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        return {}
    before: dict[int, Any] = {signal.SIGTERM: signal.signal(signal.SIGTERM, signal.default_int_handler)}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # under nohup it is ignored, and stays so
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, _hang_up)
    return before


def _hang_up(_number: int, _frame: object) -> None:
    raise _Detached


def _watch(status: Status, launcher: Local) -> None:
    with SweepProgress() as progress:
        while launcher.alive():
            progress.show(status.summary())
            time.sleep(POLL)
        progress.show(status.summary())


def _close(study: PlannedStudy, summary: Summary, launcher: Local, seconds: float) -> int:
    """Show one line for each failure, the table, the time of each stage, and the report's folder."""
    bad = [row for row in summary.arms if row.state != "done"]
    if len(bad) < len(summary.arms):
        show("\n" + make_report(str(study.folder)))
        show(f"\ntime: {stages(study.folder)}; this command {seconds:.0f} s")
        if line := price_line(study.folder):
            show(line)
        show(f"report: {study.folder / 'report' / 'index.html'}")
    for row in bad:
        log = f" (log: {row.log})" if row.log else ""
        show(one_line(f"{row.state}: {row.name}: {row.reason or 'not begun'}{log}"), file=sys.stderr)
    for worker, status in launcher.strayed().items():
        show(f"worker {worker.name} ended with status {status} (log: {worker.log})", file=sys.stderr)
    if any(row.state in ("waiting", "running") for row in bad):
        show(f"this continues it:\n  {study.plan.command}", file=sys.stderr)
    return 1 if bad else 0
