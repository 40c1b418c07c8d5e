"""Codecs: how a picture becomes bytes in a store, and back.

    raw     uncompressed
    lz4     LZ4, lossless
    jpeg    a JPEG of a frame; of a field one of u and one of v, in grey, as the papers' extractors wrote them

Measured on UCF101's and HMDB51's own clips at a short side of 256 (342×256), flow by DIS, one thread, a frame (3
planes) or a field (u and v); KiB, milliseconds to write, milliseconds to read:

    frame   raw 257, 0, 0      lz4 141, 5.7, 0.29      jpeg at 95  20, 0.8, 0.44
    field   raw 171, 0, 0      lz4 24, 2.5, 0.06       jpeg at 95  8.6, 0.3, 0.30
            for comparison     zstd level 3 20, 0.4, 0.18; level 9 16, 3.9, 0.13; PNG 22, 2.4, 1.0

So flow, of which a clip reads fifty fields, is stored by LZ4, and frames, of which it reads five, as JPEG: 44 KiB a
frame, a tenth of what raw bytes take, and a clip is read in a quarter of the time that one JPEG file a plane takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cramjam
import lz4.block
import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError, is_whole, unknown
from fusionlab.video.opencv import cv2, decoded, size_of

Bytes = NDArray[np.uint8]
Blob = bytes | memoryview
RAW, LZ4, JPEG = "raw", "lz4", "jpeg"
CODECS = (RAW, LZ4, JPEG)
RULES = ("bound", "field")  # by which flow becomes bytes
QUALITY = 95  # of JPEG
LEVEL = 4  # of LZ4's thorough mode: twice as dense as the quick one, and read more quickly


class Codec(Protocol):
    """Pictures of one kind and size."""

    @property
    def pieces(self) -> int:
        """The number of blobs of one picture."""
        ...

    def encode(self, picture: Bytes) -> list[bytes]: ...

    def decode(self, blobs: Sequence[Blob], shape: tuple[int, ...]) -> Bytes:
        """The picture of a known shape; a `ValueError` for invalid bytes."""
        ...


@dataclass(frozen=True)
class Lz4:
    """Frames (H, W, 3) or fields (2, H, W), uncut, compressed by LZ4.

    liblz4's binding writes them, as only it has the thorough mode. cramjam reads them, as only it writes into an array:
    the other bindings copy all bytes once more.
    """

    pieces: int = 1

    def encode(self, picture: Bytes) -> list[bytes]:
        whole = np.ascontiguousarray(picture)
        return [lz4.block.compress(whole.data, mode="high_compression", compression=LEVEL, store_size=False)]

    def decode(self, blobs: Sequence[Blob], shape: tuple[int, ...]) -> Bytes:
        picture = np.empty(shape, dtype=np.uint8)
        try:
            size = cramjam.lz4.decompress_block_into(blobs[0], picture.data, output_len=picture.size)
        except cramjam.DecompressionError as error:
            raise ValueError(str(error)) from error
        if size != picture.size:
            raise ValueError(f"{size} bytes, not {picture.size}")
        return picture


@dataclass(frozen=True)
class JpegFrames:
    """Frames (H, W, 3)."""

    quality: int = QUALITY
    pieces: int = 1

    def encode(self, picture: Bytes) -> list[bytes]:
        return [_jpeg(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), self.quality)]

    def decode(self, blobs: Sequence[Blob], shape: tuple[int, ...]) -> Bytes:
        return _picture(blobs[0], cv2.IMREAD_COLOR_RGB, shape)


@dataclass(frozen=True)
class JpegFields:
    """Fields (2, H, W): u, then v."""

    quality: int = QUALITY
    pieces: int = 2

    def encode(self, picture: Bytes) -> list[bytes]:
        return [_jpeg(np.ascontiguousarray(plane), self.quality) for plane in picture]

    def decode(self, blobs: Sequence[Blob], shape: tuple[int, ...]) -> Bytes:
        planes = [_picture(blob, cv2.IMREAD_GRAYSCALE, shape[1:]) for blob in blobs]
        return np.stack(planes)


def expect_coding(frames: str, flow: str, quality: int, rule: str) -> None:
    """Raise a `UserError` for the first value with which no store can be written."""
    for what, name in (("frames", frames), ("flow", flow)):
        _check_name(name, what)
    if not is_whole(quality) or not 1 <= quality <= 100:
        raise UserError(
            "the quality of JPEG is a whole number", got=f"data.store.codec.quality={quality}", allowed=["1 … 100"],
            hint=f"data.store.codec.quality={QUALITY}",
        )  # fmt: skip
    if rule not in RULES:
        raise unknown("rule by which flow becomes bytes", str(rule), RULES, form="data.store.rule={}")


def frames_codec(name: str, quality: int = QUALITY) -> Codec | None:
    """The codec of frames; None is raw."""
    return _check_name(name, "frames") and {RAW: None, LZ4: Lz4(), JPEG: JpegFrames(quality)}[name]


def fields_codec(name: str, quality: int = QUALITY) -> Codec | None:
    """The codec of fields; None is raw."""
    return _check_name(name, "flow") and {RAW: None, LZ4: Lz4(), JPEG: JpegFields(quality)}[name]


def _check_name(name: str, what: str) -> Any:
    if name not in CODECS:
        raise unknown("codec", str(name), CODECS, form=f"data.store.codec.{what}={{}}")
    return True


def _jpeg(picture: Any, quality: int) -> bytes:
    done, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise UserError("a picture cannot be written as JPEG", got=f"{picture.shape}")
    return content.tobytes()


def _picture(blob: Blob, how: int, shape: tuple[int, ...]) -> Bytes:
    if (size := size_of(blob)) != shape[:2]:  # before it is decoded
        raise ValueError("no picture" if size is None else f"a picture of {size}, not {shape[:2]}")
    return decoded(blob, how)
