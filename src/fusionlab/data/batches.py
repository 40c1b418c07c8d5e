"""Batches for two streams, read from a packed store by key.

Loader workers import this module and not Lightning's, so that they start quickly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from fusionlab.data.dataset import Entry
from fusionlab.data.sampler import Key
from fusionlab.data.views import Sampling, View, read_flow, read_frames, testing_view, training_view
from fusionlab.video.store import Store

Batch = dict[str, torch.Tensor]


class Clips(TorchDataset[Batch]):
    """Batches by their keys: (epoch, index) in training, (view, index) in testing.

    Each sample is a function of its key alone, whatever the batch that it is in.
    """

    def __init__(
        self, store: Store, entries: Sequence[Entry], how: Sampling, streams: Sequence[str], seed: int | None
    ) -> None:
        self.store, self.entries, self.how, self.streams = store, list(entries), how, tuple(streams)
        self.seed = seed  # None: test views

    def __len__(self) -> int:
        return len(self.entries)

    def view(self, key: Key) -> View:
        """The view that a key stands for."""
        first, index = key
        video = self.store.video(self.entries[index][0])
        shape = (video.frames, video.height, video.width)
        if self.seed is None:
            return testing_view(*shape, self.how, first)
        return training_view(*shape, self.how, self.seed, first, index)

    def __getitems__(self, keys: list[Key]) -> Batch:
        """The whole batch at once: each video's pixels go from the store to their place in the batch."""
        how, n = self.how, len(keys)
        square = (how.crop, how.crop)
        channels = {"appearance": 3, "motion": 2 * how.fields}
        pixels = {s: np.empty((n, channels[s], how.snippets, *square), dtype=np.uint8) for s in self.streams}
        for row, key in enumerate(keys):
            name, view = self.entries[key[1]][0], self.view(key)
            if "appearance" in pixels:
                read_frames(self.store, name, view, pixels["appearance"][row])
            if "motion" in pixels:
                read_flow(self.store, name, view, how.fields, pixels["motion"][row])
        batch = {stream: torch.from_numpy(values) for stream, values in pixels.items()}
        batch["label"] = torch.tensor([self.entries[index][1] for _, index in keys])
        batch["index"] = torch.tensor([index for _, index in keys])
        return batch

    def __getitem__(self, key: Key) -> Batch:
        return self.__getitems__([key])


def as_it_is(batch: Any) -> Any:
    """`Clips` returns whole batches; there is nothing to collate."""
    return batch
