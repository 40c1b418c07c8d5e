"""Crops: one rectangle and one mirror for a whole clip.

They are the same for frames and flow, so that pixels stay in correspondence. A picture is cut out, resized to the
square that towers expect where the rectangle is another, then mirrored: columns reversed, and u → 255 − u. Flow is
resized as a picture is: its values stay what they were, as released, though a motion then crosses more or fewer pixels.

In training one of these is drawn, always by the same number of draws, in this order; s is the side that towers expect,
r uniform in 0 … 1, H×W the frame. A rectangle larger than the frame is cut to it.

    square           s × s anywhere, as in 2014                                    y, x, mirror
    jitter           height and width round(s (¾ + r/2)), each its own r; each     height, width, y, x, mirror
                     side at most a quarter of the frame from its nearer border
    jitter_released  the same sizes; y and x in the first quarter of the places    height, width, quarter, y, x, mirror
                     left for them, or both in the last, as the released code does
    corners          height and width each one of 8/7, 1, 6/7, 3/4 of s, at one    height, width, place, mirror
                     of the four corners or in the middle, as released for VGG-16

What the 2016 paper leaves open is how crops "at most 25 % away from the border" are drawn. Here y and x are drawn
apart, each uniform over all places whose distance from the nearer of its two borders is H/4 or W/4 at most; so all four
corners come, of which the released code reaches two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.video.opencv import cv2

Bytes = NDArray[np.uint8]
SCALES = (8 / 7, 1.0, 6 / 7, 3 / 4)  # 256, 224, 192, 168 of 224
PLACES = 5  # the corners, row by row, then the middle
MIDDLE = 4


@dataclass(frozen=True)
class Crop:
    """The rectangle with its upper left pixel at (y, x), resized to `to` × `to` (None: as it is), mirrored or not."""

    y: int
    x: int
    height: int
    width: int
    flip: bool = False
    to: int | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what comes out."""
        return (self.height, self.width) if self.to is None else (self.to, self.to)

    def cut(self, picture: Bytes) -> Bytes:
        """The rectangle of a picture (H, W, …)."""
        return picture[self.y : self.y + self.height, self.x : self.x + self.width]

    def frame(self, frame: Bytes, out: Bytes) -> None:
        """A frame (H, W, 3) into `out` (3, h, w)."""
        pixels = self._resized(self.cut(frame))
        # cv2.split is the fastest way from HWC to CHW, but needs contiguous pixels.
        pixels = _bytes(cv2.flip(pixels, 1)) if self.flip else np.ascontiguousarray(pixels)
        cv2.split(pixels, [out[channel] for channel in range(3)])

    def component(self, cut: Bytes, out: Bytes, *, negate: bool) -> None:
        """A field's u or v, cut out already, into `out` (h, w). `negate`: u, whose sign a mirror changes."""
        cut = self._resized(cut)
        if not self.flip:
            np.copyto(out, cut)
            return
        cv2.flip(cut, 1, out)
        if negate:
            np.invert(out, out=out)  # 255 − u

    def components(self, field: Bytes) -> tuple[Bytes, Bytes]:
        """u and v of a field (2, H, W), cut out."""
        return self.cut(field[0]), self.cut(field[1])

    def frames(self, frames: Iterable[Bytes], out: Bytes) -> None:
        """T frames (H, W, 3) into `out` (3, T, h, w)."""
        for time, frame in enumerate(frames):
            self.frame(frame, out[:, time])

    def flow(self, fields: Iterable[Bytes], out: Bytes) -> None:
        """L quantised fields (2, H, W) into `out` (L, 2, h, w)."""
        for (u, v), field in zip(out, fields, strict=True):
            self.component(self.cut(field[0]), u, negate=True)
            self.component(self.cut(field[1]), v, negate=False)

    def _resized(self, pixels: Bytes) -> Bytes:
        if self.to is None or pixels.shape[:2] == (self.to, self.to):
            return pixels
        return _bytes(cv2.resize(pixels, (self.to, self.to), interpolation=cv2.INTER_LINEAR))


# -- fixed crops


def whole(height: int, width: int, size: int, flip: bool = False) -> Crop:
    """The whole frame; one that is larger than the towers' square gives several predictions."""
    if size > min(height, width):
        raise UserError(
            "the video is smaller than the input of the towers, so no whole frame can be tested",
            got=f"crop {size}, video {width}×{height}",
            hint=f"data.store.size={size} or more, or data.sampling.test=middle",
        )
    return Crop(0, 0, height, width, flip)


def centre(height: int, width: int, size: int, flip: bool = False, *, capped: bool = False) -> Crop:
    """The middle square."""
    return at(MIDDLE, height, width, size, flip, capped=capped)


def at(place: int, height: int, width: int, size: int, flip: bool = False, *, capped: bool = False) -> Crop:
    """The square in one of the corners or in the middle.

    `capped`: a smaller frame is cropped less and resized; otherwise it is an error.
    """
    if not capped:
        _fits(height, width, size)
    return _placed(place, height, width, min(size, height), min(size, width), size, flip)


# -- training


def drawn(height: int, width: int, size: int, draw: np.random.Generator) -> Crop:
    """A square anywhere, mirrored or not. Always three draws: y, x, mirror."""
    _fits(height, width, size)
    y = int(draw.integers(height - size + 1))
    x = int(draw.integers(width - size + 1))
    return Crop(y, x, size, size, bool(draw.integers(2)))


def jittered(height: int, width: int, size: int, draw: np.random.Generator) -> Crop:
    """The 2016 paper's. Always five draws: height, width, y, x, mirror."""
    h, w = _jitter(size, height, draw), _jitter(size, width, draw)
    y, x = _near_a_border(height, h, draw), _near_a_border(width, w, draw)
    return _resized_crop(y, x, h, w, bool(draw.integers(2)), size)


def jittered_as_released(height: int, width: int, size: int, draw: np.random.Generator) -> Crop:
    """The released code's `borders25`. Always six draws: height, width, quarter, y, x, mirror."""
    h, w = _jitter(size, height, draw), _jitter(size, width, draw)
    quarter = 0.75 * int(draw.integers(2))
    y, x = (_part(side - own, quarter + draw.random() / 4) for side, own in ((height, h), (width, w)))
    return _resized_crop(y, x, h, w, bool(draw.integers(2)), size)


def cornered(height: int, width: int, size: int, draw: np.random.Generator) -> Crop:
    """The released code's `multiScaleRegular`. Always four draws: height, width, place, mirror."""
    h, w = (min(max(1, round(SCALES[draw.integers(len(SCALES))] * size)), side) for side in (height, width))
    place = int(draw.integers(PLACES))
    return _placed(place, height, width, h, w, size, bool(draw.integers(2)))


Drawing = Callable[[int, int, int, np.random.Generator], Crop]
DRAWN: dict[str, Drawing] = {
    "square": drawn, "jitter": jittered, "jitter_released": jittered_as_released, "corners": cornered
}  # fmt: skip


def _jitter(size: int, side: int, draw: np.random.Generator) -> int:
    """round(s (¾ + r/2)), at most the side."""
    return min(max(1, round(size * (0.75 + 0.5 * draw.random()))), side)


def _near_a_border(side: int, own: int, draw: np.random.Generator) -> int:
    """Uniform over the places at most a quarter of the side away from the nearer border."""
    slack, reach = side - own, side // 4
    places = min(slack + 1, 2 * (reach + 1))
    drawn = int(draw.integers(places))
    return drawn if drawn <= reach else slack - (places - 1 - drawn)


def _part(slack: int, part: float) -> int:
    """A place among `slack` + 1, by its fraction, 0 … 1."""
    return min(int(part * (slack + 1)), slack)


def _placed(place: int, height: int, width: int, h: int, w: int, size: int, flip: bool) -> Crop:
    assert place in range(PLACES)
    y, x = height - h, width - w
    y, x = (y // 2, x // 2) if place == MIDDLE else (y * (place // 2), x * (place % 2))
    return _resized_crop(y, x, h, w, flip, size)


def _resized_crop(y: int, x: int, h: int, w: int, flip: bool, size: int) -> Crop:
    """A rectangle that is the square already is not resized."""
    return Crop(y, x, h, w, flip, None if (h, w) == (size, size) else size)


def _bytes(picture: object) -> Bytes:
    return np.asarray(picture, dtype=np.uint8)


def _fits(height: int, width: int, size: int) -> None:
    if size > min(height, width):
        raise UserError(
            "the crop is larger than the video",
            got=f"crop {size}, video {width}×{height}",
            hint=f"data.sampling.crop={min(height, width)}",
        )
