"""plan.json: which jobs a study consists of, what each needs, and which arms come of it.

The verbs' floor knows configs and makes jobs and arms; here is only their shape, the check that they fit
together, and the rule that a folder holds one study: the same arms, or more, continue it; others are refused. How arms
are packed into jobs does not matter: an arm that was begun keeps its job.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from fusionlab.errors import UserError, show
from fusionlab.records.files import create_exclusive, read_json, to_json, write_text
from fusionlab.records.lock import alone
from fusionlab.records.signature import identity, signature
from fusionlab.study.recipes import ARM

SCHEMA = 1
FILE = "plan.json"
JOB_KINDS = ("prepare", "stream", "cohort")
STREAMS_FOLDER = "streams"  # the folder of the streams that studies share, beside them
STREAMS_VARIABLE = "FUSIONLAB_STREAMS"  # where it is, if not there: a sweep tells its workers
DATA_VARIABLE = "FUSIONLAB_DATA"  # videos and packed stores; conf/config.yaml has it as run.data

_SIGNATURE = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Job:
    """What one process does at a time. `folder` is relative to the study; `…/streams/<signature>` is shared."""

    id: str
    kind: str
    folder: str
    needs: tuple[str, ...]
    config: dict[str, Any]
    arms: tuple[str, ...] = ()

    def path(self, study: str | os.PathLike[str]) -> Path:
        return Path(os.path.normpath(Path(study).absolute() / self.folder))

    def recipe(self) -> dict[str, Any]:
        """What the job's result follows from: its config without `run`; of a cohort, what its arms have in common."""
        return common_recipe(self.config)


@dataclass(frozen=True)
class Arm:
    """One point of the grid, and the job that trains it."""

    name: str
    kind: str
    axes: dict[str, Any]
    signature: str
    config: dict[str, Any]
    job: str


One = TypeVar("One", Job, Arm)


@dataclass(frozen=True)
class Plan:
    schema: int
    signature: str
    command: str
    jobs: tuple[Job, ...]
    arms: tuple[Arm, ...]

    @classmethod
    def of(cls, command: str, jobs: Iterable[Job], arms: Iterable[Arm]) -> Plan:
        """A checked plan with its signature, which is of its arms only: not of their names, nor of jobs or folders."""
        jobs, arms = tuple(jobs), tuple(arms)
        known = sorted([arm.kind, arm.signature] for arm in arms)
        made = cls(SCHEMA, signature({"arms": known}), command, jobs, arms)
        check(made)
        return made

    @property
    def signature_of_old(self) -> str:
        """As older versions signed plans, and named the folders of studies: with jobs, and their order."""
        order = [[job.id, job.kind, sorted(job.needs), list(job.arms)] for job in self.jobs]
        arms = [[arm.name, arm.kind, arm.signature, arm.job] for arm in self.arms]
        return signature({"arms": arms, "jobs": order})

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

    def write(self, study: str | os.PathLike[str]) -> tuple[Plan, bool]:
        """Put the plan into the study's folder; returns what then is the study's plan, and whether it is new there.

        Where the folder holds these arms or some of them, its study is continued: the newer text replaces the older,
        so that what the command says about `run` holds.
        """
        place = Path(study) / FILE
        check(self)
        if not place.is_file() and create_exclusive(place, self.to_json()):
            return self, True
        plan, changed = self._onto(study)
        if changed:
            with alone(Path(study) / ".plan.lock", show, "the plan"):  # another command may add arms as well
                plan, changed = self._onto(study)
                if changed:
                    write_text(place, plan.to_json())
        return plan, False

    def _onto(self, study: str | os.PathLike[str]) -> tuple[Plan, bool]:
        there = read(study)
        plan = self._continuing(there, Path(study))
        return plan, there.to_json() != plan.to_json()

    def _continuing(self, there: Plan, study: Path) -> Plan:
        """This plan, in which arms that are there keep their names, and their jobs where these were begun."""
        before = {(arm.kind, arm.signature): arm for arm in there.arms}
        gone = [arm.name for key, arm in before.items() if key not in {(arm.kind, arm.signature) for arm in self.arms}]
        if gone:
            raise UserError(
                f"the folder holds another study: {study}",
                got=f"{self.command}\n            which does not have {', '.join(gone[:3])}{' …' if gone[3:] else ''}",
                allowed=[there.command],
                hint="the command of the study that is there, with more values, to continue it; or another folder",
            )
        begun = {job.id: job for job in there.jobs if job.kind == "cohort" and (job.path(study) / "claims").is_dir()}
        arms, run = [], {job.id: job.config.get("run") for job in self.jobs}
        for arm in self.arms:
            old = before.get((arm.kind, arm.signature), arm)
            if old.job in begun:  # what it says of `run` is what is said now
                run.setdefault(old.job, run[arm.job])
                arm = replace(arm, job=old.job)
            arms.append(replace(arm, name=old.name))
        jobs = {job.id: job for job in (*self.jobs, *begun.values())}
        made = []
        for job in jobs.values():
            own = [arm for arm in arms if arm.job == job.id]
            if job.arms and not own:
                continue  # all of its arms are another's by now
            config = {**job.config, **({"run": run[job.id]} if run[job.id] is not None else {})}
            if "arms" in config:
                config["arms"] = [arm.config for arm in own]
            made.append(replace(job, config=config, arms=tuple(arm.name for arm in own)))
        return Plan.of(self.command, made, arms)


def common_recipe(config: dict[str, Any]) -> dict[str, Any]:
    """What a job's result follows from, of its config; of a cohort, what its arms have in common."""
    arms = config.get("arms")
    if isinstance(arms, list) and arms and isinstance(arms[0], dict):
        return {part: one for part, one in identity(arms[0]).items() if part not in ARM}
    return identity(config)


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
    jobs, arms, command = content.get("jobs"), content.get("arms"), content.get("command")
    if not isinstance(jobs, list) or not isinstance(arms, list) or not isinstance(command, str):
        raise UserError("a damaged plan", got=source, allowed=["jobs, arms and a command"])
    # Signed anew: older versions signed other things.
    return Plan.of(command, [_one(Job, job, source) for job in jobs], [_one(Arm, arm, source) for arm in arms])


_KINDS: dict[str, type] = {"str": str, "dict[str, Any]": dict, "tuple[str, ...]": list}


def _one(kind: Callable[..., One], content: Any, source: object) -> One:
    """A job or an arm, whose values are of the kinds that it says."""
    kinds = {one.name: _KINDS[str(one.type)] for one in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(content, dict) or set(content) != set(kinds):
        raise UserError("a damaged plan: a job or an arm has other keys", got=source, allowed=kinds)
    for name, right in kinds.items():
        one = content[name]
        if not isinstance(one, right) or (isinstance(one, list) and not all(isinstance(text, str) for text in one)):
            raise UserError(f"a damaged plan: the type of {name!r}", got=f"{str(one)[:100]} in {source}")
    return kind(**{name: tuple(one) if isinstance(one, list) else one for name, one in content.items()})


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
        _stays_inside(job)
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
    theirs = set(listed)
    for arm in plan.arms:
        if (arm.name, arm.job) not in theirs:
            raise UserError("an arm that its job does not list", got=f"{arm.name} in {arm.job}", allowed=jobs)


def _stays_inside(job: Job) -> None:
    """A job works in the study's folder, or in one of a shared stream: `…/streams/<signature>`."""
    parts = Path(os.path.normpath(job.folder)).parts
    is_shared = (
        job.kind == "stream" and len(parts) > 1 and parts[-2] == STREAMS_FOLDER and _SIGNATURE.fullmatch(parts[-1])
    )
    if not is_shared and (Path(job.folder).is_absolute() or not parts or parts[0] == ".." or "\0" in job.folder):
        raise UserError(
            "a job's folder lies outside its study", got=f"{job.id}: {job.folder}",
            allowed=["a folder in the study", f"../{STREAMS_FOLDER}/<signature>, of a stream"],
        )  # fmt: skip


def expect_own_folders(plan: Plan, study: str | os.PathLike[str]) -> None:
    """A `UserError` before anything is written where it is not the study's to write.

    What a plan says of folders may be a stranger's word: streams are shared with the studies beside this one, or in
    the folder that a sweep names to its workers; data lie where commands that are typed here have them, or beside.
    """
    folder = Path(study).resolve()
    told = os.environ.get(STREAMS_VARIABLE)
    mine = [Path(os.environ.get(DATA_VARIABLE) or "data").resolve(), folder.parent.parent / "data"]
    roots = [folder.parent / STREAMS_FOLDER, *([Path(told).resolve()] if told else [])]
    for job in plan.jobs:
        place = job.path(study).resolve()
        if not place.is_relative_to(folder) and place.parent not in roots:
            raise UserError(
                f"the {job.kind}'s folder is neither in the study nor beside it", got=place,
                allowed=[f"below {one}" for one in (folder, *roots)],
                hint=f"if these streams are yours: {STREAMS_VARIABLE}='{place.parent}' python -m fusionlab.work …",
            )  # fmt: skip
        run = job.config.get("run")
        data = Path(str(run["data"])).resolve() if isinstance(run, dict) and "data" in run else mine[0]
        if data not in mine and not data.is_relative_to(folder):
            raise UserError(
                "the study keeps its data elsewhere than commands that are typed here", got=data,
                allowed=map(str, mine),
                hint=f"if that folder is yours: {DATA_VARIABLE}='{data}' python -m fusionlab.work …",
            )  # fmt: skip


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
