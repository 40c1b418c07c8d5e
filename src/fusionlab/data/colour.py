"""Colour: the noise of Krizhevsky et al. 2012, one shift of red, green and blue for all pixels of a clip.

    shift = Σ_k α_k λ_k p_k    α_k ~ N(0, 0.1²),  λ_k, p_k: eigenvalues and eigenvectors of RGB over ImageNet's pixels

The 2014 paper has "RGB jittering" and refers to it. The eigenvalues and vectors are those in common use (of pixels in
0 … 1). Bytes are rounded, and cut to 0 … 255.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Shift = tuple[float, float, float]  # of red, green and blue, in bytes
PLAIN, JITTER = "plain", "jitter"
COLOURS = (PLAIN, JITTER)
DEVIATION = 0.1
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045]) * 255
EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


def drawn(draw: np.random.Generator) -> Shift:
    """Always three draws."""
    red, green, blue = EIGENVECTORS @ (DEVIATION * draw.standard_normal(3) * EIGENVALUES)
    return float(red), float(green), float(blue)


def shift(pixels: Bytes, by: Shift) -> None:
    """Shift the colours of `pixels` (3, …) in place."""
    for channel, own in zip(pixels, by, strict=True):
        table = np.clip(np.rint(np.arange(256) + own), 0, 255).astype(np.uint8)
        np.take(table, channel, out=channel)
