"""Flow estimated anew on a few frames, and where it can be trusted: what stored flow is held against.

    forward_k    leads from frame k to k + 1, at the pixels of frame k
    backward_k   leads from frame k + 1 to k, at the pixels of frame k + 1

An estimate is trusted where the picture has texture in two directions (the smaller eigenvalue of the structure tensor),
where going there and back ends where it began, and where what is found there looks like what was here:

    | forward(x) + backward(x + forward(x)) |  <  0.3 + |forward(x)| / 10
    mean of (following(x + forward(x)) − previous(x))²  <  a quarter of the variance of previous, over a small window

At cuts, behind occlusions, in flat sky and along bare edges no estimator is to be believed, and two of them differ.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionlab.video.flow import Dis, Estimator
from fusionlab.video.opencv import cv2

Gray = NDArray[np.uint8]  # (H, W)
Field = NDArray[np.float32]  # (2, H, W)
Mask = NDArray[np.bool_]  # (H, W)

SMALL = 128  # short side below which flow is searched at full resolution
TEXTURE = 4.0  # smaller eigenvalue: squared levels per pixel
WINDOW = 7  # pixels, over which texture is looked at


@dataclass(frozen=True)
class Trusted:
    """A field, and where it can be trusted."""

    field: Field
    where: Mask


@dataclass(frozen=True)
class Around:
    """What is known of the flow from frame k to k + 1 and of its neighbours in time."""

    here: Trusted
    back: Trusted
    before: Trusted | None  # from frame k − 1 to k
    after: Trusted | None  # from frame k + 1 to k + 2


def method(height: int, width: int) -> Estimator:
    """DIS as `flow=dis_medium`, in small pictures as `flow=dis`."""
    if min(height, width) < SMALL:
        return Dis()
    return Dis(finest_scale=1, patch_size=8, patch_stride=3, iterations=25, refinements=5)


def around(frames: NDArray[np.uint8], estimator: Estimator | None = None) -> list[Around]:
    """Of n grey frames (n, H, W) in sequence: what surrounds each of their n − 1 pairs."""
    estimator = estimator or method(*frames.shape[1:])
    forward, backward = [], []
    for one, other in itertools.pairwise(frames):
        there, back = estimator(one, other), estimator(other, one)
        forward.append(Trusted(there, consistent(there, back) & textured(one) & found(one, other, there)))
        backward.append(Trusted(back, consistent(back, there) & textured(other) & found(other, one, back)))
    last = len(forward) - 1
    return [
        Around(here, backward[k], forward[k - 1] if k else None, forward[k + 1] if k < last else None)
        for k, here in enumerate(forward)
    ]


def consistent(there: Field, back: Field) -> Mask:
    """Where a way there and back ends where it began."""
    height, width = there.shape[1:]
    to_x, to_y = _to(there)
    returned = np.stack([cv2.remap(plane, to_x, to_y, cv2.INTER_LINEAR) for plane in back])
    inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
    off = np.hypot(*(there + returned))
    return np.asarray(inside & (off < 0.3 + 0.1 * np.hypot(*there)))


def found(previous: Gray, following: Gray, there: Field) -> Mask:
    """Where the following picture shows at the end of the way what the previous one shows at its beginning."""
    here = previous.astype(np.float32)
    off = cv2.remap(following.astype(np.float32), *_to(there), cv2.INTER_LINEAR) - here
    return np.asarray(_mean(off * off) < (_mean(here * here) - _mean(here) ** 2) / 4)


def textured(picture: Gray) -> Mask:
    """Where a patch can be told from its neighbours in every direction."""
    x, y = (cv2.Sobel(picture, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1)))
    xx, xy, yy = (_mean(product) for product in (x * x, x * y, y * y))
    smaller = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    return np.asarray(smaller > TEXTURE)


def _mean(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the window around each pixel."""
    return np.asarray(cv2.boxFilter(picture, -1, (WINDOW, WINDOW)), dtype=np.float32)


def _to(there: Field) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """x and y of where each pixel goes."""
    y, x = np.indices(there.shape[1:], dtype=np.float32)
    return x + there[0], y + there[1]
