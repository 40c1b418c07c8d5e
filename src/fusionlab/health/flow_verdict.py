"""The verdict about stored flow: pairs of frames vote for a hypothesis.

    stored        =  scale · hypothesis + zero
    disagreement  =  Σ |f − h| / Σ (|f| + |h|)        f = (stored − zero) / scale, h the hypothesis, over what moves

A disagreement is 0 if both are equal and 1 if they are opposite; a right angle gives 0.7, half of a length 1/3. The
zero is measured where nothing moves, the scale where something moves; both are medians. An error is in all of a store,
so that many pairs vote. Pairs that do not distinguish the hypotheses do not vote: uniform motion to the right does not
show a mirror, and steady motion does not show a delay of one frame. A hypothesis is accepted instead of `right` only if
it wins nearly everywhere, by a wide margin, and fits.

The bounds of `unlike` follow from sound flow: `python -m fusionlab.bench rows=doctor` measures it on real clips, by DIS
and Farneback, and experiments/bench holds the figures. Disagreement with `right`, the median over pairs:

    sound sets      0.02 … 0.21, so that a set is unlike from 0.45 on: twice the largest
    sound videos    0.01 … 0.38, so that a video is unlike from 0.6 on: half as much again as the largest
    other frames    0.7 and more
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fusionlab.health.flow_evidence import HYPOTHESES, RIGHT, SOURCES, Evidence, Symmetry, Vectors

MOVES = 0.5  # pixels a frame
STILL = 0.25
LEAST = 40  # places in a pair, for it to have a vote
CONTRAST = 0.1  # least disagreement of a hypothesis with `right` in a pair that distinguishes them
EQUAL, NEAR = 0.01, 0.03  # differences of disagreement between hypotheses that fit equally, or nearly as well
MISFIT = 0.5  # disagreement above which a hypothesis does not fit
SCALES = (0.05, 20.0)  # the range of a scale
WRONG_SCALE = 1.25  # or its inverse; the papers' bounds differ by more

NAMES = tuple(HYPOTHESES)  # `right` first
Scale = tuple[float, float, float]  # of slow, middling and fast pixels


@dataclass(frozen=True)
class Strictness:
    """The conditions to accept a hypothesis."""

    pairs: int  # that distinguish it from `right`
    wins: float  # the part of them in which the hypothesis is nearer
    ratio: float  # of its disagreement to that of `right`
    margin: float  # by which it is nearer
    unlike: float  # disagreement with `right` above which flow is of other frames
    clears: int  # pairs that distinguish it from `right`, for it to be excluded


OF_SET = Strictness(pairs=6, wins=0.8, ratio=0.7, margin=0.05, unlike=0.45, clears=6)
OF_VIDEO = Strictness(pairs=3, wins=1.0, ratio=0.5, margin=0.15, unlike=0.6, clears=1)  # a few pairs, alike
AS_OTHERS = replace(OF_VIDEO, pairs=1)  # of a fault that other videos of the set have


@dataclass(frozen=True)
class Verdict:
    """The accepted hypothesis, with its measurements.

    `holds`: the hypothesis, or None if none fits. `judged`: the hypotheses that the pairs can distinguish. `excluded`:
    those from which they are farther than from `right`.
    """

    holds: str | None = RIGHT
    rival: str | None = None  # another one that fits nearly as well
    disagreement: float | None = None  # of the accepted hypothesis
    of_right: float | None = None
    pairs: int = 0  # in which something moves
    judged: tuple[str, ...] = ()
    excluded: frozenset[str] = frozenset()
    zero: tuple[float, float] | None = None  # pixels, of u and v; None: not enough is still
    scale: Scale | None = None
    votes: dict[str, tuple[int, int]] = field(default_factory=dict)  # hypothesis -> (won, of)

    @property
    def stretch(self) -> float:
        """The scale if it is wrong in the same way at all speeds, else 1: methods differ at some speeds only."""
        if self.scale is None:
            return 1.0
        nearest = min(self.scale, key=lambda one: abs(np.log(one)))
        same_side = min(self.scale) > 1 or max(self.scale) < 1
        return float(np.median(self.scale)) if same_side and abs(np.log(nearest)) > np.log(WRONG_SCALE) else 1.0

    def offset(self, bound: float) -> tuple[float, float]:
        """The zero of each component if it is wrong, else 0: rounding moves it by half a level."""
        least = max(1.5 * 2 * bound / 255, 0.1)
        u, v = self.zero or (0.0, 0.0)
        return (u if abs(u) > least else 0.0), (v if abs(v) > least else 0.0)


def verdict(seen: Sequence[Evidence], how: Strictness = OF_SET, among: Collection[str] = HYPOTHESES.keys()) -> Verdict:
    """The verdict of all evidence together, among these hypotheses and `right`."""
    zero = _zero(seen, how)
    shift = np.array(zero or (0.0, 0.0), dtype=np.float32)[:, None]
    d, tells = _votes(seen, shift)
    right = d[:, 0]
    judged, excluded, votes = [], set(), {}
    accepted: list[tuple[float, str]] = []
    for at, name in enumerate(NAMES[1:], 1):
        tell = tells[:, at] & ~np.isnan(d[:, at]) & ~np.isnan(right)
        mine, its = d[tell, at], right[tell]
        if len(mine) >= how.clears and (its < mine).mean() >= OF_SET.wins:
            excluded.add(name)
        if name not in among or len(mine) < how.pairs:
            continue
        judged.append(name)
        votes[name] = int((mine < its).sum()), int(tell.sum())
        m, r = float(np.median(mine)), float(np.median(its))
        nearer = m < how.ratio * r and r - m > how.margin and m < MISFIT
        if nearer and (mine < its).mean() >= how.wins:
            accepted.append((_median(d[:, at]), name))
    pairs = int((~np.isnan(right)).sum())
    both = ~np.isnan(d[:, [NAMES.index(name) for _, name in accepted]]).any(axis=1)
    if both.sum() >= how.pairs:  # the same pairs for all that are accepted
        accepted = [(_median(d[both, NAMES.index(name)]), name) for _, name in accepted]
    nearest = min(accepted)[0] if accepted else 0.0
    # Of hypotheses that fit equally well the simplest counts: it is the first one in `accepted`.
    holds: str | None = next((name for d, name in accepted if d <= nearest + EQUAL), RIGHT)
    of_right = _median(right) if pairs else None
    if not accepted and pairs >= how.pairs and of_right is not None and of_right > how.unlike:
        holds = None
    rivals = [name for d, name in accepted if name != holds and d <= nearest + NEAR]
    return Verdict(
        holds, rivals[0] if rivals else None, nearest if accepted else of_right, of_right, pairs,
        tuple(judged), frozenset(excluded), zero, None if holds is None else _scale(holds, seen, shift, how), votes,
    )  # fmt: skip


def _votes(seen: Sequence[Evidence], zero: Vectors) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Of each pair and hypothesis: the disagreement of stored flow with it, NaN where unknown, and whether it tells.

    A pair tells where the hypothesis disagrees with `right`; where nothing moves `d` is NaN, and tells nothing.
    """
    d = np.full((len(seen), len(NAMES)), np.nan)
    tells = np.zeros((len(seen), len(NAMES)), dtype=bool)
    for source in SOURCES:
        columns = [at for at, name in enumerate(NAMES) if HYPOTHESES[name].source == source]
        changes = [HYPOTHESES[NAMES[at]].vectors for at in columns]
        ratios = [_ratio(one, source.name, zero, MOVES)[0] for one in seen]
        pooled = np.concatenate(ratios) if ratios else np.empty(0)
        scale = float(np.clip(np.median(pooled), *SCALES)) if len(pooled) >= LEAST else 1.0
        for row, one in enumerate(seen):
            if source in one.estimates:
                vectors, trusted = one.of(source.name)
                usual, usually = one.right
                least = max(MOVES, 1.5 * one.step / scale)  # rounding alone is not motion, at any scale
                d[row, columns] = disagreements((one.stored - zero) / scale, vectors, changes, trusted, least)
                # NaN: they move at different places, and so differ.
                tells[row, columns] = ~(disagreements(usual, vectors, changes, trusted & usually) < CONTRAST)
    return d, tells


def disagreements(
    one: Vectors, other: Vectors, changes: Sequence[Symmetry], trusted: NDArray[np.bool_], least: float = MOVES
) -> NDArray[np.float64]:
    """0 … 1 of `one` with each change of `other`, where `one` moves by more than `least`; NaN if that is too little."""
    a, b = np.hypot(*one), np.hypot(*other)
    moving = trusted & ((a > least) | (b > MOVES))
    if moving.sum() < LEAST:
        return np.full(len(changes), np.nan)
    one, other, whole = one[:, moving], other[:, moving], (a + b)[moving].sum()
    return np.array([np.hypot(*(one - change.of_vectors(other))).sum() / whole for change in changes])


def _ratio(one: Evidence, name: str, zero: Vectors, least: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Stored length over the hypothesis's length, and the latter, at the places that move."""
    if HYPOTHESES[name].source not in one.estimates:
        return np.empty(0, np.float32), np.empty(0, np.float32)
    vectors, trusted = one.of(name)
    speed = np.hypot(*vectors)
    moving = trusted & (speed > least)
    if moving.sum() < LEAST:
        return np.empty(0, np.float32), np.empty(0, np.float32)
    return (np.hypot(*(one.stored - zero)) / np.maximum(speed, 1e-6))[moving], speed[moving]


def verdict_by_own_method(seen: Sequence[Evidence]) -> Verdict:
    """The scale alone, from estimates by the method that made the store.

    These differ from stored flow only by rounding and the errors of a lossy codec, so that slow places count too, down
    to a few levels.
    """
    shift = np.zeros((2, 1), dtype=np.float32)
    least = max([STILL, *(3 * one.step for one in seen)])
    return Verdict(scale=_scale(RIGHT, seen, shift, OF_SET, least))


def _scale(
    name: str, seen: Sequence[Evidence], zero: Vectors, how: Strictness, least: float = 2 * MOVES
) -> Scale | None:
    """Medians over the slow, middling and fast third of the places that move by more than `least` pixels."""
    pairs = [_ratio(one, name, zero, least) for one in seen]
    if sum(len(ratio) > 0 for ratio, _ in pairs) < how.pairs:
        return None
    ratio, speed = (np.concatenate(both) for both in zip(*pairs, strict=True))
    thirds = np.array_split(np.argsort(speed, kind="stable"), 3)
    slow, middling, fast = (float(np.median(ratio[third])) for third in thirds)
    return slow, middling, fast


def _zero(seen: Sequence[Evidence], how: Strictness) -> tuple[float, float] | None:
    """The stored value where nothing moves, from pairs in which a third of the trusted places is still."""
    zeros = []
    for one in seen:
        vectors, trusted = one.right
        still = trusted & (np.hypot(*vectors) < STILL)
        if still.sum() >= max(LEAST, trusted.sum() / 3):
            zeros.append(np.median((one.stored - vectors)[:, still], axis=1))
    if len(zeros) < how.pairs:
        return None
    every = np.stack(zeros)
    middle = np.median(every, axis=0)
    agree = (every * np.sign(middle) > np.abs(middle) / 2).mean(axis=0) >= how.wins
    u, v = (float(m) if a else 0.0 for m, a in zip(middle, agree, strict=True))
    return u, v


def _median(d: NDArray[np.float64]) -> float:
    return float(np.nanmedian(d))
