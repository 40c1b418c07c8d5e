"""Where to look: one rectangle and one mirror for a whole clip.

They are the same for frames and flow, so that pixels stay in correspondence. A mirror
reverses the columns of both, and u → 255 − u.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.video.quantise import negate_u

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Crop:
    """The rectangle with its upper left pixel at (y, x), then mirrored or not."""

    y: int
    x: int
    height: int
    width: int
    flip: bool = False

    def _columns(self) -> slice:
        if not self.flip:
            return slice(self.x, self.x + self.width)
        return slice(self.x + self.width - 1, self.x - 1 if self.x else None, -1)

    def frames(self, frames: Bytes, out: Bytes) -> None:
        """Frames (T, H, W, 3) into `out` (3, T, h, w)."""
        cut = frames[:, self.y : self.y + self.height, self._columns()]
        np.copyto(out, cut.transpose(3, 0, 1, 2))

    def flow(self, flow: Bytes, out: Bytes) -> None:
        """L quantised fields (L, 2, H, W) into `out` (L, 2, h, w)."""
        np.copyto(out, flow[:, :, self.y : self.y + self.height, self._columns()])
        if self.flip:
            negate_u(out)


def centre(height: int, width: int, size: int, flip: bool = False) -> Crop:
    """The middle square."""
    _fits(height, width, size)
    return Crop((height - size) // 2, (width - size) // 2, size, size, flip)


def drawn(height: int, width: int, size: int, draw: np.random.Generator) -> Crop:
    """A square anywhere, mirrored or not. Always three draws: y, x, mirror."""
    _fits(height, width, size)
    y = int(draw.integers(height - size + 1))
    x = int(draw.integers(width - size + 1))
    return Crop(y, x, size, size, bool(draw.integers(2)))


def _fits(height: int, width: int, size: int) -> None:
    if size > min(height, width):
        raise UserError(
            "the crop is larger than the video",
            got=f"crop {size}, video {width}×{height}",
            hint=f"data.sampling.crop={min(height, width)}",
        )
