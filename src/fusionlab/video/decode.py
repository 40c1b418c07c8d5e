"""Reading a video: every frame once, in presentation order.

The promise of a reader: frame i is the i-th picture of the file as it is shown, turned upright, and there are as many
as can be decoded. Reading is sequential only: on some files (MPEG-4 with packed B-frames) decord's random access
returns wrong frames without an error (see `video.film`).

Of several video streams in a file, FFmpeg's best one is read, the largest. decord chooses by itself and cannot be
configured, so that such files are always read by PyAV; so are a few others (see `decord_reads`).

Decoders get only files in the formats of `video.bounds`, and stop at a frame that is too large.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.metadata
import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError, unknown
from fusionlab.video.bounds import BOUNDS, FORMATS, MOST_PIXELS, TRANSPORT, bound_memory, recognised

if TYPE_CHECKING:
    import av

    from fusionlab.video.seek import Seeker

_WHERE = re.compile(r"\[\d\d:\d\d:\d\d\] \S+:\d+: ")
_shown: list[str] = []  # messages that this process has shown
Frame = NDArray[np.uint8]  # (H, W, 3) RGB


class Reader(Protocol):
    """A decoder. It keeps no file open, so that it can be pickled and used on both sides of a fork.

    Optional: `seeker(path)`, which opens a file for seeking (see `video.seek`); without it, `Film` reads in sequence.
    """

    @property
    def info(self) -> str:
        """Decoder and version, for the record: "decord 0.6.0"."""
        ...

    def frames(self, path: Path) -> Iterator[Frame]:
        """The frames of the file, one after the other."""
        ...


@dataclass(frozen=True)
class PyAV:
    """FFmpeg through PyAV, one thread."""

    @property
    def info(self) -> str:
        return "pyav " + importlib.metadata.version("av")

    def frames(self, path: Path) -> Iterator[Frame]:
        import av

        empty = True
        try:
            with opened(path) as container:
                stream = best(container)
                if stream is None:
                    raise UserError("no video in this file", got=path)
                for picture in container.decode(stream):
                    empty = False
                    yield upright(picture)
        except av.FFmpegError as error:
            raise undecodable(path, error) from error
        if empty:
            raise UserError("this video has no frames", got=path)

    def seeker(self, path: Path) -> Seeker:
        from fusionlab.video.seek import PyAVSeeker

        return PyAVSeeker(path)


@dataclass(frozen=True)
class Decord:
    """decord, one thread, `next()` only.

    decord trusts the header. Where that counts too many frames (HMDB51: one), decord repeats the last picture; so when
    a file ends with two equal pictures, PyAV counts them.
    """

    @property
    def info(self) -> str:
        return "decord " + importlib.metadata.version("decord")

    def frames(self, path: Path) -> Iterator[Frame]:
        if not decord_reads(path):
            yield from PyAV().frames(path)
            return
        import decord

        shown = 0  # frames handed out; the latest one waits
        before: Frame | None = None
        latest: Frame | None = None
        try:
            video = decord_opened(path)
            while True:
                frame = three_channels(video.next().asnumpy())
                if latest is not None:
                    yield latest
                    shown += 1
                before, latest = latest, frame
        except StopIteration:
            pass
        except (decord.DECORDError, RuntimeError) as error:
            if latest is not None:
                yield latest
            lines = str(error).strip().splitlines() or ["unknown reason"]
            message = _WHERE.sub("", lines[0])  # without the place in decord's source
            message += f"; {BOUNDS}" if f"({-errno.ENOMEM} vs" in message else ""
            raise UserError(f"this video cannot be decoded ({message})", got=path) from error
        if latest is None:
            raise UserError("this video has no frames", got=path)
        if before is not None and np.array_equal(before, latest):
            true = sum(1 for _ in PyAV().frames(path))
            if true == shown:
                return
            if true != shown + 1:
                raise UserError("decord and PyAV count frames differently", got=f"{path}: {shown + 1} and {true}")
        yield latest

    def seeker(self, path: Path) -> Seeker:
        from fusionlab.video.seek import DecordSeeker, PyAVSeeker

        return DecordSeeker(path) if decord_reads(path) else PyAVSeeker(path)


def decord_reads(path: Path) -> bool:
    """Whether decord may read this file.

    It may not read a file with several videos, of which it chooses one by itself; a file without a size, or with more
    frames than bytes, for which it would allocate memory and end the process; or MPEG-TS, which can begin like a text.
    """
    import av

    try:
        with opened(path) as container:
            if container.format.name == TRANSPORT or len(container.streams.video) != 1:
                return False
            stream = container.streams.video[0]
            lasting = max((stream.duration or 0) * (stream.time_base or 0), (container.duration or 0) / av.time_base)
            declared = stream.frames or lasting * (stream.average_rate or 0)
            return 0 < stream.width * stream.height <= MOST_PIXELS and declared <= path.stat().st_size
    except av.FFmpegError as error:
        raise undecodable(path, error) from error


def decord_opened(path: Path) -> Any:
    """decord's reader of a file that `decord_reads`."""
    import decord

    bound_memory(decord._ffi.base._LIB)
    return decord.VideoReader(local(path), num_threads=1)


def upright(picture: av.VideoFrame) -> Frame:
    """PyAV's picture as RGB, rotated: PyAV only reports the rotation, decord applies it."""
    frame: Frame = picture.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    return np.rot90(frame, picture.rotation // 90).copy() if picture.rotation else frame


READERS: dict[str, type[Decord] | type[PyAV]] = {"decord": Decord, "pyav": PyAV}


def reader(name: str = "auto", say: Callable[[str], None] | None = None) -> Reader:
    """A reader by name; `auto`: decord, or PyAV where decord has no wheel (aarch64, macOS), with one message."""
    if name == "auto":
        name = "decord" if importlib.util.find_spec("decord") else "pyav"
        if name == "pyav" and say is not None and not _shown:
            _shown.append(name)
            say("decord has no wheel for this machine: videos are read by PyAV")
    if name not in READERS:
        raise unknown("video reader", name, ["auto", *READERS], form="reader={}")
    return READERS[name]()


def read(path: Path, with_reader: Reader | None = None) -> NDArray[np.uint8]:
    """The whole video: (T, H, W, 3)."""
    return np.stack(list((with_reader or reader()).frames(path)))


def three_channels(frame: Frame) -> Frame:
    """The frame without decord's padding.

    decord pads rows to a multiple of 64 pixels, and where the width divides that (24, 48, 96, 144 …) takes
    the padding for more channels: (H, W, 4) and the like. The pixels are the first 3 W bytes of each row.
    """
    height, width, channels = frame.shape
    if channels == 3:
        return frame
    return frame.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3).copy()


def local(path: Path) -> str:
    """An absolute path: FFmpeg takes `http:x.avi` or `concat:a|b` for something else than a file."""
    return str(path.absolute())


def opened(path: Path) -> av.container.InputContainer:
    """Open a file with PyAV, only as the format of its first bytes, and no other file with it.

    One real HMDB51 file has a title that is not UTF-8, before PyAV 19 an error by default.
    """
    import av

    must_exist(path)
    form = recognised(path)
    if form is None:
        what = "this video cannot be decoded: unknown format"
        raise UserError(what, got=path, allowed=FORMATS.values())
    bound_memory(_linked())
    ignoring: dict[str, Any] = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "ignore"}
    allowing = {"format_whitelist": form, "protocol_whitelist": "file", "max_pixels": str(MOST_PIXELS)}
    return av.open(local(path), options=allowing, **ignoring)


@cache
def _linked() -> ctypes.CDLL:
    """A library that is linked with PyAV's FFmpeg."""
    import av._core

    return ctypes.CDLL(av._core.__file__)


def best(container: av.container.InputContainer) -> av.VideoStream | None:
    """FFmpeg's choice among several video streams, to be decoded by one thread; None where there is none."""
    import av

    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream):
        return None
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return stream


def reason(error: av.FFmpegError) -> str:
    """FFmpeg's message. It reports a frame that is too large as an invalid argument."""
    bounded = error.errno in (errno.EINVAL, errno.ENOMEM)
    return f"{error.strerror}; {BOUNDS}" if bounded else str(error.strerror)


def undecodable(path: Path, error: av.FFmpegError) -> UserError:
    return UserError(f"this video cannot be decoded ({reason(error)})", got=path)


def must_exist(path: Path) -> None:
    if not path.is_file():
        raise UserError("no such video file", got=path)
    if path.stat().st_size == 0:
        raise UserError("this video file is empty", got=path)
