"""The data as training sees it: loaders of batches for two streams, read from a packed store.

    {"appearance": uint8 (N, 3, T, H, W), "motion": uint8 (N, 2L, T, H, W), "label", "index": int64 (N,)}

Motion channels alternate u, v. `index` is the place in the list (training, validation or test). Validation
and test batches carry each video once per view, with the same index. Only the streams asked for are read, and
are the same alone as together. H and W are those of the square that towers expect; where a test looks at whole frames,
they are the videos' own, and where it looks at whole videos, T is; one shape a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from fusionlab.data import crops as rectangles
from fusionlab.data import validation as validation_list
from fusionlab.data.batches import Batch, Clips, keep_batch
from fusionlab.data.dataset import Dataset, Entry, expect_sampling
from fusionlab.data.list_files import some
from fusionlab.data.pairs import OWN, Partners, expect_partners
from fusionlab.data.processes import keep_memory_in_loader
from fusionlab.data.sampler import CLASSES, LIST, Shape, StepSampler, ViewSampler
from fusionlab.data.split_checks import refuse_lost, refuse_unknown, without_quarantined
from fusionlab.data.views import Sampling
from fusionlab.errors import UserError, unknown
from fusionlab.video.store import Store

Which = Literal["train", "validation", "test"]
STREAMS = {"both": ("appearance", "motion"), "appearance": ("appearance",), "motion": ("motion",)}
SAMPLING = Sampling()
CONTEXT = "forkserver"  # how loader workers start: they inherit no open file and no thread


class TwoStreamData(pl.LightningDataModule):
    """A data set's split, read from its store.

    `start_step` is the first step of the training loader; it is read when the loader is created. With `workers` there
    is one training loader, whose processes wait for the next epoch, as validation's do: starting them can take longer
    than an epoch. They end when a test begins. `micro_batch`: views that are looked at together, with no more than a
    batch of training. `passes`, `draws`: see `sampler`.
    """

    def __init__(
        self,
        dataset: Dataset,
        store: str | Path,
        *,
        split: int = 1,
        streams: str = "both",
        sampling: Sampling = SAMPLING,
        batch_size: int = 64,
        micro_batch: int | None = None,
        passes: int = 1,
        draws: str = LIST,
        seed: int = 0,
        validation: float = validation_list.FRACTION,
        held_out: str = validation_list.CUT,
        quarantine: Sequence[str] = (),
        workers: int = 0,
    ) -> None:
        super().__init__()
        if streams not in STREAMS:
            raise unknown("streams", streams, STREAMS, form="streams={}")
        assert held_out in validation_list.LISTS, held_out
        if batch_size < 1:
            raise UserError("a batch holds at least one clip", got=batch_size, hint="optim.….batch_size=64")
        self.dataset, self.folder, self.split = dataset, Path(store), split
        self.streams = STREAMS[streams]
        self.sampling = sampling
        self.batch_size, self.seed, self.validation, self.workers = batch_size, seed, validation, workers
        self.passes, self.draws = passes, draws
        self.views_at_once = min(batch_size, micro_batch or batch_size)
        self.quarantine, self.held_out = frozenset(quarantine), held_out
        self.start_step = 0
        self._train: DataLoader[Batch] | None = None
        self.entries: Mapping[Which, list[Entry]] = {}

    def setup(self, stage: str | None = None) -> None:
        """Open the store and cut the lists; every video of the split must be in the store."""
        if self.entries:
            return
        expect_sampling(self.dataset, self.sampling)
        self.store = Store.open(self.folder)
        whole = self.dataset.lists(self.split)
        refuse_unknown(self.quarantine, {name for name, _ in self.dataset.videos()})
        train, test = (without_quarantined(entries, self.quarantine) for entries in whole)
        for which, before, after in (("training", whole[0], train), ("test", whole[1], test)):
            refuse_lost(before, after, self.dataset.classes, which)
        missing = [name for name, _ in (*train, *test) if name not in self.store.videos]
        if missing:
            got = f"{len(missing)} of {len(train) + len(test)}: {some(missing)}"
            hint = "python -m fusionlab.prepare with the same options; data.quarantine=FILE leaves videos out by name"
            raise UserError("videos of the lists are not in the store", got=got, hint=hint)
        self._expect_views(test)
        train, validation = validation_list.divide(
            self.held_out, train, test, self.dataset.group, self.seed, self.validation
        )
        self.entries = {"train": train, "validation": validation, "test": test}

    def _expect_views(self, test: Sequence[Entry]) -> None:
        """Raise a `UserError` for test views that the store cannot give, before training."""
        how = self.sampling
        if how.bidirectional and "motion" in self.streams and not self.store.has_backward:
            raise UserError(
                "bidirectional stacking needs backward flow, and this store has none",
                got=self.folder,
                hint="data.store.backward=true with it, or data.sampling.stacking=plain",
            )
        for video in (self.store.video(name) for name, _ in test if how.whole):
            rectangles.whole(video.height, video.width, how.crop)

    def clips(self, which: Which) -> Clips:
        """One of the three lists as a torch data set."""
        self.setup()
        seed = self.seed if which == "train" else None
        how = self.sampling if which == "test" else replace(self.sampling, test="middle")
        return Clips(self.store, self.entries[which], how, self.streams, seed, self._partners(which))

    def _partners(self, which: Which) -> Partners | None:
        """Whose flow the clips of a list are shown with; None: their own."""
        if which == "test" or self.sampling.pairs == OWN:
            return None
        train = self.entries["train"]
        expect_partners(train, self.dataset.classes)
        return Partners(self.entries[which], self.seed, train if which == "validation" else None)

    def test_shapes(self) -> list[Shape]:
        """The distinct shapes of the test views: T, height and width."""
        how = self.sampling
        return list(dict.fromkeys(self.clips("test").shapes() or [(how.snippets, how.crop, how.crop)]))

    def train_dataloader(self) -> DataLoader[Batch]:
        """The rest of the epoch from `start_step` on; at 0 a whole epoch."""
        if self._train is None or not self.workers:
            clips = self.clips("train")
            labels = [label for _, label in clips.entries] if self.draws == CLASSES else None
            self._batches = StepSampler(
                len(clips), self.batch_size, self.seed, self.start_step, passes=self.passes, labels=labels
            )
            self._train = self._loader(clips, self._batches, again=True)
        self._batches.start_step = self.start_step
        return self._train

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._views("validation", again=True)

    def test_dataloader(self) -> DataLoader[Batch]:
        self._train = None
        return self._views("test", again=False)

    def _views(self, which: Which, again: bool) -> DataLoader[Batch]:
        clips = self.clips(which)
        views = ViewSampler(len(clips), clips.how.views, self.views_at_once, clips.shapes(), self.sampling.snippets)
        return self._loader(clips, views, again)

    def _loader(self, clips: Clips, batches: StepSampler | ViewSampler, again: bool) -> DataLoader[Batch]:
        """`again`: whether the loader is used for more than one epoch."""
        context = None
        if self.workers:
            context = get_context(CONTEXT)
            # The server imports torch once; a process is then forked from it at once, instead of in 3 s.
            context.set_forkserver_preload([Clips.__module__])
        return DataLoader(
            clips,
            batch_sampler=batches,
            num_workers=self.workers,
            collate_fn=keep_batch,
            multiprocessing_context=context,
            persistent_workers=again and self.workers > 0,
            prefetch_factor=1 if self.workers else None,  # a batch of the paper's clips is 400 MB
            worker_init_fn=keep_memory_in_loader if self.workers else None,
        )
