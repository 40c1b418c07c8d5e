"""Quarantined videos: in no list, and never replaced by others."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fusionlab.data.dataset import Entry
from fusionlab.data.split_leak import some
from fusionlab.errors import UserError, nearest


def left_in(entries: Sequence[Entry], quarantine: Collection[str]) -> list[Entry]:
    """A list without what is quarantined."""
    return [entry for entry in entries if entry[0] not in quarantine]


def refuse_unknown(quarantine: Collection[str], names: Collection[str]) -> None:
    """A name that no list has leaves nothing out, and was meant to. `names`: those that the lists have."""
    unknown = sorted(set(quarantine) - set(names))
    if unknown:
        near = nearest(unknown[0], names)
        hint = f"is it {near} ?" if near else "names as the data set's lists have them"
        raise UserError("quarantined videos are in no list", got=f"{len(unknown)}: {some(unknown)}", hint=hint)


def refuse_lost(before: Sequence[Entry], after: Sequence[Entry], classes: Sequence[str], which: str) -> None:
    """A class that has lost all its videos can be neither learned nor tested."""
    gone = {label for _, label in before} - {label for _, label in after}
    if gone:
        raise UserError(
            f"the quarantine leaves classes without a video in the {which} list",
            got=some([classes[label] for label in sorted(gone)]),
            hint="a shorter data.quarantine; or a data set without these classes",
        )
