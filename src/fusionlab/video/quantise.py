"""Flow in a byte, by two rules, and what a mirror does to it.

One bound for all, as in the code that was released with the 2016 paper:

    quantise      q = round(255 (clip(v, −b, b) + b) / 2b)      b the bound; half to even, as cvRound
    dequantise    v = 2b q / 255 − b                            off by b / 255 at most
    mirror        (u, v)(x) → (−u, v)(W − 1 − x)                in bytes u → 255 − u, exactly

With b = 20: −20 → 0, −1 → 121, 0 → 128, 1 → 134, 20 → 255; a step is 0.157 px. Zero is 127.5 before rounding,
so that still pixels are 128 in a picture and 127 in its mirror image, as in the released code.

Each field by itself, as in 2014: each component by its own lowest and highest value, l and h:

    quantise_by_field      q = round(255 (v − l) / (h − l))     0 where h = l
    dequantise_by_field    v = l + (h − l) q / 255              off by (h − l) / 510 at most; exact where h = l
    to_bound               table[q] = quantise(dequantise_by_field(q), b)

Nothing is clipped and small motions are precise, but a level means another displacement in each field. A network
reads levels, and so gets those of one bound, by the table: one lookup a byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BOUND = 20.0  # pixels; the papers'


def quantise(flow: NDArray[Any], bound: float = BOUND) -> NDArray[np.uint8]:
    """Displacements in pixels as bytes; values beyond the bound are clipped."""
    assert bound > 0 and np.isfinite(flow).all(), "flow is finite and the bound positive"
    levels: NDArray[Any] = np.clip(flow, -bound, bound) + bound
    levels *= 255 / (2 * bound)
    return np.rint(levels, out=levels).astype(np.uint8)


def dequantise(levels: NDArray[np.uint8], bound: float = BOUND) -> NDArray[np.float32]:
    """The displacements in pixels that the bytes stand for."""
    return (levels.astype(np.float32) * np.float32(2 * bound / 255) - np.float32(bound)).astype(np.float32)


def quantise_by_field(flow: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A field (2, H, W) as bytes, and [[lowest, highest] of u, [lowest, highest] of v]."""
    assert flow.ndim == 3 and flow.shape[0] == 2 and np.isfinite(flow).all(), "one field, and finite"
    ranges = np.stack([flow.min(axis=(1, 2)), flow.max(axis=(1, 2))], axis=1).astype(np.float32)
    low, width = _low_and_width(ranges)
    parts = (flow.astype(np.float32) - low) / np.where(width > 0, width, 1)
    return np.rint(parts * 255).astype(np.uint8), ranges


def dequantise_by_field(levels: NDArray[np.uint8], ranges: NDArray[np.float32]) -> NDArray[np.float32]:
    """The displacements in pixels that the bytes of a field (2, H, W) stand for, between its lowest and highest."""
    low, width = _low_and_width(ranges)
    return (low + width * levels / 255).astype(np.float32)


def to_bound(ranges: NDArray[np.float32], bound: float = BOUND) -> NDArray[np.uint8]:
    """(2, 256): for u and for v, the level of the common bound that each level of this field stands for."""
    levels = np.broadcast_to(np.arange(256, dtype=np.uint8), (2, 1, 256))
    return quantise(dequantise_by_field(levels, ranges), bound)[:, 0]


def _low_and_width(ranges: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each (2, 1, 1), in double precision: so the ends come back exactly."""
    assert ranges.shape == (2, 2) and (ranges[:, 0] <= ranges[:, 1]).all(), "lowest and highest, of u and of v"
    low, high = ranges.astype(np.float64).T[..., None, None]
    return low, high - low


def mirror(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Quantised flow (…, 2, H, W) as a mirror shows it: columns reversed, u → 255 − u, v kept."""
    mirrored = levels[..., ::-1].copy()
    negate_u(mirrored)
    return mirrored


def negate_u(levels: NDArray[np.uint8]) -> None:
    """u → 255 − u in place, in quantised flow (…, 2, H, W), which is `~u` for a byte."""
    u = levels[..., 0, :, :]
    np.invert(u, out=u)
