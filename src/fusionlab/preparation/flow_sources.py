"""Sources of the frames and fields of a video: flow is computed, or read from images.

A source packs a video (`pack`), describes its method (`describe`), and estimates the bytes that a store will take
(`estimate`). The config's part of `flow` determines the source: a part with `open(folder, names)` reads images (see
`video.imported`), any other computes flow (see `video.flow`).

This runs in worker processes that must start quickly, so it does not import torch. Each picture goes from the decoder
to the disk at once, so that memory does not grow with a video's length.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.records.time_limit import limited
from fusionlab.video.codecs import JPEG
from fusionlab.video.decode import Reader
from fusionlab.video.flow import Estimator, seen
from fusionlab.video.header import header, packets
from fusionlab.video.imported import FlowFiles, Image, read_frame, read_plane
from fusionlab.video.opencv import cv2
from fusionlab.video.quantise import quantise, quantise_by_field
from fusionlab.video.resize import resize
from fusionlab.video.store import FLOW, FRAMES, Coding
from fusionlab.video.writing import Packing

Bytes = NDArray[np.uint8]
File = tuple[str, int, Path]  # name, label, file of a video
SAMPLE_FRAMES = 6  # of each sampled video, for an estimate


class Unusable(Exception):
    """An error in one video; a full disk is an error for all videos."""


class Source(Protocol):
    """The source of a store's flow."""

    def describe(self) -> dict[str, Any]:
        """For the index of the store."""
        ...

    def pack(self, packing: Packing, name: str, file: Path, making: Making) -> None:
        """Hand over the frames and the fields of a video; raise `Unusable` where that is impossible."""
        ...

    def estimate(self, sample: Sequence[File], videos: Sequence[File], making: Making) -> int:
        """The bytes of the whole store, from a sample of its videos; 0 where no sample can be read."""
        ...


@dataclass(frozen=True)
class Making:
    """The method by which videos become pictures, the same for all of a store."""

    reader: Reader
    source: Source
    bound: float
    size: int | None
    coding: Coding = field(default_factory=Coding)
    backward: bool = False

    def describe(self) -> dict[str, Any]:
        """For the index, and to find out whether an old part was made in the same way."""
        flow = {**self.source.describe(), "bound": self.bound}
        if self.coding.by_field:
            flow["rule"] = self.coding.rule
        if self.backward:
            flow["backward"] = True
        return {"decoder": self.reader.info, "flow": flow, "size": self.size}


@dataclass(frozen=True)
class Computed:
    """Frames from the decoder, and flow between each two of them by an estimator."""

    estimator: Estimator

    def describe(self) -> dict[str, Any]:
        return self.estimator.describe()

    def pack(self, packing: Packing, name: str, file: Path, making: Making) -> None:
        before: Bytes | None = None
        count = 0
        for frame in _decoded(packing, file, making):
            frame = resize(frame, making.size)
            if packing.shape not in (None, frame.shape[:2]):
                raise Unusable(f"the size of its frames changes: {packing.shape}, then {frame.shape[:2]}")
            packing.frame(frame)
            picture, count = seen(self.estimator, frame), count + 1
            if before is not None:
                _pack_field(packing, _checked(self.estimator, before, picture), making)
                if making.backward:
                    _pack_field(packing, _checked(self.estimator, picture, before), making, backward=True)
            before = picture
        if count < 2:
            raise Unusable(f"flow needs at least two frames: {count}")
        packing.notes += _notes(file, count)

    def estimate(self, sample: Sequence[File], videos: Sequence[File], making: Making) -> int:
        """The bytes of the store in proportion to the sizes of the files."""
        pairs = [(file.stat().st_size, packed) for _, _, file in sample if (packed := self._packed_size(file, making))]
        sampled = sum(size for size, _ in pairs)
        if not sampled:
            return 0
        return round(sum(file.stat().st_size for _, _, file in videos) * sum(packed for _, packed in pairs) / sampled)

    def _packed_size(self, file: Path, making: Making) -> float:
        """The bytes of a packed video, estimated by its first frames."""
        try:
            sizes = list(islice(self._sizes(file, making), SAMPLE_FRAMES))
            return float(np.mean(sizes[1:] or sizes)) * packets(file)
        except UserError:
            return 0.0

    def _sizes(self, file: Path, making: Making) -> Iterator[int]:
        """The bytes of each frame, with those of the fields that lead to it."""
        before: Bytes | None = None
        for frame in making.reader.frames(file):
            frame = resize(frame, making.size)
            size, picture = _coded_size(FRAMES, frame, making), seen(self.estimator, frame)
            if before is not None:
                levels = quantise(self.estimator(before, picture), making.bound)
                size += (1 + making.backward) * _coded_size(FLOW, levels, making)
            before = picture
            yield size


@dataclass(frozen=True)
class FromImages:
    """Flow from images; frames from the same folder, or from the decoder at the size of the images."""

    files: FlowFiles

    def describe(self) -> dict[str, Any]:
        return self.files.describe()

    def pack(self, packing: Packing, name: str, file: Path, making: Making) -> None:
        planes = _checked(self.files.fields, name)
        height, width = _checked(read_plane, planes[0][0]).pixels.shape
        shape = (height, width)
        if making.size is not None and min(shape) != making.size:
            raise Unusable(
                f"the images of flow are {width}×{height}; data.store.size asks for a short side of {making.size}; "
                "with data.store.size=null frames are resized to the images"
            )
        packing.shape = shape
        if self.files.has_frames:
            frames: Iterator[Image] = _image_frames(_checked(self.files.frames, name), shape)
        else:
            frames = islice(self._decoded_frames(packing, file, shape, making), self.files.skipped_frames, None)
        most, count = len(planes) + 1, 0
        for count, frame in enumerate(frames, 1):
            if count > most:
                continue  # counted, but not packed
            if frame.jpeg is not None and making.coding.frames == JPEG:
                packing.coded(FRAMES, [frame.jpeg])
            else:
                packing.frame(frame.pixels)
        self._match_counts(packing, len(planes), count)
        encoded = 0
        for pair in planes[: count - 1]:
            u, v = (_plane(path, shape) for path in pair)
            if making.coding.flow == JPEG and u.jpeg is not None and v.jpeg is not None:
                packing.coded(FLOW, [u.jpeg, v.jpeg])  # unchanged
            else:
                packing.field(np.stack([u.pixels, v.pixels]))
                encoded += 1
        if encoded and making.coding.flow == JPEG:
            packing.notes.append(
                f"{encoded} fields of PNG images were encoded as JPEG; data.store.codec.flow=lz4 keeps them exact"
            )

    def _decoded_frames(self, packing: Packing, file: Path, shape: tuple[int, int], making: Making) -> Iterator[Image]:
        """The decoder's frames at the size of the images of flow."""
        first = True
        for frame in _decoded(packing, file, making):
            if first:
                remark = _checked(self.files.expect_shape, shape, (frame.shape[0], frame.shape[1]))
                packing.notes += [remark] if remark else []
                first = False
            if frame.shape[:2] != shape:
                frame = np.asarray(cv2.resize(frame, shape[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)
            yield Image(frame, None)

    def estimate(self, sample: Sequence[File], videos: Sequence[File], making: Making) -> int:
        """The images as they are; a frame is taken to be three times as large as a plane."""
        sizes = []
        for name, _, _ in sample:
            with contextlib.suppress(UserError, OSError):
                sizes.append(2.5 * sum(plane.stat().st_size for pair in self.files.fields(name) for plane in pair))
        return round(sum(sizes) / len(sizes) * len(videos)) if sizes else 0

    def _match_counts(self, packing: Packing, fields: int, frames: int) -> None:
        """Tools and decoders miscount by one, and an offset leaves as many fields without a frame."""
        surplus = fields - (frames - 1)
        if abs(surplus) > 1 + abs(self.files.offset) or frames < 2:
            raise Unusable(f"{fields} fields need {fields + 1} frames, but there are {frames}")
        if surplus > 0:
            packing.notes.append(f"{fields} fields for {frames} frames; the last {surplus} left out")
        elif surplus < 0:
            packing.notes.append(f"{fields} fields for {frames} frames; the last {-surplus} frames left out")


def _pack_field(packing: Packing, flow: NDArray[np.float32], making: Making, *, backward: bool = False) -> None:
    if making.coding.by_field:
        packing.field(*quantise_by_field(flow), backward=backward)
    else:
        packing.field(quantise(flow, making.bound), backward=backward)


def _plane(path: Path, shape: tuple[int, int]) -> Image:
    plane: Image = _checked(read_plane, path)
    if plane.pixels.shape != shape:
        height, width = plane.pixels.shape
        raise Unusable(f"images of flow differ in size: {path.name} is {width}×{height}")
    return plane


def _image_frames(paths: Iterable[Path], shape: tuple[int, int]) -> Iterator[Image]:
    for path in paths:
        frame: Image = _checked(read_frame, path)
        height, width = frame.pixels.shape[:2]
        if (height, width) != shape:
            raise Unusable(f"{path.name} is {width}×{height}, flow is {shape[1]}×{shape[0]}")
        yield frame


def _coded_size(file: str, picture: Bytes, making: Making) -> int:
    codec = making.coding.codec(file)
    return picture.nbytes if codec is None else sum(len(blob) for blob in codec.encode(picture))


def _notes(file: Path, count: int) -> list[str]:
    """Remarks for people about a video that could be read."""
    declared = header(file)
    short = declared.frames is not None and declared.frames - count > 1  # one too many is usual
    return [*declared.notes, *([f"{count} frames, where the header says {declared.frames}"] if short else [])]


def _decoded(packing: Packing, file: Path, making: Making) -> Iterator[Bytes]:
    """The decoder's frames; its error concerns this video only, and its remark is noted."""
    try:
        remark = yield from limited(making.reader.frames(file))
    except UserError as error:
        raise Unusable(_line(error)) from error
    except Exception as error:  # the decoder's: an error of the caller is not raised in here
        raise Unusable(f"the decoder failed ({type(error).__name__}: {error})") from error
    packing.notes += [remark] if remark else []


def _checked(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's result; its error concerns this video only."""
    try:
        return function(*arguments)
    except UserError as error:
        raise Unusable(_line(error)) from error


def _line(error: UserError) -> str:
    return f"{error.what}: {error.got}" if error.got else error.what
