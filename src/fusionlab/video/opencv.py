"""OpenCV, on one thread in every process that uses it here: `from fusionlab.video.opencv import cv2`.

There are as many processes as cores, so that threads would only wait for each other; OpenCV's results may depend on the
number of threads; and a thread pool does not survive a fork: the child would wait for ever at its first call.

`decoded` turns an image into pixels: JPEG or PNG, with at most as many pixels in its header as `video.bounds` allow,
since half a megabyte of PNG may be gigabytes of pixels.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fusionlab.video.bounds import MOST_PIXELS

cv2.setNumThreads(1)

__all__ = ["Form", "cv2", "decoded", "form_of", "size_of"]

_PNG = b"\x89PNG\r\n\x1a\n"
_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the markers of a JPEG behind which its size stands
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # those without a length
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # of a PNG, by its type; 3 is a palette of colours


class Form(NamedTuple):
    """What the header of an image says."""

    height: int
    width: int
    bits: int  # of a level
    channels: int  # 1: grey; 2: grey and alpha; 3: colours; 4: colours and alpha, or CMYK where it is a JPEG
    is_jpeg: bool


def decoded(image: bytes | memoryview, how: int) -> NDArray[np.uint8]:
    """The pixels of an image, `how`: an OpenCV flag; a `ValueError` where it cannot be decoded."""
    size = size_of(image)
    if size is None:
        raise ValueError("it begins neither as a JPEG does nor as a PNG")
    if not 0 < size[0] * size[1] <= MOST_PIXELS:
        raise ValueError(f"it says that it is {size[1]}×{size[0]}; {MOST_PIXELS} pixels are allowed")
    # Pixels as stored: the orientation that a camera records is ignored.
    try:
        pixels = cv2.imdecode(np.frombuffer(image, dtype=np.uint8), how | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ValueError(f"it is damaged: {error.err}") from error
    if pixels is None or pixels.shape[:2] != size:
        raise ValueError("it is damaged")
    return np.asarray(pixels, dtype=np.uint8)


def size_of(image: bytes | memoryview) -> tuple[int, int] | None:
    """Height and width, by the header; None where it is neither a JPEG nor a PNG."""
    form = form_of(image)
    return None if form is None else (form.height, form.width)


def form_of(image: bytes | memoryview) -> Form | None:
    """The header; None where it is neither that of a JPEG nor that of a PNG."""
    if image[:8] == _PNG and image[12:16] == b"IHDR" and len(image) >= 26:
        width, height, bits, kind = struct.unpack_from(">IIBB", image, 16)
        return Form(height, width, bits, _CHANNELS.get(kind, 0), False)
    return _form_of_jpeg(image) if image[:2] == b"\xff\xd8" else None


def _form_of_jpeg(image: bytes | memoryview) -> Form | None:
    """Marker by marker, as libjpeg does: bytes before the next one are skipped."""
    at, end = 2, len(image) - 9
    while at < end:
        marker = image[at + 1]
        if image[at] != 0xFF or marker in (0x00, 0xFF):
            at += 1
        elif marker in _FRAME:
            bits, height, width, channels = struct.unpack_from(">BHHB", image, at + 4)
            return Form(height, width, bits, channels, True)
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", image, at + 2)[0])
    return None
