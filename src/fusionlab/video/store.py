"""The packed store of a data set, which training reads instead of video files.

    <signature>/index.json               what is in it, and from what it was made
    <signature>/part-00000/frames.bin    the frames, one video after the other
    <signature>/part-00000/flow.bin      the quantised fields; backward.bin: backward fields, where configured
    <signature>/part-00000/part.jsonl    the packed videos, line by line (see `video.writing`)

A video's frames, its fields, and its backward fields are each one run of bytes in such a file:

    raw      (T, H, W, 3) or (T − 1, 2, H, W)
    coded    one picture after the other, then where each begins: (n + 1) int64, from the start of the run
    after it, where each field was scaled by itself: lowest and highest of u and of v, (T − 1, 2, 2) float32

So a window of L fields is one read, a frame another, and a few files hold thousands of videos. Nothing is copied when a
store is finished. The `hash` of a store identifies its content, independent of the parts: sha256 over each video's
label, shape and digest, and over how flow was made.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.records.files import read_json
from fusionlab.video.bounds import MOST_PIXELS
from fusionlab.video.codecs import QUALITY, RAW, Codec, expect_coding, fields_codec, frames_codec
from fusionlab.video.part_files import PartFiles
from fusionlab.video.quantise import BOUND, to_bound

SCHEMA = 1
INDEX = "index.json"
FRAMES, FLOW, BACKWARD = "frames.bin", "flow.bin", "backward.bin"
PART = re.compile(r"\w[\w.-]*")  # a folder of the store, and none elsewhere
AGAIN = "python -m fusionlab.prepare"
OFFSET, RANGE = np.dtype("<i8"), np.dtype("<f4")
Bytes = NDArray[np.uint8]
Fields = Bytes | list[Bytes]  # one array where that costs nothing; both are indexed and iterated alike


@dataclass(frozen=True)
class Coding:
    """The storage of pictures: the codecs, and the rule by which flow became bytes."""

    frames: str = RAW
    flow: str = RAW
    quality: int = QUALITY  # of JPEG
    rule: str = "bound"  # or field: each scaled by its own lowest and highest value, as in 2014

    def __post_init__(self) -> None:
        expect_coding(self.frames, self.flow, self.quality, self.rule)

    @property
    def name(self) -> Any:
        """The name in the index; older stores have "raw"."""
        return RAW if (self.frames, self.flow, self.rule) == (RAW, RAW, "bound") else asdict(self)

    @classmethod
    def named(cls, name: Any) -> Coding:
        return cls() if name == RAW else cls(**name)

    def codec(self, file: str) -> Codec | None:
        """The codec of one of the files; None is raw."""
        of = frames_codec if file == FRAMES else fields_codec
        return of(self.codec_name(file), self.quality)

    def codec_name(self, file: str) -> str:
        return self.frames if file == FRAMES else self.flow

    @property
    def by_field(self) -> bool:
        return self.rule == "field"


@dataclass(frozen=True)
class Video:
    """One video's place in the store. `…_bytes` are those of the pictures alone; None: raw, whose size follows."""

    label: int
    frames: int
    height: int
    width: int
    part: str
    frames_at: int  # first byte in frames.bin
    flow_at: int  # first byte in flow.bin
    sha256: str  # of its frames, then its flow, as they are stored
    frames_coded: int | None = None
    flow_coded: int | None = None
    backward_at: int | None = None
    backward_coded: int | None = None

    @property
    def frames_bytes(self) -> int:
        raw = self.frames * self.height * self.width * 3
        return raw if self.frames_coded is None else self.frames_coded

    @property
    def flow_bytes(self) -> int:
        raw = (self.frames - 1) * self.height * self.width * 2
        return raw if self.flow_coded is None else self.flow_coded

    @property
    def possible(self) -> bool:
        """Whether the numbers are possible: an index from elsewhere may have any numbers."""
        optional = [self.frames_coded, self.flow_coded, self.backward_at, self.backward_coded]
        sizes = [self.frames, self.height, self.width]
        whole = [self.label, self.frames_at, self.flow_at, *sizes, *(one for one in optional if one is not None)]
        return (
            all(type(one) is int and one >= 0 for one in whole)
            and min(sizes) > 0
            and self.height * self.width <= MOST_PIXELS
            and type(self.part) is str
            and PART.fullmatch(self.part) is not None
        )

    def run(self, file: str, coding: Coding) -> Run:
        """The position of its pictures in a file."""
        codec = coding.codec(file)
        count = self.frames if file == FRAMES else self.frames - 1
        ranges = 0 if file == FRAMES or not coding.by_field else count
        if file == FRAMES:
            at, size = self.frames_at, self.frames_bytes
        elif file == FLOW:
            at, size = self.flow_at, self.flow_bytes
        else:
            assert self.backward_at is not None, "no backward flow"
            at, size = self.backward_at, self.flow_bytes if self.backward_coded is None else self.backward_coded
        return Run(at, size, 0 if codec is None else count * codec.pieces + 1, ranges)


@dataclass(frozen=True)
class Run:
    """Bytes of pictures from `at` on, then the table of offsets, then the ranges."""

    at: int
    size: int
    offsets: int  # how many; 0: raw
    ranges: int

    @property
    def table(self) -> int:
        """The position of the offsets."""
        return self.at + self.size

    @property
    def scales(self) -> int:
        """The position of the ranges."""
        return self.table + self.offsets * OFFSET.itemsize

    @property
    def end(self) -> int:
        return self.scales + self.ranges * 4 * RANGE.itemsize


def files_of(video: Video) -> tuple[str, ...]:
    return (FRAMES, FLOW) if video.backward_at is None else (FRAMES, FLOW, BACKWARD)


def content_hash(videos: Mapping[str, Video], made: Mapping[str, Any], coding: Coding | None = None) -> str:
    """sha256 of what the store holds and how it was made, whatever the parts it lies in."""
    content = {
        name: [video.label, video.frames, video.height, video.width, video.sha256] for name, video in videos.items()
    }
    codec = (coding or Coding()).name
    text = json.dumps({"schema": SCHEMA, "codec": codec, "made": made, "videos": content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Index:
    """The content of an index file; derived values are computed at the first access."""

    coding: Coding
    videos: dict[str, Video]
    rest: dict[str, Any]

    @cached_property
    def as_hashed(self) -> bool:
        return content_hash(self.videos, self.rest["made"], self.coding) == self.rest["hash"]

    @cached_property
    def sizes(self) -> dict[tuple[str, str], int]:
        """(part, file) -> its least size in bytes."""
        sizes: dict[tuple[str, str], int] = {}
        for video in self.videos.values():
            for file in files_of(video):
                sizes[video.part, file] = max(sizes.get((video.part, file), 0), video.run(file, self.coding).end)
        return sizes


def _index(file: Path) -> Index:
    """Cached: a process opens a store many times. A file that was written again is read again."""
    try:
        now = file.stat()
    except OSError:
        return _read_index(file, ())  # raises the error
    return _read_index(file, (now.st_ino, now.st_size, now.st_mtime_ns))


@lru_cache(maxsize=4)
def _read_index(file: Path, _: tuple[int, ...]) -> Index:
    index = read_json(file)
    try:
        assert index["schema"] == SCHEMA
        videos = {name: Video(**place) for name, place in index.pop("videos").items()}
        parsed = Index(Coding.named(index["codec"]), videos, index)
        assert float(index["made"].get("flow", {}).get("bound", BOUND)) > 0
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError, UserError) as error:
        raise UserError("this store is of another version", got=file.parent, hint=AGAIN) from error
    for name, video in videos.items():
        if not video.possible:
            raise UserError(
                "the index of this store has impossible values", got=f"{name} in {file.parent}: {video}",
                allowed=[f"a plain name of a part, whole numbers from 0 on, frames of at most {MOST_PIXELS} pixels"],
                hint=AGAIN,
            )  # fmt: skip
    return parsed


class Store:
    """A finished store, opened for reading. Files are opened when first touched, once per process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = _index(folder / INDEX)
        self.coding, self.videos = index.coding, index.videos
        self._codecs = {file: self.coding.codec(file) for file in (FRAMES, FLOW, BACKWARD)}
        self.made: dict[str, Any] = index.rest["made"]
        self.recipe: Any = index.rest["recipe"]
        self.signature: str = index.rest["signature"]
        self.hash: str = index.rest["hash"]
        self.notes: dict[str, list[str]] = index.rest.get("notes", {})
        self.bound = float(self.made.get("flow", {}).get("bound", BOUND))
        self._files = PartFiles(folder)
        self._runs: dict[tuple[str, str], Run] = {}

    @classmethod
    def open(cls, folder: Path) -> Store:
        """The store in a folder, checked: its index is what was hashed, and each part has all its bytes."""
        store = cls(folder)
        index = _index(folder / INDEX)
        if not index.as_hashed:
            raise UserError("the index of this store does not match its hash", got=folder)
        for (part, file), size in index.sizes.items():
            path = folder / part / file
            if not path.is_file() or path.stat().st_size < size:
                raise UserError("a part of this store is missing or cut", got=path)
        return store

    def verify(self) -> None:
        """Read every byte and compare it with its digest."""
        for name in self.videos:
            self.verify_video(name)

    def verify_video(self, name: str) -> None:
        """Read every byte of one video."""
        video = self.video(name)
        if digest(partial(self._files.read, video.part), video, self.coding) != video.sha256:
            raise UserError("the content of this store is damaged", got=f"{name} in {self.folder / video.part}")

    @property
    def has_backward(self) -> bool:
        return all(video.backward_at is not None for video in self.videos.values())

    def video(self, name: str) -> Video:
        """Place and shape of a video."""
        if name not in self.videos:
            raise UserError("a video is not in the store", got=f"{name} in {self.folder}")
        return self.videos[name]

    def frames(self, name: str, times: NDArray[np.int64] | Sequence[int]) -> Bytes:
        """The frames at the given times: (n, H, W, 3)."""
        video = self.video(name)
        if self._codecs[FRAMES] is None:
            return np.take(self._raw(video, FRAMES), times, axis=0)
        out = np.empty((len(times), video.height, video.width, 3), dtype=np.uint8)
        for place, frame in enumerate(self.each_frame(name, times)):
            out[place] = frame
        return out

    def each_frame(self, name: str, times: NDArray[np.int64] | Sequence[int]) -> Iterator[Bytes]:
        """The frames one by one, (H, W, 3) each, as they are asked for."""
        video = self.video(name)
        wanted = [int(time) for time in times]
        assert all(0 <= time < video.frames for time in wanted), f"{name}: {video.frames} frames"
        if self._codecs[FRAMES] is not None:
            return self._decoded(name, video, FRAMES, [(time, 1) for time in wanted])
        raw = self._raw(video, FRAMES)
        return (raw[time] for time in wanted)

    def flow(self, name: str, start: int, count: int, backward: bool = False) -> Fields:
        """`count` fields from that between frames `start` and `start + 1` on: (2, H, W) each, by the one common bound.

        Forward fields lead from frame k to k + 1, backward ones from k + 1 to k.
        """
        fields = self._fields(name, start, count, backward)
        return fields if isinstance(fields, np.ndarray) else list(fields)

    def each_field(self, name: str, start: int, count: int, backward: bool = False) -> Iterator[Bytes]:
        """The same, decoded one by one as they are needed, after one read of them all."""
        return iter(self._fields(name, start, count, backward))

    def _fields(self, name: str, start: int, count: int, backward: bool) -> Bytes | Iterator[Bytes]:
        video = self.video(name)
        assert start >= 0 and count >= 0 and start + count < video.frames, f"{name}: {video.frames - 1} fields"
        file = BACKWARD if backward else FLOW
        if backward and video.backward_at is None:
            raise UserError(
                "this store holds no backward flow", got=self.folder, hint="data.store.backward=true packs it"
            )
        if self._codecs[file] is None:
            fields: Bytes | Iterator[Bytes] = self._raw(video, file)[start : start + count]
        else:
            fields = self._decoded(name, video, file, [(start, count)])
        return self._levelled(video, file, start, fields) if self.coding.by_field else fields

    def all_frames(self, name: str) -> Bytes:
        """All frames of a video, (T, H, W, 3); not a copy where they are raw: pages are read as they are touched."""
        video, raw = self.video(name), self._codecs[FRAMES] is None
        return self._raw(video, FRAMES) if raw else self.frames(name, range(video.frames))

    def _raw(self, video: Video, file: str) -> Bytes:
        run = video.run(file, self.coding)
        pixels, size = self._files.mapped(video.part, file)[run.at : run.at + run.size], (video.height, video.width)
        return pixels.reshape((video.frames, *size, 3) if file == FRAMES else (video.frames - 1, 2, *size))

    def coded(self, name: str, file: str, start: int, count: int) -> list[list[memoryview]]:
        """The bytes of pictures that lie side by side, by one read; each picture's blobs as its codec knows them."""
        video, codec = self.video(name), self._codecs[file]
        assert codec is not None, f"{file} is raw"
        run, pieces = self._run(name, file), codec.pieces
        table = run.table + start * pieces * OFFSET.itemsize
        ends = self._files.offsets(video.part, file, table, count * pieces + 1)
        if not 0 <= ends[0] <= ends[-1] <= run.size:
            raise ValueError("pictures that do not lie within it")
        content = self._files.view(video.part, file, run.at + ends[0], ends[-1] - ends[0])
        blobs = [content[a - ends[0] : b - ends[0]] for a, b in itertools.pairwise(ends)]
        return [blobs[at : at + pieces] for at in range(0, count * pieces, pieces)]

    def _run(self, name: str, file: str) -> Run:
        if (name, file) not in self._runs:
            self._runs[name, file] = self.video(name).run(file, self.coding)
        return self._runs[name, file]

    def _decoded(self, name: str, video: Video, file: str, runs: Iterable[tuple[int, int]]) -> Iterator[Bytes]:
        """`runs`: of pictures that lie side by side, the first and how many, one after the other."""
        codec = self._codecs[file]
        assert codec
        shape = (video.height, video.width, 3) if file == FRAMES else (2, video.height, video.width)
        try:
            for start, count in runs:
                for blobs in self.coded(name, file, start, count):
                    yield codec.decode(blobs, shape)
        except ValueError as error:
            where = f"{name} in {self.folder / video.part} ({error})"
            raise UserError("the content of this store is damaged", got=where) from error

    def _levelled(self, video: Video, file: str, start: int, fields: Iterable[Bytes]) -> Iterator[Bytes]:
        """Fields that were scaled each by itself, by the common bound: one lookup."""
        run = video.run(file, self.coding)
        ranges = self._files.table(video.part, file, run.scales, run.ranges * 4, RANGE).reshape(-1, 2, 2)
        for field, scale in zip(fields, ranges[start:], strict=False):
            table = to_bound(scale, self.bound)
            yield np.stack([table[0][field[0]], table[1][field[1]]])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": PartFiles(self.folder)}


def digest(read: Callable[[str, int, int], bytes], video: Video, coding: Coding) -> str:
    """sha256 of all bytes of a video: its frames, its flow, its backward flow. `read`: of a file, from, how many."""
    sha = hashlib.sha256()
    for file in files_of(video):
        run = video.run(file, coding)
        for at in range(run.at, run.end, 1 << 20):
            sha.update(read(file, at, min(1 << 20, run.end - at)))
    return sha.hexdigest()
