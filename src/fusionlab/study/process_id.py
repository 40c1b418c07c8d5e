"""Who holds a claim, and whether that process still lives.

On the same host, in the same boot and the same pid namespace (containers share the first two), a process is
known by its pid *and* its start time: pids are used again. From anywhere else nothing can be known but the
age of the lease. A claim that was copied with its folder says nothing of the copy: a folder is known by its inode.
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
class Holder:
    host: str
    boot: str
    namespace: str
    pid: int
    started: int  # clock ticks since boot
    token: str

    @classmethod
    def of(cls, pid: int, token: str | None = None) -> Holder:
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
    def here(cls) -> Holder:
        return cls.of(os.getpid())

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Holder:
        """From a file that anybody may have written: a pid of -1 would be every process."""
        if not isinstance(content, Mapping):
            raise UserError("this file does not name a process", got=str(content)[:200])
        texts = [content.get(name) for name in ("host", "boot", "namespace", "token")]
        numbers = [content.get(name) for name in ("pid", "started")]
        if not all(type(one) is str for one in texts) or not all(type(one) is int for one in numbers):
            raise UserError("this file does not name a process", got=str(dict(content))[:200])
        if content["pid"] < 1:
            raise UserError("this file does not name a process", got=f"pid {content['pid']}")
        return cls(**{name: content[name] for name in cls.__dataclass_fields__})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def alive(self) -> bool | None:
        """True or False where it can be seen from here, None where only the lease can tell."""
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


def command_line(pid: int) -> list[str]:
    """The words that a process was started with; empty where they cannot be read."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")[:-1]
    except OSError:
        return []


def process_started(pid: int) -> int | None:
    """Start time of a process, field 22 of /proc/<pid>/stat; None where there is none or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the command in parentheses, which may itself hold spaces and parentheses.
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
