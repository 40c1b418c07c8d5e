"""What is wrong with video files, each by itself: every one is read to its end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionlab.health.finding import NOTE, WRONG, Finding, of_files
from fusionlab.video.inspection import Inspection, inspect

TINY = 16  # pixels of a side below which flow means nothing
SHOWN_CHANGE = "the size of its frames changes"  # how the inspection begins to say that


@dataclass(frozen=True)
class Looked:
    """At one file. No `sha256`: it is not there."""

    name: str
    found: Inspection
    sha256: str | None = None
    size: int = 0


def look(files: Sequence[tuple[str, Path]]) -> Iterator[Looked]:
    """One task: some files, read twice (the second time from memory)."""
    for name, path in files:
        if path.exists() and not path.is_file():  # a pipe would make us wait, a device has no end
            yield Looked(name, Inspection(error="this is no regular file"), "")
            continue
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            there = not isinstance(error, FileNotFoundError)
            yield Looked(name, Inspection(error=error.strerror), "" if there else None)
            continue
        yield Looked(name, inspect(path) if size else Inspection(error="empty"), digest, size)


# code -> (severity, sentence); a video has the first of the wrong ones that fits, and every note that does
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


def findings(looked: Sequence[Looked], fields: int) -> list[Finding]:
    """Of all files. `fields`: how long a window of flow is, L."""
    files: dict[str, dict[str, str]] = {code: {} for code in CODES}
    for one in looked:
        for code, why in remarks(one, fields):
            files[code][one.name] = why
    return [found for code, (severity, what) in CODES.items() for found in of_files(code, severity, what, files[code])]


def remarks(looked: Looked, fields: int) -> list[tuple[str, str]]:
    """(code, what there is to say) of one file."""
    wrong = _wrong(looked)
    return [*([wrong] if wrong else []), *(_notes(looked.found, fields) if looked.found.decoded > 1 else [])]


def _wrong(looked: Looked) -> tuple[str, str] | None:
    found = looked.found
    frames = f"{found.decoded} frames" + (f" of {found.declared} declared" if found.declared else "")
    change = next((note for note in found.notes if note.startswith(SHOWN_CHANGE)), None)
    hidden = f"{found.concealed} errors hidden" if found.concealed else ""
    if looked.sha256 is None:
        return "absent", ""
    if not looked.size and looked.sha256:
        return "empty", ""
    if found.decoded == 0:
        # A file that opens and holds no picture is another thing than one that cannot be opened.
        return ("unreadable" if not found.streams or found.cut or found.concealed else "zero-length"), found.error or ""
    if found.cut:
        return "truncated", ", ".join(filter(None, [frames, hidden, found.error]))
    if found.error is not None or found.concealed:
        return "damaged", ", ".join(filter(None, [frames, hidden, found.error]))
    if found.decoded == 1:
        return "zero-length", frames
    if change:
        return "changing-size", change
    if min(found.height, found.width) < TINY:
        return "tiny", f"{found.width}×{found.height}"
    return None


def _notes(found: Inspection, fields: int) -> list[tuple[str, str]]:
    notes = []
    if found.streams > 1:
        notes.append(("streams", next((note for note in found.notes if "video streams" in note), "")))
    if found.variable:
        notes.append(("variable-rate", next((note for note in found.notes if "equally long" in note), "")))
    if found.decoded - 1 < fields:
        notes.append(("short", f"{found.decoded} frames, {found.decoded - 1} fields"))
    said = {note for _, note in notes}
    other = [note for note in found.notes if note not in said and not note.startswith(SHOWN_CHANGE)]
    return [*notes, *([("odd", "; ".join(other))] if other else [])]
