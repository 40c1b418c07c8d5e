"""Images of flow that are not imported yet, read as a store is: the doctor checks them before they are packed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.video.decode import Reader
from fusionlab.video.film import Film
from fusionlab.video.imported import FlowFiles, Planes, read_frame, read_plane
from fusionlab.video.opencv import cv2

Bytes = NDArray[np.uint8]


class FlowOfVideo(Protocol):
    """The size of a video with its flow."""

    @property
    def frames(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...


class FlowOfVideos(Protocol):
    """Frames and flow of some videos: a store, or images."""

    @property
    def bound(self) -> float: ...
    def video(self, name: str, /) -> FlowOfVideo: ...
    def verify_video(self, name: str, /) -> None: ...
    def frames(self, name: str, times: Sequence[int], /) -> Bytes: ...
    def flow(self, name: str, start: int, count: int, /) -> Iterable[Bytes]: ...


@dataclass(frozen=True)
class VideoOfImages:
    """The images of a video's flow, and where its frames are. `surplus`: fields more than its frames allow."""

    planes: list[Planes]
    frames: int
    height: int
    width: int
    surplus: int
    images: list[Path]  # of the frames, where these are imported too
    film: Film

    def plane(self, file: Path) -> Bytes:
        plane = read_plane(file).pixels
        if plane.shape != (self.height, self.width):
            raise UserError(f"images of flow differ in size: {file.name} is {plane.shape[1]}×{plane.shape[0]}")
        return plane


@dataclass
class FlowImages:
    """The images of flow of some videos; each worker opens a video once."""

    files: FlowFiles
    videos: Mapping[str, Path]
    bound: float
    reader: Reader
    _opened: dict[str, VideoOfImages] = field(default_factory=dict, repr=False)

    def video(self, name: str) -> VideoOfImages:
        if name not in self._opened:
            self._opened.clear()  # one at a time
            self._opened[name] = self._open(name)
        return self._opened[name]

    def _open(self, name: str) -> VideoOfImages:
        planes, film = self.files.fields(name), Film(self.videos[name], self.reader)
        images = self.files.frames(name) if self.files.has_frames else []
        frames = len(images) if self.files.has_frames else len(film) - self.files.skipped_frames
        height, width = read_plane(planes[0][0]).pixels.shape
        if frames < 2:
            raise UserError("flow needs at least two frames", got=name)
        if not images:
            shape = film[0].shape
            self.files.expect_shape((height, width), (shape[0], shape[1]))
        return VideoOfImages(
            planes, min(frames, len(planes) + 1), height, width, len(planes) - (frames - 1), images, film
        )

    def verify_video(self, name: str) -> None:
        """Images have no digest: reading them is the check."""

    def flow(self, name: str, start: int, count: int) -> list[Bytes]:
        video = self.video(name)
        return [np.stack([video.plane(file) for file in pair]) for pair in video.planes[start : start + count]]

    def frames(self, name: str, times: Sequence[int]) -> Bytes:
        """Frames at the size of the images."""
        video = self.video(name)
        if self.files.has_frames:
            frames = [read_frame(video.images[time]).pixels for time in times]
        else:
            frames = list(video.film.frames([time + self.files.skipped_frames for time in times]))
        size = video.width, video.height
        return np.stack([np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA)) for one in frames])
