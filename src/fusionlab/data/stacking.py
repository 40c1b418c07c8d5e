"""Stacking: L fields around frame t become the 2L channels u₁ v₁ u₂ v₂ … of a snippet.

    plain          fields t − L/2 … t + L/2 − 1, each where it is
    bidirectional  L/2 forward fields t … t + L/2 − 1, then L/2 backward ones t − 1 … t − L/2
    trajectory     the fields of plain, each at the point that the motion leads to, from a pixel p₁ of the crop on:
                       pₖ = pₖ₋₁ + dₖ₋₁(pₖ₋₁),        channels k: dₖ(pₖ)

All three are the 2014 paper's, which begins its forward stacks at frame t; a window around it is the 2016 paper's, and
trajectories here begin where it begins, at frame t − L/2. Beyond a video's ends its first and last field are repeated.

Trajectories run over the whole field, not the crop; outside the picture they see its border. dₖ is bilinear between
pixels, at places rounded to 1/32 of a pixel: all weights are then exact, whatever the version of OpenCV. With L = 1,
and where flow is the same everywhere, they are the plain stack byte by byte. They are followed in the picture as it is,
and mirrored afterwards.

`subtract_mean` takes from every field its mean vector, over the whole field: q → round(q − q̄ + 127.5), in levels, so
that a field averages to zero motion, 127.5. Only the written channels change; trajectories follow the original motion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from fusionlab.data import clips
from fusionlab.data.crops import Crop
from fusionlab.video.opencv import cv2
from fusionlab.video.store import Store

Bytes = NDArray[np.uint8]
STACKINGS = ("plain", "bidirectional", "trajectory")
PARTS = 32  # of a pixel: how fine a trajectory's places are


class Fields:
    """The fields around the snippets of one clip. Each is read and decoded once: windows that overlap share theirs."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.frames = store.video(name).frames
        self._decoded: dict[bool, dict[int, Bytes]] = {False: {}, True: {}}  # backward -> place -> field

    def stacked(self, centre: int, fields: int, stacking: str) -> Iterator[Bytes]:
        """The L whole fields around a frame, (2, H, W) each, in the order of their channels."""
        half = fields // 2
        if stacking != "bidirectional":
            yield from self._between(centre - half, centre + fields - half)
        else:
            yield from self._between(centre, centre + half)
            yield from reversed(list(self._between(centre - half, centre, backward=True)))

    def frozen(self, centre: int, fields: int, stacking: str) -> Iterator[Bytes]:
        """Instead, the field that leads from a frame to the next, L times; of both directions, each L/2 times."""
        backward = fields // 2 if stacking == "bidirectional" else 0
        for _ in range(fields - backward):
            yield from self._between(centre, centre + 1)
        for _ in range(backward):
            yield from self._between(centre - 1, centre, backward=True)

    def _between(self, first: int, end: int, *, backward: bool = False) -> Iterator[Bytes]:
        window, decoded = clips.between(first, end, self.frames), self._decoded[backward]
        new = [place for place in range(window.start, window.start + window.count) if place not in decoded]
        # One run, since a clip's centres rise.
        read = self.store.each_field(self.name, new[0], len(new), backward) if new else iter(())
        for place in window.places:
            if place not in decoded:
                decoded[place] = next(read)
            yield decoded[place]


def write(
    fields: Iterable[Bytes], crop: Crop, out: Bytes, *, stacking: str = "plain", mean: bool = False, bound: float
) -> None:
    """The whole fields of a snippet, L times (2, H, W), into its channels, `out` (2L, h, w). `mean`: subtract it."""
    if stacking != "trajectory" and not mean:
        crop.flow(fields, out.reshape(-1, 2, *out.shape[1:]))  # a view: one axis is split
        return
    seen = Trajectory(crop, bound) if stacking == "trajectory" else crop.components
    for place, field in enumerate(fields):
        for component, levels in enumerate(seen(field)):
            if mean:
                levels = centred(levels, field[component])
            crop.component(levels, out[2 * place + component], negate=component == 0)


class Trajectory:
    """u and v of one field after the other, at the points where the crop's pixels are: pₖ = pₖ₋₁ + dₖ₋₁(pₖ₋₁)."""

    def __init__(self, crop: Crop, bound: float) -> None:
        rows, columns = np.arange(crop.y, crop.y + crop.height), np.arange(crop.x, crop.x + crop.width)
        self._places = [np.asarray(one, dtype=np.float32) for one in np.meshgrid(columns, rows)]  # p₁, its x and its y
        self._bound, self._step = np.float32(bound), np.float32(2 * bound / 255)  # a step: pixels a level

    def __call__(self, field: Bytes) -> list[Bytes]:
        x, y = (np.rint(place * PARTS) / np.float32(PARTS) for place in self._places)
        levels = [
            np.asarray(cv2.remap(one.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
            for one in field
        ]
        moved = (one * self._step - self._bound for one in levels)
        self._places = [place + step for place, step in zip(self._places, moved, strict=True)]
        return [np.rint(one).astype(np.uint8) for one in levels]


def centred(levels: Bytes, whole: Bytes) -> Bytes:
    """round(q − q̄ + 127.5) with the mean q̄ of the whole field's component, cut to 0 … 255."""
    mean = cv2.sumElems(np.ascontiguousarray(whole))[0] / whole.size  # a sum of whole numbers is exact
    table = np.clip(np.rint(np.arange(256) - mean + 127.5), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(levels, table), dtype=np.uint8)
