"""Optical flow between two frames: (previous, next) → (u, v), in pixels, u to the right and v downwards.

An estimator reads luma, or colour if it declares so. It is a small value (it can be pickled and compared, and describes
itself) and keeps no state between calls. OpenCV is limited to one thread inside: its result depends on the number of
threads, and processes share the cores instead.

Measured at 56×56, one thread, textured discs of radius 4–5 px on a circle of radius 6 over a still ground;
mean end-point error inside the disc at 1, 2, 3 px a frame; milliseconds a pair:

    DIS   scale 1, patch 8, stride 4 (OpenCV's "medium" picks this here)    0.92  1.88  2.87    0.16
    DIS   scale 0, patch 8, stride 4                                        0.42  0.86  2.01    0.23
    DIS   scale 0, patch 6, stride 3 (the default)                          0.26  0.47  1.34    0.39
    DIS   scale 0, patch 5, stride 3                                        0.21  0.39  1.16    0.32
    DIS   scale 0, patch 5, stride 2                                        0.19  0.31  0.90    0.65
    DIS   scale 0, patch 8, stride 3, 5 refinements ("medium" at scale 0)   0.45  0.80  1.87    0.71
    Farneback  window 5, 3 iterations                                       0.31  0.65  1.44    0.33

Patches of 5 are better still on random texture, but more often wrong by a period on a pattern that repeats. So the
default is 6.

Milliseconds a pair at 340×256, one core, a clip of UCF101 (median; the choices of `flow=`):

    dis 30      dis_medium 15      farneback 22      tvl1 1220 (400 where nothing moves)      raft 510 (large: 1980)

Seven versions of OpenCV against 5.0.0, a clip of UCF101, mean difference of a component in pixels; 0: equal bits:

                               4.8, 4.9    4.10, 4.11    4.12, 4.13    4.14
    DIS without refinements    0           0             0             0
    DIS medium                 0.016       0.003         0.003         0.003
    Farneback                  0           0             0             0
    TV-L1                      0.010       0.010         0.010         0.010 (0.006 from 4.13)

Before 5.0 `cv2.remap`, by which TV-L1 and the refinements of DIS warp, rounded positions to 1/32 pixel. In each version
all fields stand at the first frame's pixels. A description holds the version, and so the hash of a store does.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.video.opencv import cv2

Gray = NDArray[np.uint8]  # (H, W)
Picture = NDArray[np.uint8]  # (H, W) of an estimator that reads luma, (H, W, 3) of one that reads rgb
LUMA, RGB = "luma", "rgb"
READS = (LUMA, RGB)


class Estimator(Protocol):
    """A method of optical flow.

    Optional: `looking_in(folder)` returns the same with its files of weights looked for there, `expect()` raises a
    `UserError` where such a file is missing, and `finest_scale` is how often frames are halved before it looks (0).
    """

    @property
    def reads(self) -> str:
        """Its input: LUMA or RGB."""
        ...

    def __call__(self, previous: Picture, following: Picture, /) -> NDArray[np.float32]:
        """(2, H, W): u, v of the pixels of `previous`."""
        ...

    def describe(self) -> dict[str, Any]:
        """Method, its numbers and the library's version, for the record."""
        ...


def looking_in(estimator: Any, folder: str) -> Any:
    """The estimator that searches its files of weights in this folder; itself if it has none."""
    method = getattr(estimator, "looking_in", None)
    return estimator if method is None else method(folder)


def expect_files(estimator: Any) -> None:
    """Raise a `UserError` for a missing file that the estimator needs."""
    method = getattr(estimator, "expect", None)
    if method is not None:
        method()


def expect_estimator(flow: Any, choices: Sequence[str], *, backward: bool, rule: str) -> None:
    """Raise a `UserError` for a part that can neither compute nor supply flow for the store."""
    own = getattr(flow, "expect_store", None)
    if own is not None:
        own(backward=backward, rule=rule)
    elif not (callable(flow) and hasattr(flow, "describe")):
        raise UserError(
            "this part is not a flow estimator", got=f"data.store.flow: {type(flow).__name__}",
            allowed=[f"flow={name}" for name in choices],
            hint="of your own: a class whose instances are called with two frames, and have describe() and reads",
        )  # fmt: skip
    elif getattr(flow, "reads", None) not in READS:
        raise UserError(
            "a flow estimator declares which frames it reads", got=f"reads = {getattr(flow, 'reads', 'nothing')!r}",
            allowed=[f"reads = {one!r}" for one in READS],
            hint=f"{type(flow).__name__}.reads = {READS[0]!r} for grey frames (H, W), {READS[1]!r} for (H, W, 3)",
        )  # fmt: skip


def other_version(described: Mapping[str, Any], here: str = cv2.__version__) -> str | None:
    """The version of OpenCV that computed a store's flow, where the fields of `here` differ from it; else None.

    `described`: an estimator's `describe()`.
    """
    version = described.get("opencv")
    alike = described.get("method") == "farneback" or (
        described.get("method") == "dis" and not described.get("refinements")
    )
    return None if version in (None, here) or alike else str(version)


def gray(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BT.601 luma of (…, H, W, 3), as OpenCV computes it."""
    *lead, height, width, _ = rgb.shape
    tall = np.ascontiguousarray(rgb).reshape(-1, width, 3)
    return np.asarray(cv2.cvtColor(tall, cv2.COLOR_RGB2GRAY), dtype=np.uint8).reshape(*lead, height, width)


def seen(estimator: Estimator, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB frames (…, H, W, 3) as an estimator reads them."""
    return rgb if estimator.reads == RGB else gray(rgb)


def fields(estimator: Estimator, frames: NDArray[np.uint8], *, backward: bool = False) -> Iterator[NDArray[np.float32]]:
    """The T − 1 fields (2, H, W) of RGB frames (T, H, W, 3).

    Field k leads from frame k to frame k + 1: its vectors stand at the pixels of frame k. `backward`: from frame k + 1
    to frame k, at the pixels of frame k + 1.
    """
    for previous, following in itertools.pairwise(seen(estimator, frames)):
        yield estimator(following, previous) if backward else estimator(previous, following)


@dataclass(frozen=True)
class Dis:
    """Dense inverse search (Kroeger et al. 2016). The numbers are OpenCV's, whose presets are

                  finest_scale  patch_size  patch_stride  iterations  refinements
    ULTRAFAST     2             8           4             12          0
    FAST          2             8           4             16          5
    MEDIUM        1             8           3             25          5
    """

    finest_scale: int = 0  # 0: the full resolution is searched too; a disc of 4 px is nothing at half
    patch_size: int = 6
    patch_stride: int = 3
    iterations: int = 16  # of gradient descent, per patch
    refinements: int = 0  # variational; they smooth small movers away and double the time

    reads: ClassVar[str] = LUMA

    def __post_init__(self) -> None:
        at_least(self, finest_scale=0, patch_size=1, patch_stride=1, iterations=1, refinements=0)

    def __call__(self, previous: Gray, following: Gray) -> NDArray[np.float32]:
        dis = _solver_of(self, threading.get_ident())
        with one_thread(previous):
            return planes(dis.calc(previous, following, None))

    def describe(self) -> dict[str, Any]:
        return {"method": "dis", **asdict(self), "opencv": cv2.__version__}


@lru_cache(maxsize=8)
def _solver_of(numbers: Dis, thread: int) -> Any:
    """OpenCV's solver with these numbers, for one thread; from pair to pair it keeps its memory and nothing else."""
    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    dis.setFinestScale(numbers.finest_scale)
    dis.setPatchSize(numbers.patch_size)
    dis.setPatchStride(numbers.patch_stride)
    dis.setGradientDescentIterations(numbers.iterations)
    dis.setVariationalRefinementIterations(numbers.refinements)
    return dis


@dataclass(frozen=True)
class Farneback:
    """Polynomial expansion (Farnebäck 2003), with windows small enough for small movers."""

    window: int = 5
    levels: int = 1  # of a pyramid that halves; 1: the full resolution alone
    iterations: int = 3
    poly_n: int = 5
    poly_sigma: float = 1.1

    reads: ClassVar[str] = LUMA

    def __post_init__(self) -> None:
        at_least(self, window=1, levels=1, iterations=1, poly_n=1)
        above_zero(self, "poly_sigma")

    def __call__(self, previous: Gray, following: Gray) -> NDArray[np.float32]:
        numbers = (0.5, self.levels, self.window, self.iterations, self.poly_n, self.poly_sigma, 0)
        farneback: Any = cv2.calcOpticalFlowFarneback  # its stub forbids None for "no initial flow"
        with one_thread(previous):
            return planes(farneback(previous, following, None, *numbers))

    def describe(self) -> dict[str, Any]:
        return {"method": "farneback", **asdict(self), "opencv": cv2.__version__}


def at_least(estimator: Estimator, **least: int) -> None:
    """Refuse values that are not whole numbers, or too small: OpenCV would report them late, or not at all."""
    for name, lowest in least.items():
        value = getattr(estimator, name)
        if type(value) is not int or value < lowest:
            raise UserError(
                f"{name} of {type(estimator).__name__} is a whole number", got=f"data.store.flow.{name}={value}",
                allowed=[f"{lowest}, {lowest + 1}, …"],
            )  # fmt: skip


def above_zero(estimator: Estimator, *names: str) -> None:
    """Refuse values that are not numbers above zero."""
    for name in names:
        value = getattr(estimator, name)
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise UserError(
                f"{name} of {type(estimator).__name__} is a number above zero", got=f"data.store.flow.{name}={value}"
            )


def planes(flow: Any) -> NDArray[np.float32]:
    """OpenCV's (H, W, 2) as (2, H, W)."""
    return np.ascontiguousarray(np.moveaxis(np.asarray(flow, dtype=np.float32), 2, 0))


@contextlib.contextmanager
def one_thread(picture: Gray) -> Iterator[None]:
    """OpenCV on one thread; its errors about frames of this size become a `UserError`."""
    threads = cv2.getNumThreads()
    if threads != 1:
        cv2.setNumThreads(1)
    try:
        yield
    except cv2.error as error:
        size = f"{picture.shape[1]}×{picture.shape[0]} frames"
        raise UserError("no optical flow for these frames (are they too small?)", got=size) from error
    finally:
        if threads != 1:
            cv2.setNumThreads(threads)
