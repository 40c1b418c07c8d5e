"""A launcher starts, lists and cancels the workers of a study: processes here, or arrays of a cluster's jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fusionlab.errors import UserError, expect_whole, unknown

WORKERS_VARIABLE = "FUSIONLAB_WORKERS"  # tells a worker how many were started together
FOLDER = "workers"  # in a study: a file for each worker or array, and logs
LAUNCHERS = ("local", "slurm", "script")
AUTO = "auto"
OWN_DIRECTIVES = re.compile(
    r"--(job-name|array|output|open-mode|requeue|no-requeue|signal|nodes|ntasks|wrap)(=|\s|$)|-[JaoNn]"
)
# The values of a launcher without options, and of plans that are older than launchers.
LOCAL = {
    "name": "local", "partition": None, "account": None, "qos": None, "constraint": None, "time": None, "cpus": AUTO,
    "prepare_cpus": 8, "memory": None, "gpus": AUTO, "directives": (), "setup": (), "python": None, "signal": 120,
}  # fmt: skip


@dataclass(frozen=True)
class LauncherConfig:
    """Options of `run.launcher`. All but the name are a scheduler's."""

    name: str
    partition: str | None
    account: str | None
    qos: str | None
    constraint: str | None
    time: str | None
    cpus: int | str
    prepare_cpus: int
    memory: float | None  # GiB
    gpus: int | str
    directives: tuple[str, ...]
    setup: tuple[str, ...]
    python: str | None
    signal: int  # seconds

    def __post_init__(self) -> None:
        if self.name not in LAUNCHERS:
            raise unknown("launcher", str(self.name), LAUNCHERS, form="launcher={}")
        expect_whole("run.launcher.cpus", self.cpus, 1, AUTO)
        expect_whole("run.launcher.prepare_cpus", self.prepare_cpus, 1)
        expect_whole("run.launcher.gpus", self.gpus, 0, AUTO)
        expect_whole("run.launcher.signal", self.signal, 1)
        if self.memory is not None and not (type(self.memory) in (int, float) and self.memory > 0):
            raise UserError("run.launcher.memory is the GiB of a worker", got=f"run.launcher.memory={self.memory}")
        for name in ("partition", "account", "qos", "constraint", "time", "python"):
            self._expect_line(name, getattr(self, name), optional=True)
        seconds = None if self.time is None else seconds_of(self.time)
        if seconds is not None and seconds <= self.signal:
            raise UserError(
                "each worker would be stopped as soon as it starts: run.launcher.signal is as long as its time",
                got=f"run.launcher.time={self.time} run.launcher.signal={self.signal}",
                hint=f"run.launcher.signal={max(1, seconds // 4)}",
            )  # fmt: skip
        for name in ("directives", "setup"):
            for line in getattr(self, name) if isinstance(getattr(self, name), tuple) else (None,):
                self._expect_line(name, line)
        for word in self.directives:
            if not word.startswith("-"):
                raise UserError(
                    "a directive is a word of sbatch", got=f"run.launcher.directives=[{word}]",
                    hint="run.launcher.directives=['--exclude=node7']",
                )  # fmt: skip
            if OWN_DIRECTIVES.match(word):
                raise UserError(
                    "this directive is set by the launcher, which finds its workers by it", got=word,
                    hint="leave it out; workers are named after their array, and log into the study's folder",
                )  # fmt: skip

    def _expect_line(self, name: str, line: object, *, optional: bool = False) -> None:
        """Each of these becomes a line of a shell file."""
        if line is None and optional:
            return
        if not isinstance(line, str) or not line or re.search(r"[\x00-\x1f]", line):
            hints = {"time": "run.launcher.time='\"4:00:00\"'", "setup": "run.launcher.setup=['module load cuda']"}
            raise UserError(
                f"run.launcher.{name} is {'a text' if optional else 'a list of texts'} of one line each",
                got=f"run.launcher.{name}={line}", hint=hints.get(name),
            )  # fmt: skip

    def gpus_with(self, device: str) -> int:
        """GPUs of a worker that trains, where jobs compute on this device."""
        return (0 if device == "cpu" else 1) if self.gpus == AUTO else int(self.gpus)


def seconds_of(time: str) -> int | None:
    """The seconds of a time as sbatch reads it; None if it is none.

    >>> [seconds_of(one) for one in ("90", "1:30", "1:00:00", "2-0", "1-1:1:1", "soon")]
    [5400, 90, 3600, 172800, 90061, None]
    """
    days, dash, rest = time.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdecimal() for part in (days or "0", *parts)) or len(parts) > 3:
        return None
    first = 0 if dash or len(parts) == 3 else 1  # of hours, minutes, seconds: with days they begin with hours
    units = (3600, 60, 1)[first:]
    return 86400 * int(days or 0) + sum(int(part) * unit for part, unit in zip(parts, units, strict=False))


@dataclass(frozen=True)
class Worker:
    """A worker: its name for the launcher (a pid, a task of an array), its log, and where and how it is."""

    name: str
    log: Path
    state: str = "running"  # or queued
    host: str | None = None
    reason: str | None = None  # why it is queued


class Launcher(Protocol):
    poll: float  # seconds between two looks at its workers

    def start(
        self, study: Path, workers: int, *, threads: int | None, session: str, retries: int = 0
    ) -> tuple[Worker, ...]:
        """Start workers on a study's folder and return at once."""

    def list(self, study: Path) -> tuple[Worker, ...]:
        """The running and queued workers of the study, also those of other commands."""

    def cancel(self, study: Path) -> tuple[Worker, ...]:
        """Stop the workers of the study gracefully, so that their jobs become ready again; returns them."""

    def end(self) -> tuple[Worker, ...]:
        """Stop the workers that this launcher started, and no others."""

    def strayed(self) -> dict[Worker, str]:
        """The workers that this launcher started and that ended by themselves without doing their work, and why."""
