"""One part of a store: some videos, each read once in sequence, flow computed, packed.

Runs in a worker process that must start quickly: no torch here. A picture goes from the decoder to the disk at once, so
that memory does not grow with a video's length. What is wrong with one video stops no other: it is told, and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.records.crash import crash_point
from fusionlab.video.codecs import JPEG
from fusionlab.video.decode import Reader
from fusionlab.video.flow import Estimator, seen
from fusionlab.video.header import header
from fusionlab.video.imported import FlowFiles, read_frame, read_plane
from fusionlab.video.opencv import cv2
from fusionlab.video.quantise import quantise, quantise_by_field
from fusionlab.video.resize import resize
from fusionlab.video.store import FLOW, FRAMES, Coding, Video
from fusionlab.video.writing import Packing, PartWriter

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Making:
    """How videos become pixels: the same for all of a store."""

    reader: Reader
    flow: Estimator | FlowFiles
    bound: float
    size: int | None
    coding: Coding = field(default_factory=Coding)
    backward: bool = False

    def describe(self) -> dict[str, Any]:
        """For the index, and to know whether an old part was made in the same way."""
        flow = {**self.flow.describe(), "bound": self.bound}
        if self.coding.by_field:
            flow["rule"] = self.coding.rule
        if self.backward:
            flow["backward"] = True
        return {"decoder": self.reader.info, "flow": flow, "size": self.size}


@dataclass(frozen=True)
class Part:
    """A part to be made: which videos, and where it goes."""

    folder: Path  # of all parts
    name: str
    videos: tuple[tuple[str, int, Path], ...]  # name, label, file
    making: Making


@dataclass(frozen=True)
class Packed:
    """What became of one video: its place in the part, or why it has none."""

    name: str
    video: Video | None
    notes: tuple[str, ...] = ()
    reason: str | None = None


def pack(part: Part) -> Iterator[Packed]:
    """Pack what the part does not hold yet; each video is told as soon as it is done."""
    with PartWriter(part.folder / part.name, part.name, part.making.coding, part.making.describe()) as writer:
        for name, label, file in part.videos:
            video = writer.videos.get(name)
            if video is not None and video.label == label:
                yield Packed(name, video, tuple(writer.notes.get(name, ())))
                continue
            reason = _packed(writer, name, label, file, part.making)
            yield Packed(name, writer.videos.get(name), tuple(writer.notes.get(name, ())), reason)
            crash_point("prepare.video")


class _Unusable(Exception):
    """Of one video; a full disk is of all."""


def _packed(writer: PartWriter, name: str, label: int, file: Path, making: Making) -> str | None:
    """Pack a video; what is wrong with it is returned."""
    try:
        with writer.video(name, label) as packing:
            if isinstance(making.flow, FlowFiles):
                _imported(packing, name, file, making)
            else:
                _computed(packing, name, file, making, making.flow)
    except _Unusable as error:
        return str(error)
    return None


def _computed(packing: Packing, name: str, file: Path, making: Making, estimator: Estimator) -> None:
    """Frames from the decoder, and between each two of them flow."""
    before: Bytes | None = None
    count = 0
    for frame in _of_this_video(making.reader.frames(file)):
        frame = resize(frame, making.size)
        packing.frame(frame)
        picture, count = seen(estimator, frame), count + 1
        if before is not None:
            _field(packing, _told(estimator, before, picture), making)
            if making.backward:
                _field(packing, _told(estimator, picture, before), making, backward=True)
        before = picture
    _enough(name, count)
    packing.notes += _notes(file, count)


def _field(packing: Packing, flow: NDArray[np.float32], making: Making, *, backward: bool = False) -> None:
    if making.coding.by_field:
        packing.field(*quantise_by_field(flow), backward=backward)
    else:
        packing.field(quantise(flow, making.bound), backward=backward)


def _imported(packing: Packing, name: str, file: Path, making: Making) -> None:
    """Flow from images; frames from the same place, or from the decoder at the size of the images."""
    files = making.flow
    assert isinstance(files, FlowFiles)
    planes = _told(files.fields, name)
    first = _told(read_plane, planes[0][0])
    shape = (first.shape[0], first.shape[1])
    if making.size is not None and min(shape) != making.size:
        raise _Unusable(
            f"the images of flow are {shape[1]}×{shape[0]}; data.store.size asks for a short side of {making.size}; "
            "with data.store.size=null frames take the size of the images"
        )
    packing.shape = shape
    if files.assumed.frames == "images":
        frames = _image_frames(_told(files.frames, name), shape)
    else:
        frames = islice(_decoded_frames(file, shape, making), files.skipped_frames, None)
    most, there = len(planes) + 1, 0
    for there, (picture, jpeg) in enumerate(frames, 1):
        if there > most:
            continue  # counted, and left out
        if jpeg is not None and making.coding.frames == JPEG:
            packing.coded(FRAMES, [jpeg])
        else:
            packing.frame(picture)
    _agree(packing, len(planes), there, files)
    for pair in planes[: there - 1]:
        field = np.stack([_plane(path, shape) for path in pair])
        if making.coding.flow == JPEG:
            packing.coded(FLOW, [path.read_bytes() for path in pair])  # as they are, and known to be readable
        else:
            packing.field(field)


def _agree(packing: Packing, fields: int, frames: int, files: FlowFiles) -> None:
    """Tools and decoders miscount by one, and an offset leaves over as many as it says: these have no partner."""
    over = fields - (frames - 1)
    if abs(over) > 1 + abs(files.assumed.offset) or frames < 2:
        raise _Unusable(f"{fields} fields need {fields + 1} frames, and there are {frames}")
    if over > 0:
        packing.notes.append(f"{fields} fields for {frames} frames; the last {over} left out")
    elif over < 0:
        packing.notes.append(f"{fields} fields for {frames} frames; the last {-over} frames left out")


def _plane(path: Path, shape: tuple[int, int]) -> Bytes:
    plane = _told(read_plane, path)
    if plane.shape != shape:
        raise _Unusable(f"images of flow differ in size: {path.name} is {plane.shape[1]}×{plane.shape[0]}")
    return plane


def _image_frames(paths: Iterable[Path], shape: tuple[int, int]) -> Iterator[tuple[Bytes, bytes | None]]:
    for path in paths:
        frame = _told(read_frame, path)
        if frame.shape[:2] != shape:
            raise _Unusable(f"{path.name} is {frame.shape[1]}×{frame.shape[0]}, flow is {shape[1]}×{shape[0]}")
        yield frame, path.read_bytes()


def _decoded_frames(file: Path, shape: tuple[int, int], making: Making) -> Iterator[tuple[Bytes, bytes | None]]:
    """At the size of the images of flow."""
    for frame in _of_this_video(making.reader.frames(file)):
        if frame.shape[:2] != shape:
            frame = np.asarray(cv2.resize(frame, shape[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)
        yield frame, None


def pictures(file: Path, making: Making) -> Iterator[int]:
    """What each frame of a video will take in bytes, with the fields before it."""
    assert not isinstance(making.flow, FlowFiles)
    before: Bytes | None = None
    for frame in making.reader.frames(file):
        frame = resize(frame, making.size)
        taken, picture = _bytes(FRAMES, frame, making), seen(making.flow, frame)
        if before is not None:
            field = quantise(making.flow(before, picture), making.bound)
            taken += (1 + making.backward) * _bytes(FLOW, field, making)
        before = picture
        yield taken


def _bytes(file: str, picture: Bytes, making: Making) -> int:
    codec = making.coding.codec(file)
    return picture.nbytes if codec is None else sum(len(blob) for blob in codec.encode(picture))


def _notes(file: Path, count: int) -> list[str]:
    """What a person should know about a video that could be read."""
    said = header(file)
    cut = said.frames is not None and said.frames - count > 1  # one too many is usual
    return [*said.notes, *([f"{count} frames, where the header says {said.frames}"] if cut else [])]


def _enough(name: str, count: int) -> None:
    if count < 2:
        raise _Unusable(f"flow needs at least two frames: {count}")


def _of_this_video(frames: Iterator[Bytes]) -> Iterator[Bytes]:
    """The frames; what the decoder says of the file is of this video only."""
    try:
        yield from frames
    except UserError as error:
        raise _Unusable(_line(error)) from error


def _told(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except UserError as error:
        raise _Unusable(_line(error)) from error


def _line(error: UserError) -> str:
    return f"{error.what}: {error.got}" if error.got else error.what
