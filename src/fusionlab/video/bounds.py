"""Bounds for untrusted files: formats and sizes, checked before a decoder opens them.

FFmpeg detects the format by the content of a file, whatever its name, and some of its formats are texts that name other
files or addresses (ffconcat, HLS, SDP …). So the format is detected here, by the first bytes, and FFmpeg may open the
file only as that format. No such text begins like one of `FORMATS`. This matters for decord, which has no options, and
whose old FFmpeg accepts more texts than PyAV's.

A few bytes may also declare a frame of a billion pixels, or a video of a billion frames. `MOST_PIXELS` is twice the
largest common size (8K, 7680×4320); such a frame takes 256 MiB at four bytes a pixel, and FFmpeg may allocate no more
at a time. An index of so many bytes holds ten million frames.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from pathlib import Path

MOST_PIXELS = 1 << 26  # of a frame or an image: 8192×8192
MOST_BYTES = 4 * MOST_PIXELS  # that FFmpeg may ask for at a time
MOST_MORE = 8 << 30  # bytes of addresses that a call of decord may add to the process

BOUNDS = f"a frame may have {MOST_PIXELS} pixels, and {MOST_BYTES >> 20} MiB are asked for at a time"

# By FFmpeg's names: what they are called.
AVI, MOV, MATROSKA, ASF, FLV, OGG = "avi", "mov", "matroska", "asf", "flv", "ogg"
MPEG, TRANSPORT = "mpeg,mpegvideo,m4v,h264,hevc", "mpegts"
FORMATS = {
    AVI: "AVI", MOV: "MP4, MOV, 3GP", MATROSKA: "Matroska, WebM", ASF: "WMV, ASF", FLV: "FLV", OGG: "Ogg",
    MPEG: "MPEG, H.264 and HEVC that begin with a start code", TRANSPORT: "MPEG-TS",
}  # fmt: skip
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"pnot")
_BEGINNINGS = {
    b"\x1a\x45\xdf\xa3": MATROSKA, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00": ASF, b"FLV\x01": FLV,
    b"OggS\x00": OGG, b"\x00\x00\x01": MPEG, b"\x00\x00\x00\x01": MPEG,
}  # fmt: skip
_PACKETS = ((0, 188), (4, 192))  # of MPEG-TS: where the first begins, and how long each is
_SYNC = 0x47


def recognised(path: Path) -> str | None:
    """The format of a video file, a key of `FORMATS`, or None."""
    with path.open("rb") as file:
        head = file.read(4 + 3 * 192)
    if head[:4] == b"RIFF" and head[8:11] == b"AVI":
        return AVI
    if head[4:8] in _BOXES:
        return MOV
    for beginning, name in _BEGINNINGS.items():
        if head.startswith(beginning):
            return name
    for first, step in _PACKETS:
        if len(head) > first + 2 * step and set(head[first : first + 2 * step + 1 : step]) == {_SYNC}:
            return TRANSPORT
    return None


def bound_memory(library: ctypes.CDLL) -> None:
    """Limit the FFmpeg of a library to `MOST_BYTES` for each allocation."""
    if hasattr(library, "av_max_alloc"):  # Windows looks only in the library itself; there the header's size is all
        library.av_max_alloc(ctypes.c_size_t(MOST_BYTES))


@contextlib.contextmanager
def bound_process() -> Iterator[None]:
    """Limit what this process may allocate inside to `MOST_MORE`. What gets none fails, or ends the process.

    For decord, which allocates by the numbers of a header and by no limit of FFmpeg.
    """
    try:
        import resource

        now = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):  # no Linux
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = now + MOST_MORE
    resource.setrlimit(resource.RLIMIT_AS, (most if soft == resource.RLIM_INFINITY else min(most, soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
