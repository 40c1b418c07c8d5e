"""The identity of a process, and whether it is still alive.

On the same host, in the same boot and pid namespace (containers share the first two), pid *and* start time identify a
process, since pids are reused. From elsewhere only the age of the lease is known. A claim that was copied with its
folder does not belong to the copy: the inode identifies a folder.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError


@dataclass(frozen=True)
class ProcessId:
    host: str
    boot: str
    namespace: str
    pid: int
    started: int  # clock ticks since boot
    token: str

    @classmethod
    def of(cls, pid: int, token: str | None = None) -> ProcessId:
        """A process of this host."""
        started = process_started(pid)
        return cls(
            socket.gethostname(),
            _boot(),
            _namespace(),
            pid,
            -1 if started is None else started,
            token or uuid.uuid4().hex,
        )

    @classmethod
    def here(cls) -> ProcessId:
        return cls.of(os.getpid())

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ProcessId:
        """From a file of unknown origin; a pid of -1 would mean every process."""
        if not isinstance(content, Mapping):
            raise UserError("this file does not identify a process", got=str(content)[:200])
        texts = [content.get(name) for name in ("host", "boot", "namespace", "token")]
        numbers = [content.get(name) for name in ("pid", "started")]
        if not all(type(one) is str for one in texts) or not all(type(one) is int for one in numbers):
            raise UserError("this file does not identify a process", got=str(dict(content))[:200])
        if content["pid"] < 1:
            raise UserError("this file does not identify a process", got=f"pid {content['pid']}")
        return cls(**{name: content[name] for name in cls.__dataclass_fields__})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def alive(self) -> bool | None:
        """True or False if it can be seen from here, None if only the lease can tell."""
        if not self.boot or (self.host, self.boot, self.namespace) != (
            socket.gethostname(),
            _boot(),
            _namespace(),
        ):
            return None
        started = process_started(self.pid)
        return started is not None and started == self.started

    def __str__(self) -> str:
        return f"{self.host}, pid {self.pid}"


def scheduled(environ: Mapping[str, str] = os.environ) -> dict[str, Any] | None:
    """The scheduler's name for this process, how often it was started again, and its node; None without a scheduler."""
    array, task = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else environ.get("SLURM_JOB_ID")
    if not job:
        return None
    restart = environ.get("SLURM_RESTART_COUNT", "")
    return {
        "job": job, "restart": int(restart) if restart.isdecimal() else 0,
        "node": environ.get("SLURMD_NODENAME") or socket.gethostname(),
    }  # fmt: skip


def started_again(claim: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is a later start of the scheduler's job that made a claim: it has given up the earlier one.

    That one may still run where the scheduler does not hear of its node any more; attempts at one job may overlap.
    """
    here, there = scheduled(environ), claim.get("scheduler")
    if here is None or not isinstance(there, Mapping) or there.get("job") != here["job"]:
        return False
    restart = there.get("restart")
    return isinstance(restart, int) and restart < here["restart"]


def command_line(pid: int) -> list[str]:
    """The command line of a process as words; empty if it cannot be read."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")[:-1]
    except OSError:
        return []


def process_started(pid: int) -> int | None:
    """Start time of a process, field 22 of /proc/<pid>/stat; None if it does not exist or is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the command in parentheses, which may contain spaces and parentheses.
    rest = stat.rpartition(")")[2].split()
    state, started = rest[0], int(rest[19])
    return None if state in "ZX" else started


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
