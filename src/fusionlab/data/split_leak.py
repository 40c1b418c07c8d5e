"""The guard against leaks: nothing that was trained on is tested on, neither a video nor what it was cut from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fusionlab.data.dataset import Entry
from fusionlab.errors import UserError

SHOWN = 10


def shared(train: Sequence[Entry], test: Sequence[Entry], group: Callable[[str], str]) -> tuple[list[str], list[str]]:
    """(videos, groups) that are in both lists, sorted."""
    videos = {name for name, _ in train} & {name for name, _ in test}
    groups = {group(name) for name, _ in train} & {group(name) for name, _ in test}
    return sorted(videos), sorted(groups)


def refuse_leaks(train: Sequence[Entry], test: Sequence[Entry], group: Callable[[str], str]) -> None:
    """Raise a `UserError` that names what is in both lists."""
    videos, groups = shared(train, test, group)
    for what, found in (("videos", videos), ("groups", groups)):
        if found:
            raise UserError(
                f"{what} are in both the training and the test list", got=f"{len(found)}: {some(found)}",
                hint="lists in which each group is on one side; `python -m fusionlab.doctor` shows all of them",
            )  # fmt: skip


def some(names: Sequence[str], most: int = SHOWN) -> str:
    """The first of them.

    >>> some(["a", "b", "c"], 2)
    'a, b …'
    """
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")
