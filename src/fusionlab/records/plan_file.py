"""plan.json: the jobs of a study, what each needs, the arms that they train, and the cells that cannot be trained.

Only this module knows the format. `study.plan` checks that jobs and arms fit together.

    keys      the names of a config's top level, for each set of names that occurs
    parts     each distinct value below such a name, once: a data set, an optimiser, a seed
    jobs      id, kind, folder, needs; `arms`: their places in the list of arms
    arms      name, kind, axes, signature; `control`: the signature of a fused arm's control, not in older plans
    refused   name, kind, axes, reason

The `config` of a job or arm is `[k, p, q, …]`: the k-th names, with the parts p, q, …. So 10,000 arms, most of which
differ in their seeds alone, have a small file. Configs that were read share their parts, so they are not to be changed.
A part refers to nothing, so there is no cycle and nothing grows when it is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.files import escape_unsafe, read_json
from fusionlab.records.record import ANY, COUNT, KIND, SCALAR, TEXT, misfit

SCHEMA = 2  # 1 had whole configs, those of a cohort's arms also in its job
FILE = "plan.json"
PUBLISHED = "published"  # the folder of a job's records
THEN = "val.then"  # the axis of the arms of two chains, with its values; `planning/chains.py`
KEEP, RETRAIN = THENS = ("keep", "retrain")
TRAINED_ON = "trained_on"  # the axis of a stream of another data set, which only gives its weights and has no row

_JOB = {"id": TEXT, "kind": TEXT, "folder": TEXT, "needs": [TEXT], "config": [COUNT], "arms": [COUNT]}
_ARM = {"name": TEXT, "kind": KIND, "axes": {"*": SCALAR}, "signature": TEXT, "config": [COUNT], "control?": TEXT}
_REFUSED = {"name": TEXT, "kind": KIND, "axes": {"*": SCALAR}, "reason": TEXT}
_PLAN = {
    "command": TEXT, "keys": [[TEXT]], "parts": [ANY], "jobs": [_JOB], "arms": [_ARM], "refused": [_REFUSED], "*": ANY,
}  # fmt: skip
_JOB_1 = {**_JOB, "config": {"*": ANY}, "arms": [TEXT]}
_PLAN_1 = {"command": TEXT, "jobs": [_JOB_1], "arms": [{**_ARM, "config": {"*": ANY}, "job": TEXT}], "*": ANY}

# What a config has below some of its names, if it has them; the rest is read by `config`.
_GROUP = {"*": ANY}
_CONFIG = {
    **dict.fromkeys(("run?", "data?", "dataset?", "store?", "optim?", "backbone?", "stage_one?"), _GROUP),
    "trainer?": {"threads?": COUNT, "*": ANY}, "*": ANY,
}  # fmt: skip

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode

Content = tuple[str, list["Job"], list["Arm"], list["Refused"]]


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
    control: str | None = None  # the signature of the arm that it is compared with

    @property
    def has_row(self) -> bool:
        """Whether tables show its test: neither a stream of another data set, nor an arm of chain A, which chooses."""
        return TRAINED_ON not in self.axes and self.axes.get(THEN) != KEEP

    def find(self, records: Mapping[Path, dict[str, Any]]) -> tuple[Path, dict[str, Any]] | None:
        """The arm's record among those of its job, by signature: a shared stream may have several names."""
        for path, record in records.items():
            if record["signature"] == self.signature and record["kind"] == self.kind:
                return path, record
        return None

    def damage(self, damaged: Mapping[Path, str], names: Container[str]) -> str | None:
        """The error of the arm's damaged record: one in its folder, or in a folder that names no other arm."""
        for path, why in damaged.items():
            if path.parent.name == self.name or path.parent.name not in names:
                return why
        return None


@dataclass(frozen=True)
class Refused:
    """A cell of the grid that cannot be trained: named as its arm would be, with the reason on one line."""

    name: str
    kind: str
    axes: dict[str, Any]
    reason: str


def has_plan(study: str | os.PathLike[str]) -> bool:
    return (Path(study) / FILE).is_file()


def read_plan_file(study: str | os.PathLike[str]) -> Content:
    """The command, jobs, arms and refused cells of a study's plan.json, with the types of all values checked."""
    place = Path(study) / FILE
    if not place.is_file():
        raise UserError(f"no study in this folder ({FILE} is missing)", got=study, hint="python -m fusionlab.plan …")
    content = read_json(place)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema not in (1, SCHEMA):
        raise UserError("the schema of this plan is unknown", got=f"{schema} in {place}", allowed=["1", str(SCHEMA)])
    if wrong := misfit(content, _PLAN_1 if schema == 1 else _PLAN):
        raise UserError(f"a damaged plan: {wrong[0]}", got=f"{str(wrong[1])[:100]} in {place}")
    try:
        read = _content_of_1(content) if schema == 1 else _content(content)
    except (LookupError, ValueError):
        raise UserError("a damaged plan: a number in it refers to nothing, or two jobs to one arm", got=place) from None
    _, jobs, arms, _ = read
    # Arms share most of their parts, so each is checked once.
    configs = (*(job.config for job in jobs), *(arm.config for arm in arms))
    parts = {(name, id(part)): {name: part} for config in configs for name, part in config.items()}
    if wrong := next(filter(None, (misfit(part, _CONFIG) for part in parts.values())), None):
        raise UserError(f"a damaged plan: in a config, {wrong[0]}", got=f"{str(wrong[1])[:100]} in {place}")
    return read


def _content(plan: dict[str, Any]) -> Content:
    """What a plan's JSON holds; a `LookupError` or `ValueError` if its numbers do not fit."""
    keys, parts = plan["keys"], plan["parts"]

    def config(row: Sequence[int]) -> dict[str, Any]:
        names, *numbers = row
        return dict(zip(keys[names], [parts[number] for number in numbers], strict=True))

    job_of = {number: job["id"] for job in plan["jobs"] for number in job["arms"]}
    if len(job_of) < sum(len(job["arms"]) for job in plan["jobs"]):
        raise ValueError
    arms = [Arm(**{**arm, "config": config(arm["config"]), "job": job_of[at]}) for at, arm in enumerate(plan["arms"])]
    jobs = [
        Job(**{
            **job, "needs": tuple(job["needs"]), "config": config(job["config"]),
            "arms": tuple(arms[number].name for number in job["arms"]),
        })
        for job in plan["jobs"]
    ]  # fmt: skip
    return plan["command"], jobs, arms, [Refused(**cell) for cell in plan["refused"]]


def _content_of_1(plan: dict[str, Any]) -> Content:
    """Schema 1 has no refused cells: its versions refused the whole grid."""
    jobs = []
    for job in plan["jobs"]:
        own = {name: part for name, part in job["config"].items() if (job["kind"], name) != ("cohort", "arms")}
        jobs.append(Job(**{**job, "needs": tuple(job["needs"]), "config": own, "arms": tuple(job["arms"])}))
    return plan["command"], jobs, [Arm(**arm) for arm in plan["arms"]], []


def plan_text(command: str, jobs: Iterable[Job], arms: Sequence[Arm], refused: Iterable[Refused]) -> str:
    """The text of a plan.json, with a line for each item."""
    table = _Table()
    places = {arm.name: place for place, arm in enumerate(arms)}
    lists: dict[str, Iterable[str]] = {
        "jobs": [
            _encode({
                "id": job.id, "kind": job.kind, "folder": job.folder, "needs": job.needs,
                "config": table.row(job.config), "arms": [places[name] for name in job.arms],
            })
            for job in jobs
        ],
        "arms": [
            _encode({
                "name": arm.name, "kind": arm.kind, "axes": arm.axes, "signature": arm.signature,
                "config": table.row(arm.config), **({"control": arm.control} if arm.control else {}),
            })
            for arm in arms
        ],
        "refused": [_encode(vars(cell)) for cell in refused],
    }  # fmt: skip
    lists = {"keys": map(_encode, table.keys), "parts": table.parts, **lists}
    items = [f'"schema": {SCHEMA}', f'"command": {_encode(command)}']
    for name, rows in lists.items():
        items.append(f'"{name}": [' + ",".join(f"\n{row}" for row in rows) + "\n]")
    return escape_unsafe("{\n" + ",\n".join(items) + "\n}\n")


class _Table:
    """The distinct names and parts of configs, with their numbers."""

    def __init__(self) -> None:
        self.keys: dict[tuple[str, ...], int] = {}
        self.parts: dict[str, int] = {}  # the JSON of a part -> its number
        self._known: dict[int, int] = {}  # by identity, since most parts are shared; the configs keep them alive

    def row(self, config: Mapping[str, Any]) -> list[int]:
        return [self.keys.setdefault(tuple(config), len(self.keys)), *map(self._number, config.values())]

    def _number(self, part: Any) -> int:
        number = self._known.get(id(part))
        if number is None:
            number = self._known[id(part)] = self.parts.setdefault(_encode(part), len(self.parts))
        return number
