"""Checks of single video files: each is read to its end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionlab.data.processes import Items
from fusionlab.health.findings import NOTE, WRONG, Finding, of_files
from fusionlab.video.inspection import Inspection, inspect

TINY = 16  # pixels of a side below which flow means nothing
SIZE_CHANGES = "the size of its frames changes"  # the start of the inspection's note


@dataclass(frozen=True)
class CheckedFile:
    """One file. `sha256`: None if it is missing, "" if it cannot be read."""

    name: str
    inspection: Inspection
    sha256: str | None = None
    size: int = 0


def check_files(files: Sequence[tuple[str, Path]]) -> Iterator[CheckedFile]:
    """One task of a worker process: some files, read twice (the second time from memory)."""
    for name, path in files:
        if path.exists() and not path.is_file():  # a pipe would block, a device never ends
            yield CheckedFile(name, Inspection(error="this is no regular file"), "")
            continue
        try:
            size = path.stat().st_size
            with path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            there = not isinstance(error, FileNotFoundError)
            yield CheckedFile(name, Inspection(error=error.strerror), "" if there else None)
            continue
        yield CheckedFile(name, inspect(path) if size else Inspection(error="empty"), digest, size)


def _rest(files: Sequence[tuple[str, Path]], checked: int) -> Sequence[tuple[str, Path]] | None:
    return files[checked:] or None


def _failed(files: Sequence[tuple[str, Path]], reason: str) -> CheckedFile:
    return CheckedFile(files[0][0], Inspection(error=reason), "")


FILES = Items(_rest, _failed)

# code -> (severity, sentence); a video gets the first error that fits, and every note that fits
CODES = {
    "absent": (WRONG, "{videos} of the lists: no such file"),
    "empty": (WRONG, "{videos}: 0 bytes"),
    "unreadable": (WRONG, "{videos} cannot be decoded"),
    "zero-length": (WRONG, "{videos} with one frame or none: nothing moves"),
    "truncated": (WRONG, "{videos} cut short"),
    "damaged": (WRONG, "{videos} damaged inside: the decoder hid errors or stopped"),
    "changing-size": (WRONG, "{videos} whose frames change their size"),
    "tiny": (WRONG, "{videos} with a side below " + f"{TINY} pixels"),
    "streams": (NOTE, "{videos} with several video streams"),
    "variable-rate": (NOTE, "{videos} with frames of unequal length"),
    "short": (NOTE, "{videos} shorter than one window of flow; a window repeats their ends"),
    "odd": (NOTE, "{videos} with a remark"),
}


def findings(files: Sequence[CheckedFile], fields: int) -> list[Finding]:
    """The findings of all files. `fields`: the length L of a window of flow."""
    by_code: dict[str, dict[str, str]] = {code: {} for code in CODES}
    for file in files:
        for code, why in remarks(file, fields):
            by_code[code][file.name] = why
    return [one for code, (severity, what) in CODES.items() for one in of_files(code, severity, what, by_code[code])]


def remarks(file: CheckedFile, fields: int) -> list[tuple[str, str]]:
    """(code, remark) of one file."""
    wrong = _wrong(file)
    return [*([wrong] if wrong else []), *(_notes(file.inspection, fields) if file.inspection.decoded > 1 else [])]


def _wrong(file: CheckedFile) -> tuple[str, str] | None:
    inspection = file.inspection
    frames = f"{inspection.decoded} frames" + (f" of {inspection.declared} declared" if inspection.declared else "")
    change = next((note for note in inspection.notes if note.startswith(SIZE_CHANGES)), None)
    hidden = f"{inspection.concealed} errors hidden" if inspection.concealed else ""
    if file.sha256 is None:
        return "absent", ""
    if not file.size and file.sha256:
        return "empty", ""
    if inspection.decoded == 0:
        # A file that opens but holds no picture differs from one that cannot be opened.
        unreadable = not inspection.streams or inspection.cut or inspection.concealed
        return "unreadable" if unreadable else "zero-length", inspection.error or ""
    if inspection.cut:
        return "truncated", ", ".join(filter(None, [frames, hidden, inspection.error]))
    if inspection.error is not None or inspection.concealed:
        return "damaged", ", ".join(filter(None, [frames, hidden, inspection.error]))
    if inspection.decoded == 1:
        return "zero-length", frames
    if change:
        return "changing-size", change
    if min(inspection.height, inspection.width) < TINY:
        return "tiny", f"{inspection.width}×{inspection.height}"
    return None


def _notes(inspection: Inspection, fields: int) -> list[tuple[str, str]]:
    notes = []
    if inspection.streams > 1:
        notes.append(("streams", next((note for note in inspection.notes if "video streams" in note), "")))
    if inspection.variable:
        notes.append(("variable-rate", next((note for note in inspection.notes if "equally long" in note), "")))
    if inspection.decoded - 1 < fields:
        notes.append(("short", f"{inspection.decoded} frames, {inspection.decoded - 1} fields"))
    known = {note for _, note in notes}
    other = [note for note in inspection.notes if note not in known and not note.startswith(SIZE_CHANGES)]
    return [*notes, *([("odd", "; ".join(other))] if other else [])]
