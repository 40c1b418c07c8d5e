"""The open files of a store, a limited number at a time.

A process that was forked, or that unpickled a store, opens its own.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError

Bytes = NDArray[np.uint8]
READ_AHEAD = 64 * 1024  # bytes: half of Linux's 128 KiB, which it reads around the page that is touched
OPEN = 128  # files at a time, with two handles each: below the usual limit of 1,024 a process


class OpenFile(NamedTuple):
    handle: int
    mapped: Bytes
    view: memoryview  # of the same bytes: a slice costs a fifth of an array's


class PartFiles:
    """Files below a folder, by part and name, opened at the first access."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = os.getpid()
        self._opened: OrderedDict[tuple[str, str], OpenFile] = OrderedDict()

    def mapped(self, part: str, file: str) -> Bytes:
        """The whole file as an array, not a copy; pages are read as they are touched."""
        return self._open(part, file).mapped

    def read(self, part: str, file: str, at: int, size: int) -> bytes:
        """`size` bytes by one read."""
        content = os.pread(self._open(part, file).handle, size, at)
        if len(content) != size:
            raise UserError("a part of this store is missing or cut", got=self.folder / part / file)
        return content

    def view(self, part: str, file: str, at: int, size: int) -> memoryview:
        """`size` bytes, not a copy. The kernel is asked for all of them at once where its own read-ahead is smaller."""
        opened = self._open(part, file)
        if size > READ_AHEAD and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(opened.handle, at, size, os.POSIX_FADV_WILLNEED)
        return opened.view[at : at + size]

    def offsets(self, part: str, file: str, at: int, count: int) -> tuple[int, ...]:
        """Numbers of eight bytes from a table of them; a `ValueError` where the file ends before."""
        try:
            return struct.unpack_from(f"<{count}q", self._open(part, file).view, at)
        except struct.error as error:
            raise ValueError(str(error)) from error

    def table(self, part: str, file: str, at: int, count: int, kind: np.dtype[Any]) -> NDArray[Any]:
        """`count` numbers, not a copy."""
        return np.frombuffer(self.mapped(part, file), dtype=kind, count=count, offset=at)

    def _open(self, part: str, file: str) -> OpenFile:
        if self._process != os.getpid():
            self._opened.clear()  # copies in a fork share the parent's position and lifetime
            self._process = os.getpid()
        opened = self._opened.get((part, file))
        if opened is not None:
            self._opened.move_to_end((part, file))
            return opened
        while len(self._opened) >= OPEN:
            os.close(self._opened.popitem(last=False)[1].handle)
        handle = os.open(self.folder / part / file, os.O_RDONLY | os.O_CLOEXEC)
        # A plain array over the map: slices of numpy's memmap class are several times slower.
        mapped = np.frombuffer(mmap.mmap(handle, 0, access=mmap.ACCESS_READ), dtype=np.uint8)
        opened = self._opened[part, file] = OpenFile(handle, mapped, mapped.data)
        return opened

    def close(self) -> None:
        """Close the files of this process."""
        if self._process == os.getpid():
            for opened in self._opened.values():
                os.close(opened.handle)
        self._opened.clear()

    def __del__(self) -> None:
        self.close()
