"""Disk space of a store, estimated before it is made, and checked while it is made.

A few videos, spread over the list, are packed in part and in memory, and the size of the store is estimated from them:

    need  ≈  Σ size of all files · Σ (bytes a packed frame · frames in the file) / Σ size, of the sample

The estimate may be wrong by half if the sample differs from the other videos. So a preparation is refused only if the
disk has less than half of it; if the disk has less than all of it, there is a warning. Packed videos give a better
estimate: the others should take as much per file. The preparation ends as soon as the other videos cannot fit.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fusionlab.errors import UserError
from fusionlab.preparation.flow_sources import File, Making
from fusionlab.video.store import FLOW, FRAMES

SAMPLE = 3  # videos
EVERY = 5.0  # seconds between two checks of the disk
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
LEAST_PACKED = 10  # videos, before the estimate follows from them


class DiskSpace:
    """The space on the disk on which a store is made."""

    def __init__(self, folder: Path, videos: Sequence[File], making: Making) -> None:
        self.folder, self.videos, self.making = folder, videos, making
        self._checked = time.monotonic()
        self._before = self.packed_size()
        self._done = 0

    def check_before(self, whole: int, say: Callable[[str], None]) -> None:
        """Raise a `UserError` if there is surely too little space. `whole`: what is needed, by `need`."""
        need = whole - self.packed_size()  # other workers have begun to pack
        free = shutil.disk_usage(self.folder).free
        if need <= 0:
            return
        if free < need / 2:
            raise self._error("not enough disk space for this store", need, free)
        if need > 10 << 30 or free < need:
            warning = ": this may not be enough" if free < need else ""
            say(f"prepare: about {size(need)} will be written, {size(free)} free on this disk{warning}")

    def check_after_video(self, left: int) -> None:
        """Check now and then; raise a `UserError` where the `left` videos cannot fit."""
        self._done += 1
        now = time.monotonic()
        if now - self._checked < EVERY or self._done < LEAST_PACKED:
            return
        self._checked = now
        need = (self.packed_size() - self._before) / self._done * left
        free = shutil.disk_usage(self.folder).free
        if free < need / 2:
            raise self._error("the disk will be full before this store is finished", need, free)

    def packed_size(self) -> int:
        """Bytes that are packed already."""
        return sum(file.stat().st_size for file in self.folder.glob("part-*/*.bin"))

    def need(self) -> int:
        """Estimated bytes of the whole store; 0 where no sample can be read."""
        sample = [self.videos[at] for at in np.linspace(0, len(self.videos) - 1, SAMPLE).astype(int)]
        return self.making.source.estimate(sample, self.videos, self.making)

    def _error(self, what: str, need: float, free: int) -> UserError:
        codec = self.making.coding
        hints = ["run.data=… on another disk"]
        if "raw" in (codec.codec_name(FRAMES), codec.codec_name(FLOW)):
            hints.append("data.store.codec.frames=jpeg data.store.codec.flow=lz4, which take a tenth")
        return UserError(
            what, got=f"about {size(need)} more to write, {size(free)} free in {self.folder.parent}",
            hint="; or ".join([*hints, "free some space; the same command resumes"]),
        )  # fmt: skip


def size(count: float) -> str:
    """Bytes for people.

    >>> size(512), size(3_500_000_000)
    ('512 B', '3.3 GiB')
    """
    power = min(max(int(count), 1).bit_length() - 1, 49) // 10
    number = count / 1024**power
    return f"{number:.0f} {UNITS[power]}" if power < 2 else f"{number:.1f} {UNITS[power]}"
