"""Decode once: from a data set's video files to its packed store.

    folder/<signature of the recipe>/            the finished store; appears by one rename
    folder/.<signature>.making/part-00000/ …     finished parts of one that is being made
    folder/.<signature>.lock                     held while it is made; a second command waits, then finds it

A finished store is recognised by its hash. After a kill at any point the same command goes on: parts that
were published are kept, others are made again, and nothing reads a store before it is whole.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fusionlab.data.dataset import Entry
from fusionlab.data.packing import Making, Part, pack
from fusionlab.data.processes import in_processes
from fusionlab.errors import UserError
from fusionlab.records.crash import crash_point
from fusionlab.records.files import disk_errors, publish
from fusionlab.records.lock import alone
from fusionlab.records.signature import signature
from fusionlab.video.decode import Reader, reader
from fusionlab.video.flow import Estimator
from fusionlab.video.quantise import BOUND
from fusionlab.video.store import INDEX, Store, Video, write_index

CHUNK = 100  # videos a part: a kill loses less than a second of work on small videos, and files stay few


class Videos(Protocol):
    """What is needed of a data set here (see `data.dataset`)."""

    def videos(self) -> list[Entry]: ...
    def path(self, name: str) -> Path: ...


def place(folder: str | Path, recipe: Mapping[str, Any]) -> Path:
    """Where the store of a recipe lies, made or not."""
    return Path(folder) / signature(recipe)


def prepared(folder: str | Path, recipe: Mapping[str, Any]) -> Store | None:
    """The finished store of a recipe; None where there is none, or one that is damaged."""
    try:
        return Store.open(place(folder, recipe))
    except (UserError, KeyError, TypeError, AttributeError):
        return None


def prepare(
    dataset: Videos,
    folder: str | Path,
    flow: Estimator,
    *,
    recipe: Mapping[str, Any],
    bound: float = BOUND,
    size: int | None = None,
    processes: int = 1,
    with_reader: Reader | None = None,
    chunk: int = CHUNK,
    say: Callable[[str], None] = print,
) -> Path:
    """The folder of the finished store, made if it is not there yet.

    `recipe` is what determines the store, as plain data; its signature is the folder's name. `size` is the
    short side (None: as the videos are).
    """
    final = place(folder, recipe)
    found = prepared(folder, recipe)
    if found is not None:
        return found.folder
    making = Making(with_reader or reader(), flow, bound, size)
    with disk_errors(final):
        Path(folder).mkdir(parents=True, exist_ok=True)
    with alone(final.with_name(f".{final.name}.lock"), say, "prepare"):
        if prepared(folder, recipe) is None:
            _set_aside(final, say)
            _make(dataset, final, making, dict(recipe), processes, chunk, say)
    return final


def _make(
    dataset: Videos,
    final: Path,
    making: Making,
    recipe: dict[str, Any],
    processes: int,
    chunk: int,
    say: Callable[[str], None],
) -> None:
    attempt = final.with_name(f".{final.name}.making")
    for stale in attempt.parent.glob(f"{attempt.name}.*.tmp"):
        shutil.rmtree(stale, ignore_errors=True)
    parts = _parts(_checked(dataset), attempt, making, chunk)
    with disk_errors(attempt):
        attempt.mkdir(exist_ok=True)
    total, begun, done, told = sum(len(part.videos) for part in parts), time.monotonic(), 0, 0.0
    videos: dict[str, Video] = {}
    for finished in in_processes(pack, parts, processes):
        videos.update(finished)
        done += len(finished)
        seconds = time.monotonic() - begun
        if done == total or seconds - told > 2:
            told = seconds
            left = seconds / done * (total - done)
            say(f"prepare: {done} of {total} videos, {seconds:.0f} s, {left:.0f} s left")
    ordered = {name: videos[name] for part in parts for name, _, _ in part.videos}
    wanted = {part.name for part in parts} | {INDEX}
    for other in attempt.iterdir():  # of an earlier, different list of videos
        if other.name not in wanted:
            shutil.rmtree(other, ignore_errors=True)
    write_index(attempt, ordered, final.name, recipe, making.describe())
    crash_point("prepare.before_publish")
    if not publish(attempt, final):
        raise UserError("another command has made this store in the meantime", got=final, hint="the same command again")


def _checked(dataset: Videos) -> list[tuple[str, int, Path]]:
    """All videos with their files; what is absent is named at once, not one after the other."""
    entries = dataset.videos()
    if not entries:
        raise UserError("this data set lists no videos")
    if len({name for name, _ in entries}) != len(entries):
        raise UserError("a video is listed with two labels", got=_twice([name for name, _ in entries]))
    listed = [(name, label, dataset.path(name)) for name, label in entries]
    absent = [name for name, _, path in listed if not path.is_file()]
    if absent:
        shown = ", ".join(absent[:10]) + (" …" if len(absent) > 10 else "")
        raise UserError("videos of the lists are not there", got=f"{len(absent)} of {len(listed)}: {shown}")
    return listed


def _parts(videos: Sequence[tuple[str, int, Path]], attempt: Path, making: Making, chunk: int) -> list[Part]:
    firsts = range(0, len(videos), chunk)
    return [Part(attempt, f"part-{n:05d}", tuple(videos[f : f + chunk]), making) for n, f in enumerate(firsts)]


def _twice(names: list[str]) -> str:
    return ", ".join(sorted({name for name in names if names.count(name) > 1})[:5])


def _set_aside(final: Path, say: Callable[[str], None]) -> None:
    """Remove what has the name of a finished store and is not one (cut, damaged)."""
    if final.exists():
        say(f"prepare: {final} is damaged and is made again")
        doomed = final.with_name(f".{final.name}.making.{uuid.uuid4().hex[:12]}.tmp")
        with disk_errors(final):
            final.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
