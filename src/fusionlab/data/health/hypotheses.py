"""What may be wrong with stored flow, each as a transformation of flow estimated anew, and which of them holds.

    stored  =  scale · hypothesis(estimate) + zero          of the pixels that can be trusted

    disagreement d  =  Σ |f − h| / Σ (|f| + |h|)            f = (stored − zero) / scale, h the hypothesis; pixels that move

d is 0 where both are the same and 1 where they are opposite; half of a wrong length gives 1/3, a right angle 0.7. A fault of
a store is in all of its videos, so that many pairs of frames vote: one of them in which up and down are the same, or in
which nothing moves, cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionlab.data.health.estimates import Around, Field, Mask, Trusted
from fusionlab.video.quantise import dequantise

Vectors = NDArray[np.float32]  # (n, 2): u, v
RIGHT = "right"


def _each(change: Callable[[Field], Field], place: Callable[[Mask], Mask] = lambda where: where) -> Transformation:
    return lambda around: Trusted(change(around.here.field), place(around.here.where))


def _signs(u: int, v: int) -> Callable[[Field], Field]:
    return lambda field: field * np.array([u, v], dtype=np.float32)[:, None, None]


Transformation = Callable[[Around], Trusted | None]
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

MOVES = 0.5  # pixels: what moves
STILL = 0.25
LEAST = 40  # pixels that move, for a pair to have a vote
PAIRS = 6  # that can tell, for a verdict
GRID = 1500  # places that are looked at in a field


@dataclass(frozen=True)
class Evidence:
    """One pair of frames: what is stored and what it might be, at the same n places."""

    video: str
    stored: Vectors
    might_be: Mapping[str, tuple[Vectors, NDArray[np.bool_]]]  # hypothesis -> its vectors, and which can be trusted


@dataclass(frozen=True)
class Fit:
    """How stored flow follows from a hypothesis."""

    scale: float
    quartiles: tuple[float, float]  # of the scale, over pixels
    zero: tuple[float, float] | None  # of u and v, pixels; None: nothing is still


@dataclass(frozen=True)
class Verdict:
    """The hypothesis that holds; `judged`: those that could be told from what is right."""

    holds: str
    fit: Fit
    disagreement: float
    of_right: float
    pairs: int
    judged: tuple[str, ...]
    rival: str | None = None


def evidence(video: str, stored: NDArray[np.uint8], bound: float, around: Around) -> Evidence:
    """Of a stored field in levels and the estimates around it. Saturated levels are left out: there flow was clipped."""
    height, width = stored.shape[1:]
    step = max(1, int(np.sqrt(height * width / GRID)))
    y, x = (axis.ravel() for axis in np.mgrid[step // 2 : height : step, step // 2 : width : step])
    levels = stored[:, y, x]
    inside = ((levels > 0) & (levels < 255)).all(axis=0)
    might_be = {}
    for name, transformation in HYPOTHESES.items():
        if (trusted := transformation(around)) is not None:
            might_be[name] = (trusted.field[:, y, x].T, trusted.where[y, x] & inside)
    return Evidence(video, dequantise(levels, bound).T, might_be)
