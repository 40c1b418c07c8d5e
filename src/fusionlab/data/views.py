"""One look at a video: when (`clips`) and where (`crops`), drawn once for both streams.

    training   a function of (seed, epoch, index): τ, start, y, x, mirror, drawn in this order
    test       views 0 and 1: snippets evenly spread over the video, the middle square, and its mirror image

Nothing depends on which of the streams are read, nor on what else is in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionlab.data import clips, crops
from fusionlab.errors import UserError
from fusionlab.records.draws import key
from fusionlab.video.store import Store

Bytes = NDArray[np.uint8]
TEST_VIEWS = 2  # plain and mirrored


@dataclass(frozen=True)
class Sampling:
    """How a clip is cut from a video, as the papers name it."""

    snippets: int = 3  # T
    fields: int = 6  # L, around each snippet's frame
    stride: int | tuple[int, int] = 4  # τ in training: a number, or low and high of a uniform draw
    crop: int = 48  # side of the square

    def __post_init__(self) -> None:
        low, high = self.strides
        numbers = {"snippets": self.snippets, "fields": self.fields, "crop": self.crop, "stride": low}
        for name, number in numbers.items():
            if number < 1:
                raise UserError(f"{name} is at least 1", got=number, hint=f"data.sampling.{name}=…")
        if high < low:
            hint = f"data.sampling.stride=[{high},{low}]"
            raise UserError("the stride goes from low to high", got=f"{low}, {high}", hint=hint)

    @property
    def strides(self) -> tuple[int, int]:
        if isinstance(self.stride, int):
            return self.stride, self.stride
        low, high = self.stride
        return int(low), int(high)


@dataclass(frozen=True)
class View:
    """The centres of the snippets and the rectangle."""

    centres: clips.Times
    crop: crops.Crop


def training_view(frames: int, height: int, width: int, how: Sampling, seed: int, epoch: int, index: int) -> View:
    """The view of a training sample in an epoch."""
    draw = np.random.Generator(np.random.Philox(key=key("sample", seed, epoch, index)))
    centres = clips.drawn(frames, how.snippets, how.fields, how.strides, draw)
    return View(centres, crops.drawn(height, width, how.crop, draw))


def testing_view(frames: int, height: int, width: int, how: Sampling, view: int) -> View:
    """The view of a test sample: 0 is plain, 1 is its mirror image."""
    assert view in range(TEST_VIEWS)
    centres = clips.even(frames, how.snippets, how.fields)
    return View(centres, crops.centre(height, width, how.crop, flip=view == 1))


def read_frames(store: Store, name: str, view: View, out: Bytes) -> None:
    """The frames at the centres into `out` (3, T, h, w)."""
    view.crop.frames(store.frames(name, view.centres), out)


def read_flow(store: Store, name: str, view: View, fields: int, out: Bytes) -> None:
    """The windows around the centres into `out` (2L, T, h, w), channels u, v alternating: u₁ v₁ u₂ v₂ …"""
    frames = store.video(name).frames
    for snippet, centre in enumerate(view.centres):
        window = clips.window(int(centre), frames, fields)
        flow = store.flow(name, window.start, window.count)
        if window.front or window.back:
            repeats = np.ones(window.count, dtype=np.int64)
            repeats[0] += window.front
            repeats[-1] += window.back
            flow = np.repeat(flow, repeats, axis=0)
        square = out.shape[2:]
        cut = np.empty((fields, 2, *square), dtype=np.uint8)
        view.crop.flow(flow, cut)
        out[:, snippet] = cut.reshape(2 * fields, *square)
