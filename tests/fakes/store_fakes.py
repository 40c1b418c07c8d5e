"""Stores in memory, for tests that need to know every pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from fusionlab.video.store import Store


class Known:
    """One video: `frames` (T, H, W, 3), `forward` and `backward` (T − 1, 2, H, W). Fields come as a list, as decoded
    ones do, and `read` tells which were asked for.
    """

    def __init__(self, frames: np.ndarray, forward: np.ndarray, backward: np.ndarray, bound: float = 4.0) -> None:
        self.pixels, self.fields = frames, {False: forward, True: backward}
        self.bound, self.has_backward = bound, True
        self.read: list[tuple[bool, int]] = []

    def video(self, name: str) -> Any:
        count, height, width, _ = self.pixels.shape
        return SimpleNamespace(frames=count, height=height, width=width)

    def each_frame(self, name: str, times: Sequence[int]) -> list[np.ndarray]:
        return [self.pixels[time] for time in times]

    def flow(self, name: str, start: int, count: int, backward: bool = False) -> list[np.ndarray]:
        assert start >= 0 and count > 0 and start + count < len(self.pixels)
        self.read += [(backward, place) for place in range(start, start + count)]
        return list(self.fields[backward][start : start + count])

    def each_field(self, name: str, start: int, count: int, backward: bool) -> Iterator[np.ndarray]:
        yield from self.flow(name, start, count, backward)

    @property
    def store(self) -> Store:
        return cast(Store, self)


def noise(frames: int = 12, height: int = 13, width: int = 17, seed: int = 0, bound: float = 4.0) -> Known:
    """Every byte drawn."""
    draw = np.random.default_rng(seed)
    fields = draw.integers(0, 256, (2, frames - 1, 2, height, width), dtype=np.uint8)
    pixels = draw.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return Known(pixels, *fields, bound=bound)


def places(frames: int = 12, height: int = 40, width: int = 60) -> Known:
    """Red is the time, green is y and blue x; so are v and u, forward and backward."""
    y, x = np.indices((height, width)).astype(np.uint8)
    pixels = np.stack([np.stack([np.full_like(y, time), y, x], axis=-1) for time in range(frames)])
    fields = np.broadcast_to(np.stack([x, y]), (frames - 1, 2, height, width))
    return Known(pixels, fields, fields)
