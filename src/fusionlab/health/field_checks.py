"""Checks of stored flow: the digest of every byte, constant fields, and flow that is estimated again from frames.

A constant field is right if nothing moves, or if everything moves alike. It is wrong if the flow of its frames differs
from it by more than a pixel in a hundredth of the picture; or, where less moves, if it differs by a few levels in a
quarter as much of the picture as the stored fields before and behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fusionlab.data.processes import Items
from fusionlab.errors import UserError
from fusionlab.health.flow_evidence import (
    FEW,
    SHIFTS,
    Evidence,
    Field,
    estimate_pairs,
    evidence,
    evidence_by_own_method,
)
from fusionlab.health.flow_images import FlowOfVideos
from fusionlab.health.video_checks import TINY
from fusionlab.video.flow import Estimator, gray
from fusionlab.video.flow import fields as estimated
from fusionlab.video.quantise import dequantise

WINDOWS, LONG = 3, 10  # runs of a video, and frames of each
CUTS = 2  # fields of a run that may be larger than motion makes them
ASKED, CONSIDERED = 6, 60  # constant fields of a video that are compared with their frames; of so many the first
SEEN, SHARE = 3, 0.002  # levels that are motion, and the least part of a picture that moves
AT_ONCE = 32  # fields read by one read
FLAT = 1  # levels; JPEG may change a constant by one


@dataclass(frozen=True)
class CheckTask:
    """Some videos; the flow of those in `sampled` is estimated again."""

    open: Callable[[], FlowOfVideos]  # in the worker
    names: tuple[str, ...]
    sampled: frozenset[str]


@dataclass(frozen=True)
class ReestimateTask:
    """Some sound videos, and the method that made their flow."""

    open: Callable[[], FlowOfVideos]
    names: tuple[str, ...]
    estimator: Estimator


@dataclass(frozen=True)
class CheckedVideo:
    """One video. `blank`: the number of the `asked` constant fields that lie between moving frames.

    `surplus`: images of flow more than its frames allow.
    """

    name: str
    fields: int
    surplus: int = 0
    constant: int = 0
    asked: int = 0
    blank: int = 0
    compared: bool = False
    evidence: tuple[Evidence, ...] = ()
    damage: str | None = None


def _rest(task: CheckTask, count: int) -> CheckTask | None:
    return replace(task, names=task.names[count:]) if task.names[count:] else None


# A video whose file ends or hangs the process is damaged; the others are checked.
VIDEOS = Items(_rest, lambda task, why: CheckedVideo(task.names[0], 0, damage=why))


def check_videos(task: CheckTask) -> Iterator[CheckedVideo]:
    """One task of a worker process: check some videos of a store."""
    store = task.open()
    for name in task.names:
        yield _check_video(store, name, name in task.sampled)


def _check_video(store: FlowOfVideos, name: str, sampled: bool) -> CheckedVideo:
    try:
        video = store.video(name)
    except UserError as error:
        return CheckedVideo(name, 0, damage=_line(error))
    seen = CheckedVideo(name, video.frames - 1, getattr(video, "surplus", 0))
    try:
        store.verify_video(name)
        spread = _spread(store, name)
        constant = [int(place) for place in np.flatnonzero(spread[:, 0] <= FLAT)]
        if min(video.height, video.width) < TINY:  # too small for any estimate
            return replace(seen, constant=len(constant))
        asked = _that_differ(store, name, constant)
        blank = sum(_moves(store, name, place, constant) for place in asked)
        pairs = tuple(_compared(store, name, spread[:, 1], constant if blank else ())) if sampled else ()
    except UserError as error:
        return replace(seen, damage=_line(error))
    return replace(seen, constant=len(constant), asked=len(asked), blank=blank, compared=sampled, evidence=pairs)


def _line(error: UserError) -> str:
    return f"{error.what}: {error.got}" if error.got else error.what


def _spread(store: FlowOfVideos, name: str) -> NDArray[np.float64]:
    """Of each field the range of its levels, and their deviation: the larger one of u and v."""
    values, count = [], store.video(name).frames - 1
    for start in range(0, count, AT_ONCE):
        for field in store.flow(name, start, min(AT_ONCE, count - start)):
            planes = np.asarray(field)
            ranges = planes.max(axis=(1, 2)).astype(int) - planes.min(axis=(1, 2))
            values.append((int(ranges.max()), float(planes[:, ::2, ::2].std(axis=(1, 2)).max())))
    return np.array(values, dtype=np.float64).reshape(-1, 2)


def _that_differ(store: FlowOfVideos, name: str, constant: Sequence[int]) -> list[int]:
    """Of the constant fields some whose two frames differ more than those of most; the largest differences are cuts."""
    some = constant[:: -(-len(constant) // CONSIDERED)] if constant else ()
    differences = {}
    for place in some:
        one, other = gray(store.frames(name, [place, place + 1])).astype(np.int16)
        differences[place] = float(np.abs(one - other).mean())
    more = sorted(some, key=lambda place: -differences[place])[: max(ASKED, len(some) // 2)]
    return sorted(more[:: -(-len(more) // ASKED)]) if more else []


def _moves(store: FlowOfVideos, name: str, place: int, constant: Sequence[int]) -> bool:
    """Whether the frames move differently from this constant field, by much, or as stored flow before and behind."""
    here = estimate_pairs(gray(store.frames(name, [place, place + 1])))[0].here
    off = np.hypot(*(here.field - _pixels(store, name, place)))[here.where]
    if (off > 1).sum() > here.where.size / 100:
        return True
    flat, around = set(constant), []
    for side in (range(place - 1, -1, -1), range(place + 1, store.video(name).frames - 1)):
        around += [next((other for other in side if other not in flat), None)]
    least = max(SEEN * 2 * store.bound / 255, FEW)
    shares = []
    for other in around:
        if other is None:
            return False
        field = _pixels(store, name, other)
        shares.append(float((np.hypot(*(field - np.median(field, axis=(1, 2), keepdims=True))) > least).mean()))
    return float((off > least).sum()) / here.where.size > max(SHARE, min(shares) / 4) and min(shares) > SHARE


def _levels(store: FlowOfVideos, name: str, place: int) -> NDArray[np.uint8]:
    (field,) = store.flow(name, place, 1)
    return np.asarray(field)


def _pixels(store: FlowOfVideos, name: str, place: int) -> Field:
    return np.asarray(dequantise(_levels(store, name, place), store.bound))


def _compared(
    store: FlowOfVideos, name: str, motion: NDArray[np.float64], skipped: Sequence[int]
) -> Iterator[Evidence]:
    """Pairs of frames at a few places of the video, with neighbours on both sides if it is long enough."""
    for start, stop in windows(store.video(name).frames, motion):
        estimates = estimate_pairs(gray(store.frames(name, range(start, stop))))
        for place in pairs_compared(len(estimates)):
            if start + place not in skipped:
                levels = _levels(store, name, start + place)
                yield evidence(name, levels, store.bound, estimates[place])


def reestimate(task: ReestimateTask) -> Iterator[CheckedVideo]:
    """The same pairs, estimated by the method that made the store."""
    store = task.open()
    for name in task.names:
        video, seen = store.video(name), []
        for start, stop in windows(video.frames, _spread(store, name)[:, 1]):
            fields = list(estimated(task.estimator, store.frames(name, range(start, stop))))
            for place in pairs_compared(len(fields)):
                levels = _levels(store, name, start + place)
                seen.append(evidence_by_own_method(name, levels, store.bound, fields[place]))
        yield CheckedVideo(name, video.frames - 1, evidence=tuple(seen))


def pairs_compared(count: int) -> range:
    """The pairs in the middle, three or more where there are so many: they have most neighbours on both sides."""
    ends = min(max(SHIFTS), (count - 3) // 2) if count > 4 else int(count > 2)
    return range(ends, count - ends)


def windows(frames: int, motion: NDArray[np.float64] | None = None) -> Sequence[tuple[int, int]]:
    """(first, behind the last) of runs of frames, without overlap, each in its part of the video.

    `motion` of each field puts a run where its fields move most, without the largest few: these may be cuts.

    >>> windows(100), windows(21), windows(4)
    ([(0, 10), (45, 55), (90, 100)], [(0, 10), (11, 21)], [(0, 4)])
    """
    count = min(WINDOWS, frames // LONG)
    if count < 2:
        first = max(0, (frames - LONG) // 2)
        return [(first, min(frames, first + LONG))]
    if motion is None:
        starts = [round(n * (frames - LONG) / (count - 1)) for n in range(count)]
    else:
        score = np.sort(sliding_window_view(motion, LONG - 1), axis=1)[:, :-CUTS].mean(axis=1)
        parts = np.array_split(np.arange(frames), count)
        choices = [range(part[0], part[-1] + 2 - LONG) for part in parts]
        starts = [max(part, key=lambda start: (score[start], -start)) for part in choices]
    return [(start, start + LONG) for start in starts]
