"""The base class of all data sets of downloaded files.

A data set lies in the folder `name` below the folder of the data, so that a signature depends on the name and not on a
path of one machine. All missing or invalid files are reported together, with the place where they belong.

A video has the name in its list. On the disk it is the file of that name, or else the only file that differs in case
and is not another video of the lists.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import ClassVar

from fusionlab.data.case_insensitive import CaseInsensitiveFolder
from fusionlab.data.dataset import Entry, Extent, united
from fusionlab.data.list_files import SHOWN, Wrong, refuse_outside, some
from fusionlab.data.split_checks import refuse_leaks, refuse_unknown
from fusionlab.errors import UserError, show
from fusionlab.records.files import write_text

Lists = tuple[list[Entry], list[Entry]]  # training, test


class OnDisk:
    """A set defines `_find` (its folders), `_needs` (the files of a split's lists), `_classes` and `_lists`."""

    listing: ClassVar[str] = "lists"
    unpack: ClassVar[str]  # how to get the files in place: "unpack UCF101.rar"
    known: ClassVar[Mapping[int, tuple[int, int]]] = {}  # split -> the numbers of videos in the official lists
    known_videos: ClassVar[int] = 0  # in all of them
    known_classes: ClassVar[int] = 0  # of the official set
    known_frames: ClassVar[int | None] = None  # of all its videos
    known_size: ClassVar[tuple[int, int] | None] = None  # height and width of most of them
    known_bytes: ClassVar[int | None] = None  # of all its files, about

    def __init__(
        self,
        root: str | Path | None = None,
        lists: str | Path | None = None,
        *,
        name: str,
        classes: int | None = None,
        counts: bool = True,
    ) -> None:
        """A data set of videos and lists in folders.

        `root`, `lists`: folders, if they are known already. `classes`: the number of classes, before any file is read.
        `counts`: a set with as many classes as the official one must have the official numbers of videos.
        """
        if not name or PurePosixPath(name).name != name or name.startswith("."):
            raise UserError(
                "a data set's name is that of a folder below run.data", got=f"data.dataset.name={name}",
                hint="data.dataset.name=ucf101, and run.data=… for where it lies",
            )  # fmt: skip
        if classes is not None and not _is_number(classes):
            got, hint = f"data.dataset.classes={classes}", "data.dataset.classes=7, the number of classes"
            raise UserError("a data set has two classes or more", got=got, hint=hint)
        self.name, self._count, self._counted = name, classes, counts
        self._root = None if root is None else Path(root)
        self._folder = self._root if lists is None else Path(lists)
        self._read: dict[int, Lists] = {}

    # -- the methods of a data set

    @property
    def splits(self) -> int:
        return len(self.known) or 1

    @property
    def root(self) -> Path:
        assert self._root is not None, "expect() or make() comes first"
        return self._root

    @property
    def folder(self) -> Path:
        """The folder of the lists."""
        assert self._folder is not None, "expect() or make() comes first"
        return self._folder

    @cached_property
    def classes(self) -> list[str]:
        classes = self._classes()
        if self._count not in (None, len(classes)):
            raise UserError(
                "data.dataset.classes is not the number of classes", got=f"{len(classes)} in {self.folder}",
                allowed=[str(self._count)], hint=f"data.dataset.classes={len(classes)}, if these are the classes",
            )  # fmt: skip
        return classes

    @property
    def class_count(self) -> int:
        if self._count is None and self._root is None:
            raise UserError(
                "the number of classes is unknown before the files are read",
                got="data.dataset.classes=null", hint="data.dataset.classes=7, the number of classes",
            )  # fmt: skip
        return len(self.classes) if self._count is None else self._count

    @property
    def kinds(self) -> Mapping[str, str]:
        return dict.fromkeys(self.classes, "action")

    @property
    def notes(self) -> list[str]:
        """Remarks for people that need no action."""
        located = ((name, self._located(name)) for name, _ in self.videos())
        other = [f"{name} is {one}" for name, one in located if one and one != name and one.lower() == name.lower()]
        return [f"{len(other)} files are spelled in another way: {some(other, 3)}"] if other else []

    def expect(self, root: Path, *, split: int, packed: bool, quarantine: Collection[str] = ()) -> None:
        """Find the lists, and the videos unless they are packed."""
        self._seek(root)
        self._exists(split)
        self._must_be_there(self._needs(split))
        self.lists(split)  # raises their errors
        refuse_unknown(quarantine, {name for name, _ in self.videos()})
        if packed:
            return
        self.__dict__.pop("_folder_below", None)  # read the disk again
        names = [name for name, _ in self.videos() if name not in quarantine]
        absent = [name for name in names if self._located(name) is None]
        if absent:
            raise self._absent(absent, len(names), Path(root), quarantine)

    def make(self, root: Path, *, processes: int = 1, say: Callable[[str], None] = show) -> None:
        """Find the files; downloaded files cannot be made."""
        self._seek(root)
        self._must_be_there(self._needs(None))

    def lists(self, split: int) -> Lists:
        """Training and test list: no video or group is in both, and each tested class has training videos."""
        self._exists(split)
        if split not in self._read:
            train, test = self._lists(split)
            with Wrong() as wrong:
                for which, entries in (("training", train), ("test", test)):
                    if not entries:
                        wrong.add(f"the {which} list of this data set is empty", f"split {split} in {self.folder}")
                untrained = {label for _, label in test} - {label for _, label in train} if train else set()
                for label in sorted(untrained):
                    wrong.add("classes of the test list have no video in the training list", self.classes[label])
            refuse_leaks(train, test, self.group)
            self._official(f"the lists of split {split} are", self.known.get(split), (len(train), len(test)))
            self._read[split] = train, test
        return self._read[split]

    def videos(self) -> list[Entry]:
        """The videos of all splits whose lists exist."""
        videos = united([self._of(split) for split in self.present or [1]])
        if self.known_videos and len(self.present) == self.splits:
            self._official("the lists of all splits together are", (self.known_videos,), (len(videos),))
        return videos

    @property
    def present(self) -> list[int]:
        """The splits whose list files exist; none of a set that cuts its lists itself."""
        return [s for s in range(1, self.splits + 1) if all(file.is_file() for file in self._needs(s))]

    def unchecked_lists(self, split: int) -> Lists:
        """Training and test list without any check, for the doctor."""
        return self._lists(split)

    def extent(self, split: int) -> Extent | None:
        """The official numbers, where this is the official set."""
        if not self._counted or self._count != self.known_classes or split not in self.known:
            return None
        return Extent(*self.known[split], self.known_videos, self.known_frames, self.known_size, self.known_bytes)

    def path(self, name: str) -> Path:
        return self.root / (self._located(refuse_outside(name)) or name)

    def group(self, name: str) -> str:
        raise NotImplementedError

    def ceilings(self, system: str) -> Mapping[str, Fraction]:
        """Empty: the ceilings are unknown."""
        return {}

    # -- to be defined by each set

    def _find(self, home: Path) -> tuple[Path, Path]:
        """The folders of videos and lists in the set's folder."""
        return home, home

    def _needs(self, split: int | None) -> list[Path]:
        """The files that a split's lists are read from; None: those that classes are read from."""
        raise NotImplementedError

    def _classes(self) -> list[str]:
        raise NotImplementedError

    def _lists(self, split: int) -> Lists:
        raise NotImplementedError

    def _of(self, split: int) -> Sequence[Entry]:
        """The videos that belong to a split."""
        train, test = self.lists(split)
        return [*train, *test]

    def _places(self, name: str) -> Iterator[str]:
        """The places of a video, in the order in which they are searched."""
        yield name

    def _any_case(self, name: str) -> bool:
        """Whether its file may be spelled in another case."""
        return True

    # -- files on the disk

    def _seek(self, root: Path) -> None:
        if self._root is None:
            self._root, self._folder = self._find(Path(root) / self.name)

    @cached_property
    def _folder_below(self) -> CaseInsensitiveFolder:
        return CaseInsensitiveFolder(self.root)

    @cached_property
    def _names_in_lists(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.videos())

    def _located(self, name: str) -> str | None:
        """The name below the root under which the disk has a video."""
        for place in self._places(name):
            match = self._folder_below.find(place, any_case=self._any_case(name))
            if match is not None and (match in (name, place) or match not in self._names_in_lists):
                return match
        return None

    # -- errors

    def _exists(self, split: int) -> None:
        if split not in range(1, self.splits + 1):
            allowed = [str(s) for s in range(1, self.splits + 1)]
            raise UserError("no such split", got=split, allowed=allowed, hint="split=1")

    def _must_be_there(self, files: Sequence[Path]) -> None:
        absent = [file for file in files if not file.exists()]
        if absent:
            raise UserError(
                f"the {self.listing} of this data set are missing", got=some([str(file) for file in absent], 3),
                hint=f"{self.unpack} in {self.folder}, or run.data=… for where it lies",
            )  # fmt: skip

    def _absent(self, absent: list[str], total: int, root: Path, quarantine: Collection[str]) -> UserError:
        """The error for missing videos. Many are named in a file, which can be the quarantine."""
        got = f"{len(absent)} of {total} in {self.root}: {some(absent)}"
        hint = f"{self.unpack} in {self.root}; or run.data=… for where they lie"
        if len(absent) < total:
            file, leave_out = root / f"{self.name}.absent.txt", "data.quarantine=FILE, with their names in it"
            lines = sorted({**dict.fromkeys(quarantine, ""), **dict.fromkeys(absent, " # absent")}.items())
            with contextlib.suppress(UserError):  # a disk that cannot be written
                if len(absent) > SHOWN:
                    write_text(file, "".join(f"{name}{why}\n" for name, why in lines))
                    leave_out = f"data.quarantine='{file}', which names all of them"
            hint += f"; or, to do without them, {leave_out}"
        return UserError("videos of this data set are missing", got=got, hint=hint)

    def _official(self, what: str, official: tuple[int, ...] | None, got: tuple[int, ...]) -> None:
        if self._counted and official not in (None, got) and self.class_count == self.known_classes:
            raise UserError(
                f"{what} not the official ones",
                got=f"{' and '.join(map(str, got))} videos in {self.folder}",
                allowed=[" and ".join(map(str, official or ()))],
                hint="download the lists again; or data.dataset.counts=false for lists of your own",
            )  # fmt: skip


def _is_number(classes: object) -> bool:
    return isinstance(classes, int) and not isinstance(classes, bool) and classes >= 2


def unpacked(home: Path, *archives: str) -> Path:
    """The folder inside the archive, where it exists; else `home`."""
    return next((home / one for one in archives if (home / one).is_dir()), home)
