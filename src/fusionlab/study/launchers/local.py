"""Workers as local processes, each in a session of its own: Ctrl-C or a closed terminal does not reach them.

Each is noted in <study>/workers/, by pid and start time, so that another command can list and cancel them. A note is
believed only of a process that is a worker of this study by its command line.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fusionlab.errors import UserError
from fusionlab.records.files import disk_errors, read_json, write_json
from fusionlab.study.launchers.launcher import Worker
from fusionlab.study.process_id import Holder, command_line
from fusionlab.study.worker import GRACE, child_environment

FOLDER = "workers"
WORK = "fusionlab.work"

Argv = Callable[[Path, "int | None", str, int], "list[str]"]


def worker_argv(study: Path, threads: int | None, session: str, retries: int) -> list[str]:
    """The command line of a worker."""
    pools = [] if threads is None else ["--threads", str(threads)]
    words = [
        sys.executable,
        "-m",
        WORK,
        str(study),
        "--session",
        session,
        "--retries",
        str(retries),
    ]
    return words + pools


@dataclass(frozen=True)
class LocalWorker(Worker):
    holder: Holder


class Local:
    """The launcher for this host. `variables`: of the workers' environment, beside our own."""

    def __init__(
        self, argv: Argv = worker_argv, grace_s: float = GRACE + 5.0, variables: Mapping[str, str] | None = None
    ) -> None:
        self.argv = argv
        self.variables = dict(variables or {})
        self.grace_s = grace_s  # longer than a worker gives its child
        self._started: list[tuple[subprocess.Popen[bytes], LocalWorker]] = []

    def start(
        self, study: Path, workers: int, *, threads: int | None, session: str, retries: int = 0
    ) -> tuple[LocalWorker, ...]:
        study = Path(study).absolute()
        return tuple(self._one(study, threads, session, retries) for _ in range(workers))

    def _one(self, study: Path, threads: int | None, session: str, retries: int) -> LocalWorker:
        folder = study / FOLDER
        name = uuid.uuid4().hex[:8]
        log = folder / f"{name}.log"
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            output = log.open("ab")
        with output:
            process = subprocess.Popen(
                self.argv(study, threads, session, retries),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**child_environment(threads), **self.variables},
                start_new_session=True,
            )
        holder = Holder.of(process.pid, name)
        worker = LocalWorker(str(process.pid), log, holder)
        self._started.append((process, worker))
        write_json(folder / f"{name}.json", holder.to_dict())
        return worker

    def alive(self) -> tuple[LocalWorker, ...]:
        """Those that this launcher started and that have not ended."""
        return tuple(worker for process, worker in self._started if process.poll() is None)

    def statuses(self) -> dict[str, int | None]:
        """Name -> exit status of those that this launcher started; None for one that lives."""
        return {worker.name: process.poll() for process, worker in self._started}

    def strayed(self) -> dict[LocalWorker, int]:
        """Those that ended otherwise than by 0 (all published) or 1 (some failed): killed, a full disk, an error."""
        ends = {worker: process.poll() for process, worker in self._started}
        return {worker: status for worker, status in ends.items() if status not in (None, 0, 1)}

    def list(self, study: Path) -> tuple[LocalWorker, ...]:
        folder = Path(study).absolute() / FOLDER
        found = []
        for place in sorted(folder.glob("[!.]*.json")):
            try:
                holder = Holder.from_dict(read_json(place))
            except UserError:  # damaged, or no worker's
                continue
            if holder.alive() and _works_on(holder.pid, folder.parent):
                found.append(LocalWorker(str(holder.pid), place.with_suffix(".log"), holder))
        return tuple(found)

    def cancel(self, study: Path) -> tuple[LocalWorker, ...]:
        return self._end(self.list(study))

    def end(self) -> tuple[LocalWorker, ...]:
        """End the workers that this launcher started, and no other: a second command may work here too."""
        return self._end(self.alive())

    def _end(self, ended: tuple[LocalWorker, ...]) -> tuple[LocalWorker, ...]:
        for worker in ended:
            _tell(worker, signal.SIGTERM)
        until = time.monotonic() + self.grace_s
        while self._living(ended) and time.monotonic() < until:
            time.sleep(0.05)
        for worker in self._living(ended):
            _tell(worker, signal.SIGKILL)  # its child dies with it
        return ended

    def _living(self, workers: tuple[LocalWorker, ...]) -> tuple[LocalWorker, ...]:
        for process, _ in self._started:
            process.poll()  # reap our own
        return tuple(worker for worker in workers if worker.holder.alive())


def _works_on(pid: int, study: Path) -> bool:
    """By its command line, which a note in a folder cannot change: … -m fusionlab.work <study> …"""
    words = command_line(pid)
    return any(
        words[at : at + 2] == ["-m", WORK] and os.path.realpath(words[at + 2]) == os.path.realpath(study)
        for at in range(len(words) - 2)
    )


def _tell(worker: LocalWorker, number: signal.Signals) -> None:
    if worker.holder.alive():  # a pid may have gone to another process since
        with suppress(ProcessLookupError):
            os.kill(worker.holder.pid, number)
