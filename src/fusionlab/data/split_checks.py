"""Checks of a split's two lists: no leak between them, and a quarantine that leaves lists to work with.

A leak: a video, or a group that videos were cut from, is both in the training and in the test list.
A quarantined video is in no list, and no other video replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from fusionlab.data.dataset import Entry
from fusionlab.data.list_files import some
from fusionlab.errors import UserError, nearest


def shared(train: Sequence[Entry], test: Sequence[Entry], group: Callable[[str], str]) -> tuple[list[str], list[str]]:
    """The videos and the groups that are in both lists, sorted."""
    videos = {name for name, _ in train} & {name for name, _ in test}
    groups = {group(name) for name, _ in train} & {group(name) for name, _ in test}
    return sorted(videos), sorted(groups)


def refuse_leaks(train: Sequence[Entry], test: Sequence[Entry], group: Callable[[str], str]) -> None:
    """Raise a `UserError` that names all entries of both lists."""
    videos, groups = shared(train, test, group)
    for what, names in (("videos", videos), ("groups", groups)):
        if names:
            raise UserError(
                f"{what} are in both the training and the test list", got=f"{len(names)}: {some(names)}",
                hint="lists in which each group is in one list only; `python -m fusionlab.doctor` shows all of them",
            )  # fmt: skip


def without_quarantined(entries: Sequence[Entry], quarantine: Collection[str]) -> list[Entry]:
    """A list without the quarantined videos."""
    return [entry for entry in entries if entry[0] not in quarantine]


def refuse_unknown(quarantine: Collection[str], names: Collection[str]) -> None:
    """Raise a `UserError` for quarantined names that are in no list. `names`: those of the lists."""
    unknown = sorted(set(quarantine) - set(names))
    if unknown:
        near = nearest(unknown[0], names)
        hint = f"did you mean {near} ?" if near else "names as they are in the lists of the data set"
        raise UserError("quarantined videos are in no list", got=f"{len(unknown)}: {some(unknown)}", hint=hint)


def refuse_lost(before: Sequence[Entry], after: Sequence[Entry], classes: Sequence[str], which: str) -> None:
    """Raise a `UserError` for classes that lost all their videos: they can be neither learned nor tested."""
    lost = {label for _, label in before} - {label for _, label in after}
    if lost:
        raise UserError(
            f"the quarantine leaves classes without a video in the {which} list",
            got=some([classes[label] for label in sorted(lost)]),
            hint="a shorter data.quarantine; or a data set without these classes",
        )
