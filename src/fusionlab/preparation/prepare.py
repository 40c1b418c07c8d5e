"""Decode once: from a data set's video files to its packed store.

    folder/<signature of the recipe>/            the finished store; appears by one rename
    folder/<signature of the recipe>/cost.json   what it took to pack the videos of the last attempt
    folder/.<signature>.making/part-00000/ …     parts of a store in progress; a video is in a part whole or not at all
    folder/.<signature>.lock                     locked while a store is made; a second command waits, then finds it

A finished store is recognised by its hash. After a kill at any point the same command resumes behind the last video
of each part, and nothing reads an incomplete store. An unusable video does not stop the others: when these are packed,
all unusable ones are reported together, and the store is published without them only if they are quarantined.
A store that was published without quarantined videos is resumed when these are needed again.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

from fusionlab.data.dataset import Entry
from fusionlab.data.list_files import some
from fusionlab.data.processes import in_processes
from fusionlab.data.video_progress import VideoProgress
from fusionlab.errors import UserError, show
from fusionlab.preparation.disk_space import DiskSpace
from fusionlab.preparation.flow_sources import Computed, File, FromImages, Making, Source
from fusionlab.preparation.pack import VIDEOS, Part, pack
from fusionlab.records.crash import crash_point
from fusionlab.records.files import disk_errors, publish, write_json, write_text
from fusionlab.records.lock import alone
from fusionlab.records.signature import signature
from fusionlab.video.decode import Reader, reader
from fusionlab.video.flow import Estimator
from fusionlab.video.imported import Imported
from fusionlab.video.quantise import BOUND
from fusionlab.video.store import INDEX, Coding, Store, Video, files_of
from fusionlab.video.writing import write_index

PARTS = 64  # of a data set with that many videos or more: few files, and work for as many cores
SHOWN = 10
COST = "cost.json"  # in the folder of a store
Say = Callable[[str], None]


class Videos(Protocol):
    """The methods of a data set that are called here (see `data.dataset`)."""

    def videos(self) -> list[Entry]: ...
    def path(self, name: str) -> Path: ...


def place(folder: str | Path, recipe: Mapping[str, Any]) -> Path:
    """The folder of a recipe's store, whether it exists or not."""
    return Path(folder) / signature(recipe)


def prepared(folder: str | Path, recipe: Mapping[str, Any]) -> Store | None:
    """The finished store of a recipe; None where it is missing or damaged."""
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
    """Make the store unless it is finished, and return its folder.

    `recipe` determines the store, as plain data; its signature is the folder's name. `size` is the short side
    (None: that of each video), `images` the folder of imported flow. Quarantined videos are not packed. A file that
    ends its process stops no other one, unless `processes` is 0: then this process does the work.
    """
    final = place(folder, recipe)
    attempt = final.with_name(f".{final.name}.making")
    entries = dataset.videos()
    if entries and all(name in quarantine for name, _ in entries):
        raise UserError("all videos of this data set are quarantined", got=f"{len(entries)} videos")
    if _is_complete(prepared(folder, recipe), entries, quarantine):
        return final
    with disk_errors(final):
        Path(folder).mkdir(parents=True, exist_ok=True)
    with alone(final.with_name(f".{final.name}.lock"), say, "prepare"):
        store = prepared(folder, recipe)
        if not _is_complete(store, entries, quarantine):
            videos = _with_files(dataset, entries, quarantine, needed=getattr(flow, "needs_videos", True))
            source = _source(flow, images, [name for name, _ in entries if name not in quarantine], bound, say)
            making = Making(with_reader or reader(), source, bound, size, coding or Coding(), backward)
            parts = _parts(videos, quarantine, attempt, making, chunk or -(-len(videos) // PARTS))
            _set_aside(final, attempt, store, say)
            _make(parts, attempt, final, dict(recipe), processes, say)
    return final


def _is_complete(store: Store | None, entries: Sequence[Entry], quarantine: Collection[str]) -> bool:
    """Whether the store holds all videos but the quarantined ones."""
    return store is not None and all(name in store.videos or name in quarantine for name, _ in entries)


def _source(
    flow: Estimator | Imported, images: str | Path | None, names: Sequence[str], bound: float, say: Say
) -> Source:
    """Images, if the part of `flow` reads some; else an estimator. Assumptions about images are shown."""
    find = getattr(flow, "open", None)
    if find is None:
        return Computed(cast(Estimator, flow))
    files = find(images, names)
    for line in files.assumptions(bound):
        say(line)
    return FromImages(files)


def _make(
    parts: Sequence[Part],
    attempt: Path,
    final: Path,
    recipe: dict[str, Any],
    processes: int,
    say: Say,
) -> None:
    making, all_videos = parts[0].making, [video for part in parts for video in part.videos]
    with disk_errors(attempt):
        attempt.mkdir(exist_ok=True)
    for old in attempt.parent.glob(f"{attempt.name}.*.tmp"):
        shutil.rmtree(old, ignore_errors=True)
    space = DiskSpace(attempt, all_videos, making)
    tasks = [replace(parts[0], space=space), *parts[1:]]
    begun, packed = time.monotonic(), list[Video]()
    videos: dict[str, Video] = {}
    failed: dict[str, str] = {}
    notes: dict[str, tuple[str, ...]] = {}
    with VideoProgress(len(all_videos), say) as progress:
        for done in in_processes(pack, tasks, processes, VIDEOS):
            if done.need is not None:
                space.check_before(done.need, say)
                continue
            if done.video is not None:
                videos[done.name] = done.video
                packed += [] if done.earlier else [done.video]
            else:
                failed[done.name] = done.reason or ""
            if done.notes:
                notes[done.name] = done.notes
            progress.next(failed=len(failed))
            space.check_after_video(progress.left)
    if failed:
        raise _unusable(failed, len(all_videos), final)
    ordered = {name: videos[name] for name, _, _ in all_videos}
    wanted = {part.name for part in parts} | {INDEX, COST}
    for other in attempt.iterdir():  # of an earlier, different list of videos
        if other.name not in wanted:
            shutil.rmtree(other, ignore_errors=True)
    write_index(attempt, ordered, final.name, recipe, making.describe(), making.coding, notes)
    if packed:
        at_once = min(max(1, processes), len(parts))
        write_json(attempt / COST, _cost(packed, making.coding, time.monotonic() - begun, at_once))
    by_note: dict[str, list[str]] = {}
    for name, remarks in notes.items():
        by_note.setdefault("; ".join(remarks), []).append(name)
    for note, names in list(by_note.items())[:SHOWN]:
        say(f"prepare: {some(names, 3)}: {note}")
    if len(by_note) > SHOWN:
        say(f"prepare: … and {len(by_note) - SHOWN} more notes on videos (in {final / INDEX})")
    crash_point("prepare.before_publish")
    if not publish(attempt, final):
        raise UserError("another command has made this store in the meantime", got=final, hint="retry")
    _unusable_file(final).unlink(missing_ok=True)


def _cost(packed: Sequence[Video], coding: Coding, seconds: float, processes: int) -> dict[str, Any]:
    """Numbers from which later plans estimate the time and the disk space of other stores."""
    return {
        "seconds": round(seconds, 3),
        "videos": len(packed),
        "frames": sum(video.frames for video in packed),
        "bytes": sum(_size(video, coding) for video in packed),
        "processes": processes,
    }


def _size(video: Video, coding: Coding) -> int:
    runs = [video.run(file, coding) for file in files_of(video)]
    return sum(run.end - run.at for run in runs)


def _unusable(failed: Mapping[str, str], total: int, final: Path) -> UserError:
    """An error that shows the first of them; all are written to a file, which can be the quarantine."""
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


def _with_files(dataset: Videos, entries: list[Entry], quarantine: Collection[str], *, needed: bool) -> list[File]:
    """All videos with their files. `needed`: a `UserError` names all missing ones that are not quarantined."""
    if not entries:
        raise UserError("this data set lists no videos")
    if len({name for name, _ in entries}) != len(entries):
        raise UserError("a video is listed with two labels", got=_twice([name for name, _ in entries]))
    videos = [(name, label, dataset.path(name)) for name, label in entries]
    if not needed:
        return videos
    missing = [name for name, _, path in videos if name not in quarantine and not path.is_file()]
    if missing:
        raise UserError("video files are missing", got=f"{len(missing)} of {len(videos)}: {some(missing, SHOWN)}")
    return videos


def _parts(
    videos: Sequence[File], quarantine: Collection[str], attempt: Path, making: Making, chunk: int
) -> list[Part]:
    """A video's part does not depend on which others are quarantined."""
    chunks = [videos[first : first + chunk] for first in range(0, len(videos), chunk)]
    kept = [tuple(video for video in chunk if video[0] not in quarantine) for chunk in chunks]
    return [Part(attempt, f"part-{n:05d}", own, making) for n, own in enumerate(kept) if own]


def _twice(names: list[str]) -> str:
    return ", ".join(sorted({name for name in names if names.count(name) > 1})[:5])


def _set_aside(final: Path, attempt: Path, store: Store | None, say: Say) -> None:
    """Turn an incomplete store back into one in progress; remove a damaged one."""
    if not final.exists():
        return
    with disk_errors(final):
        if store is not None:
            say(f"prepare: {final} lacks some of these videos and is resumed")
            shutil.rmtree(attempt, ignore_errors=True)
            final.rename(attempt)
            return
        say(f"prepare: {final} is damaged and is made again")
        doomed = final.with_name(f".{final.name}.making.{uuid.uuid4().hex[:12]}.tmp")
        final.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
