"""Batches for two streams, read from a packed store by key.

Loader workers import this module and not Lightning, so that they start quickly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from fusionlab.data.dataset import Entry
from fusionlab.data.pairs import Partners
from fusionlab.data.sampler import Key, Shape
from fusionlab.data.views import Sampling, View, read_flow, read_frames, testing_view, training_view
from fusionlab.video.store import Store

Batch = dict[str, torch.Tensor]
SECOND = "second."  # before the names of a second data set's tensors, in the batches of two tasks


class Clips(TorchDataset[Batch]):
    """Batches by their keys: (epoch, index) in training, (view, index) in testing.

    A sample is a function of its key alone, not of the rest of its batch. Views of whole frames have the sizes of their
    videos, views of whole videos their lengths, and a batch has one shape (see `sampler`).
    """

    def __init__(
        self,
        store: Store,
        entries: Sequence[Entry],
        how: Sampling,
        streams: Sequence[str],
        seed: int | None,
        partners: Partners | None = None,
    ) -> None:
        self.store, self.entries, self.how, self.streams = store, list(entries), how, tuple(streams)
        self.seed = seed  # None: test views
        self.partners = partners  # None: each clip has its own flow

    def __len__(self) -> int:
        return len(self.entries)

    def shapes(self) -> list[Shape] | None:
        """T, height and width of each video's views where they differ; None: all are T snippets of one square."""
        if self.seed is not None or self.how.one_shape:
            return None
        return [self.view((0, index)).shape for index in range(len(self.entries))]

    def view(self, key: Key) -> View:
        """The view that a key stands for."""
        return self._view(self.entries[key[1]][0], key)

    def flow(self, key: Key) -> tuple[str, View]:
        """The video whose flow belongs to a key, and its view."""
        name, place = (self.entries[key[1]][0], key[1]) if self.partners is None else self.partners.of(*key)
        return name, self._view(name, (key[0], place))

    def _view(self, name: str, key: Key) -> View:
        first, index = key
        video = self.store.video(name)
        shape = (video.frames, video.height, video.width)
        if self.seed is None:
            return testing_view(*shape, self.how, first, name)
        return training_view(*shape, self.how, self.seed, first, index)

    def __getitems__(self, keys: list[Key]) -> Batch:
        """A whole batch: pixels go directly from the store to their place in it."""
        how, views = self.how, [self.view(key) for key in keys]
        shown = [(self.entries[index][0], view) for (_, index), view in zip(keys, views, strict=True)]
        flows = shown if self.partners is None else [self.flow(key) for key in keys]
        (shape,) = {view.shape for view in views}
        channels = {"appearance": 3, "motion": 2 * how.fields}
        pixels = {s: np.empty((len(keys), channels[s], *shape), dtype=np.uint8) for s in self.streams}
        for row, (frames, flow) in enumerate(zip(shown, flows, strict=True)):
            if "appearance" in pixels:
                read_frames(self.store, *frames, pixels["appearance"][row], how.delay)
            if "motion" in pixels:
                read_flow(self.store, *flow, how, pixels["motion"][row])
        batch = {stream: torch.from_numpy(values) for stream, values in pixels.items()}
        batch["label"] = torch.from_numpy(np.array([self.entries[index][1] for _, index in keys], dtype=np.int64))
        batch["index"] = torch.from_numpy(np.array([index for _, index in keys], dtype=np.int64))
        return batch

    def __getitem__(self, key: Key) -> Batch:
        return self.__getitems__([key])


def second_task(batch: Mapping[str, torch.Tensor]) -> Batch:
    """The second data set's part of a batch; empty where there is one data set."""
    return {name.removeprefix(SECOND): one for name, one in batch.items() if name.startswith(SECOND)}


def keep_batch(batch: Any) -> Any:
    """`Clips` returns whole batches; there is nothing to collate."""
    return batch
