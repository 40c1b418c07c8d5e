"""Finding files by name: the exact one, or the only one that differs in case.

Each folder is read once, so that a search for all videos of a large set does not touch the disk for each; files that
appear later are not seen.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import NamedTuple


class Listing(NamedTuple):
    """The content of a folder: plain form -> the names that have it."""

    files: dict[str, list[str]]
    folders: dict[str, list[str]]


def plain(name: str) -> str:
    """The common form of names that differ only in case, or in how an accent is encoded.

    >>> plain("v_HandStandPushups_g01_c01.avi") == plain("v_HandstandPushups_g01_c01.AVI")
    True
    """
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


class CaseInsensitiveFolder:
    """The files below `root`; names are separated by /."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[str, Listing] = {}

    def find(self, name: str, *, any_case: bool = True) -> str | None:
        """The name of this file on the disk; None if there is no candidate, or more than one."""
        above, _, last = name.rpartition("/")
        if last in self._listing(above).files.get(plain(last), []):
            return name
        alike = self._alike(name) if any_case else []
        return alike[0] if len(alike) == 1 else None

    def _alike(self, name: str) -> list[str]:
        """All files whose names differ from this one only in case."""
        *folders, last = map(plain, name.split("/"))
        places = [""]
        for folder in folders:
            places = [f"{place}{one}/" for place in places for one in self._listing(place).folders.get(folder, [])]
        return [f"{place}{one}" for place in places for one in self._listing(place).files.get(last, [])]

    def _listing(self, folder: str) -> Listing:
        folder = folder.rstrip("/")
        if folder not in self._read:
            listing = Listing({}, {})
            try:
                with os.scandir(self.root / folder) as entries:
                    for one in entries:
                        names = listing.folders if one.is_dir() else listing.files if one.is_file() else {}
                        names.setdefault(plain(one.name), []).append(one.name)
            except OSError:  # missing, not a folder, or not readable: it counts as empty
                pass
            self._read[folder] = listing
        return self._read[folder]
