"""Excluded videos: `data.quarantine` is a list of names, or a file with one name on each line.

A file is replaced by its names before anything is planned. So an arm's identity and record have the names, and a file
that has changed since makes other arms.

    Archery/v_Archery_g01_c01.avi # cut            the text behind " # " is the reason
    # a line that starts with "#" is a comment
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.files import read_whole

LEAF = "data.quarantine"


def named(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves with the names in the file instead of its path."""
    return {leaf: names(one) if leaf == LEAF else one for leaf, one in leaves.items()}


def names(typed: Any) -> list[str]:
    """The names in a file or a list, sorted, each once."""
    if typed is None:
        return []
    if isinstance(typed, str):
        return _read(Path(typed))
    if not isinstance(typed, Sequence) or not all(isinstance(one, str) and one for one in typed):
        raise UserError(
            "data.quarantine is a file of names, or a list of names", got=f"{LEAF}={typed}",
            hint=f"{LEAF}=bad.txt, with one video's name a line",
        )  # fmt: skip
    return sorted(set(typed))


def _read(path: Path) -> list[str]:
    try:
        text = read_whole(path).decode("utf-8-sig")
    except UserError:
        if path.exists():
            raise
        hint = "python -m fusionlab.doctor … --quarantine FILE writes one"
        raise UserError("no such file of quarantined videos", got=path, hint=hint) from None
    except UnicodeDecodeError as error:
        raise UserError("a quarantine is a file of text, one name a line", got=f"{path}: {error}") from None
    lines = (f" {line}".partition(" # ")[0].strip() for line in text.splitlines())
    return sorted({line for line in lines if line})
