"""A study's plan: jobs and arms that fit together, and the rules for continuing a study.

`planning` makes the jobs and arms from configs; `records.plan_file` is their format. A folder holds one study: the same
arms, or more, continue it; others are refused. How arms are packed into jobs does not matter: an arm that was begun
keeps its job.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError, show
from fusionlab.records.files import create_exclusive, read_whole, write_text
from fusionlab.records.group import share
from fusionlab.records.lock import alone
from fusionlab.records.plan_file import FILE as FILE
from fusionlab.records.plan_file import Arm as Arm
from fusionlab.records.plan_file import Job as Job
from fusionlab.records.plan_file import Refused as Refused
from fusionlab.records.plan_file import has_plan as has_plan
from fusionlab.records.plan_file import plan_text, read_plan_file
from fusionlab.records.probe import probe
from fusionlab.records.signature import identity, signature
from fusionlab.study.recipes import ARM

STAGES = {"prepare": "prepare", "stream": "streams", "cohort": "fusion"}  # kind of a job -> its stage in words
JOB_KINDS = tuple(STAGES)
STREAMS_FOLDER = "streams"  # the folder of the streams that studies share, beside them
STREAMS_VARIABLE = "FUSIONLAB_STREAMS"  # where it is, if not there: a sweep tells its workers
DATA_VARIABLE = "FUSIONLAB_DATA"  # videos and packed stores; conf/config.yaml has it as run.data

_SIGNATURE = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Plan:
    signature: str
    command: str
    jobs: tuple[Job, ...]
    arms: tuple[Arm, ...]
    refused: tuple[Refused, ...] = ()

    @classmethod
    def of(cls, command: str, jobs: Iterable[Job], arms: Iterable[Arm], refused: Iterable[Refused] = ()) -> Plan:
        """A checked plan. Its signature is of the arms only: names, jobs, folders, refused cells do not matter."""
        jobs, arms = tuple(jobs), tuple(arms)
        made = cls(signature_of(arms), command, jobs, arms, tuple(refused))
        check(made)
        return made

    @property
    def older_signatures(self) -> list[str]:
        """The signatures in the folder names of older versions: without controls; before that, with jobs in order."""
        own = [arm for arm in self.arms if arm.kind != "control"]
        names = {arm.name for arm in own}
        order = [[job.id, job.kind, sorted(job.needs), [one for one in job.arms if one in names]] for job in self.jobs]
        arms = [[arm.name, arm.kind, arm.signature, arm.job] for arm in own]
        return [signature_of(own), signature({"arms": arms, "jobs": order})]

    @cached_property
    def _jobs(self) -> dict[str, Job]:
        return {job.id: job for job in self.jobs}

    @cached_property
    def _arms(self) -> dict[str, Arm]:
        return {arm.name: arm for arm in self.arms}

    def job(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise UserError("unknown job: the plan does not have it", got=job_id, allowed=self._jobs)
        return self._jobs[job_id]

    def arm(self, name: str) -> Arm:
        if name not in self._arms:
            raise UserError("unknown arm: the plan does not have it", got=name, allowed=self._arms)
        return self._arms[name]

    @property
    def refusals(self) -> list[str]:
        """A line for each reason why cells are refused, with the number of its cells."""
        counts = Counter(cell.reason for cell in self.refused)
        return [f"{count} cell{'s' * (count > 1)} refused: {reason}" for reason, count in counts.items()]

    @property
    def _runs(self) -> list[dict[str, Any]]:
        return [run for run in (job.config.get("run") for job in self.jobs) if isinstance(run, dict)]

    @property
    def group(self) -> str | None:
        """The group of users that shares the study."""
        return next((str(run["group"]) for run in self._runs if run.get("group") is not None), None)

    def recipe(self, job: Job) -> dict[str, Any]:
        """The part of a job's config that determines its result; of a cohort, what its arms have in common."""
        first = [self.arm(name).config for name in job.arms[:1] if job.kind == "cohort"]
        return {**common_recipe(job.config), **common_recipe({"arms": first} if first else {})}

    def part(self, job_id: str) -> Plan:
        """The plan of one job: the job, those that it needs, and their arms."""
        chosen: dict[str, Job] = {}
        wanted = [job_id]
        while wanted:
            job = self.job(wanted.pop())
            chosen[job.id] = job
            wanted += [need for need in job.needs if need not in chosen]
        return Plan.of(self.command, chosen.values(), (self.arm(name) for job in chosen.values() for name in job.arms))

    def to_json(self) -> str:
        return plan_text(self.command, self.jobs, self.arms, self.refused)

    def write(self, study: str | os.PathLike[str]) -> tuple[Plan, bool]:
        """Write the plan into the study's folder; returns the study's plan and whether it is new.

        If the folder holds these arms or some of them, its study is continued: the new plan replaces the old one, so
        that the new command's `run` options take effect. With `run.group` this process then writes for that group.
        """
        place = Path(study) / FILE
        if (name := self.group) is not None:
            root = next(str(run["root"]) for run in self._runs if "root" in run)
            for folder in (root, Path(root) / STREAMS_FOLDER, study):
                share(folder, name)
        for folder in self._written(Path(study)):
            probe(folder)
        if not place.is_file() and create_exclusive(place, self.to_json()):
            return self, True
        before = read_whole(place)
        plan = self._continuing(read(study), Path(study))
        if plan.to_json().encode("utf-8") == before:
            return plan, False
        with alone(Path(study) / ".plan.lock", show, "the plan"):
            if read_whole(place) != before:  # another command has added arms meanwhile
                plan = self._continuing(read(study), Path(study))
            write_text(place, plan.to_json())
        return plan, False

    def _written(self, study: Path) -> set[Path]:
        """The folders in which this study's jobs will write."""
        shared = {job.path(study).parent for job in self.jobs if not job.published(study).is_dir()}
        return {study, *(folder for folder in shared if not folder.is_relative_to(study.absolute()))}

    def _continuing(self, old: Plan, study: Path) -> Plan:
        """This plan, but old arms keep their names, and their jobs if these were begun."""
        before = {(arm.kind, arm.signature): arm for arm in old.arms}
        now = {(arm.kind, arm.signature) for arm in self.arms}
        gone = [arm.name for key, arm in before.items() if key not in now]
        if gone:
            raise UserError(
                f"the folder holds another study: {study}",
                got=f"{self.command}\n            without the arms {', '.join(gone[:3])}{' …' if gone[3:] else ''}",
                allowed=[old.command],
                hint="the command of that study, with more values, to continue it; or another folder",
            )
        begun = {job.id: job for job in old.jobs if job.kind == "cohort" and (job.path(study) / "claims").is_dir()}
        arms, run = [], {job.id: job.config.get("run") for job in self.jobs}
        names: dict[str, list[str]] = {}
        for arm in self.arms:
            known = before.get((arm.kind, arm.signature), arm)
            job_id = known.job if known.job in begun else arm.job
            run.setdefault(job_id, run[arm.job])  # a begun job has the new command's `run` options
            same = (known.name, job_id) == (arm.name, arm.job)
            arms.append(arm if same else replace(arm, name=known.name, job=job_id))
            names.setdefault(job_id, []).append(known.name)
        made = []
        for job in {job.id: job for job in (*self.jobs, *begun.values())}.values():
            if job.arms and job.id not in names:
                continue  # all of its arms belong to other jobs now
            config = {**job.config, **({"run": run[job.id]} if run[job.id] is not None else {})}
            made.append(replace(job, config=config, arms=tuple(names.get(job.id, ()))))
        return Plan.of(self.command, needing_first(made, arms), arms, self.refused)


def chosen_from(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """The signatures of the arms of chain A that an arm of chain B repeats, by rate."""
    return tuple((recipe.get("chosen_by") or {}).values())


def needing_first(jobs: Sequence[Job], arms: Sequence[Arm]) -> list[Job]:
    """The jobs, where each cohort of chain B needs the cohorts that hold the arms from which its own are chosen."""
    first = {signature for arm in arms for signature in chosen_from(arm.config)}
    if not first:
        return list(jobs)
    others = {job.id for job in jobs if job.kind != "cohort"}
    holds = {arm.signature: arm.job for arm in arms if arm.signature in first}
    needed: dict[str, dict[str, None]] = {}
    for arm in arms:
        needed.setdefault(arm.job, {}).update(dict.fromkeys(holds[one] for one in chosen_from(arm.config)))
    return [
        replace(job, needs=(*(need for need in job.needs if need in others), *needed.get(job.id, ())))
        if job.kind == "cohort"
        else job
        for job in jobs
    ]


def signature_of(arms: Iterable[Arm]) -> str:
    return signature({"arms": sorted([arm.kind, arm.signature] for arm in arms)})


def common_recipe(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a job's config that determines its result; of a cohort, what its arms have in common."""
    arms = config.get("arms")
    if isinstance(arms, list) and arms and isinstance(arms[0], dict):
        return {part: one for part, one in identity(arms[0]).items() if part not in ARM}
    return identity(config)


def read(study: str | os.PathLike[str]) -> Plan:
    """The plan of a study's folder, with a new signature: older versions signed other things."""
    return Plan.of(*read_plan_file(study))


def check(plan: Plan) -> None:
    """Names are unique and valid for a folder, needs are known and have no cycle, arms and jobs agree."""
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
            raise UserError("a name is not valid for a folder", got=repr(name), hint="fewer axes, and simple values")
    jobs = {job.id: job.needs for job in plan.jobs}
    for job in plan.jobs:
        _stays_inside(job)
        if job.kind not in JOB_KINDS:
            raise UserError("unknown kind of job", got=f"{job.id}: {job.kind}", allowed=JOB_KINDS)
        for need in job.needs:
            if need not in jobs:
                raise UserError("a job needs one that is not in the plan", got=f"{job.id} needs {need}", allowed=jobs)
    try:
        TopologicalSorter(jobs).prepare()
    except CycleError as error:  # it names each job after one that it needs
        raise UserError("jobs wait for each other in a cycle", got=" needs ".join(reversed(error.args[1]))) from None
    by_jobs = Counter((arm, job.id) for job in plan.jobs for arm in job.arms)
    by_arms = Counter((arm.name, arm.job) for arm in plan.arms)
    for arm_name, job_id in by_jobs - by_arms:
        raise UserError("a job lists an arm that belongs to another job", got=f"{job_id}: {arm_name}")
    for arm_name, job_id in by_arms - by_jobs:
        raise UserError("an arm is missing in its job's list", got=f"{arm_name} in {job_id}", allowed=jobs)


def _stays_inside(job: Job) -> None:
    """A job works in the study's folder, or in the folder of a shared stream: `…/streams/<signature>`."""
    parts = Path(os.path.normpath(job.folder)).parts
    is_shared = (
        job.kind == "stream" and len(parts) > 1 and parts[-2] == STREAMS_FOLDER and _SIGNATURE.fullmatch(parts[-1])
    )
    if not is_shared and (Path(job.folder).is_absolute() or not parts or parts[0] == ".." or "\0" in job.folder):
        raise UserError(
            "a job's folder lies outside its study", got=f"{job.id}: {job.folder}",
            allowed=["a folder in the study", f"../{STREAMS_FOLDER}/<signature> for a stream"],
        )  # fmt: skip


def expect_own_job_folders(plan: Plan, study: str | os.PathLike[str]) -> None:
    """Refuse a plan whose jobs lie in folders that do not belong to this study, before anything is changed there.

    A plan may come from a stranger. Streams are shared with the studies beside this one, or lie in the folder that a
    sweep names to its workers.
    """
    folder = Path(study).resolve()
    streams = os.environ.get(STREAMS_VARIABLE)
    roots = [folder.parent / STREAMS_FOLDER, *([Path(streams).resolve()] if streams else [])]
    for job in plan.jobs:
        place = job.path(study).resolve()
        if not place.is_relative_to(folder) and place.parent not in roots:
            raise UserError(
                f"the folder of the {job.kind} is neither in the study nor beside it", got=place,
                allowed=[f"below {one}" for one in (folder, *roots)],
                hint=f"if these streams are yours: export {STREAMS_VARIABLE}={shlex.quote(str(place.parent))}",
            )  # fmt: skip


def expect_own_folders(plan: Plan, study: str | os.PathLike[str]) -> None:
    """`expect_own_job_folders`, and data lie in the folder of commands that are typed here, or beside the study."""
    expect_own_job_folders(plan, study)
    folder = Path(study).resolve()
    mine = [Path(os.environ.get(DATA_VARIABLE) or "data").resolve(), folder.parent.parent / "data"]
    for job in plan.jobs:
        run = job.config.get("run")
        data = Path(str(run["data"])).resolve() if isinstance(run, dict) and "data" in run else mine[0]
        if data not in mine and not data.is_relative_to(folder):
            raise UserError(
                "the data folder of the study is not the one of commands typed here", got=data,
                allowed=map(str, mine),
                hint=f"if that folder is yours: export {DATA_VARIABLE}={shlex.quote(str(data))}",
            )  # fmt: skip
