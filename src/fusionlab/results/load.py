"""A study's folder -> its entries: one per planned arm, whether it is done, failed or missing, and per refused cell.

The plan names the arms and the folders of their jobs' records; streams that studies share lie outside the study. A
folder without a plan, such as an experiment's saved records, has an entry per record.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fusionlab.errors import UserError
from fusionlab.records.files import read_whole
from fusionlab.records.other_test_file import arm_identity, read_other_test
from fusionlab.records.other_tests import FILE as TEST_FILE
from fusionlab.records.other_tests import FOLDER, Asked, OtherTest
from fusionlab.records.plan_file import TRAINED_ON, has_plan, read_plan_file
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import LARGEST, parse_answers
from fusionlab.records.record import readable_records
from fusionlab.records.signature import NEUTRAL, STREAMS, canonical, flatten, identity
from fusionlab.results.answers import FILE as ANSWERS
from fusionlab.results.answers import Answers, SavedAnswers, TestList, join_answers

TOGETHER = "all"  # all kinds of question taken together
MISSING = "no record of it (yet)"
ONE_HEAD = "one_head"  # in the result of a combination: whether there was one head only, whose scores are unchanged
COMBINED = "combined"  # there too: how
REFUSED = "refused"  # the status of a cell of the grid that cannot be trained; it has no record
DAMAGED = "damaged"  # the kind of an entry of which only the folder's name is known


@dataclass(frozen=True)
class Entry:
    """One arm, or a refused cell. `status` is done, failed, missing or refused; only a done arm has a result."""

    name: str
    kind: str
    status: str
    reason: str | None
    log: str | None
    axes: Mapping[str, Any]
    record: Mapping[str, Any]
    folder: Path | None = None
    file: str = PREDICTIONS  # its scores, in the folder
    saved: SavedAnswers | None = None  # of all arms, where the folder has no scores
    parts: tuple[Entry, ...] = ()  # the arms of one place and seed, one for each split, of which it is the mean
    first: tuple[Entry, ...] = ()  # of an arm of chain B, those of chain A among which its rate and end were chosen

    @property
    def result(self) -> Mapping[str, Any]:
        return self.record.get("result", {}) if self.status == "done" else {}

    @property
    def arms(self) -> tuple[Entry, ...]:
        """Itself, or the arms that it is joined of."""
        return self.parts or (self,)

    @cached_property
    def seed(self) -> tuple[Any, ...]:
        """The values of `seed`, or of `seed.init`, `seed.data` …: in these the arms of one row differ."""
        return tuple(value for axis, value in sorted(self.axes.items()) if is_seed(axis))

    @cached_property
    def saw_test(self) -> bool:
        """Whether the test list was its validation list, so that test labels chose its weights or its rate."""
        return any(arm.value("val.list") == "test" for arm in self.arms)

    @property
    def own_test(self) -> OtherTest:
        """The test that its record has; others lie beside it."""
        return OtherTest(str(self.value("data.sampling.test")))

    @property
    def place(self) -> dict[str, Any]:
        """The axes without the seeds: they define a row."""
        return {axis: value for axis, value in self.axes.items() if not is_seed(axis)}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The part of the config that determines the result; a new knob at its neutral value does not change it."""
        return identity(self.record.get("config", {}))

    @cached_property
    def leaves(self) -> dict[str, Any]:
        return flatten(self.identity)

    def value(self, name: str) -> Any:
        """The value of an axis, of `kind`, or of a leaf of the config; None if there is none.

        Where they are no axes, `data` is the data set's class, `weights` those of the streams, and `backbone`,
        `appearance` and `motion` are the modules of the towers. A stream has the leaves of its own tower and weights
        under the names of the whole config.
        """
        if name == "kind":
            return self.kind
        if name in self.axes:
            return self.axes[name]
        if any(name in part.axes for part in self.parts):
            return None  # each part has its own
        if name == "data":
            return str(self._leaf("data.dataset._target_", "")).rpartition(".")[2].casefold() or None
        if name == "weights":
            streams = [self._leaf("stream", stream) for stream in STREAMS]
            sources = dict.fromkeys(self.value(f"weights.{stream}") for stream in streams)
            return next(iter(sources)) if len(sources) == 1 else " and ".join(map(str, sources))
        if name in ("backbone", *STREAMS):
            own = [one for one in STREAMS if name in ("backbone", one) and self._leaf("stream", one) == one]
            targets = (str(self._leaf(self._own(f"backbone.{one}._target_"), "")) for one in own)
            return " and ".join(dict.fromkeys(one.split(".")[-2] for one in targets if "." in one)) or None
        return self._leaf(self._own(name), NEUTRAL.get(name))

    def _leaf(self, name: str, otherwise: Any = None) -> Any:
        return part_leaves(self.record.get("config", {}), name.partition(".")[0].partition("[")[0]).get(name, otherwise)

    def _own(self, name: str) -> str:
        """A leaf's name in a stream's config: tower.depth is backbone.appearance.depth or backbone.motion.depth."""
        stream = self._leaf("stream")
        if name == f"weights.{stream}":
            return "weights.source"
        tower = f"backbone.{stream}."
        return f"tower.{name.removeprefix(tower)}" if name.startswith(tower) else name

    @property
    def answers(self) -> Answers:
        """Whether each answer was right; a `UserError` if predictions are missing or belong to another record.

        Scores are not read, and what is kept has one byte a video. A file is read once, a damaged one too.
        """
        if isinstance(read := self._answers, UserError):
            raise read.with_traceback(None)  # else each time that it is raised makes its traceback longer
        return read

    @cached_property
    def _answers(self) -> Answers | UserError:
        try:
            return self._read_answers()
        except UserError as error:
            return error

    def _read_answers(self) -> Answers:
        if self.parts:
            return join_answers({str(part.axes["split"]): part.answers for part in self.parts})
        if self.folder is None or not (self.folder / self.file).is_file():
            return self._saved_answers()
        content = read_whole(self.folder / self.file, LARGEST)
        digest = self.result.get("predictions")
        if digest and hashlib.sha256(content).hexdigest() != digest:
            raise UserError("the predictions do not belong to this record", got=self.name)
        read = parse_answers(content, self.folder / self.file)
        kind_of = self.result.get("classes", {})
        tested = TestList.of(read.videos, read.labels, read.groups, map(kind_of.get, read.labels))
        return Answers(tested, np.array([one == other for one, other in zip(read.predicted, read.labels, strict=True)]))

    def _saved_answers(self) -> Answers:
        """Its column of answers.csv. No digest says that they are its own, so they are counted."""
        saved = None if self.saved is None else self.saved.of(self.name)
        if saved is None:
            raise UserError("no predictions next to the record", got=self.name)
        counts, recorded = saved.counts(), self.result.get("kinds")
        if recorded is not None and counts != {kind: own for kind, own in recorded.items() if own["total"]}:
            raise UserError(f"the answers in {ANSWERS} do not belong to this record", got=self.name)
        return saved


def part_leaves(config: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The leaves of a part of a config, by their full names, without those at their neutral value."""
    tree: Any = config
    for name in names:
        if not isinstance(tree, Mapping) or name not in tree:
            return {}
        tree = tree[name]
    key = (names, canonical(tree))
    if key not in _FLAT:
        for name in reversed(names):
            tree = {name: tree}
        _FLAT[key] = flatten(identity(tree))
    return _FLAT[key]


# A part of a config by its names and its text: most records share their parts, so each is flattened once.
_FLAT: dict[tuple[tuple[str, ...], str], Mapping[str, Any]] = {}


def is_seed(axis: str) -> bool:
    return axis == "seed" or axis.startswith("seed.")


def follows_seed(leaf: str) -> bool:
    """Whether a leaf of a config changes with the seed: the seeds, and the arms trained with them."""
    return is_seed(leaf) or leaf.startswith(("stage_one.", "chosen_by."))


def load(
    study: str | os.PathLike[str],
    unfinished: Mapping[str, tuple[str, str | None]] | None = None,
    asked: Asked | None = None,
) -> list[Entry]:
    """The entries of a study, in the plan's order, or else by name.

    `unfinished`: {arm's name: (reason, log or None)} for arms without a record, from the caller. `asked`: the tests of
    each arm, instead of those that the study's plan asks for.
    """
    folder = Path(study)
    if not folder.is_dir():
        raise UserError("no such study folder", got=folder, hint="python -m fusionlab.report runs/<study>")
    if has_plan(folder):
        entries = _planned(folder, unfinished or {}, asked)
    else:
        records, damaged = readable_records(folder)
        entries = [_entry(path, record) for path, record in records.items()]
        entries += [_damaged(path, why) for path, why in damaged.items()]
        entries.sort(key=lambda entry: entry.name)
        entries = [one for entry in entries for one in each_test(entry, asked or Asked())]
    if not entries:
        raise UserError("no records in this folder", got=folder, hint="python -m fusionlab.status shows what is done")
    saved = SavedAnswers(folder / ANSWERS) if (folder / ANSWERS).is_file() else None
    return [replace(entry, log=_inside(entry.log, folder), saved=saved) for entry in entries]


def load_all(studies: Mapping[Path, Mapping[str, tuple[str, str | None]]], asked: Asked | None = None) -> list[Entry]:
    """The entries of several studies, or of one study's folders on several machines: folder -> unfinished arms.

    An arm of several folders is there once: where it is done, else where it failed. Logs begin with their folder.
    `asked`: see `load`.
    """
    if len(studies) == 1:
        return load(*next(iter(studies.items())), asked)
    kept: dict[object, Entry] = {}
    for folder, unfinished in studies.items():
        for entry in load(folder, unfinished, asked):
            own = replace(entry, log=entry.log and str(folder / entry.log))
            key = _arm(own)
            if key not in kept or _STATUSES.index(own.status) < _STATUSES.index(kept[key].status):
                kept[key] = own
    return list(kept.values())


_STATUSES = ("done", "failed", "missing", REFUSED)  # what is kept of an arm of several folders: the first


def _arm(entry: Entry) -> object:
    """What is the same of one arm in several folders; a damaged record is like no other."""
    if entry.kind == DAMAGED:
        return id(entry.record)
    return entry.kind, entry.record.get("signature"), canonical(dict(entry.place)), canonical(list(entry.seed))


def _entry(path: Path, record: Mapping[str, Any]) -> Entry:
    own = {key: record[key] for key in ("name", "kind", "status", "reason", "log", "axes")}
    return Entry(**own, record=record, folder=path.parent)


def _damaged(path: Path, why: str) -> Entry:
    """An entry with the name of its folder."""
    return Entry(path.parent.name, DAMAGED, "failed", why, None, {"fusion": path.parent.name}, {})


def _planned(study: Path, unfinished: Mapping[str, tuple[str, str | None]], asked: Asked | None = None) -> list[Entry]:
    _, jobs, arms, refused = read_plan_file(study)
    places = {job.id: job.published(study) for job in jobs}
    published = {job: readable_records(place) if place.is_dir() else ({}, {}) for job, place in places.items()}
    names = {arm.name for arm in arms}
    entries = []
    for arm in (one for one in arms if TRAINED_ON not in one.axes):
        records, damaged = published.get(arm.job, ({}, {}))
        if own := arm.find(records):
            found = _entry(*own)
            record = {**found.record, "control": found.record.get("control") or arm.control}  # older records name none
            entries.append(replace(found, name=arm.name, axes=arm.axes, record=record))
        else:
            reason, log = unfinished.get(arm.name, (arm.damage(damaged, names) or MISSING, None))
            status = "missing" if reason == MISSING else "failed"
            record = {"signature": arm.signature, "config": arm.config}
            entries.append(Entry(arm.name, arm.kind, status, reason, log, arm.axes, record))
    asked = Asked.of(jobs[0].config.get("run") or {} if jobs else {}) if asked is None else asked
    entries = [one for entry in entries for one in each_test(entry, asked)]
    return entries + [Entry(one.name, one.kind, REFUSED, one.reason, None, one.axes, {}) for one in refused]


def each_test(entry: Entry, asked: Asked) -> list[Entry]:
    """An entry for each test of an arm that is asked for; without one, that of its own test."""
    if not asked or "config" not in entry.record:
        return [entry]
    return [_of_test(entry, test, asked.axes(test)) for test in asked.shown(entry.own_test.views)]


def _of_test(entry: Entry, test: OtherTest, axes: Mapping[str, str]) -> Entry:
    """The entry of one test: its predictions and counts, and a signature by which it is compared within this test."""
    axes = {**entry.axes, **axes}
    if test == entry.own_test:
        return replace(entry, axes=axes)
    config = dict(entry.record["config"])
    if isinstance(data := config.get("data"), Mapping):
        config["data"] = {**data, "sampling": {**data.get("sampling", {}), "test": test.views}}
    signatures = {
        key: f"{one}/{test.name}" for key in ("signature", "control") if (one := entry.record.get(key)) is not None
    }
    named = replace(entry, name=f"{entry.name}/{test.name}", axes=axes)
    record = {**entry.record, **signatures, "config": config}
    if entry.status != "done" or entry.folder is None:
        return replace(named, record=record)
    try:
        found, one_head = read_test(entry, test), False
        if found is None and entry.kind not in ("late", "control") and len(entry.result.get("head_names", ())) < 2:
            found, one_head = read_test(entry, OtherTest(test.views)), True  # nothing to combine: its own scores
    except UserError as error:
        return replace(named, status="failed", reason=error.brief, record=record)
    if found is None:
        reason = f"not tested by {test.name} (yet)"
        return replace(named, status="missing", reason=reason, record=record)
    folder, result = found
    result = {**entry.result, **result, ONE_HEAD: one_head, COMBINED: test.combine}
    return replace(named, record={**record, "result": result}, folder=folder)


def read_test(entry: Entry, test: OtherTest) -> tuple[Path, Mapping[str, Any]] | None:
    """The folder and the result of a test of an arm that is done; None if it was not made."""
    assert entry.folder is not None
    if test == entry.own_test:
        return entry.folder, entry.result
    folder = entry.folder / FOLDER / test.name
    if not (folder / TEST_FILE).is_file():
        return None
    return folder, read_other_test(folder, test, arm_identity(entry.record))["result"]


def _inside(log: str | None, study: Path) -> str | None:
    """A log's path relative to the study, so that the table of a copy is the same."""
    if log is None or not os.path.isabs(log):
        return log
    try:
        return str(Path(log).relative_to(study.absolute()))
    except ValueError:
        return log
