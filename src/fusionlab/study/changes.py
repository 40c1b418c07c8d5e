"""A hint of what has changed: a file beside jobs' folders, to which each change of a job appends one short line.

    <folder of jobs>/.changes      claim|arm|done|end <name of a job's folder>

Nothing rests on it: lines may be lost or torn (appends over NFS are not atomic), foreign or nonsense. It only says
where to look first; before anything is decided, the reader looks at a job's own files. Studies that share a folder of
streams share its file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FILE = ".changes"
CLAIM, ARM, DONE, END = "claim", "arm", "done", "end"  # end: without all of its arms
MOST = 4 << 20  # bytes; with more that is new, a look at all jobs is cheaper

_WORDS = (CLAIM, ARM, DONE, END)


def note(job: Path, word: str) -> None:
    """Say that a job's folder has changed. An error is ignored."""
    with suppress(OSError):
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW  # a link would lead elsewhere
        handle = os.open(f"{job.parent}/{FILE}", flags, 0o666)
        try:
            os.write(handle, f"{word} {job.name}\n".encode())
        finally:
            os.close(handle)


class Changes:
    """The new lines of the files in some folders."""

    def __init__(self, folders: Iterable[str]) -> None:
        self._read = dict.fromkeys(folders, (0, 0))  # folder -> inode and offset

    def skip(self) -> None:
        """Skip all lines up to now."""
        for folder in self._read:
            self._read[folder] = _size(folder)

    def new(self) -> list[tuple[str, str]] | None:
        """(path of a job's folder, word) of each new line; None if lines are lost, since a file is another one."""
        changes: list[tuple[str, str]] = []
        whole = True
        for folder, (inode, offset) in self._read.items():
            try:
                handle = os.open(f"{folder}/{FILE}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            except OSError:
                whole = whole and not inode
                self._read[folder] = (0, 0)
                continue
            try:  # opening makes a network file system ask its server again
                now = os.fstat(handle)
                known = inode == now.st_ino or not inode
                if not stat.S_ISREG(now.st_mode):
                    continue
                if not known or not 0 <= now.st_size - offset <= MOST:
                    whole = False
                    self._read[folder] = (now.st_ino, now.st_size)
                    continue
                if now.st_size == offset:
                    continue
                text = os.pread(handle, now.st_size - offset, offset)
            except OSError:
                continue
            finally:
                os.close(handle)
            complete = text.rfind(b"\n") + 1  # a line that is being written has no end yet
            self._read[folder] = (now.st_ino, offset + complete)
            for line in text[:complete].decode("utf-8", errors="replace").split("\n"):
                word, _, name = line.partition(" ")
                if word in _WORDS:
                    changes.append((f"{folder}/{name}", word))
        return changes if whole else None


def _size(folder: str) -> tuple[int, int]:
    try:
        now = os.lstat(f"{folder}/{FILE}")
    except OSError:
        return 0, 0
    return now.st_ino, now.st_size
