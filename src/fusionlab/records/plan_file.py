"""plan.json: the jobs of a study, what each needs, the arms that they train, and the cells that cannot be trained.

Only this module reads the file. `study.plan` checks that jobs and arms fit together, and writes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.files import read_json
from fusionlab.records.record import ANY, KIND, SCALAR, TEXT, misfit

SCHEMA = 1
FILE = "plan.json"
PUBLISHED = "published"  # the folder of a job's records

_JOB = {"id": TEXT, "kind": TEXT, "folder": TEXT, "needs": [TEXT], "config": {"*": ANY}, "arms": [TEXT]}
_ARM = {"name": TEXT, "kind": KIND, "axes": {"*": SCALAR}, "signature": TEXT, "config": {"*": ANY}, "job": TEXT}
_REFUSED = {"name": TEXT, "kind": KIND, "axes": {"*": SCALAR}, "reason": TEXT}
_PLAN = {"command": TEXT, "jobs": [_JOB], "arms": [_ARM], "refused?": [_REFUSED], "*": ANY}


@dataclass(frozen=True)
class Job:
    """The work of one process. `folder` is relative to the study; studies share `…/streams/<signature>`."""

    id: str
    kind: str
    folder: str
    needs: tuple[str, ...]
    config: dict[str, Any]
    arms: tuple[str, ...] = ()

    def path(self, study: str | os.PathLike[str]) -> Path:
        return Path(os.path.normpath(Path(study).absolute() / self.folder))

    def published(self, study: str | os.PathLike[str]) -> Path:
        return self.path(study) / PUBLISHED


@dataclass(frozen=True)
class Arm:
    """One point of the grid, and the job that trains it."""

    name: str
    kind: str
    axes: dict[str, Any]
    signature: str
    config: dict[str, Any]
    job: str

    def find(self, records: Mapping[Path, dict[str, Any]]) -> tuple[Path, dict[str, Any]] | None:
        """The arm's record among those of its job, by signature: a shared stream may have several names."""
        for path, record in records.items():
            if record["signature"] == self.signature and record["kind"] == self.kind:
                return path, record
        return None

    def damage(self, damaged: Mapping[Path, str], names: Iterable[str]) -> str | None:
        """The error of the arm's damaged record: one in its folder, or in a folder that names no other arm."""
        others = {name for name in names if name != self.name}
        return next((why for path, why in damaged.items() if path.parent.name not in others), None)


@dataclass(frozen=True)
class Refused:
    """A cell of the grid that cannot be trained: named as its arm would be, with the reason on one line."""

    name: str
    kind: str
    axes: dict[str, Any]
    reason: str


def has_plan(study: str | os.PathLike[str]) -> bool:
    return (Path(study) / FILE).is_file()


def read_plan_file(study: str | os.PathLike[str]) -> tuple[str, list[Job], list[Arm], list[Refused]]:
    """The command, jobs, arms and refused cells of a study's plan.json, with the types of all values checked.

    Plans of older versions have no refused cells: these versions refused the whole grid.
    """
    place = Path(study) / FILE
    if not place.is_file():
        raise UserError(f"no study in this folder ({FILE} is missing)", got=study, hint="python -m fusionlab.plan …")
    content = read_json(place)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise UserError("the schema of this plan is unknown", got=f"{schema} in {place}", allowed=[str(SCHEMA)])
    if wrong := misfit(content, _PLAN):
        raise UserError(f"a damaged plan: {wrong[0]}", got=f"{str(wrong[1])[:100]} in {place}")
    jobs = [Job(**{**job, "needs": tuple(job["needs"]), "arms": tuple(job["arms"])}) for job in content["jobs"]]
    refused = [Refused(**cell) for cell in content.get("refused", ())]
    return content["command"], jobs, [Arm(**arm) for arm in content["arms"]], refused
