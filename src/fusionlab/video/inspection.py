"""Inspection of a video file: all errors and oddities, by decoding it once.

A damaged file seldom raises an error: decoders fill what they cannot read with pixels of the previous frame, and a
truncated file simply ends. FFmpeg's log, frames marked as corrupt, and wrong sizes show the damage:

    concealed   errors that the decoder hid (lines of its log, and frames marked as corrupt)
    cut         the container declares more bytes than the file has, or at least two more frames

One frame less than the header declares is usual (all of HMDB51), and so are time stamps that go backwards: neither
is an error.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.time_limit import limited, time_limit
from fusionlab.video.decode import best, must_exist, opened, reason, videos
from fusionlab.video.orientation import orientation
from fusionlab.video.timing import several, timing

# Decoders log these where they replace unreadable data.
_HIDDEN = re.compile(
    r"error|conceal|corrupt|invalid|missing (picture|reference)|damaged|out of range|overread|illegal|ac-tex|"
    r"non-existing|no frame|truncat|bytestream|marker|slice (mismatch|header)|header damaged|incomplete",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"packed B-frames|invalid and inefficient|non[- ]monoton|deprecated pixel format", re.IGNORECASE)


@dataclass(frozen=True)
class Inspection:
    """The result. Numbers are 0 or None where the file could not be opened; `error` is the reason."""

    declared: int | None = None  # frames, by the header
    decoded: int = 0
    concealed: int = 0
    cut: bool = False
    streams: int = 0  # of video
    codec: str = ""
    height: int = 0  # upright
    width: int = 0
    rotation: int = 0  # counter-clockwise; of a mirrored picture, before it is mirrored
    rate: float = 0.0  # frames a second, on average
    variable: bool = False
    error: str | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def whole(self) -> bool:
        """Whether the file has no error."""
        return self.error is None and not self.cut and not self.concealed and self.decoded > 0


def inspect(path: Path) -> Inspection:
    """Read a file to its end. Errors of the file are in the result and never raised."""
    import av

    try:
        must_exist(path)
    except UserError as error:
        return Inspection(error=error.what)
    seen: dict[str, Any] = {"decoded": 0, "concealed": 0}
    notes: list[str] = []
    before = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as log:
            stopped = _walk(av, path, seen, notes)
    finally:
        av.logging.set_level(before)
    hidden = [line for _, _, line in log if _HIDDEN.search(line) and not _HARMLESS.search(line)]
    seen["concealed"] += len(hidden)
    short = seen.get("declared") is not None and seen["declared"] - seen["decoded"] > 1
    seen["cut"] = _declares_more_bytes(path) or (short and stopped is None)
    if stopped is None and not seen["decoded"]:
        stopped = "no frame can be decoded"
    if seen["decoded"]:
        time = timing(path, seen["decoded"])
        seen["variable"] = time.variable
        notes += [note for note in time.notes if note not in notes]
    return Inspection(**seen, error=stopped, notes=tuple(notes))


def _walk(av: Any, path: Path, seen: dict[str, Any], notes: list[str]) -> str | None:
    """Decode everything; returns the error that stops this."""
    try:
        with opened(path) as container:
            stream = best(container)
            if stream is None:
                return "no video in this file"
            count = len(videos(container))
            seen.update(
                declared=stream.frames or None, streams=count, codec=stream.codec_context.name,
                rate=float(stream.average_rate or 0), height=stream.height, width=stream.width,
            )  # fmt: skip
            notes += several(count, stream.index)
            for packet in limited(container.demux(stream)):
                if packet.is_discard and seen["declared"]:  # an edit list leaves it out
                    seen["declared"] -= 1
                with time_limit():
                    pictures = packet.decode()
                for picture in pictures:
                    seen["decoded"] += 1
                    seen["concealed"] += int(picture.is_corrupt)
                    _shape(picture, seen, notes)
    except av.FFmpegError as error:
        return reason(error)
    except UserError as error:
        return error.what
    except Exception as error:
        return f"the decoder failed ({type(error).__name__}: {error})"
    return None


def _shape(picture: Any, seen: dict[str, Any], notes: list[str]) -> None:
    """Record the size of the first picture; another size later is a note."""
    shown = orientation(picture)
    height, width = (picture.width, picture.height) if shown.transposed else (picture.height, picture.width)
    if seen["decoded"] == 1:
        seen.update(height=height, width=width, rotation=shown.degrees)
    elif (height, width) != (seen["height"], seen["width"]):
        note = f"the size of its frames changes: {seen['width']}×{seen['height']}, then {width}×{height}"
        if note not in notes:
            notes.append(note)


def _declares_more_bytes(path: Path) -> bool:
    """Whether the container declares more bytes than the file has, by RIFF chunks (AVI) or boxes (MP4, MOV)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            return _end_of_riff(file, size) > size
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _end_of_boxes(file, size) > size
    return False


def _end_of_riff(file: Any, size: int) -> int:
    """The declared end of the last chunk; large AVIs are several chunks."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF":
            break
        at += 8 + int(length) + int(length) % 2
        if at > size:
            # Writers that stop early leave a size of 0 or of all ones; an odd one may lack its last, empty byte.
            return at if at - size > 1 else size
    return min(at, size)


def _end_of_boxes(file: Any, size: int) -> int:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length = struct.unpack(">I", file.read(4))[0]
        if length == 1:
            file.seek(at + 8)
            length = struct.unpack(">Q", file.read(8))[0]
        elif length == 0:  # to the end
            return size
        if length < 8:
            return size
        at += int(length)
    return at
