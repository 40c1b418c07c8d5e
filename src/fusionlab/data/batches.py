"""Batches for two streams, read from a packed store by key.

Loader workers import this module and not Lightning, so that they start quickly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from fusionlab.data.ablation import Ablated, fit
from fusionlab.data.crops import Bytes
from fusionlab.data.dataset import Entry
from fusionlab.data.pairs import Partners
from fusionlab.data.sampler import Key, Shape
from fusionlab.data.views import Sampling, Seen, View, testing_view, training_view, write_flow, write_frames
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
        ablated: Ablated | None = None,
    ) -> None:
        self.store, self.entries, self.how, self.streams = store, list(entries), how, tuple(streams)
        self.seed = seed  # None: test views
        self.partners = partners  # None: each clip has its own flow
        self.ablated = ablated

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

    def source(self, stream: str, key: Key) -> tuple[str, View]:
        """The video that a key's frames or flow come from, and its view."""
        if self.ablated is not None and self.ablated.does(stream, "shuffle"):
            place = self.ablated.others[key[1]]
            return self.entries[place][0], self._view(self.entries[place][0], (key[0], place))
        return self.flow(key) if stream == "motion" else (self.entries[key[1]][0], self.view(key))

    def _view(self, name: str, key: Key) -> View:
        first, index = key
        video = self.store.video(name)
        shape = (video.frames, video.height, video.width)
        if self.seed is None:
            return testing_view(*shape, self.how, first, name)
        return training_view(*shape, self.how, self.seed, first, index)

    def __getitems__(self, keys: list[Key]) -> Batch:
        """A whole batch: pixels go directly from the store to their place in it."""
        (shape,) = {self.view(key).shape for key in keys}
        channels = {"appearance": 3, "motion": 2 * self.how.fields}
        batch = {}
        for stream in self.streams:
            size = (len(keys), channels[stream], *shape)
            if self.ablated is not None and self.ablated.does(stream, "mean"):
                # Numbers and no bytes, so that a tower does not normalise them; one zero in memory.
                batch[stream] = torch.zeros(()).expand(size)
                continue
            pixels = np.empty(size, dtype=np.uint8)
            seen: Seen | None = None  # of the key before: many views of a test look at the same frames
            for key, out in zip(keys, pixels, strict=True):
                seen = self._read(stream, key, out, seen)
            batch[stream] = torch.from_numpy(pixels)
        batch["label"] = torch.from_numpy(np.array([self.entries[index][1] for _, index in keys], dtype=np.int64))
        batch["index"] = torch.from_numpy(np.array([index for _, index in keys], dtype=np.int64))
        return batch

    def _read(self, stream: str, key: Key, out: Bytes, before: Seen | None) -> Seen:
        name, view = self.source(stream, key)
        own = out if view.shape == out.shape[1:] else np.empty((len(out), *view.shape), dtype=np.uint8)
        frozen = self.ablated is not None and self.ablated.does(stream, "freeze")
        if frozen and stream == "appearance":
            view = replace(view, centres=np.full_like(view.centres, view.centres[0]))
        seen = before if before and before.serves(name, view) else Seen(self.store, name, view.centres, self.how.delay)
        if stream == "motion":
            write_flow(seen, view, self.how, own, frozen=frozen)
        else:
            write_frames(seen, view, own)
        if own is not out:
            fit(own, out)
        return seen

    def __getitem__(self, key: Key) -> Batch:
        return self.__getitems__([key])


def second_task(batch: Mapping[str, torch.Tensor]) -> Batch:
    """The second data set's part of a batch; empty where there is one data set."""
    return {name.removeprefix(SECOND): one for name, one in batch.items() if name.startswith(SECOND)}


def keep_batch(batch: Any) -> Any:
    """`Clips` returns whole batches; there is nothing to collate."""
    return batch
