"""The data as training sees it: loaders of batches for two streams, read from a packed store.

    {"appearance": uint8 (N, 3, T, H, W), "motion": uint8 (N, 2L, T, H, W), "label", "index": int64 (N,)}

Motion channels alternate u, v. `index` is the place in the list (training, validation or test). Validation
and test batches carry each video once per view, with the same index. Only the streams asked for are read, and
are the same alone as together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from fusionlab.data import validation as validation_list
from fusionlab.data.batches import Batch, Clips, as_it_is
from fusionlab.data.dataset import Dataset, Entry
from fusionlab.data.sampler import StepSampler, ViewSampler
from fusionlab.data.views import TEST_VIEWS, Sampling
from fusionlab.errors import UserError, unknown
from fusionlab.video.store import Store

Which = Literal["train", "validation", "test"]
STREAMS = {"both": ("appearance", "motion"), "appearance": ("appearance",), "motion": ("motion",)}
CONTEXT = "forkserver"  # how loader workers start: nothing that the parent has open or running is in them


class TwoStreamData(pl.LightningDataModule):
    """A data set's split, read from its store.

    `start_step` says where the training loader begins; it is read when the loader is asked for.
    """

    def __init__(
        self,
        dataset: Dataset,
        store: str | Path,
        *,
        split: int = 1,
        streams: str = "both",
        snippets: int = 3,
        fields: int = 6,
        stride: int | tuple[int, int] = 4,
        crop: int = 48,
        batch_size: int = 64,
        seed: int = 0,
        validation: float = validation_list.FRACTION,
        workers: int = 0,
    ) -> None:
        super().__init__()
        if streams not in STREAMS:
            raise unknown("streams", streams, STREAMS, form="streams={}")
        if batch_size < 1:
            raise UserError("a batch holds at least one clip", got=batch_size, hint="optim.….batch_size=64")
        self.dataset, self.folder, self.split = dataset, Path(store), split
        self.streams = STREAMS[streams]
        self.sampling = Sampling(snippets, fields, stride, crop)
        self.batch_size, self.seed, self.validation, self.workers = batch_size, seed, validation, workers
        self.start_step = 0
        self.entries: Mapping[Which, list[Entry]] = {}

    def setup(self, stage: str | None = None) -> None:
        """Open the store and cut the lists; every video of the split must be in the store."""
        if self.entries:
            return
        self.store = Store.open(self.folder)
        train, test = self.dataset.lists(self.split)
        missing = [name for name, _ in (*train, *test) if name not in self.store.videos]
        if missing:
            told = f"{len(missing)} of {len(train) + len(test)}: {', '.join(missing[:5])}"
            raise UserError("videos of the lists are not in the store", got=told, hint="python -m fusionlab.prepare")
        train, held_out = validation_list.cut(train, self.dataset.group, self.seed, self.validation)
        self.entries = {"train": train, "validation": held_out, "test": test}

    def clips(self, which: Which) -> Clips:
        """One of the three lists as a torch data set."""
        self.setup()
        seed = self.seed if which == "train" else None
        return Clips(self.store, self.entries[which], self.sampling, self.streams, seed)

    def train_dataloader(self) -> DataLoader[Batch]:
        """What remains of the epoch in which `start_step` lies; at 0 its length is that of an epoch."""
        clips = self.clips("train")
        return self._loader(clips, StepSampler(len(clips), self.batch_size, self.seed, self.start_step))

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._views("validation")

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._views("test")

    def _views(self, which: Which) -> DataLoader[Batch]:
        clips = self.clips(which)
        return self._loader(clips, ViewSampler(len(clips), TEST_VIEWS, self.batch_size))

    def _loader(self, clips: Clips, batches: StepSampler | ViewSampler) -> DataLoader[Batch]:
        context: Any = CONTEXT if self.workers else None
        return DataLoader(
            clips,
            batch_sampler=batches,
            num_workers=self.workers,
            collate_fn=as_it_is,
            multiprocessing_context=context,
        )
