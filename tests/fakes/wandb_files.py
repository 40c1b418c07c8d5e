"""Reads the files that wandb writes offline."""

from __future__ import annotations

from collections.abc import Iterator


def leveldb_log(content: bytes) -> Iterator[bytes]:
    """The entries of a file in LevelDB's log format, behind a header of 7 bytes: (crc 4, length 2, type 1), data."""
    at, whole = 7, b""
    while at + 7 <= len(content):
        length, part = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if part in (1, 4):  # a whole entry, or the last part of one
            yield whole
            whole = b""
        if 32768 - at % 32768 < 7:  # the rest of a block that is too short for a header
            at += 32768 - at % 32768
