"""A field of flow as a picture: direction as hue, speed as saturation; white is no motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusionlab.video.opencv import cv2
from fusionlab.video.quantise import dequantise

Bytes = NDArray[np.uint8]
VALUE = 245  # of each pixel: rest is nearly white


def speed(field: Bytes, bound: float) -> NDArray[np.float32]:
    """Of a quantised field (2, H, W): pixels a frame, (H, W)."""
    u, v = dequantise(field, bound)
    return np.asarray(np.hypot(u, v), dtype=np.float32)


def colours(field: Bytes, bound: float, fastest: float) -> Bytes:
    """A quantised field (2, H, W) as RGB (H, W, 3). `fastest`: pixels a frame that have the full colour."""
    u, v = dequantise(field, bound)
    angle = (np.arctan2(v, u) + np.pi) / (2 * np.pi)
    hsv = np.stack([angle * 179, np.clip(np.hypot(u, v) / fastest, 0, 1) * 255, np.full_like(u, VALUE)], axis=-1)
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), dtype=np.uint8)
