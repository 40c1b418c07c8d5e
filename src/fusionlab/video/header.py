"""The header of a video file, read without decoding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fusionlab.errors import UserError
from fusionlab.records.time_limit import limited
from fusionlab.video.decode import best, opened, undecodable, videos
from fusionlab.video.timing import several


@dataclass(frozen=True)
class Header:
    """`frames`: None where it declares none. `notes`: remarks for people."""

    frames: int | None = None
    notes: tuple[str, ...] = ()


def header(path: Path) -> Header:
    """The header of a file; an empty one if it cannot be read."""
    import av

    try:
        with opened(path) as container:
            stream = best(container)
            if stream is None:
                return Header()
            return Header(stream.frames or None, tuple(several(len(videos(container)), stream.index)))
    except (av.FFmpegError, OSError, UserError):
        return Header()


def packets(path: Path) -> int:
    """The number of compressed pictures in the file; a header may be wrong."""
    import av

    try:
        with opened(path) as container:
            stream = best(container)
            return 0 if stream is None else sum(1 for packet in limited(container.demux(stream)) if packet.size)
    except av.FFmpegError as error:
        raise undecodable(path, error) from error
