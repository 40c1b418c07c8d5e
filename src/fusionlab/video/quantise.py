"""Flow in a byte: the released quantiser, and what a mirror does to it.

    quantise      q = round(255 (clip(v, −b, b) + b) / 2b)      b the bound; half to even, as cvRound
    dequantise    v = 2b q / 255 − b                            off by b / 255 at most
    mirror        (u, v)(x) → (−u, v)(W − 1 − x)                in bytes u → 255 − u, exactly

With b = 20: −20 → 0, −1 → 121, 0 → 128, 1 → 134, 20 → 255; a step is 0.157 px. Zero is 127.5 before rounding,
so that still pixels are 128 in a picture and 127 in its mirror image, as in the released code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BOUND = 20.0  # pixels; the papers'


def quantise(flow: NDArray[Any], bound: float = BOUND) -> NDArray[np.uint8]:
    """Displacements in pixels as bytes; what exceeds the bound is clipped to it."""
    assert bound > 0 and np.isfinite(flow).all(), "flow is finite and the bound positive"
    clipped = np.clip(flow, -bound, bound)
    levels: NDArray[np.uint8] = np.rint((clipped + bound) * (255 / (2 * bound))).astype(np.uint8)
    return levels


def dequantise(levels: NDArray[np.uint8], bound: float = BOUND) -> NDArray[np.float32]:
    """The displacements in pixels that the bytes stand for."""
    return (levels.astype(np.float32) * np.float32(2 * bound / 255) - np.float32(bound)).astype(np.float32)


def mirror(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Quantised flow (…, 2, H, W) as a mirror shows it: columns reversed, u → 255 − u, v kept."""
    mirrored = levels[..., ::-1].copy()
    negate_u(mirrored)
    return mirrored


def negate_u(levels: NDArray[np.uint8]) -> None:
    """In place: u → 255 − u in quantised flow (…, 2, H, W), which is `~u` for a byte."""
    u = levels[..., 0, :, :]
    np.invert(u, out=u)
