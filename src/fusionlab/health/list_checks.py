"""Checks of a data set's lists, and a search for copies of videos under other names.

Nothing is raised here: an error of the data set becomes a finding. A copy in the training and in the test list of a
split makes every result too good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fusionlab.data.dataset import Dataset, Entry, united
from fusionlab.data.folder import ENDINGS
from fusionlab.data.split_checks import shared
from fusionlab.errors import UserError
from fusionlab.health.findings import NOTE, WRONG, Finding, of_files

Lists = tuple[Sequence[Entry], Sequence[Entry]]  # training, test
EACH_ON_ONE_SIDE = "lists in which each group is on one side: the official ones, or others"


@dataclass
class ReadLists:
    """The readable lists by split, every video once, and findings about the rest."""

    lists: dict[int, Lists] = field(default_factory=dict)
    videos: list[Entry] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_lists(dataset: Dataset, split: int) -> ReadLists:
    """Read the lists of this split, and of all other splits that are files."""
    read = ReadLists()
    try:
        classes = list(dataset.classes)
    except UserError as error:
        read.findings.append(_refused("classes", "the classes cannot be read", error))
        return read
    for one in sorted({split, *getattr(dataset, "present", ())}):
        lists, findings = _split(dataset, one, classes)
        read.findings += findings
        if lists is not None:
            read.lists[one] = lists
    read.videos = united([entries for both in read.lists.values() for entries in both])
    try:
        read.videos = dataset.videos() or read.videos
        read.findings += [Finding("set", NOTE, note) for note in getattr(dataset, "notes", ())]
    except UserError as error:
        if not any(one.wrong for one in read.findings):  # else this would repeat one of them
            read.findings.append(_refused("lists", "the lists cannot be used", error))
    return read


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
    """Names and groups in both lists, the groups with all their videos.

    No videos are proposed for quarantine, since the data set refuses such lists.
    """
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
    in_both = of_files("groups-shared", WRONG, what, both, EACH_ON_ONE_SIDE, split=split, groups=sorted(wanted))
    return [replace(one, leave_out=()) for one in (*twice, *in_both)]


def _empty(lists: Lists, classes: Sequence[str], split: int) -> list[Finding]:
    """Classes without videos in a list."""
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
    """The data set's own error as a finding."""
    sentence = f"{what}: {error.what}" + (f" ({' '.join(error.got.split())})" if error.got else "")
    expected = f"expected {' or '.join(error.allowed)}" if error.allowed else ""
    return Finding(code, WRONG, sentence, "; ".join(filter(None, [expected, error.hint])), numbers=numbers)


def unlisted(root: Path, known: Mapping[str, Path]) -> list[Finding]:
    """Video files below the root that are in no list."""
    known_files = {path.resolve() for path in known.values()}
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    names = (path.relative_to(root) for path in files if path.resolve() not in known_files)
    other = {str(name): "" for name in names if not any(part.startswith(".") for part in name.parts)}
    return of_files("unlisted", NOTE, "{videos} that no list names", other)


def group_copies(contents: Iterable[tuple[str, str]]) -> list[list[str]]:
    """(name, digest) -> groups of names that have the same content.

    A name may have several digests, of its file and of its pixels: one in common is enough.
    """
    by_digest: dict[str, set[str]] = defaultdict(set)
    for name, digest in contents:
        by_digest[digest].add(name)
    sets: list[set[str]] = []
    for names in by_digest.values():
        if len(names) > 1:
            joined = [one for one in sets if one & names]
            sets = [one for one in sets if not one & names] + [names.union(*joined)]
    return sorted(sorted(one) for one in sets)


def find_copies(same: Sequence[Sequence[str]], lists: Mapping[int, Lists]) -> list[Finding]:
    """Findings about copies: errors across the lists of a split (quarantine those in training), else notes."""
    across: dict[str, str] = {}
    within: dict[str, str] = {}
    trained_on: list[str] = []
    splits = set()
    sides = {split: [{name for name, _ in side} for side in both] for split, both in lists.items()}
    for names in same:
        leaks = {s: [n for n in names if n in train] for s, (train, test) in sides.items() if test & set(names)}
        leaks = {split: copies for split, copies in leaks.items() if copies}
        for name in names:
            others = ", ".join(other for other in names if other != name)
            (across if leaks else within)[name] = f"= {others}"
        splits |= set(leaks)
        trained_on += [name for name in names if any(name in copies for copies in leaks.values())]
    where = ", ".join(map(str, sorted(splits)))
    what = f"the same content in the training and in the test list (split {where}), under {{count}} names"
    remedy = "leave out those that are trained on: --quarantine bad.txt, then data.quarantine=bad.txt"
    wrong = of_files("copies-across-lists", WRONG, what, across, remedy, splits=sorted(splits))
    return [
        *(replace(one, leave_out=trained_on) for one in wrong),
        *of_files("copies", NOTE, "the same content under {count} names of one list", within),
    ]
