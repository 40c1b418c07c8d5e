"""One part of a store: some videos, each read once in sequence and packed.

Runs in a worker process that must start quickly: no torch here. An error in one video does not stop the others, nor
does a video that ends the process: it is reported, and the video is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fusionlab.data.processes import Items
from fusionlab.preparation.disk_space import DiskSpace
from fusionlab.preparation.flow_sources import File, Making, Unusable
from fusionlab.records.crash import crash_point
from fusionlab.video.store import Video
from fusionlab.video.writing import PartWriter


@dataclass(frozen=True)
class Part:
    """A part to be made: which videos, and where it goes. `space`: of the store, to be estimated before."""

    folder: Path  # of all parts
    name: str
    videos: tuple[File, ...]
    making: Making
    space: DiskSpace | None = None


@dataclass(frozen=True)
class Packed:
    """The result for one video: its place in the part, or the reason why it is missing.

    `earlier`: an earlier attempt packed it. `need`: not of a video, but the estimated bytes of the store.
    """

    name: str
    video: Video | None
    notes: tuple[str, ...] = ()
    reason: str | None = None
    need: int | None = None
    earlier: bool = False


def pack(part: Part) -> Iterator[Packed]:
    """Pack the videos that the part lacks; each is reported as soon as it is done."""
    if part.space is not None:  # read here, too, since the files of its sample may end the process
        yield Packed("", None, need=part.space.need())
    with PartWriter(part.folder / part.name, part.name, part.making.coding, part.making.describe()) as writer:
        for name, label, file in part.videos:
            video = writer.videos.get(name)
            if video is not None and video.label == label:
                yield Packed(name, video, tuple(writer.notes.get(name, ())), earlier=True)
                continue
            reason = _pack_video(writer, name, label, file, part.making)
            yield Packed(name, writer.videos.get(name), tuple(writer.notes.get(name, ())), reason)
            crash_point("prepare.video")


def _rest(part: Part, done: int) -> Part | None:
    videos = part.videos[max(done - (part.space is not None), 0) :]
    return replace(part, videos=videos, space=None if done else part.space) if videos else None


def _failed(part: Part, reason: str) -> Packed:
    return Packed("", None, need=0) if part.space is not None else Packed(part.videos[0][0], None, reason=reason)


VIDEOS = Items(_rest, _failed)


def _pack_video(writer: PartWriter, name: str, label: int, file: Path, making: Making) -> str | None:
    """Pack a video; returns the reason where that is impossible."""
    try:
        with writer.video(name, label) as packing:
            making.source.pack(packing, name, file, making)
    except Unusable as error:
        return str(error)
    return None
