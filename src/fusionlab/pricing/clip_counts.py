"""The numbers of clips and frames of a data set: from its lists, or known before any of its files exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig, DataConfig, SourceConfig, StreamConfig, build_dataset
from fusionlab.data import validation
from fusionlab.data.dataset import Dataset, Entry, Extent
from fusionlab.data.pairs import CLASS, expect_partners
from fusionlab.errors import UserError
from fusionlab.jobs.job_data import STORES, VIDEOS
from fusionlab.preparation.prepare import prepared
from fusionlab.video.resize import fitted
from fusionlab.video.store import Store

USUAL = (240, 320)  # height and width where they are unknown; most videos are 4:3


@dataclass(frozen=True)
class Clips:
    """Videos of the three lists. `frames`: of a video, on average; None: unknown. `size`: of the stored pictures."""

    train: int
    validation: int
    test: int
    frames: float | None
    size: tuple[int, int]


class DataSets:
    """What is known of the data sets of a plan; each is looked at once. Nothing is made or written."""

    def __init__(self, run: RunConfig) -> None:
        self.run = run
        self._clips: dict[str, Clips | None] = {}
        self._stores: dict[str, Store | None] = {}
        self._sets: dict[str, Dataset] = {}

    def clips(self, config: ArmConfig | StreamConfig) -> Clips | None:
        """None where neither lists nor official numbers are there."""
        sampling = config.data.sampling
        key = repr((config.data.recipe, config.split, sampling.validation, config.val.held_out, config.seed.data,
                    config.data.quarantine))  # fmt: skip
        if key not in self._clips:
            self._clips[key] = self._count(config)
        return self._clips[key]

    def extent(self, source: SourceConfig, split: int = 1) -> Extent | None:
        known = getattr(self.dataset(source), "extent", None)
        extent: Extent | None = None if known is None else known(split)
        return extent

    def store(self, source: SourceConfig) -> Store | None:
        """The packed store, if it is there."""
        key = repr(source.recipe)
        if key not in self._stores:
            self._stores[key] = prepared(Path(self.run.data) / STORES, source.recipe)
        return self._stores[key]

    def dataset(self, source: SourceConfig) -> Dataset:
        key = repr(source.dataset)
        if key not in self._sets:
            self._sets[key] = build_dataset(SourceConfig(source.dataset, source.store, (), source.recipe))
        return self._sets[key]

    def _count(self, config: ArmConfig | StreamConfig) -> Clips | None:
        fraction, extent = config.data.sampling.validation, self.extent(config.data, config.split)
        frames, size = self._frames(config.data, extent)
        if self._lists(config.data, config.split) is None:
            if extent is None:
                return None
            cut = round(extent.train * fraction) if config.val.held_out == validation.CUT else 0
            held_out = extent.test if config.val.held_out == validation.TEST else cut
            return Clips(extent.train - cut, held_out, extent.test, frames, size)
        if (lists := self._cut(config)) is None:
            return None
        train, held, test = map(len, lists)
        return Clips(train, held, test, frames, size)

    def test_videos(self, config: ArmConfig | StreamConfig) -> list[tuple[int, int, int]]:
        """The distinct frames, heights and widths of the test videos; of a set that is not packed, its usual ones."""
        store, lists = self.store(config.data), self._lists(config.data, config.split)
        if store is not None and lists is not None:
            videos = [store.videos[name] for name, _ in lists[1] if name in store.videos]
            return list(dict.fromkeys((one.frames, one.height, one.width) for one in videos))
        extent = self.extent(config.data, config.split)
        if extent is None or not extent.frames or extent.size is None:
            return []
        size = extent.size if config.data.store.size is None else fitted(*extent.size, config.data.store.size)
        return [(extent.frames // extent.videos, *size)]

    def refuse_lone_clips(self, config: ArmConfig | StreamConfig) -> None:
        """Raise a `UserError` where pairs of one class are asked for, and a class has one training clip."""
        if config.data.sampling.pairs == CLASS and (lists := self._cut(config)) is not None:
            expect_partners(lists[0], self.dataset(config.data).classes)

    def _cut(self, config: ArmConfig | StreamConfig) -> tuple[list[Entry], list[Entry], list[Entry]] | None:
        """Training, validation and test list; None where they are not there or cannot be cut, as the job will say."""
        lists, fraction = self._lists(config.data, config.split), config.data.sampling.validation
        if lists is None:
            return None
        try:
            group = self.dataset(config.data).group
            rest, held = validation.divide(config.val.held_out, *lists, group, config.seed.data, fraction)
        except UserError:
            return None
        return rest, held, lists[1]

    def _lists(self, data: DataConfig, split: int) -> tuple[list[Entry], list[Entry]] | None:
        """Training and test list without quarantined videos, if they are there or can be computed."""
        dataset, out = self.dataset(data), frozenset(data.quarantine)
        try:
            if hasattr(dataset, "planned_lists"):
                both: Sequence[list[Entry]] = dataset.planned_lists(split)
            else:
                dataset.expect(Path(self.run.data) / VIDEOS, split=split, packed=True, quarantine=())
                both = dataset.lists(split)
        except UserError:
            return None
        train, test = ([entry for entry in entries if entry[0] not in out] for entries in both)
        return train, test

    def _frames(self, data: DataConfig, extent: Extent | None) -> tuple[float | None, tuple[int, int]]:
        """Frames of a video on average, and the height and width of stored pictures."""
        store = self.store(data)
        if store is not None and store.videos:
            videos = list(store.videos.values())
            return sum(video.frames for video in videos) / len(videos), (videos[0].height, videos[0].width)
        size = (extent and extent.size) or USUAL
        size = size if data.store.size is None else fitted(*size, data.store.size)
        return (extent.frames / extent.videos if extent and extent.frames else None), size
