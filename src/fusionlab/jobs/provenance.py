"""What was trained on one split of a data set has seen videos of another split's test list.

Weights that fusionlab publishes say on what they were trained, and what they started from was before them. A stream
refuses to start from weights that have seen its test list, by group, unless `weights.other_split=allow` says that it is
meant; its record then tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fusionlab.backbones.pretrained import Loaded
from fusionlab.data.dataset import Dataset
from fusionlab.errors import UserError
from fusionlab.records.signature import signature, value

PLACE = ("_target_", "name")  # which set it is, of one that lies on a disk
COUNTING = "counts"  # whether its videos are counted; the lists are the same


def provenance(recipe: Mapping[str, Any], initial: Loaded | None = None) -> dict[str, Any]:
    """What weights were trained on, by an arm's or a stream's recipe; `before`: and what they had started from."""
    said = {
        "dataset": recipe["data"]["dataset"],
        "split": recipe["split"],
        "seed": recipe["seed"]["data"],  # which groups were held out for validation
        "stream": recipe.get("stream", "both"),
        "signature": signature(recipe),
    }
    return {**said, **({"before": initial.trained_on} if initial is not None and initial.trained_on else {})}


def history(said: Any) -> Iterator[Mapping[str, Any]]:
    """All that weights were trained on, the latest first. It comes from a file, and may be anything."""
    while isinstance(said, Mapping) and said:
        yield said
        said = said.get("before")


def refuse_other_split(loaded: Loaded, recipe: Mapping[str, Any], dataset: Dataset | None = None) -> None:
    """Raise a `UserError` where a stream would be tested on what its first weights were trained on. Without `dataset`,
    whose lists are there, each other split counts as one that has seen the test list, as it nearly always has.
    """
    if value(recipe, "weights.other_split") == "allow":
        return
    for said in history(loaded.trained_on):
        ours, split = recipe["data"]["dataset"], recipe["split"]
        if not _same_set(said.get("dataset"), ours):
            continue
        alike = _cut(said["dataset"]) == _cut(ours)
        if alike and said.get("split") == split:
            continue
        count = _count(dataset, said.get("split"), split) if alike and dataset is not None else "some"
        if count is None:
            continue
        which = f"split {said.get('split')}" + ("" if alike else ", cut otherwise")
        raise UserError(
            "these weights were trained on another split of this data set, and so on groups of this split's test list",
            got=f"{loaded.origin}, of {which}, which has trained on groups of {count} test videos",
            allowed=[f"weights of split {split}"],
            hint="weights.other_split=allow, if it is meant, which the record tells"
            + (f"; or split={said.get('split')}" if alike else ""),
        )


def seen(dataset: Dataset, trained: Iterable[int], split: int) -> list[str]:
    """The test videos of a split whose groups are in the training list of another one."""
    groups = {dataset.group(name) for one in trained for name, _ in dataset.lists(one)[0]}
    return [name for name, _ in dataset.lists(split)[1] if dataset.group(name) in groups]


def splits(said: Any, dataset: Mapping[str, Any]) -> set[int]:
    """The splits of a data set that weights were trained on at some time."""
    return {
        one["split"]
        for one in history(said)
        if _same_set(one.get("dataset"), dataset)
        and _cut(one["dataset"]) == _cut(dataset)
        and isinstance(one.get("split"), int)
    }


def _count(dataset: Dataset, before: Any, split: int) -> str | None:
    """How many, in words; None: none are."""
    test = dataset.lists(split)[1]
    try:
        known = len(seen(dataset, [before], split))
    except UserError:  # its lists are not there
        return "some"
    return f"{known} of {len(test)}" if known else None


def _same_set(one: Any, other: Mapping[str, Any]) -> bool:
    """Sets on the disk are what their name says; others what their numbers say."""
    if not isinstance(one, Mapping):
        return False
    if "name" in one and "name" in other:
        return all(one.get(leaf) == other.get(leaf) for leaf in PLACE)
    return dict(one) == dict(other)


def _cut(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """What a set's lists follow from, beside the split."""
    return {leaf: one for leaf, one in dataset.items() if leaf not in (*PLACE, COUNTING)}
