"""Reading a video: every frame once, in presentation order.

The promise of a reader: frame i is the i-th picture of the file as it is shown, turned upright, and there are
as many as can be decoded. Reading is sequential only. decord's random access returns wrong frames without a
word on some files (MPEG-4 with packed B-frames), so that nothing here seeks (see `video.film`).

Of several video streams in a file the one is read that FFmpeg calls the best, the largest. decord makes a choice of its
own and cannot be told, so that such files are read by PyAV, whatever was asked for.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError, unknown

if TYPE_CHECKING:
    import av

_WHERE = re.compile(r"\[\d\d:\d\d:\d\d\] \S+:\d+: ")
_said: list[str] = []  # what was said once in this process
Frame = NDArray[np.uint8]  # (H, W, 3) RGB


class Reader(Protocol):
    """A decoder. It holds no open file, so that it pickles and is safe on either side of a fork."""

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

        must_exist(path)
        empty = True
        try:
            with opened(path) as container:
                stream = container.streams.best("video")  # FFmpeg's choice among several, as decord's
                if not isinstance(stream, av.VideoStream):
                    raise UserError("no video in this file", got=path)
                stream.codec_context.thread_count = 1
                for picture in container.decode(stream):
                    empty = False
                    yield upright(picture)
        except av.FFmpegError as error:
            raise UserError(f"this video cannot be decoded ({error.strerror})", got=path) from error
        if empty:
            raise UserError("this video has no frames", got=path)


@dataclass(frozen=True)
class Decord:
    """decord, one thread, `next()` only.

    decord believes the header. Where that counts too many (HMDB51: one), it shows the last picture again; so
    when a file ends with two equal pictures, PyAV is asked how many there are.
    """

    @property
    def info(self) -> str:
        return "decord " + importlib.metadata.version("decord")

    def frames(self, path: Path) -> Iterator[Frame]:
        import decord

        must_exist(path)
        if video_streams(path) > 1:  # decord chooses one of its own, and cannot be told
            yield from PyAV().frames(path)
            return
        shown = 0  # frames handed out; one more is held back
        before: Frame | None = None
        held: Frame | None = None
        try:
            video = decord.VideoReader(local(path), num_threads=1)
            while True:
                frame = three_channels(video.next().asnumpy())
                if held is not None:
                    yield held
                    shown += 1
                before, held = held, frame
        except StopIteration:
            pass
        except (decord.DECORDError, RuntimeError) as error:
            if held is not None:
                yield held
            lines = str(error).strip().splitlines() or ["unknown reason"]
            said = _WHERE.sub("", lines[0])  # where in decord's own source
            raise UserError(f"this video cannot be decoded ({said})", got=path) from error
        if held is None:
            raise UserError("this video has no frames", got=path)
        if before is not None and np.array_equal(before, held):
            true = sum(1 for _ in PyAV().frames(path))
            if true == shown:
                return
            if true != shown + 1:
                raise UserError("decord and PyAV count frames differently", got=f"{path}: {shown + 1} and {true}")
        yield held


def video_streams(path: Path) -> int:
    """How many there are, by the header; 0 where it cannot be read."""
    import av

    try:
        with opened(path) as container:
            return len(container.streams.video)
    except (av.FFmpegError, OSError):
        return 0


def upright(picture: av.VideoFrame) -> Frame:
    """PyAV's picture as RGB. PyAV tells the rotation and leaves it to us; decord applies it."""
    frame: Frame = picture.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    return np.rot90(frame, picture.rotation // 90).copy() if picture.rotation else frame


READERS: dict[str, type[Decord] | type[PyAV]] = {"decord": Decord, "pyav": PyAV}


def reader(name: str = "auto", say: Callable[[str], None] | None = None) -> Reader:
    """A reader by name; `auto` is decord, or PyAV where decord has no wheel (aarch64, macOS), which is said once."""
    if name == "auto":
        name = "decord" if importlib.util.find_spec("decord") else "pyav"
        if name == "pyav" and say is not None and not _said:
            _said.append(name)
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
    """A name that is a file's, whatever it looks like: FFmpeg takes `http:x.avi` or `concat:a|b` for something else."""
    return str(path.absolute())


def opened(path: Path) -> av.container.InputContainer:
    """As PyAV opens it. One real HMDB51 file has a title that is not UTF-8, before PyAV 19 an error by default."""
    import av

    ignoring: dict[str, Any] = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "ignore"}
    return av.open(local(path), **ignoring)


def must_exist(path: Path) -> None:
    if not path.is_file():
        raise UserError("no such video file", got=path)
    if path.stat().st_size == 0:
        raise UserError("this video file is empty", got=path)
