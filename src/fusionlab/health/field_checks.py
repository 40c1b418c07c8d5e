"""One walk through a packed store: every byte against its digest, every field for something in it, and of some videos
a few pairs of frames against flow that is estimated anew.

A field that has one value everywhere is right where nothing moves, and where all moves alike. So the frames are asked:
it is wrong where their own flow differs from it by more than a pixel in a hundredth of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionlab.errors import UserError
from fusionlab.health.estimates import around
from fusionlab.health.hypotheses import Evidence, evidence, evidence_again
from fusionlab.health.video_checks import TINY
from fusionlab.video.flow import Estimator, gray
from fusionlab.video.flow import fields as estimated
from fusionlab.video.quantise import dequantise
from fusionlab.video.store import Store

WINDOWS, LONG = 3, 6  # of a video: so many runs of so many frames
ASKED = 6  # constant fields of a video whose frames are looked at
AT_ONCE = 32  # fields read by one read
FLAT = 1  # levels; JPEG may move a constant by one


@dataclass(frozen=True)
class Task:
    """Some videos of a store; those in `sampled` are estimated anew."""

    folder: Path
    names: tuple[str, ...]
    sampled: frozenset[str]


@dataclass(frozen=True)
class Again:
    """Some sound videos of a store, and the method that it says it was made by."""

    folder: Path
    names: tuple[str, ...]
    estimator: Estimator


@dataclass(frozen=True)
class Walked:
    """Through one video. `blank`: of `asked` constant fields, so many between frames that move."""

    name: str
    fields: int
    constant: int = 0
    asked: int = 0
    blank: int = 0
    evidence: tuple[Evidence, ...] = ()
    damage: str | None = None


def walk(task: Task) -> Iterator[Walked]:
    """One task of a worker process."""
    store = Store(task.folder)
    for name in task.names:
        yield _walked(store, name, name in task.sampled)


def _walked(store: Store, name: str, sampled: bool) -> Walked:
    video = store.video(name)
    try:
        store.verify_video(name)
        constant = _constant(store, name)
    except UserError as error:
        return Walked(name, video.frames - 1, damage=error.what)
    if min(video.height, video.width) < TINY:  # too small for any estimate
        return Walked(name, video.frames - 1, len(constant))
    asked = constant[:: -(-len(constant) // ASKED)] if constant else []
    blank = sum(_moves(store, name, place) for place in asked)
    skipped = frozenset(constant if blank else ())
    seen = tuple(_compared(store, name, skipped)) if sampled else ()
    return Walked(name, video.frames - 1, len(constant), len(asked), blank, seen)


def _constant(store: Store, name: str) -> list[int]:
    """The fields that have one value for u, and one for v."""
    found, count = [], store.video(name).frames - 1
    for start in range(0, count, AT_ONCE):
        for place, field in enumerate(store.flow(name, start, min(AT_ONCE, count - start)), start):
            if all(int(plane.max()) - int(plane.min()) <= FLAT for plane in field):
                found.append(place)
    return found


def _moves(store: Store, name: str, place: int) -> bool:
    """Do the frames move otherwise than this constant field says?"""
    here = around(gray(store.frames(name, [place, place + 1])))[0].here
    stored = dequantise(np.asarray(store.flow(name, place, 1)[0]), store.bound)
    off = np.hypot(*(here.field - stored))
    return bool(((off > 1) & here.where).sum() > here.where.size / 100)


def _compared(store: Store, name: str, skipped: frozenset[int]) -> Iterator[Evidence]:
    """Pairs in a few places of the video; but in very short ones those that have a neighbour on either side."""
    for start, stop in windows(store.video(name).frames):
        estimates = around(gray(store.frames(name, range(start, stop))))
        inner = _inner(len(estimates))
        for place in inner:
            if start + place not in skipped:
                levels = np.asarray(store.flow(name, start + place, 1)[0])
                yield evidence(name, levels, store.bound, estimates[place])


def walk_again(task: Again) -> Iterator[Walked]:
    """The same pairs, estimated by the method that made the store."""
    store = Store(task.folder)
    for name in task.names:
        video, seen = store.video(name), []
        for start, stop in windows(video.frames):
            fields = list(estimated(task.estimator, store.frames(name, range(start, stop))))
            for place in _inner(len(fields)):
                levels = np.asarray(store.flow(name, start + place, 1)[0])
                seen.append(evidence_again(name, levels, store.bound, fields[place]))
        yield Walked(name, video.frames - 1, evidence=tuple(seen))


def _inner(count: int) -> range:
    """Of so many pairs in sequence those that have a neighbour on either side, or all of very few."""
    return range(1, count - 1) if count > 2 else range(count)


def windows(frames: int) -> Sequence[tuple[int, int]]:
    """(first, behind the last) of runs of frames, spread evenly, none on another.

    >>> windows(100), windows(13), windows(4)
    ([(0, 6), (47, 53), (94, 100)], [(0, 6), (7, 13)], [(0, 4)])
    """
    count = min(WINDOWS, frames // LONG)
    if count < 2:
        first = max(0, (frames - LONG) // 2)
        return [(first, min(frames, first + LONG))]
    return [(start, start + LONG) for start in (round(n * (frames - LONG) / (count - 1)) for n in range(count))]
