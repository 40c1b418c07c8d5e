"""The orientation of a picture: a file's display matrix says how a player turns and mirrors it.

    x' = a · x + c · y,   y' = b · x + d · y         (x to the right, y down)

FFmpeg and PyAV leave this to the caller. The eight symmetries of a rectangle move whole pixels; any other matrix (a
turn by 45°) would need new ones, and is refused. The scale of the matrix says nothing about the orientation.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import atan2, degrees
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError

if TYPE_CHECKING:
    import av

ROUNDING = 0.001  # of the largest entry: matrices are whole numbers, and some are a little off


@dataclass(frozen=True)
class Orientation:
    """`transposed`: rows become columns first. Then each axis runs on (1) or backwards (−1)."""

    transposed: bool = False
    rows: int = 1
    columns: int = 1

    @property
    def turned(self) -> bool:
        """Whether it is the file's picture, or that turned by 90°, 180° or 270°; else it is mirrored."""
        return (self.rows * self.columns < 0) == self.transposed

    @property
    def degrees(self) -> int:
        """The angle by which a turned picture is turned counter-clockwise: 0, 90, 180 or 270."""
        return {(False, 1): 0, (False, -1): 180, (True, -1): 90, (True, 1): 270}[self.transposed, self.rows]

    def of(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The frame (H, W, 3) as it is shown."""
        if self == UPRIGHT:
            return frame
        turned = frame.transpose(1, 0, 2) if self.transposed else frame
        return turned[:: self.rows, :: self.columns].copy()


UPRIGHT = Orientation()


def orientation(picture: av.VideoFrame) -> Orientation:
    """The orientation of a decoded picture; a `UserError` for an odd angle."""
    matrix: Any = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    small = ROUNDING * max(map(abs, (a, b, c, d)))
    if abs(b) <= small and abs(c) <= small:
        return Orientation(False, -1 if d < 0 else 1, -1 if a < 0 else 1)
    if abs(a) <= small and abs(d) <= small:
        return Orientation(True, -1 if b < 0 else 1, -1 if c < 0 else 1)
    angle = degrees(atan2(b, a))
    raise UserError(f"this video is shown turned by an odd angle, {angle:.0f}°", allowed=["0°", "90°", "180°", "270°"])
