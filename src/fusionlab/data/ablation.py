"""Test clips with one stream taken away, to measure how sensitive a trained net is to it: `motion:mean`.

    mean      the mean input: its tower's zero, in every channel and pixel
    freeze    time stands still: all snippets show the first one; of flow, the field that leads from its centre is
              repeated L times (with bidirectional stacking the backward one too)
    shuffle   the stream is another test clip's: a permutation of the test list without a fixed point, drawn from
              key("ablation", seed.data, stream); each clip is used once, in the same view, cut or repeated at its end
              and resized where its time or its frame has another size

The other stream and the labels stay; no label is looked at. The inputs are unlike those of the training, so what an
accuracy loses is called sensitivity, and not how much information the stream has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fusionlab.data.crops import Bytes
from fusionlab.data.pairs import without_fixed_point
from fusionlab.data.views import VIDEO, Sampling
from fusionlab.errors import UserError
from fusionlab.records.draws import key
from fusionlab.video.opencv import cv2


@dataclass(frozen=True)
class Ablation:
    """The stream that is taken away, and how."""

    stream: str
    how: str

    @classmethod
    def parse(cls, text: str) -> Ablation:
        """From `motion:mean` and its like: one of `records.other_tests.ABLATIONS`."""
        stream, how = text.split(":")
        return cls(stream, how)

    def __str__(self) -> str:
        return f"{self.stream}:{self.how}"

    def no_effect(self, how: Sampling) -> str | None:
        """Why clips that are cut so stay what they are; None if they change."""
        if self.how == "freeze" and how.snippets == 1 and how.test != VIDEO:
            if self.stream == "appearance":
                return "a clip has one frame, which stands still"
            if how.fields == 1:
                return "a clip has one field of flow, which stands still"
        return None


@dataclass(frozen=True)
class Ablated:
    """An ablation of a list of `clips` clips. `seed`: that of the data."""

    ablation: Ablation
    clips: int
    seed: int

    def __post_init__(self) -> None:
        if self.ablation.how == "shuffle" and self.clips < 2:
            hint = f"ablate={self.ablation.stream}:mean"
            raise UserError("shuffle needs two test videos", got=f"{self.clips} of them", hint=hint)

    def does(self, stream: str, how: str) -> bool:
        return self.ablation == Ablation(stream, how)

    @cached_property
    def others(self) -> list[int]:
        """The clip whose stream each clip is shown with, of a shuffle."""
        return without_fixed_point(self.clips, key("ablation", self.seed, self.ablation.stream))


def fit(pixels: Bytes, out: Bytes) -> None:
    """Another clip's pixels (D, T, H, W) into the shape of `out`: its last snippet repeated or cut, frames resized."""
    times = np.minimum(np.arange(out.shape[1]), pixels.shape[1] - 1)
    height, width = out.shape[2:]
    for channel, planes in zip(out, pixels, strict=True):
        for plane, time in zip(channel, times, strict=True):
            plane[...] = cv2.resize(planes[time], (width, height), interpolation=cv2.INTER_LINEAR)
