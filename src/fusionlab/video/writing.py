"""Packing videos into one part of a store; each video is in the part whole or not at all.

    part.jsonl    {"made": …}                 how; a part that was made in another way is not resumed
                  {"name": …, "video": …}     a line for each video, written behind its last byte
                  {"synced": n}               the first n videos were synced to the disk

A video belongs to the part once it has its line. After a crash the bytes behind the last line are cut off, and the same
task resumes there. Videos that were not synced (a power cut?) are compared with their digests first.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.records.activity import mark
from fusionlab.records.files import disk_errors, parse_json, write_text
from fusionlab.video.codecs import Codec
from fusionlab.video.store import (
    BACKWARD,
    FLOW,
    FRAMES,
    INDEX,
    OFFSET,
    RANGE,
    SCHEMA,
    Bytes,
    Coding,
    Video,
    content_hash,
    digest,
    files_of,
)  # fmt: skip

JOURNAL = "part.jsonl"
Ranges = NDArray[np.float32]  # (2, 2): lowest and highest of u, of v


class Packing:
    """One video that is being packed: its pictures, in the order in which they come."""

    def __init__(self, writer: PartWriter) -> None:
        self._writer = writer
        self.shape: tuple[int, int] | None = None  # of the frames
        self.counts = dict.fromkeys((FRAMES, FLOW, BACKWARD), 0)
        self.offsets: dict[str, list[int]] = {FRAMES: [0], FLOW: [0], BACKWARD: [0]}
        self.ranges: dict[str, list[Ranges]] = {FLOW: [], BACKWARD: []}
        self.notes: list[str] = []

    def frame(self, picture: Bytes) -> None:
        """The next frame, (H, W, 3)."""
        height, width = picture.shape[:2]
        if self.shape not in (None, (height, width)):
            raise UserError(
                "the size of the frames changes within this video", got=f"{self.shape}, then {picture.shape}"
            )
        self.shape = height, width
        mark()
        self._picture(FRAMES, picture)

    def field(self, levels: Bytes, ranges: Ranges | None = None, *, backward: bool = False) -> None:
        """The next quantised field, (2, H, W); `ranges` where each is scaled by itself."""
        file = BACKWARD if backward else FLOW
        assert levels.shape == (2, *(self.shape or ())), f"a field of {levels.shape} in frames of {self.shape}"
        self._picture(file, levels)
        if ranges is not None:
            self.ranges[file].append(np.asarray(ranges, dtype=RANGE))

    def coded(self, file: str, blobs: Sequence[bytes]) -> None:
        """The next picture as the bytes that a codec would have made; `shape` is set before."""
        codec = self._writer.codecs[file]
        assert codec is not None and len(blobs) == codec.pieces and self.shape is not None
        self._blobs(file, blobs)

    def _picture(self, file: str, picture: Bytes) -> None:
        codec = self._writer.codecs[file]
        if codec is None:
            self.counts[file] += 1
            self._writer.write(file, np.ascontiguousarray(picture).data)
        else:
            self._blobs(file, codec.encode(picture))

    def _blobs(self, file: str, blobs: Iterable[bytes]) -> None:
        self.counts[file] += 1
        for blob in blobs:
            self._writer.write(file, blob)
            self.offsets[file].append(self.offsets[file][-1] + len(blob))


class PartWriter:
    """Packs videos into one part folder, in the order in which they come; use it in a `with`.

    `videos` begins with those of an earlier writer that packed in the same way.
    """

    def __init__(
        self, folder: Path, part: str, coding: Coding | None = None, made: Mapping[str, Any] | None = None
    ) -> None:
        self.folder, self.part, self.coding = folder, part, coding or Coding()
        self.made = json.loads(json.dumps({"made": made or {}, "coding": self.coding.name}))
        self.codecs: dict[str, Codec | None] = {file: self.coding.codec(file) for file in (FRAMES, FLOW, BACKWARD)}
        self.videos: dict[str, Video] = {}
        self.notes: dict[str, list[str]] = {}
        self._open: dict[str, FileIO] = {}

    def __enter__(self) -> PartWriter:
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._journal = open(self.folder / JOURNAL, "a+b")
            # The worker of a killed command may still write its last video, and ends after it.
            fcntl.flock(self._journal, fcntl.LOCK_EX)
            self._resume()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with disk_errors(self.folder):
                for file in self._open.values():
                    os.fsync(file.fileno())
                if self.videos:
                    self._line({"synced": len(self.videos)})
                    os.fsync(self._journal.fileno())
        finally:
            for opened in (*self._open.values(), self._journal):
                with contextlib.suppress(OSError):  # what was not written is behind the last line
                    opened.close()

    def add(self, name: str, label: int, frames: Bytes, flow: Bytes) -> None:
        """One whole video: frames (T, H, W, 3) and quantised flow (T − 1, 2, H, W)."""
        with self.video(name, label) as packing:
            for frame in frames:
                packing.frame(frame)
            for field in flow:
                packing.field(field)

    @contextlib.contextmanager
    def video(self, name: str, label: int) -> Iterator[Packing]:
        """Hand over the pictures inside; afterwards the video is in the part, or, after an error, none of it."""
        assert name not in self.videos or self.videos[name].label != label, f"{name} twice in one part"
        begun = {file: self._end(file) for file in (FRAMES, FLOW, BACKWARD)}
        packing = Packing(self)
        try:
            yield packing
            with disk_errors(self.folder):
                self._close(name, label, packing, begun)
        except BaseException:
            self._cut(begun)
            raise

    def write(self, file: str, content: bytes | memoryview) -> None:
        """Append to a file."""
        with disk_errors(self.folder):
            self._write(file, content)

    def _write(self, file: str, content: bytes | memoryview) -> None:
        left = memoryview(content).cast("B")
        while left:
            left = left[self._file(file).write(left) :]

    def _close(self, name: str, label: int, packing: Packing, begun: Mapping[str, int]) -> None:
        frames, fields, back = (packing.counts[file] for file in (FRAMES, FLOW, BACKWARD))
        assert packing.shape is not None and fields == frames - 1, f"{name}: {frames} frames, {fields} fields"
        assert back in (0, fields), f"{name}: {back} backward fields, {fields} forward ones"
        coded: dict[str, int | None] = dict.fromkeys((FRAMES, FLOW, BACKWARD))
        for file in (FRAMES, FLOW, BACKWARD)[: 3 if back else 2]:
            if self.codecs[file] is not None:
                coded[file] = packing.offsets[file][-1]
                self._write(file, np.array(packing.offsets[file], dtype=OFFSET).tobytes())
            if file != FRAMES and self.coding.by_field:
                self._write(file, np.stack(packing.ranges[file]).tobytes())
        place: dict[str, Any] = {
            "label": label, "frames": frames, "height": packing.shape[0], "width": packing.shape[1], "part": self.part,
            "frames_at": begun[FRAMES], "flow_at": begun[FLOW], "frames_coded": coded[FRAMES],
            "flow_coded": coded[FLOW], "backward_at": begun[BACKWARD] if back else None,
            "backward_coded": coded[BACKWARD],
        }  # fmt: skip
        video = Video(**place, sha256="")
        video = Video(**place, sha256=digest(self._read, video, self.coding))
        self._line({"name": name, "video": vars(video), "notes": packing.notes})
        self.videos[name] = video
        if packing.notes:
            self.notes[name] = packing.notes

    # -- resuming the work of an earlier writer

    def _resume(self) -> None:
        lines = list(_lines(self._journal))
        same = bool(lines) and lines[0][1] == self.made
        keep = lines[0][0] if same else 0  # bytes of the journal
        synced = max((line.get("synced", 0) for _, line in lines), default=0) if same else 0
        for end, line in lines[1:] if same else []:
            if "name" in line:
                video = Video(**line["video"])
                if not self._whole(video, check=len(self.videos) >= synced):
                    break
                self.videos[line["name"]] = video
                if line["notes"]:
                    self.notes[line["name"]] = line["notes"]
            keep = end
        self._journal.truncate(keep)
        if not same:
            self._line(self.made)
        self._cut({file: self._kept(file) for file in (FRAMES, FLOW, BACKWARD)})

    def _kept(self, file: str) -> int:
        """The end of the last video in a file."""
        return max((v.run(file, self.coding).end for v in self.videos.values() if file in files_of(v)), default=0)

    def _whole(self, video: Video, *, check: bool) -> bool:
        for file in files_of(video):
            path = self.folder / file
            if not path.is_file() or path.stat().st_size < video.run(file, self.coding).end:
                return False
        return not check or digest(self._read, video, self.coding) == video.sha256

    # -- files

    def _file(self, file: str) -> FileIO:
        if file not in self._open:
            path = self.folder / file
            path.touch()
            # Unbuffered: a full disk then leaves nothing in memory that has to be undone.
            self._open[file] = FileIO(path, "r+")
            self._open[file].seek(0, os.SEEK_END)
        return self._open[file]

    def _end(self, file: str) -> int:
        if file in self._open:
            return self._open[file].tell()
        path = self.folder / file
        return path.stat().st_size if path.exists() else 0

    def _cut(self, ends: Mapping[str, int]) -> None:
        for file, end in ends.items():
            if self._end(file) > end:
                self._file(file).truncate(end)
                self._file(file).seek(end)

    def _read(self, file: str, at: int, size: int) -> bytes:
        content = os.pread(self._file(file).fileno(), size, at)
        assert len(content) == size, f"{file} ends early"
        return content

    def _line(self, content: Mapping[str, Any]) -> None:
        self._journal.write((json.dumps(content, separators=(",", ":")) + "\n").encode())
        self._journal.flush()


def _lines(journal: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(end, content) of each complete line."""
    journal.seek(0)
    end = 0
    for line in journal:
        end += len(line)
        if not line.endswith(b"\n"):
            return
        try:
            content = parse_json(line, "journal")
        except UserError:
            return
        if not isinstance(content, dict):
            return
        yield end, content


def write_index(
    folder: Path,
    videos: Mapping[str, Video],
    signature: str,
    recipe: Any,
    made: Mapping[str, Any],
    coding: Coding | None = None,
    notes: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Complete a folder of parts with its index.

    `made`: decoder, flow with its bound, size. `notes`: remarks about single videos.
    """
    coding = coding or Coding()
    index = {
        "schema": SCHEMA,
        "codec": coding.name,
        "signature": signature,
        "hash": content_hash(videos, made, coding),
        "recipe": recipe,
        "made": made,
        "notes": {name: list(remarks) for name, remarks in (notes or {}).items()},
        "videos": {name: _plain(video) for name, video in videos.items()},
    }
    write_text(folder / INDEX, json.dumps(index, separators=(",", ":")) + "\n")


def _plain(video: Video) -> dict[str, Any]:
    return {leaf: value for leaf, value in asdict(video).items() if value is not None}
