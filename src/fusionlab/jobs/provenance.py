"""The training data of weights: one split's training list has groups of another split's test list.

Weights that fusionlab publishes name their training data, and the weights that they started from. A stream refuses
to start from weights that were trained on groups of its test list, unless `weights.other_split=allow`: its record
then notes this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fusionlab.backbones.pretrained import Loaded
from fusionlab.config.schema import ArmConfig, StreamConfig
from fusionlab.data.dataset import Dataset
from fusionlab.errors import UserError
from fusionlab.records.signature import born

PLACE = ("_target_", "name")  # they identify a set on disk
COUNTING = "counts"  # whether its videos are counted; the lists are the same


def provenance(config: ArmConfig | StreamConfig, signature: str, initial: Loaded | None = None) -> dict[str, Any]:
    """The training data of an arm's or a stream's weights.

    `second`: that of its second task; `before`: that of its initial weights.
    """
    own: dict[str, Any] = {
        "dataset": config.data.dataset,
        "split": config.split,
        "seed": config.seed.data,  # determines the groups of the validation
        "stream": config.streams,
        "signature": signature,
    }
    if isinstance(config, StreamConfig) and config.multitask is not None:
        own["second"] = {"dataset": config.multitask.dataset, "split": config.split, "seed": config.seed.data}
    return {**own, **({"before": initial.trained_on} if initial is not None and initial.trained_on else {})}


def history(trained_on: Any) -> Iterator[Mapping[str, Any]]:
    """The training data of weights, the latest first. It comes from a file, so its content is not trusted."""
    while isinstance(trained_on, Mapping) and trained_on:
        yield trained_on
        if isinstance(second := trained_on.get("second"), Mapping):
            yield second
        trained_on = trained_on.get("before")


def refuse_other_split(loaded: Loaded, config: StreamConfig, dataset: Dataset | None = None) -> None:
    """Raise a `UserError` if the initial weights of a stream were trained on videos of its test list.

    If the lists of the data set are missing, every other split counts as trained on the test list.
    """
    if config.weights.other_split == "allow":
        return
    for earlier in history(loaded.trained_on):
        ours, split = config.data.dataset, config.split
        if not _same_set(earlier.get("dataset"), ours):
            continue
        alike = _cut(earlier["dataset"]) == _cut(ours)
        if alike and earlier.get("split") == split:
            continue
        count = _count(dataset, earlier.get("split"), split) if alike and dataset is not None else "some"
        if count is None:
            continue
        which = f"split {earlier.get('split')}" + ("" if alike else ", cut otherwise")
        raise UserError(
            "these weights were trained on another split of this data set, and so on groups of this split's test list",
            got=f"{loaded.origin}, of {which}, which has trained on groups of {count} test videos",
            allowed=[f"weights of split {split}"],
            hint="weights.other_split=allow, if this is intended; the record says so"
            + (f"; or split={earlier.get('split')}" if alike else ""),
        )


def seen(dataset: Dataset, trained: Iterable[int], split: int) -> list[str]:
    """The test videos of a split whose groups are in the training list of another one."""
    groups = {dataset.group(name) for one in trained for name, _ in dataset.lists(one)[0]}
    return [name for name, _ in dataset.lists(split)[1] if dataset.group(name) in groups]


def splits(trained_on: Any, dataset: Mapping[str, Any]) -> set[int]:
    """The splits of a data set in the training data of weights."""
    return {
        one["split"]
        for one in history(trained_on)
        if _same_set(one.get("dataset"), dataset)
        and _cut(one["dataset"]) == _cut(dataset)
        and isinstance(one.get("split"), int)
    }


def _count(dataset: Dataset, before: Any, split: int) -> str | None:
    """The number of such videos, in words; None if there are none."""
    try:
        test = dataset.lists(split)[1]
        known = len(seen(dataset, [before], split))
    except UserError:  # its lists are missing
        return "some"
    return f"{known} of {len(test)}" if known else None


def _same_set(one: Any, other: Mapping[str, Any]) -> bool:
    """Whether two configs are the same data set: by name for sets on disk, by options for others."""
    if not isinstance(one, Mapping):
        return False
    if "name" in one and "name" in other:
        one, other = ({leaf: of.get(leaf) for leaf in PLACE} for of in (one, other))
    return bool(born(one) == born(other))


def _cut(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The options that determine a set's lists, beside the split."""
    return {leaf: one for leaf, one in dataset.items() if leaf not in (*PLACE, COUNTING)}
