"""Video files as they come: several codecs, B-frames, long groups of pictures, uneven times, turned, two streams."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from fusionlab.video import encode

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
    """The same film with another display matrix in its track header."""
    c, s = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    content = bytearray(source.read_bytes())
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = content.find(plain, content.find(b"tkhd"))
    assert at > 0
    content[at : at + 36] = struct.pack(">9i", c << 16, s << 16, 0, -s << 16, c << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def damaged(source: Path, path: Path, seed: int, count: int = 60) -> Path:
    """Bytes in the middle of a file are others."""
    content = bytearray(source.read_bytes())
    draw = np.random.default_rng(seed)
    first, last = len(content) // 3, len(content) * 2 // 3
    for at in draw.integers(first, last, count):
        content[at] ^= int(draw.integers(1, 256))
    path.write_bytes(content)
    return path
