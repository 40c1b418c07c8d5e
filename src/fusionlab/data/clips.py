"""Times of a clip: centres of snippets in a video, and the window of flow around a centre.

Video frames are 0 … F − 1; field k leads from frame k to frame k + 1, so there are F − 1. The window of L
fields around frame t has the offsets −L/2 … L/2 − 1:  fields t − L/2 … t + L/2 − 1. It lies in the video for

    t = L/2 … F − 1 − L/2                (1-based, L = 10: t from 6 to F − 5, as released)

A clip is T snippets at centres t₀, t₀ + τ, …, or one in each of T equal segments of the video. All functions here are
pure: of lengths, and of a generator where something is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
FINE = 2**32  # places of a segment between which a draw chooses


@dataclass(frozen=True)
class FieldWindow:
    """`count` fields from `start` on; the first is repeated `front` times, the last `back` times."""

    start: int
    count: int
    front: int = 0
    back: int = 0

    @property
    def places(self) -> list[int]:
        """The numbers of all fields, in order."""
        last = self.start + self.count - 1
        return [self.start] * self.front + list(range(self.start, last + 1)) + [last] * self.back


def valid_centres(frames: int, fields: int) -> tuple[int, int]:
    """First and last frame whose window lies within the video; the middle frame where there is none."""
    first, last = fields // 2, frames - 1 - (fields - fields // 2)
    return (first, last) if first <= last else ((frames - 1) // 2, (frames - 1) // 2)


def window(centre: int, frames: int, fields: int) -> FieldWindow:
    """The fields around a centre; outside the video its first or last field is repeated."""
    assert 0 <= centre < frames
    return between(centre - fields // 2, centre + fields - fields // 2, frames)


def between(first: int, end: int, frames: int) -> FieldWindow:
    """Fields `first` … `end` − 1; outside the video its first or last field is repeated."""
    assert frames >= 2
    fields = end - first
    start, stop = max(first, 0), min(end, frames - 1)
    if start >= stop:  # all of it lies outside: one field at the end that is nearer
        start = min(max(first, 0), frames - 2)
        stop = start + 1
    # Before and after are counted so that they always add up to `fields`.
    front = min(max(start - first, 0), fields - (stop - start))
    return FieldWindow(start, stop - start, front, fields - (stop - start) - front)


def at_stride(frames: int, snippets: int, fields: int, stride: int, start: float) -> Times:
    """T centres τ apart; `start` in 0 … 1 chooses one of the possible starts.

    In a short video τ shrinks until the centres fit. If even τ = 1 is too long, the first and last centre are repeated.
    """
    earliest, starts = _earliest(frames, snippets, fields, stride)
    return earliest + min(int(start * starts), starts - 1)


def nth(frames: int, snippets: int, fields: int, stride: int, number: int, of: int) -> Times:
    """Testing: clip `number` of `of`, τ apart.

    Their starts are spread evenly from the first to the last possible one; in a short video some are equal. For still
    shorter videos see `at_stride`.
    """
    assert 0 <= number < of and of > 1
    earliest, starts = _earliest(frames, snippets, fields, stride)
    return earliest + number * (starts - 1) // (of - 1)


def _earliest(frames: int, snippets: int, fields: int, stride: int) -> tuple[Times, int]:
    """The first possible clip of a video, and the number of possible starts, a frame apart."""
    first, last = valid_centres(frames, fields)
    places = last - first + 1
    if places < snippets:
        return first + np.clip(np.arange(snippets) - (snippets - places) // 2, 0, places - 1), 1
    if snippets > 1:
        stride = max(1, min(stride, (places - 1) // (snippets - 1)))
    return first + stride * np.arange(snippets), places - (snippets - 1) * stride


def drawn(frames: int, snippets: int, fields: int, stride: tuple[int, int], draw: np.random.Generator) -> Times:
    """Training: τ uniform over low … high, then the start, uniform over all possible ones. Always two draws."""
    low, high = stride
    tau = int(draw.integers(low, high + 1))
    return at_stride(frames, snippets, fields, tau, draw.random())


def in_segments(frames: int, snippets: int, fields: int, part: Times | int, of: int) -> Times:
    """t_k = first + ⌊(k + part_k / of) · P / T⌋ for k = 0 … T − 1: a centre in each of T equal segments of P places.

    In a video with fewer than T places some centres are equal.
    """
    first, last = valid_centres(frames, fields)
    return first + (np.arange(snippets) * of + part) * (last - first + 1) // (of * snippets)


def drawn_in_segments(frames: int, snippets: int, fields: int, draw: np.random.Generator) -> Times:
    """Training: a centre in each segment, uniform over it. Always T draws."""
    return in_segments(frames, snippets, fields, draw.integers(0, FINE, snippets), FINE)


def whole_video(frames: int, fields: int, stride: int) -> Times:
    """Testing: every τ-th centre from the first valid one to the last."""
    first, last = valid_centres(frames, fields)
    return np.arange(first, last + 1, stride)


def even(frames: int, snippets: int, fields: int) -> Times:
    """Testing: T centres spread evenly from the first valid one to the last; one alone in the middle."""
    first, last = valid_centres(frames, fields)
    if snippets == 1:
        return np.array([(first + last) // 2])
    steps = np.arange(snippets) * (last - first)
    return first + steps // (snippets - 1)
