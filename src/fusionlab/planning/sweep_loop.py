"""A study from its plan to its table: workers are started, watched and ended; then the report is printed.

This command may end, by a signal or a crash: workers go on, and the same command finds them and waits for them.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError, one_line, show
from fusionlab.jobs.wandb_table import log_table
from fusionlab.monitor.live import Live
from fusionlab.monitor.status import ArmRow, Status, Summary
from fusionlab.monitor.sweep_progress import SweepProgress
from fusionlab.planning.grid import PlannedStudy
from fusionlab.planning.other_tests import finish_tests
from fusionlab.planning.pack_study import PackedStudy, pack_study
from fusionlab.planning.preflight import check_files
from fusionlab.planning.report_study import make_report, price_line, stages
from fusionlab.pricing.planned_times import remember_prices
from fusionlab.pricing.price_text import repeated
from fusionlab.study.devices import keep_forkable
from fusionlab.study.forked import in_fork
from fusionlab.study.launchers import Launcher, Worker
from fusionlab.study.launchers.local import Local
from fusionlab.study.launchers.slurm import Slurm, expect_slurm
from fusionlab.study.plan import DATA_VARIABLE, STREAMS_FOLDER, STREAMS_VARIABLE

POLL = 0.3  # seconds between two reads of the ledger


def run_study(study: PlannedStudy, *, detach: bool = False) -> int:
    """Work on the study until no job is left. Returns 0: all arms are done, 1: some failed, 130: Ctrl-C.

    `detach`: return as soon as the workers are started.
    """
    begun = time.monotonic()
    keep_forkable()
    name = study.run.launcher.name
    if name == "local":
        study.run.expect_devices()
    else:
        study.run.refuse_index()
    if name == "slurm":
        expect_slurm()
    check_files(study)
    packed = pack_study(study)
    plan, new = packed.plan.write(packed.folder)
    study = replace(packed, plan=plan)
    show(
        f"{'new' if new else 'continued'} study: {study.folder} "
        f"({len(study.plan.arms)} arms, {len(study.plan.jobs)} jobs)"
    )
    try:  # networks are measured for it, so parts of the user run
        for line in in_fork(lambda: remember_prices(plan, study.folder, study.run, packed.workers)):
            show(f"{line}: a disk is too small", file=sys.stderr)
    except UserError as error:
        show(one_line(f"the times are not planned: {error.brief}"))
    for line in plan.refusals:
        show(one_line(line))
    if study.equal:
        show(repeated(study.equal))
    status = Status(study.folder, session=uuid.uuid4().hex, retries=study.run.retries)
    work = _Work(replace(packed, plan=plan), status)
    if name == "script":
        return work.write_scripts()
    signals = _handle_signals()
    try:
        work.run(detach)
    except _Detached:
        with suppress(OSError):  # the terminal is gone, but the output may be a file
            show(f"the terminal was closed; the workers go on:\n{_verbs(study.folder)}", file=sys.stderr)
        return 128 + signal.SIGHUP
    except KeyboardInterrupt:
        work.launcher.end()
        others = work.workers()
        goes_on = f"interrupted; {len(others)} workers of other commands go on:\n{_verbs(study.folder)}"
        resume = f"interrupted; this continues it:\n  {study.plan.command}"
        show(goes_on if others else resume, file=sys.stderr)
        return 130
    except BaseException:  # such as a full disk: the workers would go on without supervision
        work.launcher.end()
        raise
    finally:
        for number, before in signals.items():
            signal.signal(number, before)
    if detach:
        return 0
    return _close(study, status.summary(), work.launcher, time.monotonic() - begun)


class _Work:
    """The workers of a study: those that are there, and those that this command starts."""

    def __init__(self, study: PackedStudy, status: Status) -> None:
        self.study, self.status = study, status
        streams = os.path.abspath(Path(study.run.root) / STREAMS_FOLDER)
        variables = {STREAMS_VARIABLE: streams, DATA_VARIABLE: os.path.abspath(study.run.data)}
        own = study.run.launcher
        self.launcher: Launcher
        if own.name == "local":
            self.launcher = Local(variables=variables, devices=study.run.devices)
        else:
            self.launcher = self.slurm = Slurm(own, device=study.run.device, left=self._left, variables=variables)
        self._known: tuple[Worker, ...] = ()
        self._silent: str | None = None  # what the scheduler said when it did not answer
        self._say: Callable[[str], None] = partial(show, file=sys.stderr)

    def _left(self) -> dict[str, int]:
        return dict(Counter(job.kind for job in self.status.summary().jobs if job.state != "published"))

    @property
    def options(self) -> dict[str, Any]:
        session, retries = self.status.ledger.session, self.study.run.retries
        return {"threads": self.study.threads, "session": session, "retries": retries}

    def workers(self) -> tuple[Worker, ...]:
        """All workers of this study; the last ones known while the scheduler does not answer."""
        try:
            self._known, self._silent = self.launcher.list(self.study.folder), None
        except UserError as error:
            if self._silent != error.what:
                self._say(one_line(f"waiting: {error.what}: {error.got}"))
            self._silent = error.what
        return self._known

    def run(self, detach: bool) -> None:
        """Start the workers that are missing, and watch all; once more if only those of other commands were there."""
        started = False
        if detach and not self._left():
            show("all jobs are done")
        if self.study.run.remote and not self.study.run.checkpoints:
            show("without checkpoints (run.checkpoint_every=0) a job that is stopped starts from its first step again")
        while (left := sum(self._left().values())) and not started:
            there = self._known = self.launcher.list(self.study.folder)  # who cannot be asked gets nothing twice
            missing = min(self.study.workers, left) - len(there)
            if there:
                show(f"workers of this study that are there already: {len(there)}", file=sys.stderr)
            if missing > 0:
                self.launcher.start(self.study.folder, missing, **self.options)
                started = True
            if detach:
                show(f"the workers go on by themselves:\n{_verbs(self.study.folder)}")
                return
            self._watch()

    def _watch(self) -> None:
        live = Live(self.status)
        with SweepProgress() as progress:
            self._say = progress.say
            looked, there = time.monotonic(), self.workers()
            while there:
                view = live.look(there, self._silent)
                progress.show(view)
                time.sleep(POLL)
                last = view.summary.settled == len(view.summary.arms)  # so the workers are about to end
                if time.monotonic() - looked >= (min(1.0, self.launcher.poll) if last else self.launcher.poll):
                    looked, there = time.monotonic(), self.workers()
            progress.show(live.look())
        self._say = partial(show, file=sys.stderr)

    def write_scripts(self) -> int:
        """Show what to type where workers are to run."""
        if not self._left():
            show("all jobs are done")
            return 0
        first, *others = self.slurm.write(self.study.folder, self.study.workers, **self.options)
        show(
            "\n".join(f"\n{array.script}:\n\n{array.script.read_text(encoding='utf-8')}" for array in (first, *others))
        )
        line = shlex.join([*first.words, str(first.script)])
        for array in others:
            line = f"--dependency=afterany:$(sbatch --parsable {line}) {shlex.join([*array.words, str(array.script)])}"
        show(f"with SLURM:\n  sbatch {line}\non any machine that sees the folder, one worker each:")
        folder = shlex.quote(str(self.study.folder))
        show(f"  cd {shlex.quote(os.getcwd())} && python -m fusionlab.work {folder}\nthe table, when all is done:")
        show(f"  python -m fusionlab.report {folder}")
        return 0


def _verbs(folder: Path) -> str:
    return "\n".join(f"  python -m fusionlab.{verb} {shlex.quote(str(folder))}" for verb in ("status", "cancel"))


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


ADVICE = {  # what a reason has -> what to type
    "diverged": "a lower optim.{}.lr",
    "out of memory": "optim.{}.micro_batch=…, which computes the same batch in parts of so many clips",
}


def _advice(study: PlannedStudy, bad: Sequence[ArmRow]) -> list[str]:
    """What to type after these failures, each once."""
    lines = {
        advice.format("streams" if study.plan.arm(row.name).kind == "stream" else "fusion")
        for row in bad
        for sign, advice in ADVICE.items()
        if row.state == "failed" and sign in (row.reason or "")
    }
    return sorted(lines)


def _close(study: PlannedStudy, summary: Summary, launcher: Launcher, seconds: float) -> int:
    """Show one line for each failure, the table, the time of each stage, and the report's folder."""
    bad = [row for row in summary.arms if row.state != "done"]
    untested = finish_tests(study) if len(bad) < len(summary.arms) else 0
    if len(bad) < len(summary.arms):
        show("\n" + make_report(str(study.folder)))
        if study.run.logger.name == "wandb":
            log_table(study.folder, study.run.logger)
        show(f"\ntime: {stages(study.folder)}; this command {seconds:.0f} s")
        if line := price_line(study.folder):
            show(line)
        show(f"report: {study.folder / 'report' / 'index.html'}")
    for row in bad:
        log = f" (log: {row.log})" if row.log else ""
        show(one_line(f"{row.state}: {row.name}: {row.reason or 'not begun'}{log}"), file=sys.stderr)
    for line in _advice(study, bad):
        show(f"  try: {line}", file=sys.stderr)
    for worker, why in launcher.strayed().items():
        at = f" on {worker.host}" if worker.host else ""
        show(one_line(f"worker {worker.name}{at}: {why} (log: {worker.log})"), file=sys.stderr)
    if any(row.state in ("waiting", "running") for row in bad):
        show(f"this continues it:\n  {study.plan.command}", file=sys.stderr)
    return 1 if bad or untested else 0
