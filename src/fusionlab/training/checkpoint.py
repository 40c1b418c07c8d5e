"""The checkpoint of a cohort: {step, arms, optimiser}, small, atomic, and read as data.

Lightning's own checkpoint is not used: it would hold the frozen towers of every cohort, pickles objects that
`weights_only` refuses, and resumes in mid-epoch by replaying the first batches of the epoch. Here the place
in the data follows from `step` alone, and generators have no state to keep, so this is all there is.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from fusionlab.errors import UserError
from fusionlab.records.files import write_bytes
from fusionlab.training.cohort import Cohort

FILE = "checkpoint.pt"
FORMAT = 1


def write(folder: Path, cohort: Cohort, optimiser: torch.optim.Optimizer) -> None:
    """Replace the folder's checkpoint by the cohort as it stands now."""
    content = {
        "format": FORMAT,
        "step": cohort.step,
        "steps_per_epoch": cohort.steps_per_epoch,
        "arms": {name: arm.state() for name, arm in cohort.arms.items()},
        "optimiser": optimiser.state_dict(),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(folder / FILE, buffer.getvalue())


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if content["format"] != FORMAT:
        raise UserError(
            "this checkpoint is of another version", got=f"{path}: {content['format']}", allowed=[str(FORMAT)]
        )
    return content


def furthest(folders: Iterable[Path]) -> dict[str, Any] | None:
    """Of the attempts before this one, the checkpoint with the most steps; None where no attempt came so
    far."""
    found = [read(folder / FILE) for folder in folders if (folder / FILE).is_file()]
    return max(found, key=lambda content: int(content["step"]), default=None)


def restore(cohort: Cohort, content: dict[str, Any]) -> None:
    """Put the cohort where the checkpoint was written; the optimiser follows when it is made."""
    same = list(content["arms"]) == list(cohort.arms) and content["steps_per_epoch"] == cohort.steps_per_epoch
    if not same:
        raise UserError(
            "this checkpoint is of another cohort",
            got=f"{', '.join(content['arms'])}; {content['steps_per_epoch']} steps an epoch",
            allowed=[f"{', '.join(cohort.arms)}; {cohort.steps_per_epoch} steps an epoch"],
            hint="the folder of another study",
        )
    for name, arm in cohort.arms.items():
        arm.restore(content["arms"][name])
    cohort.step = content["step"]
    cohort.optimiser_state = content["optimiser"]
