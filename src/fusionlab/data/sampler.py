"""Samplers: batches as a function of (seed, epoch, step).

    order(pass)  = permutation of 0 … n − 1, drawn from key("order", seed, pass)
    batch(step)  = b videos from place b (step mod S) on of the P orders of epoch step div S, one after the other;
                   an epoch has P passes over the list and S = P n div b steps

The position depends on the step alone, so that an interrupted training resumes with the same batches, whatever the
loaders had prefetched. The P n mod b videos that an epoch leaves out can be drawn in the next one.

With draws=classes there is no order: row r of a step is draw number q = step · b + r, of a class and then of one of its
videos, each uniform, from key("draw", seed, q). Its sample has the key (q, index), so that a video that is drawn twice
has two different views.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice

import numpy as np

from fusionlab.records.draws import key

Shape = tuple[int, int, int]  # T, height and width of a view
Key = tuple[int, int]  # (pass or draw, index) of a training sample; (view, index) of a test sample
LIST, CLASSES = "list", "classes"
DRAWS = (LIST, CLASSES)


def order(n: int, seed: int, number: int) -> list[int]:
    """The videos of a pass, in the order drawn for it."""
    draw = np.random.Generator(np.random.Philox(key=key("order", seed, number)))
    return [int(index) for index in draw.permutation(n)]


def listed(n: int, seed: int, place: int) -> Iterator[Key]:
    """The keys of the list's passes, one after the other without an end, from a place on."""
    done, place = divmod(place, n)
    for number in count(done):
        yield from ((number, index) for index in order(n, seed, number)[place:])
        place = 0


def drawn(labels: Sequence[int], seed: int, first: int) -> Iterator[Key]:
    """The keys of the draws by classes, without an end, from number `first` on."""
    of: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        of.setdefault(label, []).append(index)
    videos = [of[label] for label in sorted(of)]  # of each class that has any
    for number in count(first):
        draw = np.random.Generator(np.random.Philox(key=key("draw", seed, number)))
        own = videos[int(draw.integers(len(videos)))]
        yield number, own[int(draw.integers(len(own)))]


def steps_of_epoch(n: int, batch_size: int, passes: int = 1) -> int:
    """P n div b, where a batch holds no more than the list."""
    return passes * n // min(batch_size, max(n, 1))


class StepSampler:
    """The batches that remain of the epoch in which step `start_step` lies, as lists of keys.

    `labels`: of the videos, to draw by classes; None: the videos come in the order of the list's permutations.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        *,
        passes: int = 1,
        labels: Sequence[int] | None = None,
    ) -> None:
        assert n >= 0 and batch_size > 0 and start_step >= 0 and passes > 0
        self.n, self.batch_size, self.seed, self.start_step = n, min(batch_size, max(n, 1)), seed, start_step
        self.passes, self.steps_per_epoch, self.labels = passes, steps_of_epoch(n, batch_size, passes), labels

    def __len__(self) -> int:
        steps = self.steps_per_epoch
        return steps - self.start_step % steps if steps else 0

    def __iter__(self) -> Iterator[list[Key]]:
        if not self.steps_per_epoch:
            return iter(())
        epoch, step = divmod(self.start_step, self.steps_per_epoch)
        first = epoch * self.passes * self.n + step * self.batch_size  # an epoch may leave some videos out
        keys = listed(self.n, self.seed, first)
        if self.labels is not None:
            keys = drawn(self.labels, self.seed, self.start_step * self.batch_size)
        return (list(islice(keys, self.batch_size)) for _ in range(len(self)))


class RoundSampler:
    """The batches of a second list from step `start_step` on, without an end, beside those of the first list.

        row r of step s = place q mod n of order q div n,  q = s b + r

    After its end the list starts again. Each batch has as many rows as the first list's.
    """

    def __init__(
        self, n: int, rows: int, seed: int, start_step: int = 0, *, labels: Sequence[int] | None = None
    ) -> None:
        assert n > 0 and rows > 0 and start_step >= 0
        self.n, self.rows, self.seed, self.start_step, self.labels = n, rows, seed, start_step, labels

    def __iter__(self) -> Iterator[list[Key]]:
        first = self.start_step * self.rows
        keys = listed(self.n, self.seed, first) if self.labels is None else drawn(self.labels, self.seed, first)
        while True:
            yield list(islice(keys, self.rows))


class ViewSampler:
    """Every view of every video once, a video's views side by side, as lists of (view, index).

    `shapes`: T, height and width of each video's views, where they differ. A batch then has views of one shape: shapes
    come in the order of their first videos, the videos of a shape in the order of the list. Of views longer than
    `snippets` a batch has no more frames than `batch_size` clips of that length, but one view at least.
    """

    def __init__(
        self, n: int, views: int, batch_size: int, shapes: Sequence[Shape] | None = None, snippets: int = 1
    ) -> None:
        assert shapes is None or len(shapes) == n
        alike: dict[Shape, list[Key]] = {}
        for index in range(n):
            shape = (snippets, 0, 0) if shapes is None else shapes[index]
            alike.setdefault(shape, []).extend((view, index) for view in range(views))
        self.batches = []
        for (length, _, _), keys in alike.items():
            rows = max(1, min(batch_size, batch_size * snippets // length))
            self.batches += [keys[first : first + rows] for first in range(0, len(keys), rows)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.batches)
