"""Workers as local processes. Each has its own session, so Ctrl-C or a closed terminal does not reach it.

<study>/workers/ has a file for each, with pid and start time, so that another command can list and cancel them. A file
is trusted only if the command line of the process shows that it is a worker of this study.

Each worker sees one GPU: CUDA_VISIBLE_DEVICES is set before it starts, so before torch is imported.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fusionlab.errors import UserError
from fusionlab.records.files import disk_errors, read_json, write_json
from fusionlab.study.devices import VARIABLE
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
    device: str | None = None  # the one GPU that it sees; None: it was not pinned to one


class Local:
    """The launcher for this host.

    `variables` are added to the workers' environment. `devices`: ids of GPUs; each worker gets the one with the fewest
    running workers of the study, also those of other commands. Without devices the environment says what they see.
    """

    poll = 0.3

    def __init__(
        self,
        argv: Argv = worker_argv,
        grace_s: float = GRACE + 5.0,
        variables: Mapping[str, str] | None = None,
        devices: Sequence[str] = (),
    ) -> None:
        self.argv = argv
        self.devices = tuple(devices)
        self.variables = dict(variables or {})
        self.grace_s = grace_s  # longer than a worker waits for its child
        self._started: list[tuple[subprocess.Popen[bytes], LocalWorker]] = []

    def start(
        self, study: Path, workers: int, *, threads: int | None, session: str, retries: int = 0
    ) -> tuple[LocalWorker, ...]:
        study = Path(study).absolute()
        running = self.list(study)
        own = {**self.variables, WORKERS_VARIABLE: str(len(running) + workers)}
        used = Counter(worker.device for worker in running)
        started = []
        for _ in range(workers):
            device = min(self.devices, key=lambda one: used[one], default=None)
            used[device] += 1
            started.append(self._one(study, threads, session, retries, own, device))
        return tuple(started)

    def _one(
        self,
        study: Path,
        threads: int | None,
        session: str,
        retries: int,
        variables: Mapping[str, str],
        device: str | None,
    ) -> LocalWorker:
        pin = {} if device is None else {VARIABLE: device}
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
                env={**child_environment(threads), **variables, **pin},
                start_new_session=True,
            )
        worker = LocalWorker(str(process.pid), log, process=ProcessId.of(process.pid, name), device=device)
        self._started.append((process, worker))
        write_json(folder / f"{name}.json", {**worker.process.to_dict(), "device": device})
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
                note = read_json(place)
                process = ProcessId.from_dict(note)
            except UserError:  # damaged, or not a worker's file
                continue
            if process.alive() and _works_on(process.pid, folder.parent):
                device, log = note.get("device"), place.with_suffix(".log")
                pin = device if isinstance(device, str) else None
                running.append(LocalWorker(str(process.pid), log, process=process, device=pin))
        return tuple({worker.name: worker for worker in (*running, *self._alive_in(folder))}.values())

    def _alive_in(self, folder: Path) -> tuple[LocalWorker, ...]:
        """Ours, which may not have their command line yet."""
        return tuple(worker for worker in self.alive() if worker.log.parent == folder)

    def cancel(self, study: Path) -> tuple[LocalWorker, ...]:
        return self._end(self.list(study))

    def end(self) -> tuple[LocalWorker, ...]:
        """Stop this launcher's workers only: another command may have workers here too."""
        return self._end(self.alive())

    def _end(self, workers: tuple[LocalWorker, ...]) -> tuple[LocalWorker, ...]:
        """End these workers, but those of other users, which are not returned."""
        ended = tuple(worker for worker in workers if _may_signal(worker.process.pid))
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


def note_this_worker(study: Path) -> None:
    """Let other commands list and cancel this process, which was typed by hand and logs where it was typed."""
    folder, own = Path(study).absolute() / FOLDER, ProcessId.here()
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{own.token[:8]}.json", {**own.to_dict(), "device": os.environ.get(VARIABLE)})


def _works_on(pid: int, study: Path) -> bool:
    """Whether its command line is … -m fusionlab.work … <study> …; no file in a folder can forge that."""
    words = command_line(pid)
    if ["-m", WORK] not in (words[at : at + 2] for at in range(len(words))):
        return False
    try:
        where = Path(f"/proc/{pid}/cwd").readlink()
    except OSError:  # of another user, or it has just ended
        where = Path()
    own = os.path.realpath(study)
    return any(os.path.realpath(where / word) == own for word in words[words.index(WORK) + 1 :])


def _may_signal(pid: int) -> bool:
    """Whether the process is this user's, or has just ended."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    return True


def _signal(worker: LocalWorker, number: signal.Signals) -> None:
    if worker.process.alive():  # the pid may belong to another process now
        with suppress(ProcessLookupError):
            os.kill(worker.process.pid, number)
