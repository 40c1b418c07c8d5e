"""Evidence about stored flow: flow estimated again from a few frames, under each hypothesis.

    forward_k    leads from frame k to k + 1, at the pixels of frame k
    backward_k   leads from frame k + 1 to k, at the pixels of frame k + 1

An estimate is trusted where the picture has texture in two directions (the smaller eigenvalue of the structure tensor),
where forward and then backward flow returns to the start, and where both ends look alike:

    | forward(x) + backward(x + forward(x)) |  <  0.3 + |forward(x)| / 10
    mean of (following(x + forward(x)) − previous(x))²  <  a quarter of the variance of previous, over a small window

At cuts, behind occlusions, in flat sky and along bare edges estimators are wrong, and differ from each other.

Each hypothesis about stored flow is a transformation of the estimated flow:

    right                  field k leads from frame k to k + 1
    ahead, behind          field k is that of the next pair of frames, of the previous pair
    swapped                u and v are exchanged
    … negated              of one component, or of both
    mirrored               frames or fields were mirrored, and the others were not; u was negated, or not
    backward               field k leads from frame k + 1 to k

Evidence is the stored flow and the flow of each hypothesis, at the same places of one pair of frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionlab.video.flow import Dis, Estimator
from fusionlab.video.opencv import cv2
from fusionlab.video.quantise import dequantise

Gray = NDArray[np.uint8]  # (H, W)
Field = NDArray[np.float32]  # (2, H, W)
Mask = NDArray[np.bool_]  # (H, W)

SMALL = 128  # short side below which flow is searched at full resolution
TEXTURE = 4.0  # smaller eigenvalue: squared levels per pixel
WINDOW = 7  # pixels, over which texture is measured

Vectors = NDArray[np.float32]  # (2, n): u, v
Indices = NDArray[np.intp]
RIGHT = "right"
PLACES = 1500  # compared in a field


@dataclass(frozen=True)
class Trusted:
    """A field, and the pixels at which it can be trusted."""

    field: Field
    where: Mask


@dataclass(frozen=True)
class PairEstimates:
    """The estimates for frames k and k + 1, and for the pairs before and after."""

    here: Trusted
    back: Trusted
    before: Trusted | None  # from frame k − 1 to k
    after: Trusted | None  # from frame k + 1 to k + 2


def method(height: int, width: int) -> Estimator:
    """DIS as `flow=dis_medium`; for small pictures as `flow=dis`."""
    if min(height, width) < SMALL:
        return Dis()
    return Dis(finest_scale=1, patch_size=8, patch_stride=3, iterations=25, refinements=5)


def estimate_pairs(frames: NDArray[np.uint8], estimator: Estimator | None = None) -> list[PairEstimates]:
    """The estimates for each of the n − 1 pairs of n grey frames (n, H, W) in sequence."""
    estimator = estimator or method(*frames.shape[1:])
    forward, backward = [], []
    for one, other in itertools.pairwise(frames):
        there, back = estimator(one, other), estimator(other, one)
        forward.append(Trusted(there, consistent(there, back) & textured(one) & looks_alike(one, other, there)))
        backward.append(Trusted(back, consistent(back, there) & textured(other) & looks_alike(other, one, back)))
    last = len(forward) - 1
    return [
        PairEstimates(here, backward[k], forward[k - 1] if k else None, forward[k + 1] if k < last else None)
        for k, here in enumerate(forward)
    ]


def consistent(there: Field, back: Field) -> Mask:
    """The pixels at which forward and then backward flow returns to the start."""
    height, width = there.shape[1:]
    to_x, to_y = _to(there)
    returned = np.stack([cv2.remap(plane, to_x, to_y, cv2.INTER_LINEAR) for plane in back])
    inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
    off = np.hypot(*(there + returned))
    return np.asarray(inside & (off < 0.3 + 0.1 * np.hypot(*there)))


def looks_alike(previous: Gray, following: Gray, there: Field) -> Mask:
    """The pixels at which the following picture looks like the previous one at the start of the vector."""
    here = previous.astype(np.float32)
    off = cv2.remap(following.astype(np.float32), *_to(there), cv2.INTER_LINEAR) - here
    return np.asarray(_mean(off * off) < (_mean(here * here) - _mean(here) ** 2) / 4)


def textured(picture: Gray) -> Mask:
    """The pixels whose patch differs from its neighbours in every direction."""
    x, y = (cv2.Sobel(picture, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1)))
    xx, xy, yy = (_mean(product) for product in (x * x, x * y, y * y))
    smaller = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    return np.asarray(smaller > TEXTURE)


def _mean(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean over the window around each pixel."""
    return np.asarray(cv2.boxFilter(picture, -1, (WINDOW, WINDOW)), dtype=np.float32)


def _to(there: Field) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """x and y of each pixel's end."""
    y, x = np.indices(there.shape[1:], dtype=np.float32)
    return x + there[0], y + there[1]


# -- hypotheses

Transformation = Callable[[PairEstimates], Trusted | None]  # None where it needs a neighbour that is missing


def _each(change: Callable[[Field], Field], place: Callable[[Mask], Mask] = lambda where: where) -> Transformation:
    return lambda around: Trusted(change(around.here.field), place(around.here.where))


def _signs(u: int, v: int) -> Callable[[Field], Field]:
    return lambda field: field * np.array([u, v], dtype=np.float32)[:, None, None]


HYPOTHESES: dict[str, Transformation] = {
    RIGHT: lambda around: around.here,
    "ahead": lambda around: around.after,
    "behind": lambda around: around.before,
    "swapped": _each(lambda field: field[::-1]),
    "u negated": _each(_signs(-1, 1)),
    "v negated": _each(_signs(1, -1)),
    "negated": _each(_signs(-1, -1)),
    "mirrored": _each(lambda field: field[..., ::-1], lambda where: where[:, ::-1]),
    "mirrored, u negated": _each(lambda f: _signs(-1, 1)(f[..., ::-1]), lambda where: where[:, ::-1]),
    "backward": lambda around: around.back,
}


@dataclass(frozen=True)
class Evidence:
    """One pair of frames at n places. `might_be`: for each hypothesis its vectors, and whether they are trusted."""

    video: str
    stored: Vectors  # pixels, by the bound of the store
    step: float  # pixels from one stored level to the next
    might_be: Mapping[str, tuple[Vectors, NDArray[np.bool_]]]


def evidence(video: str, levels: NDArray[np.uint8], bound: float, around: PairEstimates) -> Evidence:
    """Evidence from a stored field (2, H, W) in levels, and the estimates for its frames."""
    y, x, here, inside = _looked_at(levels)
    might_be = {}
    for name, transformation in HYPOTHESES.items():
        trusted = transformation(around)
        if trusted is not None:
            might_be[name] = (trusted.field[:, y, x], trusted.where[y, x] & inside)
    return Evidence(video, dequantise(here, bound), 2 * bound / 255, might_be)


def evidence_by_own_method(video: str, levels: NDArray[np.uint8], bound: float, field: Field) -> Evidence:
    """Evidence from a stored field and a new estimate by the method that made it.

    The two are nearly equal even where the method is wrong, so all pixels inside the range are trusted.
    """
    y, x, here, inside = _looked_at(levels)
    return Evidence(video, dequantise(here, bound), 2 * bound / 255, {RIGHT: (field[:, y, x], inside)})


def _looked_at(levels: NDArray[np.uint8]) -> tuple[Indices, Indices, NDArray[np.uint8], NDArray[np.bool_]]:
    """Rows and columns of the places, their levels, and whether these were not clipped by the range."""
    height, width = levels.shape[1:]
    step = max(1, int(np.sqrt(height * width / PLACES)))
    y, x = (axis.ravel() for axis in np.mgrid[step // 2 : height : step, step // 2 : width : step])
    here = levels[:, y, x]
    return y, x, here, np.asarray(((here > 0) & (here < 255)).all(axis=0))
