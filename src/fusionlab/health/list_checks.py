"""What is wrong with a data set's lists. Nothing is raised here: what a set refuses is a finding like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fusionlab.data.dataset import Dataset, Entry, united
from fusionlab.data.folder import ENDINGS
from fusionlab.data.split_checks import shared
from fusionlab.errors import UserError
from fusionlab.health.finding import NOTE, WRONG, Finding, of_files

Lists = tuple[Sequence[Entry], Sequence[Entry]]  # training, test
EACH_ON_ONE_SIDE = "lists in which each group is on one side: the official ones, or others"


@dataclass
class Listed:
    """What could be read: the lists by split, every video once, and what is wrong with them."""

    lists: dict[int, Lists] = field(default_factory=dict)
    videos: list[Entry] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read(dataset: Dataset, split: int) -> Listed:
    """The lists of this split, and of all others that lie in files."""
    listed = Listed()
    try:
        classes = list(dataset.classes)
    except UserError as error:
        listed.findings.append(_refused("classes", "the classes cannot be read", error))
        return listed
    for one in sorted({split, *getattr(dataset, "present", ())}):
        found, findings = _split(dataset, one, classes)
        listed.findings += findings
        if found is not None:
            listed.lists[one] = found
    listed.videos = united([entries for both in listed.lists.values() for entries in both])
    try:
        listed.videos = dataset.videos() or listed.videos
        listed.findings += [Finding("set", NOTE, note) for note in getattr(dataset, "notes", ())]
    except UserError as error:
        if not any(one.wrong for one in listed.findings):  # else it is one of these that is told once more
            listed.findings.append(_refused("lists", "the lists cannot be used", error))
    return listed


def _split(dataset: Dataset, split: int, classes: Sequence[str]) -> tuple[Lists | None, list[Finding]]:
    try:
        as_written = getattr(dataset, "unchecked_lists", dataset.lists)
        lists: Lists = as_written(split)
        names, groups = shared(*lists, dataset.group)
    except UserError as error:
        return None, [_refused("lists", f"the lists of split {split} cannot be read", error, split=split)]
    findings = [*_shared(names, groups, dataset, lists, split), *_empty(lists, classes, split)]
    if not findings:
        try:
            dataset.lists(split)
        except UserError as error:
            findings = [_refused("lists", f"the lists of split {split} are refused", error, split=split)]
    return lists, findings


def _shared(names: Sequence[str], groups: Sequence[str], dataset: Dataset, lists: Lists, split: int) -> list[Finding]:
    """Names and groups on both sides; of the groups all videos. No quarantine helps: such lists are refused."""
    where = f"of split {split}"
    twice = of_files(
        "names-shared", WRONG, "{videos} in the training and in the test list " + where, dict.fromkeys(names, ""),
        EACH_ON_ONE_SIDE, split=split,
    )  # fmt: skip
    wanted = set(groups) - {dataset.group(name) for name in names}
    both = {
        name: f"{group}, {side}"
        for side, entries in zip(("training", "test"), lists, strict=True)
        for name, _ in entries
        if (group := dataset.group(name)) in wanted
    }
    what = f"{len(wanted)} group{'s' * (len(wanted) > 1)} on both sides {where}, with {{videos}}"
    found = of_files("groups-shared", WRONG, what, both, EACH_ON_ONE_SIDE, split=split, groups=sorted(wanted))
    return [replace(one, leave_out=()) for one in (*twice, *found)]


def _empty(lists: Lists, classes: Sequence[str], split: int) -> list[Finding]:
    """Classes of which a list has no video."""
    counts = [[sum(1 for _, label in side if label == one) for side in lists] for one in range(len(classes))]
    lacking = {
        name: f"{train} videos for training, {test} for testing"
        for name, (train, test) in zip(classes, counts, strict=True)
        if not train or not test
    }
    if not lacking:
        return []
    plural = len(lacking) > 1
    what = f"{len(lacking)} class{'es' * plural} of {len(classes)} without videos in a list of split {split}"
    remedy = "the lists and the class index of one release; or, of a set of your own, only classes that have videos"
    numbers = {"split": split, "videos per class": {n: list(c) for n, c in zip(classes, counts, strict=True)}}
    return [Finding("class-counts", WRONG, what, remedy, lacking, (), numbers)]


def _refused(code: str, what: str, error: UserError, **numbers: object) -> Finding:
    """What a set says itself, in one sentence."""
    told = f"{what}: {error.what}" + (f" ({' '.join(error.got.split())})" if error.got else "")
    expected = f"expected {' or '.join(error.allowed)}" if error.allowed else ""
    return Finding(code, WRONG, told, "; ".join(filter(None, [expected, error.hint])), numbers=numbers)


def unlisted(root: Path, known: Mapping[str, Path]) -> list[Finding]:
    """Video files below the root that no list names."""
    listed = {path.resolve() for path in known.values()}
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    names = (path.relative_to(root) for path in files if path.resolve() not in listed)
    other = {str(name): "" for name in names if not any(part.startswith(".") for part in name.parts)}
    return of_files("unlisted", NOTE, "{videos} that no list names", other)
