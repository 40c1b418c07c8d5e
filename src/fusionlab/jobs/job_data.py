"""The data of a job: the data set, made if it makes itself, its packed store, and the loaders cut from it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionlab.config.instantiate import part
from fusionlab.data.brush.brush import Brush
from fusionlab.data.dataset import Dataset
from fusionlab.data.split_checks import refuse_unknown
from fusionlab.errors import UserError, show
from fusionlab.preparation.prepare import prepare, prepared
from fusionlab.records.signature import value
from fusionlab.study.recipes import data_recipe
from fusionlab.video.codecs import RAW
from fusionlab.video.decode import reader
from fusionlab.video.flow import Dis
from fusionlab.video.raft import Raft
from fusionlab.video.store import Coding, Store, content_hash

if TYPE_CHECKING:
    from fusionlab.data.module import TwoStreamData

Say = Callable[[str], None]
VIDEOS, STORES = "videos", "stores"  # below run.data
LOADERS_MOST = 8  # which decode some thousand clips a second
SHARED = Path("/dev/shm")  # where torch hands over batches; in a container it is small
# Of these the doctor's probes say that they show what they should, and no more.
BRUSH_FLOW = ("dis", "farneback", "tvl1")


@dataclass(frozen=True)
class Data:
    """A data set and where its packed store lies."""

    dataset: Dataset
    folder: Path
    run: Mapping[str, Any]

    @property
    def store(self) -> Store:
        return Store.open(self.folder)

    def content(self, config: Mapping[str, Any]) -> str:
        """The hash of what an arm or a stream may read: the store's, without what it leaves out, packed or not."""
        store, left_out = self.store, frozenset(value(config, "data.quarantine"))
        if not left_out:
            return store.hash
        return content_hash({n: v for n, v in store.videos.items() if n not in left_out}, store.made, store.coding)

    def module(self, config: Mapping[str, Any], *, streams: str, snippets: int, batch_size: int) -> TwoStreamData:
        """Loaders for one stage; `config` is an arm's or a stream's recipe."""
        from fusionlab.data.module import TwoStreamData  # torch and lightning, which preparing does without
        from fusionlab.data.views import Sampling

        return TwoStreamData(
            self.dataset,
            self.folder,
            split=config["split"],
            streams=streams,
            sampling=Sampling(**sampling(config, snippets)),
            batch_size=batch_size,
            seed=config["seed"]["data"],
            validation=config["data"]["sampling"]["validation"],
            quarantine=value(config, "data.quarantine"),
            workers=loaders(self.run, coding(config["data"])),
        )

    @property
    def kinds(self) -> list[str]:
        """The kind of each class, in the order of the labels."""
        return [self.dataset.kinds[name] for name in self.dataset.classes]


def open_data(
    recipe: Mapping[str, Any], run: Mapping[str, Any], say: Say = show, *, quarantine: Sequence[str] = ()
) -> Data:
    """Make and prepare whatever is not there yet. `recipe`: the parts `dataset` and `store` of the data. Quarantined
    videos need not be there.
    """
    root = Path(run["data"])
    refuse_flow(part(recipe["dataset"], "data"), recipe["store"])
    dataset = listed(recipe, run, say)
    if quarantine:
        refuse_unknown(quarantine, {name for name, _ in dataset.videos()})
    if prepared(root / STORES, data_recipe({"data": recipe})) is None:  # said once, where it is made
        for note in dataset.notes:
            say(f"data: {note}")
    store = recipe["store"]
    folder = prepare(
        dataset,
        root / STORES,
        estimator(store, run),
        recipe=data_recipe({"data": recipe}),
        bound=store["bound"],
        size=store["size"],
        coding=coding(recipe),
        backward=value(recipe, "store.backward"),
        with_reader=reader(value(recipe, "store.reader"), say),
        images=run.get("flow"),
        quarantine=frozenset(quarantine),
        processes=processes(run),
        say=say,
    )
    return Data(dataset, folder, run)


def refuse_flow(dataset: Dataset, store: Mapping[str, Any]) -> None:
    """Brush hides what only appearance may know in hue at equal luma; an estimator that looks at colour finds it. And
    it shows motions of a few pixels, which one that looks at less than its own size does not find.
    """
    if not isinstance(dataset, Brush):
        return
    flow = part(store["flow"], "flow")
    if isinstance(flow, Raft):
        raise UserError(
            "RAFT sees colour, and brush's questions are hidden in colour: its flow would tell hand from decoy",
            got="data=brush flow=raft",
            allowed=BRUSH_FLOW,
            hint="flow=dis",
        )
    if isinstance(flow, Dis) and flow.finest_scale:
        raise UserError(
            "at half of brush's size or less, DIS does not see its motions well: probes read 84 to 96 %, not 99",
            got=f"data.store.flow.finest_scale={flow.finest_scale} (flow=dis_medium has 1)",
            allowed=BRUSH_FLOW,
            hint="flow=dis",
        )


def listed(recipe: Mapping[str, Any], run: Mapping[str, Any], say: Say = show) -> Dataset:
    """The data set, with its lists and, where nobody else can make them, its files."""
    dataset: Dataset = part(recipe["dataset"], "data")
    dataset.make(Path(run["data"]) / VIDEOS, processes=processes(run), say=say)
    return dataset


def sampling(config: Mapping[str, Any], snippets: int) -> dict[str, Any]:
    """How clips are cut, as `Sampling` and the loaders take it; `config` is an arm's or a stream's recipe."""
    how = config["data"]["sampling"]
    stride = how["stride"] if isinstance(how["stride"], int) else tuple(how["stride"])
    younger = {
        leaf: value(config, f"data.sampling.{leaf}")
        for leaf in ("crops", "stacking", "subtract_mean", "test", "apart", "delay")
    }
    return {"snippets": snippets, "fields": how["fields"], "stride": stride, "crop": how["crop"], **younger}


def estimator(store: Mapping[str, Any], run: Mapping[str, Any]) -> Any:
    """What makes flow, or where it comes from. Files of weights are looked for in `run.weights` by who has some."""
    flow = part(store["flow"], "flow")
    return flow.looking_in(run["weights"]) if isinstance(flow, Raft) else flow


def coding(recipe: Mapping[str, Any]) -> Coding:
    """How pictures lie in the store."""
    codec = {leaf: value(recipe, f"store.codec.{leaf}") for leaf in ("frames", "flow", "quality")}
    return Coding(**codec, rule=value(recipe, "store.rule"))


def expect_data(
    recipe: Mapping[str, Any], run: Mapping[str, Any], split: int, quarantine: Sequence[str] = ()
) -> Dataset:
    """A `UserError` for files that are not there and that nobody can make, in a moment and without making any."""
    root = Path(run["data"])
    packed = prepared(root / STORES, data_recipe({"data": recipe})) is not None
    dataset: Dataset = part(recipe["dataset"], "data")
    dataset.expect(root / VIDEOS, split=split, packed=packed, quarantine=frozenset(quarantine))
    refuse_flow(dataset, recipe["store"])
    flow = estimator(recipe["store"], run)
    if isinstance(flow, Raft) and not packed:
        flow.expect()
    return dataset


def loaders(run: Mapping[str, Any], how: Coding) -> int:
    """How many processes read clips ahead of each job: as asked for, or none where the processor trains too, and has no
    core to spare, or where pictures lie as they are, and are read in no time. On a GPU what would decode them between
    its steps keeps it waiting.
    """
    asked = run.get("loaders", "auto")  # not there in a study from before it could be asked
    if asked != "auto":
        return int(asked)
    if {how.frames, how.flow} == {RAW} or not on_gpu(run):
        return 0
    jobs = 1 if run["workers"] == "auto" else int(run["workers"])
    most = min(LOADERS_MOST, len(os.sched_getaffinity(0)) // jobs - 1)
    if SHARED.is_dir():  # each has a batch there, of 400 MB if it is one of the papers'
        most = min(most, shutil.disk_usage(SHARED).free // 2**30 // jobs)
    return max(0, most)


def on_gpu(run: Mapping[str, Any]) -> bool:
    """Where the jobs of a run compute."""
    if run["device"] == "auto":
        import torch

        return torch.cuda.is_available()
    return str(run["device"]).startswith("cuda")


def processes(run: Mapping[str, Any]) -> int:
    """How many processes may work at a time: as asked for, or one a core that is ours."""
    asked = run["workers"]
    return len(os.sched_getaffinity(0)) if asked == "auto" else int(asked)
