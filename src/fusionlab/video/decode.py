"""Reading a video: every frame once, in presentation order.

The promise of a reader: frame i is the i-th picture of the file as it is shown, turned upright, and there are as many
as can be decoded. Reading is sequential only: on some files (MPEG-4 with packed B-frames) decord's random access
returns wrong frames without an error (see `video.film`).

`auto` is PyAV: it reads every format here, its FFmpeg is maintained, and a broken file has not yet ended its process.
decord stays as a second reader. It gives PyAV's pixels bit for bit, but for MPEG-4 Part 2 (Xvid): its FFmpeg averages
two pixels inexactly where one is black, which changes 67 of the 18 million pixels of a clip of UCF101 by 1 or 2 levels.
A file that decord would read otherwise, or not at all, is read by PyAV instead, with a remark (see `why_not_decord`).

Of several video streams in a file, FFmpeg's best one is read, the largest; a cover is no video.

Decoders get only files in the formats of `video.bounds`, and stop at a frame that is too large.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.metadata
import importlib.util
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError, unknown
from fusionlab.records.time_limit import limited, time_limit
from fusionlab.video.bounds import BOUNDS, FORMATS, MOST_PIXELS, TRANSPORT, bound_memory, bound_process, recognised
from fusionlab.video.orientation import orientation

if TYPE_CHECKING:
    import av

    from fusionlab.video.seek import Seeker

_WHERE = re.compile(r"\[\d\d:\d\d:\d\d\] \S+:\d+: ")
_COVER = 0x400  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC
Frame = NDArray[np.uint8]  # (H, W, 3) RGB
# Both readers convert these alike. The others are converted by interpolation of colours, and FFmpeg's versions differ.
ALIKE = {
    "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuva420p", "gray", "pal8", "rgb24", "bgr24",
    "bgr0", "rgba", "bgra", "gbrp",
}  # fmt: skip


class Reader(Protocol):
    """A decoder. It keeps no file open, so that it can be pickled and used on both sides of a fork.

    Optional: `seeker(path)`, which opens a file for seeking (see `video.seek`); without it, `Film` reads in sequence.
    """

    @property
    def info(self) -> str:
        """Decoder and version, for the record: "decord 0.6.0"."""
        ...

    def frames(self, path: Path) -> Iterator[Frame]:
        """The frames of the file, one after the other. A generator may return a remark for people about the file."""
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
    """decord, one thread, `next()` only; PyAV where decord cannot or may not read, from the frame on where it fails.

    decord trusts the header. Where that counts too many frames (HMDB51: one), decord repeats the last picture; so when
    a file ends with two equal pictures, PyAV counts them.
    """

    @property
    def info(self) -> str:
        return "decord " + _decord().__version__

    def frames(self, path: Path) -> Generator[Frame, None, str | None]:
        decord = _decord()
        why = why_not_decord(path)
        if why is not None:
            return (yield from self._by_pyav(path, 0, why))
        shown = 0  # frames handed out; the latest one waits
        before: Frame | None = None
        latest: Frame | None = None
        try:
            with bound_process():
                video = decord_opened(path)
            while True:
                with bound_process():
                    frame = three_channels(video.next().asnumpy())
                if latest is not None:
                    yield latest
                    shown += 1
                before, latest = latest, frame
        except StopIteration:
            pass
        except (decord.DECORDError, RuntimeError, MemoryError) as error:
            lines = str(error).strip().splitlines() or ["unknown reason"]
            message = _WHERE.sub("", lines[0])  # without the place in decord's source
            return (yield from self._by_pyav(path, shown, message.replace(str(path), path.name)))
        if latest is None:
            return (yield from self._by_pyav(path, 0, "it finds no frame"))
        if before is not None and np.array_equal(before, latest):
            true = sum(1 for _ in PyAV().frames(path))
            if true == shown:
                return None
            if true != shown + 1:
                raise UserError("decord and PyAV count frames differently", got=f"{path}: {shown + 1} and {true}")
        yield latest
        return None

    def _by_pyav(self, path: Path, shown: int, why: str) -> Generator[Frame, None, str]:
        """The frames that are left, and the remark."""
        yield from islice(PyAV().frames(path), shown, None)
        return f"read by {PyAV().info}; {self.info}: {why}"

    def seeker(self, path: Path) -> Seeker:
        from fusionlab.video.seek import DecordSeeker, PyAVSeeker

        decord = _decord()
        if why_not_decord(path) is None:
            try:
                return DecordSeeker(path)
            except (decord.DECORDError, RuntimeError):
                pass
        return PyAVSeeker(path)


def why_not_decord(path: Path) -> str | None:
    """The reason why decord may not read this file; None where it may.

    decord chooses by itself among several videos. It allocates memory for all frames that a header declares, before it
    looks for them, and for a frame without a size; it ends the process where it gets none. MPEG-TS can begin like a
    text. It does not mirror, and it counts the frames that an edit list leaves out. Its FFmpeg converts few formats of
    pixels as PyAV's does (see `ALIKE`).
    """
    import av

    try:
        with opened(path) as container:
            stream = best(container)
            if stream is None:
                raise UserError("no video in this file", got=path)
            if container.format.name == TRANSPORT:
                return "MPEG-TS"
            if len(container.streams.video) != 1:  # of a video and a cover, too, it may take the cover
                return "several video streams"
            if not 0 < stream.width * stream.height <= MOST_PIXELS:
                return "the header has no size"
            if _declared(container, stream) > path.stat().st_size:
                return "the header declares more frames than bytes"
            first = None
            for packet in limited(container.demux(stream)):
                if packet.is_discard:
                    return "an edit list"
                first = first or next(iter(packet.decode()), None)
            return "it finds no frame" if first is None else _differs(first)
    except av.FFmpegError as error:
        return reason(error)


def _declared(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """The largest number of frames that can be read out of the header."""
    import av

    lasting = max(abs(stream.duration or 0) * (stream.time_base or 0), abs(container.duration or 0) / av.time_base)
    rates = (stream.average_rate, stream.base_rate, stream.guessed_rate)
    return float(max(abs(stream.frames), lasting * max(rate or 0 for rate in rates)))


def _differs(picture: av.VideoFrame) -> str | None:
    """Why PyAV's first picture would be another one by decord."""
    if not orientation(picture).turned:
        return "mirrored pictures"
    if picture.format.name not in ALIKE:
        return f"pixels in {picture.format.name}"
    # FFmpeg interpolates colours between rows where the last row has no pair.
    subsampled = picture.format.chroma_height(picture.height) < picture.height or picture.format.name == "yuv422p"
    return "an odd height" if picture.height % 2 and subsampled else None


@cache
def _decord() -> Any:
    if importlib.util.find_spec("decord") is None:
        raise UserError("decord is not installed: it has no wheel for this machine", hint="reader=auto: PyAV")
    import decord

    return decord


def decord_opened(path: Path) -> Any:
    """decord's reader of a file that it may read."""
    decord = _decord()
    bound_memory(decord._ffi.base._LIB)
    return decord.VideoReader(local(path), num_threads=1)


def upright(picture: av.VideoFrame) -> Frame:
    """PyAV's picture as RGB and as it is shown: PyAV only reports the display matrix, decord applies turns."""
    frame: Frame = picture.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    return orientation(picture).of(frame)


READERS: dict[str, type[Decord] | type[PyAV]] = {"decord": Decord, "pyav": PyAV}


def reader(name: str = "auto") -> Reader:
    """A reader by name; `auto` is PyAV."""
    if name not in ("auto", *READERS):
        raise unknown("video reader", name, ["auto", *READERS], form="reader={}")
    return READERS.get(name, PyAV)()


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
    with time_limit():
        return av.open(local(path), options=allowing, **ignoring)


@cache
def _linked() -> ctypes.CDLL:
    """A library that is linked with PyAV's FFmpeg."""
    import av._core

    return ctypes.CDLL(av._core.__file__)


def videos(container: av.container.InputContainer) -> list[av.VideoStream]:
    """The video streams. A cover, a picture that is attached to a file, is none."""
    return [stream for stream in container.streams.video if not int(stream.disposition) & _COVER]


def best(container: av.container.InputContainer) -> av.VideoStream | None:
    """FFmpeg's choice among several video streams, to be decoded by one thread; None where there is none."""
    moving = videos(container)
    if not moving:
        return None
    choice = container.streams.best("video")
    stream = next((one for one in moving if choice is not None and one.index == choice.index), moving[0])
    stream.codec_context.thread_count = 1
    # bitexact: FFmpeg 8.0 and older average two pixels of MPEG-4 inexactly, newer ones do not
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS), "flags": "+bitexact"}
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
