"""The data of a job: the data set, generated if necessary, its packed store, and the loaders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from fusionlab.config.run_config import AUTO, RunConfig
from fusionlab.config.schema import ArmConfig, SourceConfig, StreamConfig, build_dataset, build_flow
from fusionlab.data.ablation import Ablation
from fusionlab.data.dataset import Dataset
from fusionlab.data.split_checks import refuse_unknown
from fusionlab.data.validation import NONE
from fusionlab.errors import one_line, show
from fusionlab.preparation.prepare import prepare, prepared
from fusionlab.records.activity import mark
from fusionlab.records.files import write_json
from fusionlab.study.attempt import Attempt
from fusionlab.study.devices import workers_here
from fusionlab.study.plan import Job
from fusionlab.video.codecs import RAW
from fusionlab.video.decode import reader
from fusionlab.video.flow import expect_files, looking_in
from fusionlab.video.store import Coding, Store, content_hash

if TYPE_CHECKING:
    from fusionlab.data.module import TwoStreamData

Say = Callable[[str], None]
VIDEOS, STORES = "videos", "stores"  # below run.data
LOADERS_MOST = 8  # they decode some thousand clips a second
SHARED = Path("/dev/shm")  # torch passes batches through it; in a container it is small


@dataclass(frozen=True)
class Data:
    """A data set and the folder of its packed store."""

    dataset: Dataset
    folder: Path
    run: RunConfig

    @cached_property
    def store(self) -> Store:
        return Store.open(self.folder)

    def content(self, source: SourceConfig) -> str:
        """The hash of all that an arm or a stream may read: the store without quarantined videos, packed or not."""
        return _content(self.store, frozenset(source.quarantine)) if source.quarantine else self.store.hash

    def module(
        self,
        config: ArmConfig | StreamConfig,
        snippets: int | None = None,
        ablate: Ablation | None = None,
        *,
        second: Data | None = None,
    ) -> TwoStreamData:
        """Loaders for one stage. `snippets`: number per clip; default: as in the test. `second`: of a second task."""
        from fusionlab.data.module import TwoStreamData  # imports torch and Lightning, which preparing does not need

        sampling = config.data.sampling
        return TwoStreamData(
            self.dataset,
            self.folder,
            split=config.split,
            streams=config.streams,
            sampling=sampling if snippets is None else replace(sampling, snippets=snippets),
            batch_size=config.stage.batch_size,
            micro_batch=config.stage.recipe.micro_batch,
            passes=config.stage.passes,
            draws=config.stage.draws,
            seed=config.seed.data,
            validation=sampling.validation,
            held_out=config.val.held_out,
            quarantine=config.data.quarantine,
            workers=loaders(self.run, config.data.store.codec),
            second=None if second is None else second._beside(config, snippets),
            ablate=ablate,
        )

    def _beside(self, config: ArmConfig | StreamConfig, snippets: int | None) -> TwoStreamData:
        """Loaders of a stream's second task, which is neither validated nor tested: its whole list is trained on."""
        from fusionlab.data.module import TwoStreamData

        assert isinstance(config, StreamConfig) and config.multitask is not None
        sampling = config.data.sampling
        return TwoStreamData(
            self.dataset,
            self.folder,
            split=config.split,
            streams=config.streams,
            sampling=sampling if snippets is None else replace(sampling, snippets=snippets),
            batch_size=config.stage.batch_size,
            draws=config.stage.draws,
            seed=config.seed.data,
            held_out=NONE,
            workers=loaders(self.run, config.multitask.store.codec),
        )

    @property
    def kinds(self) -> list[str]:
        """The kind of each class, in the order of the labels."""
        return [self.dataset.kinds[name] for name in self.dataset.classes]


@lru_cache(maxsize=4)  # all arms of a job ask for the same
def _content(store: Store, quarantine: frozenset[str]) -> str:
    return content_hash({n: v for n, v in store.videos.items() if n not in quarantine}, store.made, store.coding)


def prepare_store(job: Job, attempt: Attempt) -> None:
    """The job of a store: pack it, and publish its hash."""
    mark(part="prepare")
    run = RunConfig.of(job.config)
    data = open_data(SourceConfig.of(job.config, run.quarantine), run)
    write_json(attempt.result / "store.json", {"store": data.store.hash})
    for line in attempt.publish().differences:
        show(one_line(f"differs from what is published: {line}"))


def open_data(source: SourceConfig, run: RunConfig, say: Say = show) -> Data:
    """Make the data set and the store if they are missing, and open them."""
    root, store = Path(run.data), source.store
    dataset = make_dataset(source, run, say)
    if source.quarantine:
        refuse_unknown(source.quarantine, {name for name, _ in dataset.videos()})
    if prepared(root / STORES, source.recipe) is None:  # the message is shown once, when the store is made
        for note in dataset.notes:
            say(f"data: {note}")
    folder = prepare(
        dataset,
        root / STORES,
        looking_in(build_flow(store), run.weights),
        recipe=source.recipe,
        bound=store.bound,
        size=store.size,
        coding=store.codec,
        backward=store.backward,
        with_reader=reader(store.reader),
        images=run.flow,
        quarantine=frozenset(source.quarantine),
        processes=run.processes,
        say=say,
    )
    return Data(dataset, folder, run)


def make_dataset(source: SourceConfig, run: RunConfig, say: Say = show) -> Dataset:
    """The data set with its lists, and with its files if it generates them."""
    dataset = build_dataset(source)
    dataset.make(Path(run.data) / VIDEOS, processes=run.processes, say=say)
    return dataset


def expect_data(source: SourceConfig, run: RunConfig, split: int) -> Dataset:
    """Raise a `UserError` for missing files that no command generates. It is quick and makes no files."""
    root = Path(run.data)
    packed = prepared(root / STORES, source.recipe) is not None
    dataset = build_dataset(source)
    dataset.expect(root / VIDEOS, split=split, packed=packed, quarantine=frozenset(source.quarantine))
    if not packed:
        expect_files(looking_in(build_flow(source.store), run.weights))
    return dataset


def loaders(run: RunConfig, coding: Coding) -> int:
    """The number of processes that read clips in advance, for each job; the workers of a host share its cores.

    `auto` is 0 on a CPU, which has no free core while it trains, and for uncompressed pictures, which are read very
    fast. On a GPU it is more, since the GPU would otherwise wait while clips are decoded between its steps.
    """
    if run.loaders != AUTO:
        return int(run.loaders)
    if {coding.frames, coding.flow} == {RAW} or not run.on_gpu:
        return 0
    jobs = workers_here()
    most = min(LOADERS_MOST, len(os.sched_getaffinity(0)) // jobs - 1)
    if SHARED.is_dir():  # each loader has a batch there: 400 MB with the papers' options
        most = min(most, shutil.disk_usage(SHARED).free // 2**30 // jobs)
    return max(0, most)
