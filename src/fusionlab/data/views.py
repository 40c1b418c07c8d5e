"""Views of a video: times (`clips`) and crops (`crops`), drawn once for both streams.

    training   a function of (seed, epoch, index): τ, start, then the draws of the crop, in this order; with
               times=segments, a place in each of T equal segments of the video instead of τ and start; last the
               shift of its colours (`colour`), where there is one
    test       by number, all of them:
      middle     2: snippets evenly spread over the video, the middle square, and its mirror image
      frame      2: the same snippets, the whole frame, and its mirror image; as in the 2016 paper's comparisons
      final     20: 10 clips at the largest τ, spread evenly, the whole frame, each mirrored too; as in its last tables
      simonyan 250: 25 clips at the smallest τ, spread evenly, the four corners and the middle, each mirrored too; with
                    T = 1, a frame and no clip, the 2014 paper's
      video      1: the whole video, every frame at the smallest τ, the middle square; T differs between videos. I3D's
                    test: its paper mirrors nothing

With times=segments, clip n of N has a snippet in each segment, (2n + 1) / 2N of the way through it: one alone in the
middle. Temporal Segment Networks (Wang et al. 2016) sample so; τ then only counts in `video`.

A view and its mirror image are numbers 2n and 2n + 1. Validation, which comes once an epoch, always looks at `middle`.
Whole frames leave a map of predictions, whose scores are averaged as those of the views are.

A view depends neither on which streams are read, nor on the rest of the batch.

The streams can be misaligned on purpose, to measure how much a fusion depends on their correspondence. `apart`: a
clip's flow is shifted up or down by this number of pixels of the crop (the direction is drawn by clip; the shift wraps
around). `delay`: frames are taken this number of frames later than the flow around them (near a video's end, earlier).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fusionlab.data import clips, colour, crops, stacking
from fusionlab.data.pairs import OWN, PAIRS
from fusionlab.errors import UserError, expect_whole, is_whole, unknown
from fusionlab.records.draws import key
from fusionlab.video.store import Store

Bytes = NDArray[np.uint8]
FRAMES_OF_2014 = 25
CLIPS_OF_2016 = 10
# test -> number of views of a video
TESTS = {
    "middle": 2,
    "frame": 2,
    "final": 2 * CLIPS_OF_2016,
    "simonyan": FRAMES_OF_2014 * 2 * crops.PLACES,
    "video": 1,
}
WHOLE = ("frame", "final")  # tests with whole frames
VIDEO = "video"  # the test with whole videos
SEGMENTS = "segments"
TIMES = ("clip", SEGMENTS)


@dataclass(frozen=True)
class Sampling:
    """How a clip is cut from a video, as the papers name it."""

    snippets: int = 3  # T
    fields: int = 6  # L, around each snippet's frame
    stride: int | tuple[int, int] = 4  # τ in training: a number, or low and high of a uniform draw
    crop: int = 48  # side of the square that towers expect
    crops: str = "square"  # how rectangles are drawn in training
    stacking: str = "plain"  # how the fields around a frame become channels
    subtract_mean: bool = False  # from each field its mean vector
    test: str = "middle"  # which views a test looks at
    apart: int = 0  # pixels by which flow is shifted against the frames, up or down
    delay: int = 0  # number of frames by which frames are later than their flow
    pairs: str = OWN  # of frames and flow in training: of one clip, or of two clips of one class
    colour: str = colour.PLAIN  # of frames in training
    times: str = "clip"  # where the snippets lie: τ apart, or one in each of T segments of the video

    def __post_init__(self) -> None:
        ends: tuple[object, ...] = self.stride if isinstance(self.stride, tuple) else (self.stride,) * 2
        if len(ends) != 2 or not all(map(is_whole, ends)):
            raise UserError(
                "the stride τ is a number of frames, or the least and the most of them",
                got=f"data.sampling.stride={self.stride}", hint="data.sampling.stride=4, or data.sampling.stride=[2,6]",
            )  # fmt: skip
        low, high = self.strides
        counts = {"snippets": self.snippets, "fields": self.fields, "crop": self.crop, "stride": low}
        for name, number in counts.items():
            expect_whole(f"data.sampling.{name}", number)
        if high < low:
            hint = f"data.sampling.stride=[{high},{low}]"
            raise UserError("the stride goes from low to high", got=f"{low}, {high}", hint=hint)
        names = {
            "crops": ("way to draw crops", crops.DRAWN),
            "stacking": ("way to stack flow", stacking.STACKINGS),
            "test": ("protocol of test views", TESTS),
            "pairs": ("way to pair frames and flow", PAIRS),
            "colour": ("way to change colours", colour.COLOURS),
            "times": ("way to place snippets in a video", TIMES),
        }
        for leaf, (what, choices) in names.items():
            if getattr(self, leaf) not in choices:
                raise unknown(what, getattr(self, leaf), choices, form=f"data.sampling.{leaf}={{}}")
        for name, knob in (("apart", self.apart), ("delay", self.delay)):
            if type(knob) is not int or not 0 <= knob < 1000:
                raise UserError(
                    f"{name} is a whole number",
                    got=knob,
                    allowed=["0 … 999"],
                    hint=f"data.sampling.{name}=0",
                )
        if not isinstance(self.subtract_mean, bool):
            raise unknown("choice for subtract_mean", str(self.subtract_mean), ["true", "false"],
                          form="data.sampling.subtract_mean={}")  # fmt: skip
        if self.bidirectional and self.fields % 2:
            raise UserError(
                "bidirectional stacking needs an even number of fields, half of them backward",
                got=f"data.sampling.fields={self.fields}",
                hint=f"data.sampling.fields={self.fields + 1}",
            )

    @property
    def strides(self) -> tuple[int, int]:
        if isinstance(self.stride, int):
            return self.stride, self.stride
        low, high = self.stride
        return int(low), int(high)

    @property
    def bidirectional(self) -> bool:
        return self.stacking == "bidirectional"

    @property
    def whole(self) -> bool:
        """Whether test views are whole frames."""
        return self.test in WHOLE

    @property
    def one_shape(self) -> bool:
        """Whether the test views of all videos have one shape."""
        return not self.whole and self.test != VIDEO

    @property
    def strides_count(self) -> bool:
        """Whether τ has an effect."""
        return self.times != SEGMENTS or self.test == VIDEO

    @property
    def views(self) -> int:
        """The number of test views of a video."""
        return TESTS[self.test]


@dataclass(frozen=True)
class View:
    """The centres of the snippets and the crop.

    `down`: pixels by which flow is shifted down, negative: up. `shift`: of the frames' colours.
    """

    centres: clips.Times
    crop: crops.Crop
    down: int = 0
    shift: colour.Shift | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """T, height and width."""
        return len(self.centres), *self.crop.shape


def training_view(frames: int, height: int, width: int, how: Sampling, seed: int, epoch: int, index: int) -> View:
    """The view of a training sample in an epoch."""
    draw = np.random.Generator(np.random.Philox(key=key("sample", seed, epoch, index)))
    if how.times == SEGMENTS:
        centres = clips.drawn_in_segments(frames, how.snippets, how.fields, draw)
    else:
        centres = clips.drawn(frames, how.snippets, how.fields, how.strides, draw)
    crop = crops.DRAWN[how.crops](height, width, how.crop, draw)
    down = how.apart * (1 - 2 * int(draw.integers(2))) if how.apart else 0
    return View(centres, crop, down, colour.drawn(draw) if how.colour == colour.JITTER else None)


def testing_view(
    frames: int,
    height: int,
    width: int,
    how: Sampling,
    view: int,
    name: str = "",  # noqa: PT028
) -> View:
    """One of the views of a test; odd ones are mirror images of those before them.

    `name`: the video's; it determines whether flow is shifted up or down.
    """
    assert view in range(how.views)
    number, flip = view // 2, view % 2 == 1
    place = crops.MIDDLE
    down = how.apart * (1 - 2 * (key("apart", name) % 2)) if how.apart else 0
    if how.test == VIDEO:
        centres = clips.whole_video(frames, how.fields, how.strides[0])
    elif how.test == "simonyan":
        number, place = divmod(number, crops.PLACES)
        centres = _clip(frames, how, how.strides[0], number, FRAMES_OF_2014)
    elif how.test == "final":
        centres = _clip(frames, how, how.strides[1], number, CLIPS_OF_2016)
    else:
        centres = _clip(frames, how, how.strides[0], 0, 1)
    if how.whole:
        return View(centres, crops.whole(height, width, how.crop, flip), down)
    # Testing resizes where training does.
    return View(centres, crops.at(place, height, width, how.crop, flip, capped=how.crops != "square"), down)


def _clip(frames: int, how: Sampling, stride: int, number: int, of: int) -> clips.Times:
    """The centres of clip `number` of the `of` of a test; one alone spreads over the whole video."""
    if how.times == SEGMENTS:
        return clips.in_segments(frames, how.snippets, how.fields, 2 * number + 1, 2 * of)
    if of == 1:
        return clips.even(frames, how.snippets, how.fields)
    return clips.nth(frames, how.snippets, how.fields, stride, number, of)


class Seen:
    """What lies at some centres of a video, each frame and field decoded once: crops and mirrors of a test share them.

    `delay`: the frames are as much later.
    """

    def __init__(self, store: Store, name: str, centres: clips.Times, delay: int = 0) -> None:
        self.store, self.name, self.centres, self.delay = store, name, centres, delay

    def serves(self, name: str, view: View) -> bool:
        """Whether this is what a view of a video looks at."""
        return self.name == name and np.array_equal(self.centres, view.centres)

    @cached_property
    def frames(self) -> list[Bytes]:
        """The frames at the centres, (H, W, 3) each."""
        frames = self.store.video(self.name).frames
        times = later(self.centres, self.delay, frames) if self.delay else self.centres
        return list(self.store.each_frame(self.name, times))

    @cached_property
    def fields(self) -> stacking.Fields:
        """The fields around the centres."""
        return stacking.Fields(self.store, self.name)


def write_frames(seen: Seen, view: View, out: Bytes) -> None:
    """The frames at the centres into `out` (3, T, h, w)."""
    view.crop.frames(seen.frames, out)
    if view.shift is not None:
        colour.shift(out, view.shift)


def later(times: clips.Times, delay: int, frames: int) -> clips.Times:
    """Shift by `delay`; backwards near the end. (In a video that is too short for either: its last frame.)"""
    beyond = times + delay >= frames
    return np.where(beyond & (times >= delay), times - delay, np.minimum(times + delay, frames - 1))


def write_flow(seen: Seen, view: View, how: Sampling, out: Bytes, *, frozen: bool = False) -> None:
    """The fields around the centres into `out` (2L, T, h, w), channels u, v alternating: u₁ v₁ u₂ v₂ …

    `frozen`: all snippets have the field at the first centre, L times.
    """
    stacked = seen.fields.frozen if frozen else seen.fields.stacked
    for snippet, centre in enumerate(view.centres[: 1 if frozen else None]):
        stacking.write(
            stacked(int(centre), how.fields, how.stacking), view.crop, out[:, snippet],
            stacking=how.stacking, mean=how.subtract_mean, bound=seen.store.bound,
        )  # fmt: skip
    if frozen:
        out[:, 1:] = out[:, :1]
    if view.down:
        out[...] = np.roll(out, view.down, axis=-2)
