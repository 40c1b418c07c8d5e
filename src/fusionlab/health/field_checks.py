"""Checks of a packed store: the digest of every byte, constant fields, and flow that is estimated again from frames.

A constant field is right if nothing moves, or if everything moves alike. It is wrong if the flow of its frames differs
from it by more than a pixel in a hundredth of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionlab.errors import UserError
from fusionlab.health.flow_evidence import Evidence, estimate_pairs, evidence, evidence_by_own_method
from fusionlab.health.video_checks import TINY
from fusionlab.video.flow import Estimator, gray
from fusionlab.video.flow import fields as estimated
from fusionlab.video.quantise import dequantise
from fusionlab.video.store import Store

WINDOWS, LONG = 3, 6  # runs of a video, and frames of each
ASKED = 6  # constant fields of a video that are compared with their frames
AT_ONCE = 32  # fields read by one read
FLAT = 1  # levels; JPEG may change a constant by one


@dataclass(frozen=True)
class CheckTask:
    """Some videos of a store; the flow of those in `sampled` is estimated again."""

    folder: Path
    names: tuple[str, ...]
    sampled: frozenset[str]


@dataclass(frozen=True)
class ReestimateTask:
    """Some sound videos of a store, and the method that made it."""

    folder: Path
    names: tuple[str, ...]
    estimator: Estimator


@dataclass(frozen=True)
class CheckedVideo:
    """One video. `blank`: the number of the `asked` constant fields that lie between moving frames."""

    name: str
    fields: int
    constant: int = 0
    asked: int = 0
    blank: int = 0
    evidence: tuple[Evidence, ...] = ()
    damage: str | None = None


def check_videos(task: CheckTask) -> Iterator[CheckedVideo]:
    """One task of a worker process: check some videos of a store."""
    store = Store(task.folder)
    for name in task.names:
        yield _check_video(store, name, name in task.sampled)


def _check_video(store: Store, name: str, sampled: bool) -> CheckedVideo:
    video = store.video(name)
    try:
        store.verify_video(name)
        constant = _constant(store, name)
    except UserError as error:
        return CheckedVideo(name, video.frames - 1, damage=error.what)
    if min(video.height, video.width) < TINY:  # too small for any estimate
        return CheckedVideo(name, video.frames - 1, len(constant))
    asked = constant[:: -(-len(constant) // ASKED)] if constant else []
    blank = sum(_moves(store, name, place) for place in asked)
    skipped = frozenset(constant if blank else ())
    seen = tuple(_compared(store, name, skipped)) if sampled else ()
    return CheckedVideo(name, video.frames - 1, len(constant), len(asked), blank, seen)


def _constant(store: Store, name: str) -> list[int]:
    """The fields in which u has one value, and v has one value."""
    places, count = [], store.video(name).frames - 1
    for start in range(0, count, AT_ONCE):
        for place, field in enumerate(store.flow(name, start, min(AT_ONCE, count - start)), start):
            if all(int(plane.max()) - int(plane.min()) <= FLAT for plane in field):
                places.append(place)
    return places


def _moves(store: Store, name: str, place: int) -> bool:
    """Whether the frames move differently from this constant field."""
    here = estimate_pairs(gray(store.frames(name, [place, place + 1])))[0].here
    stored = dequantise(np.asarray(store.flow(name, place, 1)[0]), store.bound)
    off = np.hypot(*(here.field - stored))
    return bool(((off > 1) & here.where).sum() > here.where.size / 100)


def _compared(store: Store, name: str, skipped: frozenset[int]) -> Iterator[Evidence]:
    """Pairs of frames at a few places of the video, with neighbours on both sides if it is long enough."""
    for start, stop in windows(store.video(name).frames):
        estimates = estimate_pairs(gray(store.frames(name, range(start, stop))))
        inner = _inner(len(estimates))
        for place in inner:
            if start + place not in skipped:
                levels = np.asarray(store.flow(name, start + place, 1)[0])
                yield evidence(name, levels, store.bound, estimates[place])


def reestimate(task: ReestimateTask) -> Iterator[CheckedVideo]:
    """The same pairs, estimated by the method that made the store."""
    store = Store(task.folder)
    for name in task.names:
        video, seen = store.video(name), []
        for start, stop in windows(video.frames):
            fields = list(estimated(task.estimator, store.frames(name, range(start, stop))))
            for place in _inner(len(fields)):
                levels = np.asarray(store.flow(name, start + place, 1)[0])
                seen.append(evidence_by_own_method(name, levels, store.bound, fields[place]))
        yield CheckedVideo(name, video.frames - 1, evidence=tuple(seen))


def _inner(count: int) -> range:
    """The pairs with neighbours on both sides; all pairs if there are one or two."""
    return range(1, count - 1) if count > 2 else range(count)


def windows(frames: int) -> Sequence[tuple[int, int]]:
    """(first, behind the last) of runs of frames, spread evenly, without overlap.

    >>> windows(100), windows(13), windows(4)
    ([(0, 6), (47, 53), (94, 100)], [(0, 6), (7, 13)], [(0, 4)])
    """
    count = min(WINDOWS, frames // LONG)
    if count < 2:
        first = max(0, (frames - LONG) // 2)
        return [(first, min(frames, first + LONG))]
    return [(start, start + LONG) for start in (round(n * (frames - LONG) / (count - 1)) for n in range(count))]
