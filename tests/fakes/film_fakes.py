"""Video files as they come: several codecs, B-frames, long groups of pictures, uneven times, turned, two streams."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from fusionlab.records import time_limit
from fusionlab.video import encode
from fusionlab.video.decode import Frame, PyAV

RATE = 25


def moving(frames: int, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """A soft texture that drifts, and a number of light bars that tells the frame: no two are alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (height + frames, width + frames, 3)).astype(np.float64)
    for axis in (0, 1):
        for _ in range(3):
            noise = (np.roll(noise, 1, axis) + noise + np.roll(noise, -1, axis)) / 3
    noise = (noise - noise.mean()) * 3 + 128
    video = np.stack([noise[t : t + height, 2 * t // 3 : 2 * t // 3 + width] for t in range(frames)])
    for t in range(frames):
        video[t, :8, : 1 + (t * 5) % (width - 1)] = 230
    return np.clip(video, 0, 255).astype(np.uint8)


def write(
    path: Path,
    frames: np.ndarray,
    codec: str,
    *,
    stamps: list[int] | None = None,
    streams: int = 1,
    rate: int | Fraction = RATE,
    pixels: str = "yuv420p",
    **options: str,
) -> Path:
    """`stamps`: presentation times in hundredths of a second."""
    form = {".mpg": "mpeg", ".mkv": "matroska"}.get(path.suffix, path.suffix[1:])
    with av.open(f"file:{path.absolute()}", "w", format=form) as container:
        for number in range(streams):
            stream = container.add_stream(codec, rate=rate, options=options)
            stream.height, stream.width, stream.pix_fmt = frames.shape[1] - 16 * number, frames.shape[2], pixels
            stream.codec_context.thread_count = 1
            stream.codec_context.gop_size = 12
            if stamps is not None:
                stream.codec_context.time_base = stream.time_base = Fraction(1, 100)
        for time, frame in enumerate(frames):
            for number, stream in enumerate(container.streams.video):
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[16 * number :]), format="rgb24")
                if stamps is not None:
                    picture.pts, picture.time_base = stamps[time], Fraction(1, 100)
                container.mux(stream.encode(picture))
        for stream in container.streams.video:
            container.mux(stream.encode())
    return path


UNEVEN = [0, 4, 8, 30, 34, 38, 80, 84, 85, 86, 130, 134, 140, 144]


def all_kinds(folder: Path) -> dict[str, Path]:
    """Kind -> a file of it."""
    made = {
        "mpeg4": write(folder / "mpeg4.avi", moving(30), "mpeg4", bf="2", q="3"),
        "h264": write(folder / "h264.mp4", moving(40), "libx264", bf="3", g="30"),
        "uneven": write(folder / "uneven.mp4", moving(14), "libx264", stamps=UNEVEN, bf="0"),
        "two streams": write(folder / "two.mp4", moving(12), "libx264", streams=2),
        "odd name": write(folder / "-x #!+()&;@[]~ é.avi", moving(13), "mpeg4"),
        "url-like": write(folder / "http:x.avi", moving(9), "mpeg4"),
        "png": folder / "png.avi",
        "one pixel": folder / "one.avi",
    }
    encode.write(made["png"], moving(11, 24, 48))
    encode.write(made["one pixel"], moving(4, 10, 66)[:, :1, 60:61])
    for turn in (90, 180, 270):
        made[f"turned {turn}"] = turned(made["h264"], folder / f"turned{turn}.mp4", turn)
    return made


def turned(source: Path, path: Path, degrees: int) -> Path:
    """The same film, shown turned clockwise."""
    c, s = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    return with_matrix(source, path, c, s, -s, c)


def with_matrix(source: Path, path: Path, a: float, b: float, c: float, d: float) -> Path:
    """The same film with another display matrix in its track header: x' = a x + c y, y' = b x + d y."""
    content = bytearray(source.read_bytes())
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = content.find(plain, content.find(b"tkhd"))
    assert at > 0
    a, b, c, d = (round(one * (1 << 16)) for one in (a, b, c, d))
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def counted(source: Path, path: Path, frames: int) -> Path:
    """The same AVI, with another number of frames in the header of its stream."""
    content = bytearray(source.read_bytes())
    struct.pack_into("<I", content, content.find(b"strh") + 40, frames)
    path.write_bytes(content)
    return path


def edited(source: Path, path: Path, frames: int) -> Path:
    """The same MP4, with an edit list that leaves out its first frames."""
    content = bytearray(source.read_bytes())
    at = content.find(b"mdhd")
    (scale,) = struct.unpack_from(">I", content, at + 16)
    struct.pack_into(">i", content, content.find(b"elst") + 16, scale * frames // RATE)
    path.write_bytes(content)
    return path


def covered(path: Path, frames: np.ndarray, cover: int = 300) -> Path:
    """An MP4 with a cover, larger than its frames."""
    with av.open(str(path), "w", format="mp4") as container:
        film, picture = container.add_stream("mpeg4", rate=RATE), container.add_stream("mjpeg", rate=1)
        film.height, film.width, film.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        picture.height = picture.width = cover
        picture.pix_fmt, picture.disposition = "yuvj420p", Disposition.attached_pic
        image = av.VideoFrame.from_ndarray(np.full((cover, cover, 3), 99, np.uint8), format="rgb24")
        packets = [*picture.encode(image), *picture.encode()]
        for frame in frames:
            packets += film.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
        for packet in [*packets, *film.encode()]:
            container.mux(packet)
    return path


@dataclass(frozen=True)
class Deadly(PyAV):
    """A decoder that ends its process, or never comes back, by the name of the file."""

    def frames(self, path: Path) -> Iterator[Frame]:
        for number, frame in enumerate(super().frames(path)):
            if number == 3 and "abort" in path.name:
                os.abort()
            if number == 3 and "hang" in path.name:
                time_limit.SECONDS = 0.5
                with time_limit.time_limit():
                    time.sleep(100)
            yield frame


def damaged(source: Path, path: Path, seed: int, count: int = 60) -> Path:
    """Bytes in the middle of a file are others."""
    content = bytearray(source.read_bytes())
    draw = np.random.default_rng(seed)
    first, last = len(content) // 3, len(content) * 2 // 3
    for at in draw.integers(first, last, count):
        content[at] ^= int(draw.integers(1, 256))
    path.write_bytes(content)
    return path
