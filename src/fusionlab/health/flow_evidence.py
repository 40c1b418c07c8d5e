"""Evidence about stored flow: flow estimated again from a few frames, under each hypothesis.

    forward_k    leads from frame k to k + 1, at the pixels of frame k
    backward_k   leads from frame k + 1 to k, at the pixels of frame k + 1

An estimate is trusted where the picture has texture in two directions (the smaller eigenvalue of the structure tensor),
where forward and then backward flow returns to the start, and where both ends look alike:

    | forward(x) + backward(x + forward(x)) |  <  0.3 + |forward(x)| / 10
    mean of (following(x + forward(x)) − previous(x))²  <  a quarter of the variance of previous, over a small window

At cuts, behind occlusions, in flat sky and along bare edges estimators are wrong, and differ from each other.

Stored flow may be that of other frames, or of other places, and its vectors may be changed:

    frames     field k is that of frames k + d and k + 1 + d, d = ±1 … ±3; or leads from frame k + 1 to k
    places     one of the eight symmetries of the square was applied to the fields, or to the frames, and not to both
    vectors    one of the same eight was applied to the vectors: components exchanged, and their signs

A hypothesis (`HYPOTHESES`) is a change of frames alone, or a change of places and of vectors: 6 + 1 + 8 · 8 of them.

Evidence is the stored flow and the flow of each hypothesis, at the same places of one pair of frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

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
SHIFTS = (1, -1, 2, -2, 3, -3)  # frames
FEW = 0.5  # pixels, above which a place is one of those that move


@dataclass(frozen=True)
class Trusted:
    """A field, and the pixels at which it can be trusted."""

    field: Field
    where: Mask


@dataclass(frozen=True)
class PairEstimates:
    """The estimates for frames k and k + 1, and those for frames k + d and k + 1 + d, by d; at the ends some lack."""

    here: Trusted
    back: Trusted
    shifted: Mapping[int, Trusted]


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
    return [
        PairEstimates(here, backward[k], {d: forward[k + d] for d in SHIFTS if 0 <= k + d < len(forward)})
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


class Symmetry(NamedTuple):
    """A symmetry of the square: (x, y) → (right · x, down · y), after x and y were exchanged or not."""

    exchanged: bool = False
    right: int = 1  # or −1
    down: int = 1

    def of_vectors(self, field: Vectors) -> Vectors:
        """The vectors (2, …) after it."""
        u, v = field[::-1] if self.exchanged else field
        return np.stack([self.right * u, self.down * v])

    def source(self, y: Indices, x: Indices, shape: tuple[int, int]) -> tuple[Indices, Indices]:
        """Where that came from which lies at (y, x) of fields (H, W) after it; exchanged sides are stretched."""
        last = np.array(shape)[:, None] - 1
        part = np.stack([y, x]) / np.maximum(last, 1)
        part = np.where(np.array([self.down, self.right])[:, None] < 0, 1 - part, part)
        to_y, to_x = np.rint((part[::-1] if self.exchanged else part) * last).astype(np.intp)
        return to_y, to_x


SYMMETRIES = tuple(Symmetry(*one) for one in itertools.product((False, True), (1, -1), (1, -1)))
NONE = SYMMETRIES[0]
OF_PLACES = dict(
    zip(
        SYMMETRIES,
        ("", "flipped", "mirrored", "turned by 180°",
         "transposed", "turned by −90°", "turned by 90°", "transposed and turned by 180°"),
        strict=True,
    )
)  # fmt: skip
OF_VECTORS = dict(
    zip(
        SYMMETRIES,
        ("", "v negated", "u negated", "negated",
         "swapped", "swapped, v negated", "swapped, u negated", "swapped, negated"),
        strict=True,
    )
)  # fmt: skip


class Hypothesis(NamedTuple):
    """Stored flow: of which frames, which symmetry its places went through, and which its vectors."""

    shift: int = 0
    backward: bool = False
    places: Symmetry = NONE
    vectors: Symmetry = NONE

    @property
    def name(self) -> str:
        by = f"{abs(self.shift)} " if abs(self.shift) > 1 else ""
        parts = [
            f"{by}{'ahead' if self.shift > 0 else 'behind'}" if self.shift else "", "backward" if self.backward else "",
            OF_PLACES[self.places], OF_VECTORS[self.vectors],
        ]  # fmt: skip
        return ", ".join(filter(None, parts)) or RIGHT

    @property
    def source(self) -> Hypothesis:
        """The same without the change of vectors."""
        return self._replace(vectors=NONE)


def _hypotheses() -> Iterator[Hypothesis]:
    """`right` first, then the simplest: changes of one thing, then places and vectors alike, then others."""
    yield from (Hypothesis(vectors=one) for one in SYMMETRIES)
    yield from (Hypothesis(shift=shift) for shift in SHIFTS)
    yield Hypothesis(backward=True)
    yield from (Hypothesis(places=one) for one in SYMMETRIES)
    yield from (Hypothesis(places=one, vectors=one) for one in SYMMETRIES)
    yield from (Hypothesis(places=one, vectors=other) for one, other in itertools.product(SYMMETRIES, SYMMETRIES))


HYPOTHESES: dict[str, Hypothesis] = {one.name: one for one in _hypotheses()}
SOURCES = tuple(dict.fromkeys(one.source for one in HYPOTHESES.values()))


@dataclass(frozen=True)
class Evidence:
    """One pair of frames at n places. `estimates`: of each source its vectors, and whether these are trusted."""

    video: str
    stored: Vectors  # pixels, by the bound of the store
    step: float  # pixels from one stored level to the next
    estimates: Mapping[Hypothesis, tuple[NDArray[np.float16], NDArray[np.bool_]]]  # float16: exact to 1/100 pixel

    @property
    def right(self) -> tuple[Vectors, NDArray[np.bool_]]:
        return self.of(RIGHT)

    def of(self, name: str) -> tuple[Vectors, NDArray[np.bool_]]:
        """The vectors by a hypothesis, and whether they are trusted."""
        hypothesis = HYPOTHESES[name]
        vectors, trusted = self.estimates[hypothesis.source]
        return hypothesis.vectors.of_vectors(vectors.astype(np.float32)), trusted


def evidence(video: str, levels: NDArray[np.uint8], bound: float, around: PairEstimates) -> Evidence:
    """Evidence from a stored field (2, H, W) in levels, and the estimates for its frames."""
    y, x = _places(levels, bound, around.here)
    here, inside = _inside(levels, y, x)
    estimates = {}
    for source in SOURCES:
        trusted = around.back if source.backward else around.shifted.get(source.shift) if source.shift else around.here
        if trusted is not None:
            to_y, to_x = source.places.source(y, x, (levels.shape[1], levels.shape[2]))
            estimates[source] = (
                trusted.field[:, to_y, to_x].astype(np.float16),
                np.asarray(trusted.where[to_y, to_x] & inside),
            )
    return Evidence(video, dequantise(here, bound), 2 * bound / 255, estimates)


def evidence_by_own_method(video: str, levels: NDArray[np.uint8], bound: float, field: Field) -> Evidence:
    """Evidence from a stored field and a new estimate by the method that made it.

    The two are nearly equal even where the method is wrong, so all pixels inside the range are trusted.
    """
    y, x = _grid(levels, PLACES)
    here, inside = _inside(levels, y, x)
    estimates = {Hypothesis(): (field[:, y, x].astype(np.float16), inside)}
    return Evidence(video, dequantise(here, bound), 2 * bound / 255, estimates)


def _grid(levels: NDArray[np.uint8], count: int) -> tuple[Indices, Indices]:
    """Rows and columns of about so many places, evenly."""
    height, width = levels.shape[1:]
    step = max(1, int(np.sqrt(height * width / count)))
    y, x = (axis.ravel() for axis in np.mgrid[step // 2 : height : step, step // 2 : width : step])
    return y, x


def _places(levels: NDArray[np.uint8], bound: float, here: Trusted) -> tuple[Indices, Indices]:
    """Half of the places on a grid, the others where something moves in stored or in estimated flow.

    Where little moves, a grid alone meets it at too few places.
    """
    y, x = _grid(levels, PLACES // 2)
    stored = dequantise(levels, bound)
    off = stored - np.median(stored, axis=(1, 2), keepdims=True)
    moving = (np.hypot(*off) > FEW) | ((np.hypot(*here.field) > FEW) & here.where)
    more_y, more_x = np.nonzero(moving)
    some = np.unique(np.linspace(0, len(more_y) - 1, PLACES // 2).astype(np.intp)) if len(more_y) else slice(0)
    return np.concatenate([y, more_y[some]]), np.concatenate([x, more_x[some]])


def _inside(levels: NDArray[np.uint8], y: Indices, x: Indices) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The levels at the places, and whether these were not clipped by the range."""
    here = levels[:, y, x]
    return here, np.asarray(((here > 0) & (here < 255)).all(axis=0))
