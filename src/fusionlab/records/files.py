"""The law of publishing: a file or folder appears whole, by one atomic act, and the first one wins.

A file is written beside its place and moved there; a claim is linked into place complete; a folder is
published by one rename. What a killed process leaves is at most a hidden `.*.tmp` file, which no reader looks
at. A disk that is full, read-only or not ours becomes one `UserError` that says what to do.

What is read may be a stranger's: `read_whole` neither waits nor reads without an end, and `parse_json` gives plain
values of bounded depth, whose numbers are finite.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fusionlab.errors import UNSAFE, UserError

LARGEST = 256 << 20  # bytes; the plan of 10,000 arms has 79 MB, the index of a store of 240,000 videos about as much
DEEPEST = 64  # of JSON; a plan has 8 levels. Python's own functions on trees end near 1,000
DIGITS = 300  # of a whole number; each such number is a finite float

_ADVICE = {
    errno.EROFS: ("the disk is read-only", "choose a folder that can be written"),
    errno.EACCES: (
        "no permission to write there",
        "choose a folder of yours, or ask its owner for the right",
    ),
    errno.EPERM: ("no permission to write there", "choose a folder of yours, or ask its owner for the right"),
    errno.ENOSPC: ("the disk is full", "free some space, then the same command: it goes on where it was"),
    errno.EDQUOT: (
        "your quota on this disk is used up",
        "free some space, then the same command: it goes on",
    ),
    errno.EFBIG: (
        "the file is larger than this disk or your limit allows",
        "see `ulimit -f`, or another disk",
    ),
    errno.EXDEV: ("the two folders lie on different disks", "keep a study's folders on one file system"),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "fewer or shorter axes, or a shorter folder"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another folder"),
}


@contextlib.contextmanager
def disk_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Inside, an `OSError` that a user can do something about becomes a `UserError` that says what."""
    try:
        yield
    except OSError as error:
        if error.errno not in _ADVICE:
            raise
        what, hint = _ADVICE[error.errno]
        raise UserError(what, got=os.fspath(path), hint=hint) from error


def _beside(path: Path) -> Path:
    # The name is cut: an arm's name may be near the 255 bytes that a file name can have.
    return path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex}.tmp")


def _write_whole(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the file system knows how to."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    final = Path(path)
    beside = _beside(final)
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_whole(beside, content)
            beside.replace(final)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
        _sync_folder(final.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """`write_bytes` of UTF-8 text, line ends as given."""
    write_bytes(path, text.encode("utf-8"))


def to_json(value: Any) -> str:
    """JSON for people and programs: indented, order kept, no NaN (it is not JSON), a newline at the end.

    Signs that are unsafe to show are escaped as JSON does it: it reads back the same, and can be shown and encoded.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if text.isascii() and "\x7f" not in text:  # the others of ASCII are escaped; a search of a plan takes seconds
        return text
    return UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """`write_bytes` of `to_json(value)`."""
    write_text(path, to_json(value))


def read_whole(path: str | os.PathLike[str], largest: int = LARGEST) -> bytes:
    """The bytes of a regular file of bounded size; anything else is the user's to know about."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)  # or a pipe would make us wait for a writer
        try:
            mode = os.fstat(handle).st_mode
            if not stat.S_ISREG(mode):
                kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
                raise UserError(f"not a regular file: this is {kind}", got=path)
            with open(handle, "rb", closefd=False) as file:
                content = file.read(largest + 1)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise UserError("no such file", got=path) from None
    except (OSError, ValueError) as error:
        raise UserError(f"a file that cannot be read ({getattr(error, 'strerror', error)})", got=path) from None
    if len(content) > largest:
        raise UserError(f"a file of more than {largest >> 20} MiB, which none of this kind has", got=path)
    return content


def parse_json(content: bytes, source: object) -> Any:
    """The value in JSON of UTF-8; what is damaged, deeper than `DEEPEST` or no finite number is named with `source`."""
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
        level, depth = [value], 0
        while level := [one for one in level if isinstance(one, (dict, list))]:
            depth += 1
            if depth > DEEPEST:
                raise RecursionError
            level = [child for one in level for child in (one.values() if isinstance(one, dict) else one)]
    except RecursionError:
        raise UserError(f"a JSON file that is nested deeper than {DEEPEST}", got=source) from None
    except ValueError as error:
        raise UserError(f"not a readable JSON file ({error})", got=source) from None
    return value


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"a number of more than {DIGITS} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is no finite number")
    return value


def read_json(path: str | os.PathLike[str], largest: int = LARGEST) -> Any:
    """`parse_json` of `read_whole`."""
    return parse_json(read_whole(path, largest), Path(path))


def create_exclusive(path: str | os.PathLike[str], text: str) -> bool:
    """Create a file that is not there yet, whole; True for the one process that did it.

    The content is written beside and *linked* into place: `link` is atomic also over NFS and fails where the
    name exists, so no reader meets an empty claim. Where a file system knows no links, the exclusive create
    itself decides.
    """
    final = Path(path)
    beside = _beside(final)
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_whole(beside, text.encode("utf-8"))
            try:
                os.link(beside, final)
            except FileExistsError:
                # Over NFS the answer to a link can be lost, and its repetition then finds its own name.
                return beside.stat().st_nlink == 2
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                    raise
                try:
                    _write_whole(final, text.encode("utf-8"))
                except FileExistsError:
                    return False
            _sync_folder(final.parent)
            return True
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)


def publish(attempt_folder: str | os.PathLike[str], final_folder: str | os.PathLike[str]) -> bool:
    """Move a finished folder to its final name by one rename: the first wins, a later one gets False.

    The rename of a folder onto one that holds something fails by itself (POSIX), so nothing is looked up
    first.
    """
    attempt, final = Path(attempt_folder), Path(final_folder)
    assert any(attempt.iterdir()), f"nothing to publish in {attempt}"
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        for folder, _, names in os.walk(attempt):
            for name in names:
                handle = os.open(Path(folder, name), os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
            _sync_folder(Path(folder))
        try:
            attempt.rename(final)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        _sync_folder(final.parent)
        return True


def folder_clock(folder: str | os.PathLike[str]) -> float:
    """The time now by the clock that stamps the files of this folder (a server's, where it is shared).

    Leases are compared on this one clock; the clocks of two hosts may be minutes apart.
    """
    probe = Path(folder) / f".clock.{uuid.uuid4().hex}.tmp"
    with disk_errors(probe):
        try:
            with probe.open("xb"):
                os.utime(probe)  # "now" is then the server's now, not ours
            return probe.stat().st_mtime
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)


def safe_join(root: str | os.PathLike[str], *names: str) -> Path:
    """root / names, refusing any name that climbs out of root (`..`, absolute, a link that leads out)."""
    inside = Path(root)
    joined = inside
    for name in names:
        if not name or "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise UserError(
                "a name must stay inside its folder", got=name or "an empty name", hint=f"a name in {inside}"
            )
        joined = joined / name
    if not joined.resolve().is_relative_to(inside.resolve()):
        raise UserError("a name must stay inside its folder", got=joined, hint=f"a name in {inside}")
    return joined
