"""A plain folder of class folders: for data of one's own.

    train/<class>/… and test/<class>/…     both lists, where these folders are there (val or validation for test too)
    <class>/…                              else: cut by group, as stratified as whole groups allow, by the split's number

A group is what `group` finds in a video's name: a regular expression, its first bracket if it has one; null: each
video is its own group, and then clips that were cut from one recording may be on both sides.
"""

from __future__ import annotations

import re
from pathlib import Path

from fusionlab.data import validation
from fusionlab.data.dataset import Entry
from fusionlab.data.on_disk import Lists, OnDisk
from fusionlab.errors import UserError

ENDINGS = {".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".3gp"}
TRAIN, TEST = "train", ("test", "val", "validation")


class Folder(OnDisk):
    """Videos in `name`, below the folder of the data. `test`: the part that is cut off where no folder holds it."""

    splits = 9
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
        except re.error as error:
            raise UserError(
                f"this is no regular expression ({error})", got=f"data.dataset.group={group}",
                hint=r"data.dataset.group='(.+)_\d+$', the name without its last number",
            ) from None  # fmt: skip
        self._part = test

    def group(self, name: str) -> str:
        if self._group is None:
            return name
        path = Path(name)
        found = self._group.search(path.with_suffix("").name)
        if found is None:
            raise UserError("a video's name has no group in it", got=name, allowed=[self._group.pattern])
        return f"{path.parent.name}/{found[1] if found.groups() else found[0]}"

    @property
    def notes(self) -> list[str]:
        said = []
        if self._test_folder() is None:
            said.append("there is no test folder: the test list is cut off the videos, by group")
        if self._group is None:
            said.append(
                "each video is its own group (data.dataset.group=null): a recording may be in both lists, in parts"
            )
        return said

    def _test_folder(self) -> str | None:
        if not (self.root / TRAIN).is_dir():
            return None
        return next((name for name in TEST if (self.root / name).is_dir()), None)

    def _needs(self, split: int | None) -> list[Path]:
        return [self.root]

    def _classes(self) -> list[str]:
        test = self._test_folder()
        above = [self.root] if test is None else [self.root / TRAIN, self.root / test]
        found = sorted({one.name for folder in above for one in _folders(folder)})
        if len(found) < 2:
            got = f"{', '.join(found) or 'none'} in {self.root}"
            raise UserError("two class folders or more", got=got, hint=self.unpack)
        return found

    def _lists(self, split: int) -> Lists:
        test = self._test_folder()
        if test is not None:
            return self._videos(TRAIN), self._videos(test)
        entries = self._videos("")
        if len({self.group(name) for name, _ in entries}) < 2:
            raise UserError("a test list needs at least two groups", got=f"{len(entries)} videos in {self.root}")
        return validation.cut(entries, self.group, split, self._part)

    def _videos(self, below: str) -> list[Entry]:
        found = []
        for label, name in enumerate(self.classes):
            folder = self.root / below / name
            if folder.is_dir():
                files = (file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
                found += [(file.relative_to(self.root).as_posix(), label) for file in files]
        return sorted(found)


def _folders(folder: Path) -> list[Path]:
    return [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")] if folder.is_dir() else []
