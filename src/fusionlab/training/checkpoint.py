"""The checkpoint of a cohort: {step, arms, optimiser, callbacks}, small, atomic, and read as data.

Lightning's own checkpoint is not used. It would hold the frozen towers of every cohort, it pickles objects that
`weights_only` refuses, and to resume within an epoch it repeats the first batches. Here `step` alone determines the
position in the data, and generators have no state to save. The state of each arm is separate: an attempt that trains
some of the arms resumes from the checkpoint of an attempt that trained more.

A checkpoint may be written at the end of a stretch before its validation; the resumed training then validates first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from fusionlab.errors import UserError
from fusionlab.records.record import CHECKPOINT
from fusionlab.records.torch_files import refuse_bombs
from fusionlab.training.cohort import Cohort
from fusionlab.training.weights import save

FILE = CHECKPOINT
FORMAT = 1


def write(
    folder: Path, cohort: Cohort, optimiser: torch.optim.Optimizer, callbacks: Mapping[str, pl.Callback] | None = None
) -> None:
    """Replace the checkpoint in the folder by the present state of the cohort and its callbacks."""
    save(folder / FILE, content_of(cohort, optimiser, callbacks))


def content_of(
    cohort: Cohort, optimiser: torch.optim.Optimizer, callbacks: Mapping[str, pl.Callback] | None = None
) -> dict[str, Any]:
    """The state as a checkpoint holds it; its tensors are those of the cohort, not copies."""
    return {
        "format": FORMAT,
        "step": cohort.step,
        "steps_per_epoch": cohort.steps_per_epoch,
        "arms": {name: arm.state() for name, arm in cohort.arms.items()},
        "optimiser": optimiser.state_dict(),
        "callbacks": {name: state for name, one in (callbacks or {}).items() if plain(state := one.state_dict())},
    }


def plain(state: Any) -> bool:
    """Whether a checkpoint can hold this: tensors, numbers and text, in lists and mappings. Others are not loaded."""
    if isinstance(state, Mapping):
        return type(state) is dict and all(map(plain, [*state, *state.values()]))
    if type(state) in (list, tuple):
        return all(map(plain, state))
    return state is None or type(state) in (bool, int, float, str, bytes, Tensor)


def read(path: Path) -> dict[str, Any]:
    try:
        refuse_bombs(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        why, hint = str(error).partition("\n")[0][:200], f"rm '{path}': its arms then start from their first step"
        raise UserError("unreadable checkpoint", got=f"{path}: {why}", hint=hint) from error
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        raise UserError("the checkpoint has another version", got=f"{path}: {version}", allowed=[str(FORMAT)])
    return dict(content)


def choose_checkpoints(folders: Mapping[str, Sequence[Path]]) -> list[tuple[list[str], Path | None]]:
    """Groups of arms, each with the checkpoint from which they resume together.

    Of the checkpoints in an arm's folders it is the one with the most steps. It is None if there is none, or if the arm
    failed there: then the arm starts from its first step. Only what is asked of a checkpoint stays in memory.
    """
    files = dict.fromkeys(one / FILE for several in folders.values() for one in several)
    contents = {file: _outline(file) for file in files if file.is_file()}
    groups: dict[Path | None, list[str]] = {}
    for arm, places in folders.items():
        usable = [place for one in places if (place := one / FILE) in contents and _can_resume(contents[place], arm)]
        best = max(usable, key=lambda place: int(contents[place]["step"]), default=None)
        groups.setdefault(best, []).append(arm)
    return [(arms, place) for place, arms in groups.items()]


def _outline(place: Path) -> dict[str, Any]:
    """The step of a checkpoint, and the status of its arms."""
    content = read(place)
    return {"step": content["step"], "arms": {n: {"status": one["status"]} for n, one in content["arms"].items()}}


def _can_resume(content: Mapping[str, Any], arm: str) -> bool:
    return arm in content["arms"] and content["arms"][arm]["status"] != "failed"


def restore(cohort: Cohort, content: Mapping[str, Any]) -> None:
    """Load a checkpoint, which may hold more arms, into the cohort.

    The optimiser's state is kept until the optimiser exists.
    """
    missing = [name for name in cohort.arms if name not in content["arms"]]
    if missing or content["steps_per_epoch"] != cohort.steps_per_epoch:
        raise UserError(
            "the checkpoint is of another cohort",
            got=f"{', '.join(content['arms'])}; {content['steps_per_epoch']} steps an epoch",
            allowed=[f"{', '.join(cohort.arms)}; {cohort.steps_per_epoch} steps an epoch"],
            hint="the folder of another study",
        )
    for name, arm in cohort.arms.items():
        written = content["arms"][name].get("signature", arm.signature)  # older checkpoints have none
        if written != arm.signature:
            raise UserError(
                f"the checkpoint is of another arm named {name}", got=f"signature {written}", allowed=[arm.signature],
                hint=f"remove {FILE} from this job's attempts: the arm then starts from its first step",
            )  # fmt: skip
        arm.restore(content["arms"][name], content["steps_per_epoch"])
    cohort.step = content["step"]
    cohort.optimiser_state = _optimiser_state(content["optimiser"], [a.name for a in cohort.arms.values() if a.trained])


def _optimiser_state(state: Mapping[str, Any], arms: Sequence[str]) -> dict[str, Any]:
    """The part of an optimiser's state that belongs to these arms, in their order."""
    own = [group for arm in arms for group in state["param_groups"] if group["arm"] == arm]
    kept = {index for group in own for index in group["params"]}
    return {"param_groups": own, "state": {i: one for i, one in state["state"].items() if i in kept}}
