"""Whether a folder's file system keeps what the ledger needs: one creator of a name, and renames as a whole.

Object stores and some FUSE mounts do not: two workers would get one job, or one result would replace another. It is
tried, with threads that race for one name; a disk that fails only between two hosts is not found so.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from fusionlab.errors import UserError
from fusionlab.records.files import create_exclusive, disk_errors, publish

RACERS = 3
FILES = ("a", "b")  # of each folder that is renamed


def probe(folder: str | os.PathLike[str]) -> None:
    """Raise a `UserError` if the folder cannot be written, or is no place for a study. Takes some milliseconds."""
    place = Path(folder) / f".probe.{uuid.uuid4().hex}.tmp"
    with disk_errors(place):
        place.mkdir(parents=True)
    try:
        reason = _exclusive(place / "claim") or _renames(place, place / "published")
    except OSError as error:
        reason = f"to create, link or rename fails there ({error.strerror or error})"
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if reason:
        raise UserError(
            f"this file system cannot hold a study: {reason}", got=os.fspath(folder),
            hint="run.root=… in a folder on a local disk, on NFS, Lustre, GPFS or BeeGFS",
        )  # fmt: skip


def _exclusive(name: Path) -> str | None:
    """Why exclusive creation does not work."""
    won = _race(lambda racer: create_exclusive(name, str(racer), sync=False))
    if len(won) != 1:
        return f"{len(won)} of {RACERS} processes created one file"
    if name.read_text(encoding="ascii") != str(won[0]):
        return "a file that one process created has the content of another"
    return None


def _renames(place: Path, final: Path) -> str | None:
    """Why publication by a rename does not work."""
    folders = [place / f"result{racer}" for racer in range(RACERS)]
    for racer, folder in enumerate(folders):
        folder.mkdir()
        for name in FILES:
            (folder / name).write_text(str(racer), encoding="ascii")
    won = _race(lambda racer: publish(folders[racer], final, sync=False))
    if len(won) != 1:
        return f"{len(won)} of {RACERS} folders were renamed to one name, which already had files"
    for racer, folder in enumerate(folders):
        held = _content(final if racer == won[0] else folder)
        if held != dict.fromkeys(FILES, str(racer)):
            return "a renamed folder is not complete, or has files of another one"
    return "a renamed folder is still at its old place" if folders[won[0]].exists() else None


def _content(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text(encoding="ascii") for file in folder.iterdir()} if folder.is_dir() else {}


def _race(do: Callable[[int], bool]) -> list[int]:
    """The racers that won."""
    start = Barrier(RACERS)

    def one(racer: int) -> bool:
        start.wait()
        return do(racer)

    with ThreadPoolExecutor(RACERS) as racers:
        return [racer for racer, won in enumerate(racers.map(one, range(RACERS))) if won]
