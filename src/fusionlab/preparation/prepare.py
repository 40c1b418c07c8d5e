"""Decode once: from a data set's video files to its packed store.

    folder/<signature of the recipe>/            the finished store; appears by one rename
    folder/.<signature>.making/part-00000/ …     parts of one that is being made, each video in them whole or not at all
    folder/.<signature>.lock                     held while it is made; a second command waits, then finds it

A finished store is recognised by its hash. After a kill at any point the same command goes on behind the last video
of each part, and nothing reads a store before it is whole. A video that cannot be used stops no other: when all
others are packed, all such are told at once, and the store is not published without them unless they are quarantined.
A store that was published without quarantined videos is gone on with when these are asked for again.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fusionlab.data.dataset import Entry
from fusionlab.data.processes import in_processes
from fusionlab.data.progress import Progress
from fusionlab.errors import UserError, show
from fusionlab.preparation.disk_space import Room
from fusionlab.preparation.pack import Making, Part, pack
from fusionlab.records.crash import crash_point
from fusionlab.records.files import disk_errors, publish, write_text
from fusionlab.records.lock import alone
from fusionlab.records.signature import signature
from fusionlab.video.decode import Reader, reader
from fusionlab.video.flow import Estimator
from fusionlab.video.imported import FlowFiles, Imported
from fusionlab.video.quantise import BOUND
from fusionlab.video.store import INDEX, Coding, Store, Video
from fusionlab.video.writing import write_index

PARTS = 64  # of a set of that many videos or more: few files, and work for as many cores
SHOWN = 10
Say = Callable[[str], None]


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
    flow: Estimator | Imported,
    *,
    recipe: Mapping[str, Any],
    bound: float = BOUND,
    size: int | None = None,
    coding: Coding | None = None,
    backward: bool = False,
    quarantine: Collection[str] = frozenset(),
    images: str | Path | None = None,
    processes: int = 1,
    with_reader: Reader | None = None,
    chunk: int | None = None,
    say: Say = show,
) -> Path:
    """The folder of the finished store, made if it is not there yet.

    `recipe` is what determines the store, as plain data; its signature is the folder's name. `size` is the short side
    (None: as the videos are), `images` the folder of flow that is imported. What is in `quarantine` is not packed.
    """
    final = place(folder, recipe)
    attempt = final.with_name(f".{final.name}.making")
    listed = dataset.videos()
    if _holds(prepared(folder, recipe), listed, quarantine):
        return final
    with disk_errors(final):
        Path(folder).mkdir(parents=True, exist_ok=True)
    with alone(final.with_name(f".{final.name}.lock"), say, "prepare"):
        found = prepared(folder, recipe)
        if not _holds(found, listed, quarantine):
            videos = _checked(dataset, listed, quarantine, flow)
            source = _opened(flow, images, [name for name, _ in listed if name not in quarantine], bound, say)
            making = Making(with_reader or reader(), source, bound, size, coding or Coding(), backward)
            parts = _parts(videos, quarantine, attempt, making, chunk or -(-len(videos) // PARTS))
            _set_aside(final, attempt, found, say)
            _make(parts, attempt, final, dict(recipe), processes, say)
    return final


def _holds(store: Store | None, listed: Sequence[Entry], quarantine: Collection[str]) -> bool:
    """Is everything in it that may be asked of it?"""
    return store is not None and all(name in store.videos or name in quarantine for name, _ in listed)


def _opened(
    flow: Estimator | Imported,
    images: str | Path | None,
    names: Sequence[str],
    bound: float,
    say: Say,
) -> Estimator | FlowFiles:
    if not isinstance(flow, Imported):
        return flow
    files = flow.open(images, names)
    for line in files.assumptions(bound):
        say(line)
    return files


def _make(
    parts: Sequence[Part],
    attempt: Path,
    final: Path,
    recipe: dict[str, Any],
    processes: int,
    say: Say,
) -> None:
    making, listed = parts[0].making, [video for part in parts for video in part.videos]
    with disk_errors(attempt):
        attempt.mkdir(exist_ok=True)
    for old in attempt.parent.glob(f"{attempt.name}.*.tmp"):
        shutil.rmtree(old, ignore_errors=True)
    room = Room(attempt, listed, making)
    room.enough(say)
    videos: dict[str, Video] = {}
    failed: dict[str, str] = {}
    notes: dict[str, tuple[str, ...]] = {}
    with Progress(len(listed), say) as progress:
        for done in in_processes(pack, parts, processes):
            if done.video is not None:
                videos[done.name] = done.video
            else:
                failed[done.name] = done.reason or ""
            if done.notes:
                notes[done.name] = done.notes
            progress.next(failed=len(failed))
            room.still(progress.left)
    if failed:
        raise _unusable(failed, len(listed), final)
    ordered = {name: videos[name] for name, _, _ in listed}
    wanted = {part.name for part in parts} | {INDEX}
    for other in attempt.iterdir():  # of an earlier, different list of videos
        if other.name not in wanted:
            shutil.rmtree(other, ignore_errors=True)
    write_index(attempt, ordered, final.name, recipe, making.describe(), making.coding, notes)
    for name, said in list(notes.items())[:SHOWN]:
        say(f"prepare: {name}: {'; '.join(said)}")
    if len(notes) > SHOWN:
        say(f"prepare: … and {len(notes) - SHOWN} more videos with a note (in {final / INDEX})")
    crash_point("prepare.before_publish")
    if not publish(attempt, final):
        raise UserError("another command has made this store in the meantime", got=final, hint="the same command again")
    _unusable_file(final).unlink(missing_ok=True)


def _unusable(failed: Mapping[str, str], total: int, final: Path) -> UserError:
    """All of them in a file, which can be the quarantine; the first here."""
    file = _unusable_file(final)
    write_text(file, "".join(f"{name} # {' '.join(reason.split())}\n" for name, reason in sorted(failed.items())))
    shown = "".join(f"\n            {name}: {reason}" for name, reason in sorted(failed.items())[:SHOWN])
    more = f"\n            … and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
    return UserError(
        "videos of this data set cannot be used; all others are packed",
        got=f"{len(failed)} of {total}:{shown}{more}",
        hint=f"repair them, or leave them out by name: data.quarantine='{file}'",
    )


def _unusable_file(final: Path) -> Path:
    return final.with_name(f"{final.name}.unusable.txt")


def _checked(
    dataset: Videos, entries: list[Entry], quarantine: Collection[str], flow: Estimator | Imported
) -> list[tuple[str, int, Path]]:
    """All videos with their files; what is absent and not quarantined is named at once, not one after the other."""
    if not entries:
        raise UserError("this data set lists no videos")
    if len({name for name, _ in entries}) != len(entries):
        raise UserError("a video is listed with two labels", got=_twice([name for name, _ in entries]))
    listed = [(name, label, dataset.path(name)) for name, label in entries]
    if isinstance(flow, Imported) and flow.frames == "images":
        return listed  # nothing is read from videos
    absent = [name for name, _, path in listed if name not in quarantine and not path.is_file()]
    if absent:
        shown = ", ".join(absent[:SHOWN]) + (" …" if len(absent) > SHOWN else "")
        raise UserError("videos of the lists are not there", got=f"{len(absent)} of {len(listed)}: {shown}")
    return listed


def _parts(
    videos: Sequence[tuple[str, int, Path]], quarantine: Collection[str], attempt: Path, making: Making, chunk: int
) -> list[Part]:
    """A video's part does not depend on which others are quarantined."""
    chunks = [videos[first : first + chunk] for first in range(0, len(videos), chunk)]
    kept = [tuple(video for video in chunk if video[0] not in quarantine) for chunk in chunks]
    parts = [Part(attempt, f"part-{n:05d}", some, making) for n, some in enumerate(kept) if some]
    if not parts:
        raise UserError("all videos of this data set are quarantined", got=f"{len(videos)} videos")
    return parts


def _twice(names: list[str]) -> str:
    return ", ".join(sorted({name for name in names if names.count(name) > 1})[:5])


def _set_aside(final: Path, attempt: Path, found: Store | None, say: Say) -> None:
    """Go on with a store that lacks videos; remove what has the name of a finished store and is not one."""
    if not final.exists():
        return
    with disk_errors(final):
        if found is not None:
            say(f"prepare: {final} was made without some of these videos, and is gone on with")
            shutil.rmtree(attempt, ignore_errors=True)
            final.rename(attempt)
            return
        say(f"prepare: {final} is damaged and is made again")
        doomed = final.with_name(f".{final.name}.making.{uuid.uuid4().hex[:12]}.tmp")
        final.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
