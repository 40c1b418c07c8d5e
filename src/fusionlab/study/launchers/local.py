"""Workers as local processes. Each has its own session, so Ctrl-C or a closed terminal does not reach it.

<study>/workers/ has a file for each, with pid and start time, so that another command can list and cancel them. A file
is trusted only if the command line of the process shows that it is a worker of this study.
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
from dataclasses import dataclass, field
from pathlib import Path

from fusionlab.errors import UserError
from fusionlab.records.files import disk_errors, read_json, write_json
from fusionlab.study.launchers import FOLDER, WORKERS_VARIABLE, Worker
from fusionlab.study.process_id import ProcessId, command_line
from fusionlab.study.worker import GRACE, child_environment

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
    process: ProcessId = field(kw_only=True)


class Local:
    """The launcher for this host. `variables` are added to the workers' environment."""

    poll = 0.3

    def __init__(
        self, argv: Argv = worker_argv, grace_s: float = GRACE + 5.0, variables: Mapping[str, str] | None = None
    ) -> None:
        self.argv = argv
        self.variables = dict(variables or {})
        self.grace_s = grace_s  # longer than a worker waits for its child
        self._started: list[tuple[subprocess.Popen[bytes], LocalWorker]] = []

    def start(
        self, study: Path, workers: int, *, threads: int | None, session: str, retries: int = 0
    ) -> tuple[LocalWorker, ...]:
        study = Path(study).absolute()
        own = {**self.variables, WORKERS_VARIABLE: str(workers)}
        return tuple(self._one(study, threads, session, retries, own) for _ in range(workers))

    def _one(
        self, study: Path, threads: int | None, session: str, retries: int, variables: Mapping[str, str]
    ) -> LocalWorker:
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
                env={**child_environment(threads), **variables},
                start_new_session=True,
            )
        worker = LocalWorker(str(process.pid), log, process=ProcessId.of(process.pid, name))
        self._started.append((process, worker))
        write_json(folder / f"{name}.json", worker.process.to_dict())
        return worker

    def alive(self) -> tuple[LocalWorker, ...]:
        """The running workers of this launcher."""
        return tuple(worker for process, worker in self._started if process.poll() is None)

    def statuses(self) -> dict[str, int | None]:
        """Name -> exit status of this launcher's workers; None for a running one."""
        return {worker.name: process.poll() for process, worker in self._started}

    def strayed(self) -> dict[Worker, str]:
        """The workers with an exit status other than 0 (all published) or 1 (some failed): killed, full disk, error."""
        ends = {worker: process.poll() for process, worker in self._started}
        return {worker: f"ended with status {status}" for worker, status in ends.items() if status not in (None, 0, 1)}

    def list(self, study: Path) -> tuple[LocalWorker, ...]:
        folder = Path(study).absolute() / FOLDER
        running = []
        for place in sorted(folder.glob("[!.]*.json")):
            try:
                process = ProcessId.from_dict(read_json(place))
            except UserError:  # damaged, or not a worker's file
                continue
            if process.alive() and _works_on(process.pid, folder.parent):
                running.append(LocalWorker(str(process.pid), place.with_suffix(".log"), process=process))
        return tuple({worker.name: worker for worker in (*running, *self._alive_in(folder))}.values())

    def _alive_in(self, folder: Path) -> tuple[LocalWorker, ...]:
        """Ours, which may not have their command line yet."""
        return tuple(worker for worker in self.alive() if worker.log.parent == folder)

    def cancel(self, study: Path) -> tuple[LocalWorker, ...]:
        return self._end(self.list(study))

    def end(self) -> tuple[LocalWorker, ...]:
        """Stop this launcher's workers only: another command may have workers here too."""
        return self._end(self.alive())

    def _end(self, ended: tuple[LocalWorker, ...]) -> tuple[LocalWorker, ...]:
        for worker in ended:
            _signal(worker, signal.SIGTERM)
        until = time.monotonic() + self.grace_s
        while self._living(ended) and time.monotonic() < until:
            time.sleep(0.05)
        for worker in self._living(ended):
            _signal(worker, signal.SIGKILL)  # its child dies with it
        return ended

    def _living(self, workers: tuple[LocalWorker, ...]) -> tuple[LocalWorker, ...]:
        for process, _ in self._started:
            process.poll()  # reap our own
        return tuple(worker for worker in workers if worker.process.alive())


def _works_on(pid: int, study: Path) -> bool:
    """Whether its command line is … -m fusionlab.work <study> …; no file in a folder can forge that."""
    words = command_line(pid)
    return any(
        words[at : at + 2] == ["-m", WORK] and os.path.realpath(words[at + 2]) == os.path.realpath(study)
        for at in range(len(words) - 2)
    )


def _signal(worker: LocalWorker, number: signal.Signals) -> None:
    if worker.process.alive():  # the pid may belong to another process now
        with suppress(ProcessLookupError):
            os.kill(worker.process.pid, number)
