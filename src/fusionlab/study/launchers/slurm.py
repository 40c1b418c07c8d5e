"""Workers as arrays of SLURM jobs: one for what decodes videos, on CPUs, and after it one for what trains.

A worker is `python -m fusionlab.work` in a batch file, and what it does lies in the study's folder. So nothing is
pickled, no result passes through the scheduler, and the command that submitted may end. submitit, the usual library,
would start each worker from a pickle, and answers the signals that a worker answers itself; `sbatch` alone is enough.

<study>/workers/fusionlab-….json names an array before it is submitted. Its jobs are found by that name in the queue, so
every later command sees them, and no other job is ever cancelled. The note of a copied study does not count: it has the
inode of the folder in which it was written.

The batch file passes signals on to its worker, and itself asks to be queued again if the worker ends with status 75: in
a container there may be no scontrol.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fusionlab.errors import UserError
from fusionlab.records.files import read_json, write_json, write_text
from fusionlab.study.launchers import AUTO, FOLDER, WORKERS_VARIABLE, LauncherConfig, Worker
from fusionlab.study.worker import REQUEUE

TRAINING = ("stream", "cohort")  # kinds of jobs
GPU_CORES = 4  # at least, of a worker with a GPU: it reads clips ahead
UNSEEN = 66  # the exit status of a worker whose node does not see the study's folder
WAIT = 60.0  # seconds for the scheduler's answer
FAILED_SETUP = 67  # the exit status where a command of `setup` failed
PLAIN = re.compile(r"[\w./=+,@:%-]+")  # what sbatch reads in a batch file as it is written
NAME = re.compile(r"fusionlab-[0-9a-f]{8}")
ENDS = {
    f"{UNSEEN}:0": "its node does not see the study's folder: choose run.root on a file system that all nodes share",
    "0:53": "its node cannot write the log: choose run.root on a file system that all nodes share",
    f"{FAILED_SETUP}:0": "a command of run.launcher.setup failed",
    "127:0": "its node has no such python: see run.launcher.python and run.launcher.setup",
}
_CHECKED = f'[ $? = 0 ] || {{ echo "a command of run.launcher.setup failed" >&2; exit {FAILED_SETUP}; }}'

_AFTER = f"""\
worker=$!
trap 'again=1; kill -USR1 $worker' USR1
trap 'again=1; kill -TERM $worker' TERM INT
status=127 again=1
while [ $again ]; do again=; wait $worker; got=$?; [ $got = 127 ] || status=$got; done  # a signal ends `wait`
[ $status != {REQUEUE} ] || exec scontrol requeue "$SLURM_JOB_ID"
exit $status"""


@dataclass(frozen=True)
class Array:
    """An array of workers for some kinds of jobs, as a batch file."""

    name: str
    kinds: tuple[str, ...]
    workers: int
    script: Path

    @property
    def log(self) -> str:
        """The log of each worker, as sbatch writes paths."""
        return f"{str(self.script.with_suffix('')).replace('%', '%%')}-%a.log"

    @property
    def words(self) -> list[str]:
        """Words of sbatch before the batch file: a path that cannot stand in a directive."""
        return [] if PLAIN.fullmatch(self.log) else [f"--output={self.log}"]


class Slurm:
    """The launcher for SLURM. `left` gives kind of job -> number of jobs that are not done, for `start`."""

    poll = 5.0  # seconds: an answer of the scheduler is dear

    def __init__(
        self,
        options: LauncherConfig | None = None,
        *,
        device: str = AUTO,
        left: Callable[[], Mapping[str, int]] = dict,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.options, self.device, self.left = options, device, left
        self.variables = dict(variables or {})
        self._submitted: dict[str, Path] = {}  # id of an array -> the study

    def start(
        self, study: Path, workers: int, *, threads: int | None, session: str, retries: int = 0
    ) -> tuple[Worker, ...]:
        started: list[Worker] = []
        before = ""
        for array in self.write(study, workers, threads=threads, session=session, retries=retries):
            after = [f"--dependency=afterany:{before}"] if before else []
            try:
                words = ["--parsable", *after, *array.words, str(array.script)]
                before = _ask("sbatch", *words).strip().partition(";")[0]
            except UserError:
                self.end()
                raise
            self._submitted[before] = Path(study)
            log = array.script.with_name(f"{array.name}-0.log")
            started += [Worker(f"{before}_{task}", log, "queued") for task in range(array.workers)]
        return tuple(started)

    def write(self, study: Path, workers: int, *, threads: int | None, session: str, retries: int = 0) -> list[Array]:
        """Write the batch files of the arrays that have something to do, and the notes by which they are found."""
        study = Path(study).absolute()
        words = ["--session", session, "--retries", str(retries)]
        words += [] if threads is None else ["--threads", str(threads)]
        arrays, left = [], self.left()
        for kinds in (("prepare",), TRAINING):
            jobs = sum(left.get(kind, 0) for kind in kinds)
            if not jobs:
                continue
            name = f"fusionlab-{uuid.uuid4().hex[:8]}"
            array = Array(name, kinds, min(jobs, workers), study / FOLDER / f"{name}.sh")
            write_text(array.script, self._text(study, array, threads, words))
            inode = array.script.parent.stat().st_ino
            write_json(
                study / FOLDER / f"{name}.json",
                {"scheduler": "slurm", "name": name, "inode": inode, "kinds": list(kinds), "workers": array.workers},
            )
            arrays.append(array)
        return arrays

    def _text(self, study: Path, array: Array, threads: int | None, words: Sequence[str]) -> str:
        """The batch file of an array."""
        assert self.options is not None
        own, gpus = self.options, 0
        if array.kinds == TRAINING:
            gpus = own.gpus_with(self.device)
            least = GPU_CORES if gpus else 1
            cpus = max(threads or 1, least) if own.cpus == AUTO else int(own.cpus)
        else:
            cpus = own.prepare_cpus
        directives = [
            f"--job-name={array.name}", f"--array=0-{array.workers - 1}",
            *([] if array.words else [f"--output={array.log}"]),
            "--open-mode=append", "--nodes=1", "--ntasks=1", f"--cpus-per-task={cpus}", "--requeue",
            f"--signal=B:USR1@{own.signal}",
            *([f"--gres=gpu:{gpus}"] if gpus else []),
            *([f"--mem={round(1024 * own.memory)}M"] if own.memory is not None else []),
            *(f"--{name}={value}" for name in ("partition", "account", "qos", "constraint", "time")
              if (value := getattr(own, name)) is not None),
            *own.directives,
        ]  # fmt: skip
        variables = {**self.variables, WORKERS_VARIABLE: "1", "FUSIONLAB_ARRAY": array.name}
        python = shlex.quote(sys.executable) if own.python is None else own.python
        kinds = f"kinds={','.join(array.kinds)}"
        worker = f"{python} -m fusionlab.work {shlex.quote(str(study))} {kinds} {shlex.join(words)}"
        lines = [
            "#!/bin/bash",
            *(f"#SBATCH {_directive(one)}" for one in directives),
            *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
            *(_seen(test, place) for test, place in (("test -r", study / "plan.json"), ("cd", os.getcwd()))),
            *(part for line in own.setup for part in (line, _CHECKED)),
            f"{worker} &",
            _AFTER,
        ]
        return "\n".join(lines) + "\n"

    def list(self, study: Path) -> tuple[Worker, ...]:
        folder = Path(study).absolute() / FOLDER
        names = [name for place in folder.glob("fusionlab-*.json") if (name := _noted(place))]
        if not names:
            return ()
        queue = _ask("squeue", "--noheader", "--array", f"--name={','.join(names)}", "--format=%i|%j|%T|%N|%r")
        workers = []
        for line in queue.splitlines():
            number, name, state, host, reason = map(str.strip, line.split("|", 4))
            if name in names:
                log = folder / f"{name}-{number.rpartition('_')[2]}.log"
                waits = state not in ("RUNNING", "COMPLETING", "CONFIGURING")
                workers.append(
                    Worker(number, log, "queued" if waits else "running", host or None, reason if waits else None)
                )
        return tuple(workers)

    def cancel(self, study: Path) -> tuple[Worker, ...]:
        return self._end(study, self.list(study))

    def end(self) -> tuple[Worker, ...]:
        ended: list[Worker] = []
        for study in dict.fromkeys(self._submitted.values()):
            own = [one for one in self.list(study) if one.name.partition("_")[0] in self._submitted]
            ended += self._end(study, own)
        return tuple(ended)

    def _end(self, study: Path, workers: Sequence[Worker]) -> tuple[Worker, ...]:
        """Cancel jobs, and wait until they are gone: SLURM sends TERM, and KILL after its KillWait."""
        names = {worker.name for worker in workers}
        if names:
            _ask("scancel", *sorted(names))
        until = time.monotonic() + WAIT
        while names & {worker.name for worker in self.list(study)} and time.monotonic() < until:
            time.sleep(0.5)
        return tuple(workers)

    def strayed(self) -> dict[Worker, str]:
        """SLURM remembers an ended job for some minutes (MinJobAge)."""
        found = {}
        for array, study in self._submitted.items():
            with suppress(UserError):  # it has forgotten them
                for job in _ask("scontrol", "--oneliner", "show", "job", array).splitlines():
                    facts = dict(word.partition("=")[::2] for word in job.split())
                    status = facts.get("ExitCode", "0:0")
                    if status in ("0:0", "1:0") or facts.get("JobState") in ("CANCELLED", "PENDING", "RUNNING"):
                        continue
                    name = f"{array}_{facts.get('ArrayTaskId', '0')}"
                    log = Path(facts.get("StdOut") or study)
                    why = ENDS.get(status, f"SLURM says {facts.get('JobState')}, exit code {status}")
                    found[Worker(name, log, host=facts.get("NodeList"))] = why
        return found


def expect_slurm() -> None:
    """Raise a `UserError` where nothing can be submitted."""
    if shutil.which("sbatch") is None:
        raise UserError(
            "no SLURM here: sbatch is not on the PATH", got="launcher=slurm",
            hint="launcher=script, which writes the batch files, or launcher=local",
        )  # fmt: skip


def _seen(test: str, place: str | Path) -> str:
    """A shell command that ends a worker where it does not see a place."""
    path = shlex.quote(str(place))
    return f'{test} {path} || {{ echo "this node does not see" {path} >&2; exit {UNSEEN}; }}'


def _ask(program: str, *words: str) -> str:
    """The output of a program of SLURM; its own words if it refuses."""
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=WAIT, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise UserError("no SLURM here", got=f"{program} is not on the PATH", hint="launcher=local") from None
    except subprocess.TimeoutExpired:
        raise UserError("SLURM does not answer", got=f"{program}, for {WAIT:g} seconds") from None
    if done.returncode:
        hint = "other values of run.launcher: partition, cpus, prepare_cpus, gpus, memory, time"
        raise UserError(
            f"SLURM refuses: {program}", got=done.stderr.strip() or f"exit status {done.returncode}",
            hint=hint if program == "sbatch" else None,
        )  # fmt: skip
    return done.stdout


def _noted(place: Path) -> str | None:
    """The name of an array in its note; None for a file that is not a note of this folder."""
    try:
        content = read_json(place)
        own = isinstance(content, dict) and content.get("inode") == place.parent.stat().st_ino
    except (UserError, OSError):
        return None
    name = content.get("name") if own else None
    return name if isinstance(name, str) and NAME.fullmatch(name) else None


def _directive(word: str) -> str:
    """A word of sbatch in a batch file, which reads quotes as a shell does."""
    name, equals, value = word.partition("=")
    return f"{name}={chr(34)}{value}{chr(34)}" if equals and re.search(r"\s", value) else word
