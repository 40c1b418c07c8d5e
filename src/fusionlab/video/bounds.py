"""What a file of a stranger may be, and what it may ask for, known before a decoder sees it.

FFmpeg goes by what is in a file, whatever its name says, and some of what it knows are texts that name other files or
addresses (ffconcat, HLS, SDP …). So a file is recognised here, by its first bytes, and FFmpeg may open it as that
format alone. No text of that kind begins as one of `FORMATS` does: decord takes no options, and its FFmpeg, an old
one, takes for a list what PyAV's does not.

A few bytes may also say that a frame has a billion pixels, or a film a billion frames. `MOST_PIXELS` is twice the
largest size that videos are sold in (8K, 7680×4320); a frame of so many takes 256 MiB at four bytes each, and FFmpeg
may ask for no more at a time. An index of so many bytes holds ten million frames.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

MOST_PIXELS = 1 << 26  # of a frame or an image: 8192×8192
MOST_BYTES = 4 * MOST_PIXELS  # that FFmpeg may ask for at a time

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
    """The format of a video file, a key of `FORMATS`; None: it is none of them."""
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
    """Of the FFmpeg that a library is linked with: it asks for no more than `MOST_BYTES` at a time."""
    if hasattr(library, "av_max_alloc"):  # Windows looks only in the library itself; there the header's size is all
        library.av_max_alloc(ctypes.c_size_t(MOST_BYTES))
