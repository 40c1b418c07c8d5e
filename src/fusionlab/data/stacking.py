"""What is looked at around a frame: L fields become the 2L channels u₁ v₁ u₂ v₂ … of a snippet at frame t.

    plain          fields t − L/2 … t + L/2 − 1, each where it is
    bidirectional  L/2 forward fields t … t + L/2 − 1, then L/2 backward ones t − 1 … t − L/2: what comes, and whence
    trajectory     the fields of plain, each where the motion has led: from the point p₁ of a crop's pixel on,
                       pₖ = pₖ₋₁ + dₖ₋₁(pₖ₋₁),        channels k: dₖ(pₖ)

All three are the 2014 paper's, which begins its forward stacks at frame t; a window around it is the 2016 paper's, and
trajectories here begin where it begins, at frame t − L/2. Beyond a video's ends its first and last field come again.

Trajectories run over the whole field, not the crop; outside the picture they see its border. dₖ is bilinear between
pixels, at places rounded to 1/32 of a pixel: all weights are then exact, whatever the version of OpenCV. With L = 1,
and where flow is the same everywhere, they are the plain stack byte by byte. They are followed in the picture as it is,
and mirrored afterwards.

`subtract_mean` takes from every field its mean vector, over the whole field: q → round(q − q̄ + 127.5), in levels, so
that a field averages to zero motion, 127.5. It is done to what is written; trajectories follow the motion as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fusionlab.data import clips
from fusionlab.data.crops import Crop
from fusionlab.video.store import Store

Bytes = NDArray[np.uint8]
STACKINGS = ("plain", "bidirectional", "trajectory")
PARTS = 32  # of a pixel: how fine a trajectory's places are


class Fields:
    """The fields around the snippets of one clip. Each is read once: windows that lie near share theirs."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.frames = store.video(name).frames
        self._known: dict[bool, dict[int, Bytes]] = {False: {}, True: {}}

    def stacked(self, centre: int, fields: int, stacking: str) -> list[Bytes]:
        """The L whole fields around a frame, (2, H, W) each, in the order of their channels."""
        if stacking == "bidirectional":
            half = fields // 2
            back = self._between(centre - half, centre, backward=True)
            return [*self._between(centre, centre + half), *reversed(back)]
        return self._between(centre - fields // 2, centre + fields - fields // 2)

    def _between(self, first: int, end: int, *, backward: bool = False) -> list[Bytes]:
        window, known = clips.between(first, end, self.frames), self._known[backward]
        new = [place for place in range(window.start, window.start + window.count) if place not in known]
        if new:  # one run, since a clip's centres rise
            read = self.store.flow(self.name, new[0], len(new), backward=backward)
            known.update(zip(range(new[0], new[-1] + 1), read, strict=True))
        return [known[place] for place in window.places]


def write(
    fields: Sequence[Bytes], crop: Crop, out: Bytes, *, stacking: str = "plain", mean: bool = False, bound: float
) -> None:
    """The whole fields of a snippet, L times (2, H, W), into its channels, `out` (2L, h, w). `mean`: take its own."""
    cuts = followed(fields, crop, bound) if stacking == "trajectory" else cut(fields, crop)
    for place, (field, components) in enumerate(zip(fields, cuts, strict=True)):
        for component, levels in enumerate(components):
            if mean:
                levels = centred(levels, field[component])
            crop.component(levels, out[2 * place + component], negate=component == 0)


def cut(fields: Iterable[Bytes], crop: Crop) -> Iterator[tuple[Bytes, Bytes]]:
    """u and v of each field where the crop is."""
    return ((crop.cut(field[0]), crop.cut(field[1])) for field in fields)


def followed(fields: Iterable[Bytes], crop: Crop, bound: float) -> Iterator[list[Bytes]]:
    """u and v of each field where the points of the crop have come to: pₖ = pₖ₋₁ + dₖ₋₁(pₖ₋₁)."""
    rows, columns = np.arange(crop.y, crop.y + crop.height), np.arange(crop.x, crop.x + crop.width)
    places = [np.asarray(one, dtype=np.float32) for one in np.meshgrid(columns, rows)]  # p₁, its x and its y
    step = np.float32(2 * bound / 255)  # pixels a level
    for field in fields:
        x, y = (np.rint(place * PARTS) / np.float32(PARTS) for place in places)
        levels = [
            np.asarray(cv2.remap(one.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
            for one in field
        ]
        yield [np.rint(one).astype(np.uint8) for one in levels]
        places = [place + (one * step - np.float32(bound)) for place, one in zip(places, levels, strict=True)]


def centred(levels: Bytes, whole: Bytes) -> Bytes:
    """round(q − q̄ + 127.5) with the mean q̄ of the whole field's component, cut to 0 … 255."""
    mean = cv2.sumElems(np.ascontiguousarray(whole))[0] / whole.size  # a sum of whole numbers is exact
    table = np.clip(np.rint(np.arange(256) - mean + 127.5), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(levels, table), dtype=np.uint8)
