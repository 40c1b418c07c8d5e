"""One size for frames and flow: the short side is set, the aspect kept, both sides even, as released.

Frames are resized first and flow is computed on the result, so that both have the same pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusionlab.video.opencv import cv2


def fitted(height: int, width: int, short: int) -> tuple[int, int]:
    """Height and width with the given short side; each rounded to an even number.

    >>> fitted(240, 320, 256)
    (256, 342)
    """
    scale = short / min(height, width)
    return max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2))


def resize(frame: NDArray[np.uint8], short: int | None) -> NDArray[np.uint8]:
    """A frame (H, W, 3) at the given short side; None leaves it as it is. Area average down, linear up."""
    if short is None:
        return frame
    height, width = fitted(frame.shape[0], frame.shape[1], short)
    if (height, width) == frame.shape[:2]:
        return frame
    how = cv2.INTER_AREA if height < frame.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), dtype=np.uint8)
