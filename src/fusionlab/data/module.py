"""The data as training sees it: loaders of batches for two streams, read from a packed store.

    {"appearance": uint8 (N, 3, T, H, W), "motion": uint8 (N, 2L, T, H, W), "label", "index": int64 (N,)}

Motion channels alternate u, v. `index` is the place in the list (training, validation or test). Validation
and test batches carry each video once per view, with the same index. Only the streams asked for are read, and
are the same alone as together. H and W are those of the square that towers expect; where a test looks at whole frames,
they are the videos' own, and where it looks at whole videos, T is; one shape a batch.

Where two tasks are trained together, a training batch has as many clips of the second data set, under names with
`second.` before them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from fusionlab.data import crops as rectangles
from fusionlab.data import validation as validation_list
from fusionlab.data.ablation import Ablated, Ablation
from fusionlab.data.batches import SECOND, Batch, Clips, keep_batch
from fusionlab.data.dataset import Dataset, Entry, expect_sampling
from fusionlab.data.list_files import some
from fusionlab.data.pairs import OWN, Partners, expect_partners
from fusionlab.data.processes import keep_memory_in_loader
from fusionlab.data.sampler import CLASSES, LIST, Key, RoundSampler, Shape, StepSampler, ViewSampler
from fusionlab.data.split_checks import refuse_lost, refuse_unknown, without_quarantined
from fusionlab.data.views import Sampling
from fusionlab.errors import UserError, unknown
from fusionlab.video.store import Store

Which = Literal["train", "validation", "test"]
STREAMS = {"both": ("appearance", "motion"), "appearance": ("appearance",), "motion": ("motion",)}
SAMPLING = Sampling()
CONTEXT = "forkserver"  # how loader workers start: they inherit no open file and no thread


class Beside:
    """The batches of an epoch, each with one of a second data set beside it."""

    def __init__(self, loader: DataLoader[Batch], batches: StepSampler, second: TwoStreamData) -> None:
        self.loader, self.batches, self.second = loader, batches, second

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        others = self.second.rounds(self.batches.start_step, self.batches.batch_size)
        for batch, other in zip(self.loader, others, strict=False):  # the second list has no end
            yield {**batch, **{f"{SECOND}{name}": one for name, one in other.items()}}


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
        second: TwoStreamData | None = None,
        ablate: Ablation | None = None,
    ) -> None:
        """`ablate`: the stream that the clips of the test list lack."""
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
        self.ablate = ablate
        self.start_step = 0
        self.second = second
        self._round: tuple[int, Iterator[Batch]] | None = None  # of a second data set: its next step, and the rest
        self._train: DataLoader[Batch] | None = None
        self.entries: Mapping[Which, list[Entry]] = {}

    def setup(self, stage: str | None = None) -> None:
        """Open the store and cut the lists; every video of the split must be in the store."""
        if self.entries:
            return
        if self.second is not None:
            self.second.setup()
        expect_sampling(self.dataset, self.sampling)
        if self.ablate is not None and (why := self.ablate.no_effect(self.sampling)):
            hint = f"ablate={self.ablate.stream}:mean"
            raise UserError(f"this ablation has no effect: {why}", got=f"ablate={self.ablate}", hint=hint)
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
        return Clips(
            self.store, self.entries[which], how, self.streams, seed, self._partners(which), self._ablated(which)
        )

    def _ablated(self, which: Which) -> Ablated | None:
        if self.ablate is None or which != "test":
            return None
        return Ablated(self.ablate, len(self.entries["test"]), self.seed)

    def class_counts(self) -> list[int]:
        """The number of training clips of each class."""
        self.setup()
        counts = Counter(label for _, label in self.entries["train"])
        return [counts[label] for label in range(len(self.dataset.classes))]

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

    def train_dataloader(self) -> DataLoader[Batch] | Beside:
        """The rest of the epoch from `start_step` on; at 0 a whole epoch."""
        if self._train is None or not self.workers:
            clips = self.clips("train")
            self._batches = StepSampler(
                len(clips), self.batch_size, self.seed, self.start_step, passes=self.passes, labels=self._labels(clips)
            )
            self._train = self._loader(clips, self._batches, again=True)
        self._batches.start_step = self.start_step
        return self._train if self.second is None else Beside(self._train, self._batches, self.second)

    def _labels(self, clips: Clips) -> list[int] | None:
        return [label for _, label in clips.entries] if self.draws == CLASSES else None

    def rounds(self, step: int, rows: int) -> Iterator[Batch]:
        """The batches beside those of another data set, from a step on; what was read ahead is kept."""
        if self._round is None or self._round[0] != step:
            clips = self.clips("train")
            sampler = RoundSampler(len(clips), rows, self.seed, step, labels=self._labels(clips))
            self._round = step, iter(self._loader(clips, sampler, again=False))
        while True:
            step, batches = self._round
            self._round = step + 1, batches
            yield next(batches)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._views(self.clips("validation"), again=True)

    def test_dataloader(self) -> DataLoader[Batch]:
        self._train = None
        return self._views(self.clips("test"), again=False)

    def views(self, which: Which) -> DataLoader[Batch]:
        """Each video of a list in the views of the test (`sampling.test`), with its own flow."""
        if which == "test":
            return self.test_dataloader()
        self.setup()
        return self._views(Clips(self.store, self.entries[which], self.sampling, self.streams, None), again=False)

    def _views(self, clips: Clips, again: bool) -> DataLoader[Batch]:
        views = ViewSampler(len(clips), clips.how.views, self.views_at_once, clips.shapes(), self.sampling.snippets)
        return self._loader(clips, views, again)

    def _loader(self, clips: Clips, batches: Iterable[list[Key]], again: bool) -> DataLoader[Batch]:
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
