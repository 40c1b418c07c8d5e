"""The data of a job: the data set, made if it makes itself, its packed store, and the loaders cut from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionlab.data.dataset import Dataset
from fusionlab.data.prepare import prepare, prepared
from fusionlab.door.parts import part
from fusionlab.study.recipes import data_recipe
from fusionlab.video.store import Store

if TYPE_CHECKING:
    from fusionlab.data.module import TwoStreamData

Say = Callable[[str], None]
VIDEOS, STORES = "videos", "stores"  # below run.data


@dataclass(frozen=True)
class Data:
    """A data set and where its packed store lies."""

    dataset: Dataset
    folder: Path

    @property
    def store(self) -> Store:
        return Store.open(self.folder)

    def module(self, config: Mapping[str, Any], *, streams: str, snippets: int, batch_size: int) -> TwoStreamData:
        """Loaders for one stage; `config` is an arm's or a stream's recipe."""
        from fusionlab.data.module import TwoStreamData  # torch and lightning, which preparing does without

        sampling = config["data"]["sampling"]
        return TwoStreamData(
            self.dataset,
            self.folder,
            split=config["split"],
            streams=streams,
            snippets=snippets,
            fields=sampling["fields"],
            stride=sampling["stride"] if isinstance(sampling["stride"], int) else tuple(sampling["stride"]),
            crop=sampling["crop"],
            batch_size=batch_size,
            seed=config["seed"]["data"],
            validation=sampling["validation"],
        )

    @property
    def kinds(self) -> list[str]:
        """The kind of each class, in the order of the labels."""
        return [self.dataset.kinds[name] for name in self.dataset.classes]


def open_data(recipe: Mapping[str, Any], run: Mapping[str, Any], say: Say = print) -> Data:
    """Make and prepare whatever is not there yet. `recipe`: the parts `dataset` and `store` of the data."""
    root = Path(run["data"])
    dataset: Dataset = part(recipe["dataset"])
    dataset.make(root / VIDEOS, processes=processes(run), say=say)
    store = recipe["store"]
    folder = prepare(
        dataset,
        root / STORES,
        part(store["flow"]),
        recipe=data_recipe({"data": recipe}),
        bound=store["bound"],
        size=store["size"],
        processes=processes(run),
        say=say,
    )
    return Data(dataset, folder)


def expect_data(recipe: Mapping[str, Any], run: Mapping[str, Any], split: int) -> None:
    """A `UserError` for files that are not there and that nobody can make, in a moment and without making any."""
    root = Path(run["data"])
    packed = prepared(root / STORES, data_recipe({"data": recipe})) is not None
    part(recipe["dataset"]).expect(root / VIDEOS, split=split, packed=packed)


def processes(run: Mapping[str, Any]) -> int:
    """How many processes may work at a time: as asked for, or one a core that is ours."""
    asked = run["workers"]
    return len(os.sched_getaffinity(0)) if asked == "auto" else int(asked)
