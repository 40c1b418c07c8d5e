"""Is there room on the disk? Estimated before a store is made, and looked at while it is.

A few videos, spread over the list, are packed in part and in memory; what a byte of their files becomes is taken for
all:

    need  ≈  Σ size of all files · Σ (bytes a packed frame · frames in the file) / Σ size, of the sample

That may be wrong by half where the sample is unlike the rest. So a preparation is refused only where the disk has
less than half of it, and where it has less than all, it is said. Once videos are packed they tell more than any
sample: what is left is then expected to be as large as what is done, and the preparation ends before the disk is full
of what cannot be finished.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from fusionlab.errors import UserError
from fusionlab.preparation.pack import Making, pictures
from fusionlab.video.header import packets
from fusionlab.video.imported import FlowFiles
from fusionlab.video.store import FLOW, FRAMES

SAMPLE, FRAMES_EACH = 3, 6  # videos, and frames of each
EVERY = 5.0  # seconds between two looks at the disk
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
ENOUGH_TOLD = 10  # videos done, before they are believed

File = tuple[str, int, Path]


class Room:
    """The disk on which a store is made."""

    def __init__(self, folder: Path, videos: Sequence[File], making: Making) -> None:
        self.folder, self.videos, self.making = folder, videos, making
        self._looked = time.monotonic()
        self._before = self.taken()
        self._done = 0

    def enough(self, say: Callable[[str], None]) -> None:
        """Raise a `UserError` where there surely is not enough."""
        need = self.need() - self._before
        free = shutil.disk_usage(self.folder).free
        if need <= 0:
            return
        if free < need / 2:
            raise self._error("the disk has not room enough for this store", need, free)
        if need > 10 << 30 or free < need:
            tight = ": it may not be enough" if free < need else ""
            say(f"prepare: about {size(need)} to be written, {size(free)} free on this disk{tight}")

    def still(self, left: int) -> None:
        """After each video; looks now and then, and raises a `UserError` where what is left cannot have room."""
        self._done += 1
        now = time.monotonic()
        if now - self._looked < EVERY or self._done < ENOUGH_TOLD:
            return
        self._looked = now
        need = (self.taken() - self._before) / self._done * left
        free = shutil.disk_usage(self.folder).free
        if free < need / 2:
            raise self._error("the disk will be full before this store is finished", need, free)

    def taken(self) -> int:
        """Bytes that are packed already."""
        return sum(file.stat().st_size for file in self.folder.glob("part-*/*.bin"))

    def need(self) -> int:
        """Bytes of the whole store, about; 0 where no sample can be read."""
        sample = [self.videos[at] for at in np.linspace(0, len(self.videos) - 1, SAMPLE).astype(int)]
        if isinstance(self.making.flow, FlowFiles):
            each = list(self._imported(self.making.flow, sample))
            return round(sum(each) / len(each) * len(self.videos)) if each else 0
        found = [(file.stat().st_size, packed) for _, _, file in sample if (packed := self._packed(file))]
        files = sum(size for size, _ in found)
        if not files:
            return 0
        return round(sum(path.stat().st_size for _, _, path in self.videos) * sum(p for _, p in found) / files)

    def _packed(self, file: Path) -> float:
        """What a video takes, by its first frames."""
        try:
            sizes = list(islice(pictures(file, self.making), FRAMES_EACH))
            return float(np.mean(sizes[1:] or sizes)) * packets(file)
        except UserError:
            return 0.0

    def _imported(self, files: FlowFiles, sample: Sequence[File]) -> Iterator[float]:
        """Its images as they are; frames are taken to be three times a plane."""
        for name, _, _ in sample:
            try:
                planes = [plane for pair in files.fields(name) for plane in pair]
            except UserError:
                continue
            yield 2.5 * sum(plane.stat().st_size for plane in planes)

    def _error(self, what: str, need: float, free: int) -> UserError:
        codec = self.making.coding
        hints = ["run.data=… on another disk"]
        if "raw" in (codec.codec_name(FRAMES), codec.codec_name(FLOW)):
            hints.append("data.store.codec.frames=jpeg data.store.codec.flow=lz4, which take a tenth")
        return UserError(
            what, got=f"about {size(need)} more to be written, {size(free)} free in {self.folder.parent}",
            hint="; or ".join([*hints, "free some space, and the same command goes on"]),
        )  # fmt: skip


def size(count: float) -> str:
    """Bytes for people.

    >>> size(512), size(3_500_000_000)
    ('512 B', '3.3 GiB')
    """
    power = min(max(int(count), 1).bit_length() - 1, 49) // 10
    number = count / 1024**power
    return f"{number:.0f} {UNITS[power]}" if power < 2 else f"{number:.1f} {UNITS[power]}"
