"""Data sets of files that somebody has downloaded: what they have in common.

One lies in the folder `name` below the folder of the data, so that what is trained follows from the name and not from
where it is on one machine. Everything that is missing or wrong is told at once, with what belongs where.

A video is known by the name that its list gives it, and found on the disk under that name, or, where no file has it,
under the only one in its folder that differs in nothing but case.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import ClassVar

from fusionlab.data.dataset import Entry, united
from fusionlab.data.leak import refuse_leaks, some
from fusionlab.errors import UserError
from fusionlab.records.files import safe_join, write_text

Lists = tuple[list[Entry], list[Entry]]  # training, test


class OnDisk:
    """Below: `_find` says where the files lie, `_needs` which lists a split has, `_classes` and `_lists` read them."""

    splits: ClassVar[int] = 1
    unpack: ClassVar[str]  # what belongs where: "unpack UCF101.rar"
    known: ClassVar[Mapping[int, tuple[int, int]]] = {}  # split -> the numbers of videos in the official lists
    known_classes: ClassVar[int] = 0  # of the official set

    def __init__(
        self,
        root: str | Path | None = None,
        lists: str | Path | None = None,
        *,
        name: str,
        classes: int | None = None,
        counts: bool = False,
    ) -> None:
        """`root` and `lists` where they are known at once; `classes`: their number, so that it is known before any file
        is there; `counts`: the official numbers are checked.
        """
        if not name or PurePosixPath(name).name != name or name.startswith("."):
            raise UserError(
                "a data set's name is that of a folder below run.data", got=f"data.dataset.name={name}",
                hint="data.dataset.name=ucf101, and run.data=… for where it lies",
            )  # fmt: skip
        if classes is not None and classes < 2:
            raise UserError("two classes or more", got=f"data.dataset.classes={classes}")
        self.name, self._count, self._counted = name, classes, counts
        self._root = None if root is None else Path(root)
        self._folder = self._root if lists is None else Path(lists)
        self._read: dict[int, Lists] = {}
        self._names: dict[Path, dict[str, list[str]]] = {}

    # -- what a data set is asked for

    @property
    def root(self) -> Path:
        assert self._root is not None, "expect() or make() comes first"
        return self._root

    @property
    def folder(self) -> Path:
        """Of the lists."""
        assert self._folder is not None, "expect() or make() comes first"
        return self._folder

    @cached_property
    def classes(self) -> list[str]:
        found = self._classes()
        if self._count not in (None, len(found)):
            raise UserError(
                "the class index has another number of classes", got=f"{len(found)} in {self.folder}",
                allowed=[str(self._count)], hint=f"data.dataset.classes={len(found)}, if these are the classes",
            )  # fmt: skip
        return found

    @property
    def class_count(self) -> int:
        if self._count is None and self._root is None:
            raise UserError(
                "how many classes there are has to be known before their files are read",
                got="data.dataset.classes=null", hint="data.dataset.classes=7, the number of classes",
            )  # fmt: skip
        return len(self.classes) if self._count is None else self._count

    @property
    def kinds(self) -> Mapping[str, str]:
        return dict.fromkeys(self.classes, "action")

    @property
    def notes(self) -> list[str]:
        """What a person should know of this set, and need not do anything about."""
        return []

    def expect(self, root: Path, *, split: int, packed: bool, quarantine: Collection[str] = ()) -> None:
        """Find the lists, and the videos unless they are packed, where both are to be unpacked."""
        self._seek(root)
        self._exists(split)
        self._must_be_there(self._needs(split))
        self.lists(split)  # says what is wrong in them
        if packed:
            return
        names = [name for name, _ in self.videos() if name not in quarantine]
        absent = [name for name in names if not self.path(name).is_file()]
        if absent:
            raise self._absent(absent, len(names), Path(root))

    def make(self, root: Path, *, processes: int = 1, say: Callable[[str], None] = print) -> None:
        """It is downloaded by hand; there is nothing to make."""
        self._seek(root)
        self._must_be_there(self._needs(None))

    def lists(self, split: int) -> Lists:
        """Training and test list; no video and no group is in both."""
        self._exists(split)
        if split not in self._read:
            train, test = self._lists(split)
            for which, entries in (("training", train), ("test", test)):
                if not entries:
                    got = f"split {split} in {self.folder}"
                    raise UserError(f"the {which} list of this data set is empty", got=got)
                for name, _ in entries:
                    inside(name, f"the {which} list of split {split}")
            refuse_leaks(train, test, self.group)
            self._officially(split, len(train), len(test))
            self._read[split] = train, test
        return self._read[split]

    def videos(self) -> list[Entry]:
        """Of all splits whose lists are there."""
        present = [s for s in range(1, self.splits + 1) if all(file.is_file() for file in self._needs(s))]
        return united([entries for split in present or [1] for entries in self.lists(split)])

    def path(self, name: str) -> Path:
        exact = safe_join(self.root, name)
        return exact if exact.is_file() else self._by_any_case(exact)

    def group(self, name: str) -> str:
        raise NotImplementedError

    def ceilings(self, system: str) -> Mapping[str, Fraction]:
        """Unknown."""
        return {}

    # -- what each set says for itself

    def _find(self, home: Path) -> tuple[Path, Path]:
        """Where videos and lists lie in its folder."""
        return home, home

    def _needs(self, split: int | None) -> list[Path]:
        """The files that a split's lists are read from; None: those that classes are read from."""
        raise NotImplementedError

    def _classes(self) -> list[str]:
        raise NotImplementedError

    def _lists(self, split: int) -> Lists:
        raise NotImplementedError

    # -- what is missing or wrong

    def _seek(self, root: Path) -> None:
        if self._root is None:
            self._root, self._folder = self._find(Path(root) / self.name)

    def _exists(self, split: int) -> None:
        if split not in range(1, self.splits + 1):
            allowed = [str(s) for s in range(1, self.splits + 1)]
            raise UserError("no such split", got=split, allowed=allowed, hint="split=1")

    def _must_be_there(self, files: Sequence[Path]) -> None:
        absent = [file for file in files if not file.exists()]
        if absent:
            raise UserError(
                "the lists of this data set are not there", got=some([str(file) for file in absent], 3),
                hint=f"{self.unpack} in {self.folder}, or run.data=… for where it lies",
            )  # fmt: skip

    def _absent(self, absent: list[str], total: int, root: Path) -> UserError:
        """All are named: the first here, and all in a file where they are many, which may become the quarantine."""
        told = f"{len(absent)} of {total}: {self.root / absent[0]} …"
        if len(absent) > 1:
            told = f"{len(absent)} of {total} in {self.root}: {some(absent)}"
        file = root / f"{self.name}.absent.txt"
        leave_out = "python -m fusionlab.doctor … --quarantine FILE and data.quarantine=FILE leave them out"
        with contextlib.suppress(UserError):  # a disk that cannot be written
            write_text(file, "".join(f"{name} # absent\n" for name in absent))
            leave_out = f"data.quarantine='{file}', which lists all of them, leaves them out"
        hint = f"{self.unpack} in {self.root}; or run.data=… for where they lie; or {leave_out}"
        return UserError("videos of this data set are not there", got=told, hint=hint)

    def _officially(self, split: int, train: int, test: int) -> None:
        official = self.known.get(split)
        if self._counted and self.class_count == self.known_classes and official not in (None, (train, test)):
            raise UserError(
                f"the lists of split {split} are not the official ones",
                got=f"{train} and {test} videos in {self.folder}",
                allowed=["{} and {}".format(*(official or ()))],
                hint="the lists anew; or data.dataset.counts=false, if these are meant",
            )  # fmt: skip

    def _by_any_case(self, exact: Path) -> Path:
        """The one file that has this name but for its case; the exact name where there is none or more than one."""
        folder = exact.parent if exact.parent.is_dir() else self._one(exact.parent) or exact.parent
        return self._one(folder / exact.name) or folder / exact.name

    def _one(self, path: Path) -> Path | None:
        if path.parent not in self._names:
            found: dict[str, list[str]] = {}
            with contextlib.suppress(OSError):
                for one in path.parent.iterdir():
                    found.setdefault(one.name.casefold(), []).append(one.name)
            self._names[path.parent] = found
        names = self._names[path.parent].get(path.name.casefold(), [])
        return path.with_name(names[0]) if len(names) == 1 else None


def inside(name: str, place: str) -> None:
    """Refuse a name in a list that leads out of the data set's folder."""
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts or "\0" in name:
        raise UserError("a name in a list must stay inside its folder", got=f"{place}: {name or 'an empty name'}")


def text_lines(path: Path) -> list[tuple[str, str]]:
    """(place, text) of each line that is not empty, without its line end, whatever that is; a byte order mark is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # universal newlines: CRLF reads as LF
    except FileNotFoundError:
        raise UserError("no such list", got=path, hint="the folder that holds the lists of the data set") from None
    except IsADirectoryError:
        raise UserError("a list is a file, and this is a folder", got=path) from None
    except UnicodeDecodeError as error:
        raise UserError("a list is text in UTF-8", got=f"{path}: {error.reason} at byte {error.start}") from None
    lines = [(f"{path.name}:{n}", line.strip()) for n, line in enumerate(text.split("\n"), 1)]
    return [(place, line) for place, line in lines if line]


def unpacked(home: Path, *archives: str) -> Path:
    """The folder that an archive brings along, where it is there."""
    return next((home / one for one in archives if (home / one).is_dir()), home)


def each_once(named: Sequence[tuple[str, str, int]]) -> list[Entry]:
    """(place, name, label) -> entries, each name once."""
    entries: dict[str, int] = {}
    twice = []
    for place, name, label in named:
        if name in entries:
            twice.append(f"{place}: {name}")
        entries[name] = label
    if twice:
        raise UserError("a list names videos twice", got=f"{len(twice)}: {some(twice)}")
    return list(entries.items())
