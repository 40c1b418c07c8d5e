"""Samplers: batches as a function of (seed, epoch, step).

    order(epoch) = permutation of 0 … n − 1, drawn from key("order", seed, epoch)
    batch(step)  = b videos of order(step div S), from place b (step mod S) on;  S = n div b steps an epoch

The position depends on the step alone, so that an interrupted training resumes with the same batches, whatever the
loaders had prefetched. The n mod b videos that an epoch leaves out can be drawn in the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fusionlab.records.draws import key

Shape = tuple[int, int, int]  # T, height and width of a view
Key = tuple[int, int]  # (epoch, index) of a training sample; (view, index) of a test sample


def order(n: int, seed: int, epoch: int) -> list[int]:
    """The videos of an epoch, in the order drawn for it."""
    drawn = np.random.Generator(np.random.Philox(key=key("order", seed, epoch)))
    return [int(index) for index in drawn.permutation(n)]


class StepSampler:
    """The batches that remain of the epoch in which step `start_step` lies, as lists of (epoch, index)."""

    def __init__(self, n: int, batch_size: int, seed: int, start_step: int = 0) -> None:
        assert n >= 0 and batch_size > 0 and start_step >= 0
        self.n, self.batch_size, self.seed, self.start_step = n, min(batch_size, max(n, 1)), seed, start_step

    @property
    def steps_per_epoch(self) -> int:
        return self.n // self.batch_size

    def __len__(self) -> int:
        steps = self.steps_per_epoch
        return steps - self.start_step % steps if steps else 0

    def __iter__(self) -> Iterator[list[Key]]:
        if not self.n:
            return
        epoch, first = divmod(self.start_step, self.steps_per_epoch)
        indices = order(self.n, self.seed, epoch)
        for step in range(first, self.steps_per_epoch):
            batch = indices[step * self.batch_size : (step + 1) * self.batch_size]
            yield [(epoch, index) for index in batch]


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
