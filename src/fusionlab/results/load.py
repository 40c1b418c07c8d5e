"""A study's folder -> its entries: one per arm that was to be, whether it is done, failed or not there.

A folder with a plan says which arms there were to be and where their jobs' records lie (streams are shared
between studies and lie outside). A folder without one, such as an experiment's saved records, is what it
holds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.files import read_json, read_whole
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import LARGEST, parse_predictions
from fusionlab.records.record import ANY, KINDS, SCALAR, TEXT, Rule, damage, misfit, readable_records
from fusionlab.records.signature import NEUTRAL, flatten, identity

PLAN = "plan.json"
PUBLISHED = "published"
TOGETHER = "all"  # all kinds of question taken together
NOT_THERE = "no record of it (yet)"
DAMAGED = "damaged"  # the kind of an entry of which nothing is known but its folder's name

_KIND = Rule(f"one of {', '.join(KINDS)}", lambda value: value in KINDS)
_ARM = {"name": TEXT, "kind": _KIND, "axes": {"*": SCALAR}, "signature": TEXT, "config": {"*": ANY}, "job": TEXT}
_PLAN = {"jobs": [{"id": TEXT, "folder": TEXT, "*": ANY}], "arms": [_ARM], "*": ANY}


@dataclass(frozen=True)
class Entry:
    """One arm as the results know it. `status` is done, failed or missing; only a done one has a result."""

    name: str
    kind: str
    status: str
    reason: str | None
    log: str | None
    axes: Mapping[str, Any]
    record: Mapping[str, Any]
    folder: Path | None = None

    @property
    def result(self) -> Mapping[str, Any]:
        return self.record.get("result", {}) if self.status == "done" else {}

    @property
    def seed(self) -> tuple[Any, ...]:
        """What repetitions differ in: `seed`, or `seed.init`, `seed.data` … apart."""
        return tuple(value for axis, value in sorted(self.axes.items()) if is_seed(axis))

    @property
    def place(self) -> dict[str, Any]:
        """The axes without the seeds: what a row is."""
        return {axis: value for axis, value in self.axes.items() if not is_seed(axis)}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The config as far as it determines the result: alike for records from before and after a knob was born, as
        long as it stands neutral.
        """
        return identity(self.record.get("config", {}))

    @cached_property
    def leaves(self) -> dict[str, Any]:
        return flatten(self.identity)

    def value(self, name: str) -> Any:
        """Of an axis, of `kind`, or of a leaf of the config that was no axis; None where there is none."""
        if name == "kind":
            return self.kind
        return self.axes[name] if name in self.axes else self.leaves.get(name, NEUTRAL.get(name))

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """video -> what was said of it; a `UserError` where predictions are missing or another record's."""
        if self.folder is None or not (self.folder / PREDICTIONS).is_file():
            raise UserError("no predictions beside the record", got=self.name)
        content = read_whole(self.folder / PREDICTIONS, LARGEST)
        digest = self.result.get("predictions")
        if digest and hashlib.sha256(content).hexdigest() != digest:
            raise UserError("the predictions are not those that the record was made from", got=self.name)
        read = parse_predictions(content, self.folder / PREDICTIONS)
        kinds = self.result.get("classes", {})
        return {
            video: Answer(read.classes[label], kinds.get(read.classes[label]), label == best)
            for video, label, best in zip(read.videos, read.labels, read.predicted, strict=True)
        }


@dataclass(frozen=True)
class Answer:
    """A video's class, its kind of question (None where unknown), and whether the answer was right."""

    label: str
    kind: str | None
    right: bool


def is_seed(axis: str) -> bool:
    return axis == "seed" or axis.startswith("seed.")


def of_seed(leaf: str) -> bool:
    """Whether a leaf of a config changes with the seed: the seeds, and the streams trained with them."""
    return is_seed(leaf) or leaf.startswith("stage_one.")


def load(study: str | os.PathLike[str], unfinished: Mapping[str, tuple[str, str | None]] | None = None) -> list[Entry]:
    """The entries of a study, in the plan's order, or else by name.

    `unfinished`: {arm's name: (reason, log or None)} for arms that have no record, from whoever knows why.
    """
    folder = Path(study)
    if not folder.is_dir():
        raise UserError("no such study folder", got=folder, hint="python -m fusionlab.report runs/<study>")
    if (folder / PLAN).is_file():
        entries = _planned(folder, unfinished or {})
    else:
        found, damaged = readable_records(folder)
        entries = [_entry(path, record) for path, record in found.items()]
        entries += [_damaged(path, why) for path, why in damaged.items()]
        entries.sort(key=lambda entry: entry.name)
    if not entries:
        raise UserError("no records in this folder", got=folder, hint="python -m fusionlab.status says what was done")
    return [replace(entry, log=_inside(entry.log, folder)) for entry in entries]


def _entry(path: Path, record: Mapping[str, Any]) -> Entry:
    return Entry(
        name=record["name"],
        kind=record["kind"],
        status=record["status"],
        reason=record["reason"],
        log=record["log"],
        axes=record["axes"],
        record=record,
        folder=path.parent,
    )


def _damaged(path: Path, why: str) -> Entry:
    """A row of its own, called by its folder."""
    return Entry(path.parent.name, DAMAGED, "failed", why, None, {"fusion": path.parent.name}, {})


def _planned(study: Path, unfinished: Mapping[str, tuple[str, str | None]]) -> list[Entry]:
    plan = read_json(study / PLAN)
    if found := misfit(plan, _PLAN):
        raise UserError(f"a damaged plan: {found[0]}", got=f"{str(found[1])[:100]} in {study / PLAN}")
    places = {job["id"]: Path(os.path.normpath(study.absolute() / job["folder"])) / PUBLISHED for job in plan["jobs"]}
    there = {job: readable_records(place) if place.is_dir() else ({}, {}) for job, place in places.items()}
    names = {arm["name"] for arm in plan["arms"]}
    entries = []
    for arm in plan["arms"]:
        name, kind, axes = arm["name"], arm["kind"], arm["axes"]
        records, damaged = there.get(arm["job"], ({}, {}))
        # By signature: a stream that studies share may have been given its name and axes by another one.
        mine = [
            (path, record)
            for path, record in records.items()
            if record["signature"] == arm["signature"] and record["kind"] == kind
        ]
        if mine:
            entries.append(replace(_entry(*mine[0]), name=name, axes=axes))
        else:
            reason, log = unfinished.get(name, (damage(name, damaged, names) or NOT_THERE, None))
            status = "missing" if reason == NOT_THERE else "failed"
            record = {"signature": arm["signature"], "config": arm["config"]}
            entries.append(Entry(name, kind, status, reason, log, axes, record))
    return entries


def _inside(log: str | None, study: Path) -> str | None:
    """A log's path as seen from the study's folder, so that a table made elsewhere is the same."""
    if log is None or not os.path.isabs(log):
        return log
    try:
        return str(Path(log).relative_to(study.absolute()))
    except ValueError:
        return log
