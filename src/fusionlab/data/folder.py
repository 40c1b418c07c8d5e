"""A plain folder of class folders: for data of one's own.

    train/<class>/… and test/<class>/…     both lists, where these folders are there (val or validation for test too)
    <class>/…, train.txt and test.txt      else: lists with <class>/<video> in each line
    <class>/…                              else: cut by group and the split's number, as evenly as whole groups allow

A group is what `group`, a regular expression, finds in <class>/<video> (without the video's ending): its brackets if it
has some, so that it may go through all classes or be of one. null: each video is its own group, and then clips that
were cut from one recording may be on both sides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from fusionlab.data import validation
from fusionlab.data.dataset import Entry, united
from fusionlab.data.list_files import Named, Wrong, class_labels, entries, is_a_line, text_lines
from fusionlab.data.on_disk import Lists, OnDisk
from fusionlab.errors import UserError

ENDINGS = {".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".3gp"}
TRAIN, TEST = "train", ("test", "val", "validation")


class Folder(OnDisk):
    """Videos in `name`, below the folder of the data. `test`: the part that is cut off where nothing says otherwise."""

    listing = "class folders"
    unpack = "put train/<class>/<video> and test/<class>/<video>, or <class>/<video>"

    def __init__(
        self, root: str | Path | None = None, *, name: str = "folder", classes: int | None = None,
        group: str | None = None, test: float = 0.3,
    ) -> None:  # fmt: skip
        super().__init__(root, name=name, classes=classes)
        if not 0 < test < 0.5:
            got = f"data.dataset.test={test}"
            raise UserError("the test list is a part below one half", got=got, hint="data.dataset.test=0.3")
        try:
            self._group = None if group is None else re.compile(group)
        except (re.error, TypeError) as error:
            raise UserError(
                f"invalid regular expression ({error})", got=f"data.dataset.group={group}",
                hint=r"data.dataset.group='(.+)_\d+$', the name without its last number",
            ) from None  # fmt: skip
        self._part = test

    def group(self, name: str) -> str:
        if self._group is None:
            return name
        within = PurePosixPath(name.partition("/")[2] if self._test_folder else name)
        match = self._group.search(str(within.with_suffix("")))
        group = "" if match is None else "/".join(one or "" for one in match.groups() or (match[0],))
        if not group:
            raise UserError(
                "a video's name has no group in it", got=name, allowed=[self._group.pattern],
                hint=r"data.dataset.group='(.+)_\d+$', the name without its last number",
            )  # fmt: skip
        return group

    @property
    def notes(self) -> list[str]:
        notes = []
        if self._is_cut:
            notes.append(
                "nothing says what is for testing: a part is cut off, by group, and other files are another cut"
            )
        if self._group is None:
            notes.append(
                "each video is its own group (data.dataset.group=null): parts of one recording may be in both lists"
            )
        return [*notes, *super().notes]

    @property
    def splits(self) -> int:
        """A cut can be made in many ways."""
        return 9 if self._is_cut else 1

    @property
    def _is_cut(self) -> bool:
        return self._test_folder is None and self._test_list is None

    @cached_property
    def _test_folder(self) -> str | None:
        return next((name for name in TEST if (self.root / TRAIN).is_dir() and (self.root / name).is_dir()), None)

    @cached_property
    def _test_list(self) -> Path | None:
        if not (self.root / f"{TRAIN}.txt").is_file():
            return None
        return next((path for name in TEST if (path := self.root / f"{name}.txt").is_file()), None)

    def _needs(self, split: int | None) -> list[Path]:
        return [self.root]

    def videos(self) -> list[Entry]:
        """The cut is made of all videos, so that all splits have the same."""
        return united(self.lists(1))

    def _classes(self) -> list[str]:
        above = [self.root] if (test := self._test_folder) is None else [self.root / TRAIN, self.root / test]
        names = sorted({one.name for folder in above for one in _folders(folder)})
        if len(names) < 2:
            got = f"{', '.join(names) or 'none'} in {self.root}"
            raise UserError("two class folders or more", got=got, hint=self.unpack)
        return names

    def _lists(self, split: int) -> Lists:
        if (folder := self._test_folder) is not None:
            return self._videos(TRAIN), self._videos(folder)
        if (file := self._test_list) is not None:
            with Wrong() as wrong:
                return self._read_list(self.root / f"{TRAIN}.txt", wrong), self._read_list(file, wrong)
        videos = self._videos("")
        for label, name in enumerate(self.classes):
            groups = {self.group(video) for video, one in videos if one == label}
            if len(groups) < 2:
                hint = "more videos of it; or train and test folders; or, if groups are too wide, data.dataset.group=…"
                raise UserError("a class that is cut needs two groups or more", got=f"{name}: {len(groups)}", hint=hint)
        return validation.cut(videos, self.group, split, self._part)

    def _read_list(self, path: Path, wrong: Wrong) -> list[Entry]:
        labels, lines = class_labels(self.classes), text_lines(path)
        if not lines:
            wrong.add("this list is empty", path)

        def named() -> Iterator[Named]:
            for place, line in lines:
                name = line.removeprefix("./")
                if (folder := name.partition("/")[0]) in labels:
                    yield place, name, labels[folder]
                else:
                    what, hint = "a list names a class that has no folder", f"one of the {len(labels)} class folders"
                    wrong.add_unknown(what, f"{place}: {line}", folder, labels, hint)

        return entries(named(), wrong)

    def _videos(self, below: str) -> list[Entry]:
        """All videos of the class folders, hidden files left out."""
        videos, odd, empty = [], [], []
        for label, name in enumerate(self.classes):
            files = sorted(_files(self.root, f"{below}/{name}" if below else name))
            odd += [ascii(file) for file in files if not is_a_line(file)]
            empty += [] if files or below not in ("", TRAIN) else [name]
            videos += [(file, label) for file in files]
        with Wrong() as wrong:
            for file in odd:
                wrong.add("a video's name is one line of text in UTF-8", file, "another name for the file")
            for name in empty:
                hint = f"videos in it ({', '.join(sorted(ENDINGS))}), or no such folder"
                wrong.add("class folders hold no video to learn from", name, hint)
        return videos


def _folders(folder: Path) -> list[Path]:
    return [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")] if folder.is_dir() else []


def _files(root: Path, below: str) -> Iterator[str]:
    """The videos in a folder and in those in it, by their names below the root."""
    for folder, folders, names in os.walk(root / below):
        folders[:] = [name for name in folders if not name.startswith(".")]
        above = Path(folder).relative_to(root).as_posix()
        for name in names:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in ENDINGS:
                yield f"{above}/{name}"
