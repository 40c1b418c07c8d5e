"""The packed store of a data set: what training reads instead of video files.

    <signature>/index.json            what is in it, and from what it was made
    <signature>/part-00000/frames.bin bytes of the frames, (T, H, W, 3) a video, one video after the other
    <signature>/part-00000/flow.bin   bytes of the quantised fields, (T − 1, 2, H, W) a video

A window of L fields is one contiguous read, a frame another. The bytes are raw: a pixel costs 5 bytes a frame
and no time. The index names the codec, so that others can come. Parts are as they were written; nothing is
copied when a store is finished. The `hash` of a store says what it holds, whatever the parts: sha256 over
each video's label, shape and digest, and over how flow was made.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.records.files import disk_errors, read_json, write_text

SCHEMA = 1
CODEC = "raw"
INDEX = "index.json"
FRAMES, FLOW = "frames.bin", "flow.bin"
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Video:
    """One video's place in the store."""

    label: int
    frames: int
    height: int
    width: int
    part: str
    frames_at: int  # first byte in frames.bin
    flow_at: int  # first byte in flow.bin
    sha256: str  # of its frames, then its flow

    @property
    def frames_bytes(self) -> int:
        return self.frames * self.height * self.width * 3

    @property
    def flow_bytes(self) -> int:
        return (self.frames - 1) * self.height * self.width * 2


class PartWriter:
    """Packs videos into one part folder, in the order in which they come; use it in a `with`."""

    def __init__(self, folder: Path, part: str) -> None:
        self.folder, self.part = folder, part
        self.videos: dict[str, Video] = {}
        self._at = [0, 0]

    def __enter__(self) -> PartWriter:
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True)
            self._files = [open(self.folder / FRAMES, "wb"), open(self.folder / FLOW, "wb")]
        return self

    def __exit__(self, *_: object) -> None:
        with disk_errors(self.folder):
            for file in self._files:
                file.close()

    def add(self, name: str, label: int, frames: Bytes, flow: Bytes) -> None:
        """One video: frames (T, H, W, 3) and quantised flow (T − 1, 2, H, W)."""
        count, height, width, _ = frames.shape
        assert flow.shape == (count - 1, 2, height, width), f"{name}: frames {frames.shape}, flow {flow.shape}"
        assert name not in self.videos, f"{name} twice in one part"
        digest = hashlib.sha256()
        frames_at, flow_at = self._at
        for which, pixels in enumerate((frames, flow)):
            whole = np.ascontiguousarray(pixels)
            digest.update(whole.data)
            with disk_errors(self.folder):
                self._files[which].write(whole.data)
            self._at[which] += whole.nbytes
        self.videos[name] = Video(label, count, height, width, self.part, frames_at, flow_at, digest.hexdigest())


def content_hash(videos: dict[str, Video], made: dict[str, Any]) -> str:
    """sha256 of what the store holds and how it was made, whatever the parts it lies in."""
    content = {
        name: [video.label, video.frames, video.height, video.width, video.sha256] for name, video in videos.items()
    }
    text = json.dumps({"schema": SCHEMA, "codec": CODEC, "made": made, "videos": content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_index(folder: Path, videos: dict[str, Video], signature: str, recipe: Any, made: dict[str, Any]) -> None:
    """Complete a folder of parts with its index; `made` says how: decoder, flow with its bound, size."""
    index = {
        "schema": SCHEMA,
        "codec": CODEC,
        "signature": signature,
        "hash": content_hash(videos, made),
        "recipe": recipe,
        "made": made,
        "videos": {name: asdict(video) for name, video in videos.items()},
    }
    write_text(folder / INDEX, json.dumps(index, separators=(",", ":")) + "\n")


class Store:
    """A finished store, opened for reading. Files are mapped when first touched, once per process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = read_json(folder / INDEX)
        if not isinstance(index, dict) or index.get("schema") != SCHEMA or index.get("codec") != CODEC:
            raise UserError("this store is of another version", got=folder, hint="python -m fusionlab.prepare")
        self.made: dict[str, Any] = index["made"]
        self.recipe: Any = index["recipe"]
        self.signature: str = index["signature"]
        self.hash: str = index["hash"]
        self.videos = {name: Video(**place) for name, place in index["videos"].items()}
        self._maps: dict[tuple[str, str], Bytes] = {}

    @classmethod
    def open(cls, folder: Path) -> Store:
        """The store in a folder, checked: its index is what was hashed, and each part has all its bytes."""
        store = cls(folder)
        if content_hash(store.videos, store.made) != store.hash:
            raise UserError("the index of this store does not match its hash", got=folder)
        sizes: dict[Path, int] = {}
        for video in store.videos.values():
            part = folder / video.part
            frames_end, flow_end = video.frames_at + video.frames_bytes, video.flow_at + video.flow_bytes
            for file, end in ((FRAMES, frames_end), (FLOW, flow_end)):
                sizes[part / file] = max(sizes.get(part / file, 0), end)
        for file_path, size in sizes.items():
            if not file_path.is_file() or file_path.stat().st_size != size:
                raise UserError("a part of this store is missing or cut", got=file_path)
        return store

    def verify(self) -> None:
        """Read every byte and compare it with its digest."""
        for name, video in self.videos.items():
            digest = hashlib.sha256(self._frames(video).data)
            digest.update(self._flow(video).data)
            if digest.hexdigest() != video.sha256:
                raise UserError("the content of this store is damaged", got=f"{name} in {self.folder / video.part}")

    def video(self, name: str) -> Video:
        """Place and shape of a video."""
        if name not in self.videos:
            raise UserError("a video is not in the store", got=f"{name} in {self.folder}")
        return self.videos[name]

    def frames(self, name: str, times: NDArray[np.int64] | list[int]) -> Bytes:
        """The frames at the given times: (n, H, W, 3)."""
        return np.take(self._frames(self.video(name)), times, axis=0)

    def flow(self, name: str, start: int, count: int) -> Bytes:
        """`count` fields from the one that leads from frame `start` on: (count, 2, H, W), not a copy."""
        video = self.video(name)
        assert start >= 0 and count >= 0 and start + count < video.frames, f"{name}: {video.frames - 1} fields"
        return self._flow(video)[start : start + count]

    def all_frames(self, name: str) -> Bytes:
        """All frames of a video, (T, H, W, 3), not a copy: pages are read as they are touched."""
        return self._frames(self.video(name))

    def _frames(self, video: Video) -> Bytes:
        pixels = self._mapped(video.part, FRAMES)[video.frames_at : video.frames_at + video.frames_bytes]
        return pixels.reshape(video.frames, video.height, video.width, 3)

    def _flow(self, video: Video) -> Bytes:
        pixels = self._mapped(video.part, FLOW)[video.flow_at : video.flow_at + video.flow_bytes]
        return pixels.reshape(video.frames - 1, 2, video.height, video.width)

    def _mapped(self, part: str, file: str) -> Bytes:
        found = self._maps.get((part, file))
        if found is None:
            with open(self.folder / part / file, "rb") as opened:
                # A plain array over the map: numpy's own memmap class makes each slice several times slower.
                found = np.frombuffer(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)
            self._maps[part, file] = found
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}}
