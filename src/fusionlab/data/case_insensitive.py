"""Files below a folder, found by name: exactly, or, where none has that name, the only one that differs in case.

Each folder is read once, so that asking for every video of a large set costs no look at the disk for each; what has
come since is not seen.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import NamedTuple


class There(NamedTuple):
    """What lies in a folder: names, and by their plain form those that are alike."""

    files: dict[str, list[str]]
    folders: dict[str, list[str]]


def plain(name: str) -> str:
    """What names that differ in nothing but case (or in how an accent is written) have in common.

    >>> plain("v_HandStandPushups_g01_c01.avi") == plain("v_HandstandPushups_g01_c01.AVI")
    True
    """
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


class Below:
    """The files below `root`; names are parted by /."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[str, There] = {}

    def find(self, name: str, *, any_case: bool = True) -> str | None:
        """The name under which the disk has this file; None where it has none, or where it is not clear which."""
        above, _, last = name.rpartition("/")
        if last in self._there(above).files.get(plain(last), []):
            return name
        alike = self._alike(name) if any_case else []
        return alike[0] if len(alike) == 1 else None

    def _alike(self, name: str) -> list[str]:
        """All files whose names differ from this one in nothing but case."""
        *folders, last = map(plain, name.split("/"))
        places = [""]
        for folder in folders:
            places = [f"{place}{one}/" for place in places for one in self._there(place).folders.get(folder, [])]
        return [f"{place}{one}" for place in places for one in self._there(place).files.get(last, [])]

    def _there(self, folder: str) -> There:
        folder = folder.rstrip("/")
        if folder not in self._read:
            there = There({}, {})
            try:
                with os.scandir(self.root / folder) as found:
                    for one in found:
                        kind = there.folders if one.is_dir() else there.files if one.is_file() else {}
                        kind.setdefault(plain(one.name), []).append(one.name)
            except OSError:  # not there, no folder, or not ours to read: nothing is found in it
                pass
            self._read[folder] = there
        return self._read[folder]
