"""What may be wrong with stored flow: each hypothesis is a transformation of flow that was estimated anew.

    right                  field k leads from frame k to k + 1
    ahead, behind          field k is that of the next pair of frames, of the one before
    swapped                u lies where v should, and v where u should
    … negated              of one component, or of both
    mirrored               frames or fields were turned left to right, and the others were not; u was negated, or not
    backward               field k leads from frame k + 1 to k

Evidence is what is stored and what it might be, at the same places of one pair of frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionlab.health.estimates import Around, Field, Mask, Trusted
from fusionlab.video.quantise import dequantise

Vectors = NDArray[np.float32]  # (2, n): u, v
Indices = NDArray[np.intp]
RIGHT = "right"
PLACES = 1500  # that are looked at in a field
Transformation = Callable[[Around], Trusted | None]  # None: it takes a neighbour that is not known


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
    """One pair of frames at n places. `might_be`: of each hypothesis its vectors, and which of them can be trusted."""

    video: str
    stored: Vectors  # pixels, by the bound of the store
    level: float  # pixels from one stored level to the next
    might_be: Mapping[str, tuple[Vectors, NDArray[np.bool_]]]


def evidence(video: str, levels: NDArray[np.uint8], bound: float, around: Around) -> Evidence:
    """Of a stored field (2, H, W) in levels and the estimates around it."""
    y, x, here, inside = _looked_at(levels)
    might_be = {}
    for name, transformation in HYPOTHESES.items():
        trusted = transformation(around)
        if trusted is not None:
            might_be[name] = (trusted.field[:, y, x], trusted.where[y, x] & inside)
    return Evidence(video, dequantise(here, bound), 2 * bound / 255, might_be)


def evidence_again(video: str, levels: NDArray[np.uint8], bound: float, field: Field) -> Evidence:
    """Of a stored field and what its own method finds anew: nearly the same, also where the method is wrong, so that no
    place has to be trusted.
    """
    y, x, here, inside = _looked_at(levels)
    return Evidence(video, dequantise(here, bound), 2 * bound / 255, {RIGHT: (field[:, y, x], inside)})


def _looked_at(levels: NDArray[np.uint8]) -> tuple[Indices, Indices, NDArray[np.uint8], NDArray[np.bool_]]:
    """Rows and columns of the places, their levels, and where something can be said: at the lowest and the highest
    level flow was clipped.
    """
    height, width = levels.shape[1:]
    step = max(1, int(np.sqrt(height * width / PLACES)))
    y, x = (axis.ravel() for axis in np.mgrid[step // 2 : height : step, step // 2 : width : step])
    here = levels[:, y, x]
    return y, x, here, np.asarray(((here > 0) & (here < 255)).all(axis=0))
