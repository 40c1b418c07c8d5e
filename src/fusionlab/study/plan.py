"""plan.json: which jobs a study consists of, what each needs, and which arms come of it.

The verbs' floor knows configs and makes jobs and arms; here is only their shape, the check that they fit
together, and the rule that a folder holds one study: the same plan continues it, another one is refused.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.files import create_exclusive, read_json, to_json, write_text
from fusionlab.records.signature import identity, signature

SCHEMA = 1
FILE = "plan.json"
JOB_KINDS = ("prepare", "stream", "cohort")


@dataclass(frozen=True)
class Job:
    """One process' work. `folder` is relative to the study (`../streams/…` is shared) or absolute."""

    id: str
    kind: str
    folder: str
    needs: tuple[str, ...]
    config: dict[str, Any]
    arms: tuple[str, ...] = ()

    def path(self, study: str | os.PathLike[str]) -> Path:
        return Path(os.path.normpath(Path(study).absolute() / self.folder))

    def recipe(self) -> dict[str, Any]:
        """What the job's result follows from: its config without `run`, and so each of its arms' configs."""
        recipe = identity(self.config)
        if isinstance(recipe.get("arms"), list):
            recipe["arms"] = [identity(one) if isinstance(one, dict) else one for one in recipe["arms"]]
        return recipe


@dataclass(frozen=True)
class Arm:
    """One point of the grid, and the job that trains it."""

    name: str
    kind: str
    axes: dict[str, Any]
    signature: str
    config: dict[str, Any]
    job: str


@dataclass(frozen=True)
class Plan:
    schema: int
    signature: str
    command: str
    jobs: tuple[Job, ...]
    arms: tuple[Arm, ...]

    @classmethod
    def of(cls, command: str, jobs: Iterable[Job], arms: Iterable[Arm]) -> Plan:
        """A checked plan with its signature.

        The signature is of the arms and the order of work, not of folders or the jobs' `run` settings: the
        same study may be continued on another device.
        """
        jobs, arms = tuple(jobs), tuple(arms)
        order = [[job.id, job.kind, sorted(job.needs), list(job.arms)] for job in jobs]
        made = cls(
            SCHEMA,
            signature({"arms": [[arm.name, arm.kind, arm.signature, arm.job] for arm in arms], "jobs": order}),
            command,
            jobs,
            arms,
        )
        check(made)
        return made

    def job(self, job_id: str) -> Job:
        for job in self.jobs:
            if job.id == job_id:
                return job
        raise UserError("no such job in the plan", got=job_id, allowed=[job.id for job in self.jobs])

    def arm(self, name: str) -> Arm:
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise UserError("no such arm in the plan", got=name, allowed=[arm.name for arm in self.arms])

    def to_json(self) -> str:
        return to_json(asdict(self))

    @classmethod
    def from_json(cls, text: str, source: object = FILE) -> Plan:
        try:
            content = json.loads(text)
        except ValueError as error:
            raise UserError(f"not a readable plan ({error})", got=source) from None
        return _plan(content, source)

    def write(self, study: str | os.PathLike[str]) -> bool:
        """Put the plan into the study's folder; True where it was not there yet.

        The same study is continued: the newer text replaces the older, so that what the command says about
        `run` holds.
        """
        place = Path(study) / FILE
        check(self)
        text = self.to_json()
        if create_exclusive(place, text):
            return True
        there = read(study)
        if there.signature != self.signature:
            raise UserError(
                f"the folder holds another study: {Path(study)}",
                got=self.command,
                allowed=[there.command],
                hint="the command of the study that is there, to continue it; or another folder for this one",
            )
        if there.to_json() != text:
            write_text(place, text)
        return False


def read(study: str | os.PathLike[str]) -> Plan:
    """The plan of a study's folder."""
    place = Path(study) / FILE
    if not place.is_file():
        raise UserError(
            f"no study in this folder (it has no {FILE})", got=Path(study), hint="python -m fusionlab.plan …"
        )
    return _plan(read_json(place), place)


def _plan(content: Any, source: object) -> Plan:
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        schema = content.get("schema") if isinstance(content, dict) else None
        raise UserError("a plan of another schema", got=f"{schema} in {source}", allowed=[str(SCHEMA)])
    try:
        jobs = tuple(_job(one) for one in content["jobs"])
        arms = tuple(Arm(**one) for one in content["arms"])
        made = Plan(content["schema"], content["signature"], content["command"], jobs, arms)
    except (TypeError, KeyError) as error:
        raise UserError(f"a damaged plan ({error})", got=source) from None
    check(made)
    return made


def _job(content: dict[str, Any]) -> Job:
    known = {one.name for one in fields(Job)}
    if set(content) != known:
        raise KeyError(", ".join(sorted(set(content) ^ known)))
    return Job(**{**content, "needs": tuple(content["needs"]), "arms": tuple(content["arms"])})


def check(plan: Plan) -> None:
    """Names once and fit for a folder, needs known and without a circle, arms and jobs in agreement."""
    for what, names in (
        ("job", [job.id for job in plan.jobs]),
        ("arm", [arm.name for arm in plan.arms]),
        ("job folder", [os.path.normpath(job.folder) for job in plan.jobs]),
    ):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UserError(f"a plan names a {what} twice", got=twice[0])
    for name in [job.id for job in plan.jobs] + [arm.name for arm in plan.arms]:
        if not name or name.startswith(".") or "/" in name or "\0" in name or len(name.encode()) > 200:
            raise UserError("a name that cannot be a folder's", got=repr(name), hint="fewer axes, and plain values")
    jobs = {job.id: job for job in plan.jobs}
    for job in plan.jobs:
        if job.kind not in JOB_KINDS:
            raise UserError("a job of an unknown kind", got=f"{job.id}: {job.kind}", allowed=JOB_KINDS)
        for need in job.needs:
            if need not in jobs:
                raise UserError("a job needs one that is not in the plan", got=f"{job.id} needs {need}", allowed=jobs)
    circle = _circle(plan.jobs)
    if circle:
        raise UserError("jobs that wait for each other in a circle", got=" needs ".join(circle))
    listed = [(arm, job.id) for job in plan.jobs for arm in job.arms]
    for listing in Counter(listed) - Counter((arm.name, arm.job) for arm in plan.arms):
        raise UserError("a job lists an arm that is not its own", got=f"{listing[1]}: {listing[0]}")
    for arm in plan.arms:
        if (arm.name, arm.job) not in listed:
            raise UserError("an arm that its job does not list", got=f"{arm.name} in {arm.job}", allowed=jobs)


def _circle(jobs: Sequence[Job]) -> list[str]:
    """A circle of needs, its first name repeated at the end; empty where there is none."""
    left = {job.id: set(job.needs) for job in jobs}
    while free := [name for name, needs in left.items() if not needs]:
        for name in free:
            del left[name]
        for needs in left.values():
            needs.difference_update(free)
    if not left:
        return []
    walk = [next(iter(left))]
    while walk[-1] not in walk[:-1]:
        walk.append(min(left[walk[-1]]))
    return walk[walk.index(walk[-1]) :]
