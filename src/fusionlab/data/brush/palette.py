"""Hues at equal luma: different colours that are one grey for optical flow.

`palette(n)[h, y]` is the RGB triple of hue h at luma y. Every triple satisfies

    gray(palette[h, y]) == y      for all hues h and LOW ≤ y ≤ HIGH

*exactly*, in the integer arithmetic of the conversion that flow reads (OpenCV's BT.601 weights, 15 bits). If two hues
of a picture are exchanged, its luma stays equal bit for bit, so no estimator that reads luma distinguishes hues.

Row 0 is grey (no hue); hues 1 … n have equal angles on a circle of chroma.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LOW, HIGH = 76, 176  # inside these luma values each hue below is within 0 … 255 in all three channels
CHROMA = 42.0  # radius of the circle of hues in the Cb, Cr plane: the largest whole number in gamut at LOW and HIGH
WEIGHTS = (9798, 19235, 3735)  # of R, G, B in 2⁻¹⁵


def luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Integer BT.601 luma as OpenCV's RGB→GRAY computes it: (9798 R + 19235 G + 3735 B + 16384) >> 15."""
    return ((rgb.astype(np.int64) @ np.array(WEIGHTS) + 16384) >> 15).astype(np.uint8)


@lru_cache(maxsize=8)
def palette(hues: int, distance: float = 1.0, turned: float = 0.0) -> NDArray[np.uint8]:
    """Table (hues + 1, 256, 3): grey and `hues` hues, one colour for each luma.

    `distance`: below 1 the hues are nearer to grey. `turned`: all hues are turned by this part of a circle.
    """
    table = np.zeros((hues + 1, 256, 3), dtype=np.uint8)
    levels = np.clip(np.arange(256), LOW, HIGH)
    table[0] = levels[:, None]
    for hue in range(1, hues + 1):
        angle = 2 * np.pi * ((hue - 0.5) / hues + turned)
        cb, cr = CHROMA * distance * np.cos(angle), CHROMA * distance * np.sin(angle)
        for y in range(256):
            table[hue, y] = _nearest_exact(int(levels[y]), cb, cr)
    return table


def _nearest_exact(y: int, cb: float, cr: float) -> NDArray[np.uint8]:
    """The integer RGB nearest to (y, cb, cr) whose integer luma is y: green is moved by whole steps until it is."""
    red, blue = y + 1.402 * cr, y + 1.772 * cb
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    best: tuple[float, tuple[int, int, int]] | None = None
    for r in (int(red), int(red) + 1):
        for g in (int(green) - 1, int(green), int(green) + 1, int(green) + 2):
            for b in (int(blue), int(blue) + 1):
                grey = (WEIGHTS[0] * r + WEIGHTS[1] * g + WEIGHTS[2] * b + 16384) >> 15
                if grey == y and min(r, g, b) >= 0 and max(r, g, b) <= 255:
                    miss = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2
                    if best is None or miss < best[0]:
                        best = (miss, (r, g, b))
    assert best is not None, f"no integer colour of luma {y} near Cb {cb:.1f}, Cr {cr:.1f}"
    return np.array(best[1], dtype=np.uint8)
