"""Files for the law of publishing: a file or folder appears complete, by one atomic operation, and the first one wins.

A file is written to a temporary name and renamed; a claim is linked into place; a folder is published by one rename. A
killed process leaves at most a hidden `.*.tmp` file, which readers ignore. A full, read-only or foreign disk is a
`UserError` with advice.

Files may come from a stranger: `read_whole` neither waits nor reads without limit, and `parse_json` returns plain
values of limited depth with finite numbers.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from fusionlab.errors import UNSAFE, UserError

LARGEST = 256 << 20  # bytes; the index of a store of 240,000 videos has about 80 MB, the plan of 100,000 arms 36 MB
DEEPEST = 64  # levels of JSON; a plan has 8. Python's recursion ends near 1,000
DIGITS = 300  # of an integer, so that it is a finite float

_ADVICE = {
    errno.EROFS: ("the disk is read-only", "choose a folder that can be written"),
    errno.EACCES: (
        "no permission to write there",
        "choose another folder, or ask its owner for permission",
    ),
    errno.EPERM: ("no permission to write there", "choose another folder, or ask its owner for permission"),
    errno.ENOSPC: ("the disk is full", "free some space and repeat the command: it resumes"),
    errno.EDQUOT: (
        "your quota on this disk is used up",
        "free some space and repeat the command: it resumes",
    ),
    errno.EFBIG: (
        "the file is larger than this disk or your limit allows",
        "check `ulimit -f`, or use another disk",
    ),
    errno.EXDEV: ("the two folders lie on different disks", "keep a study's folders on one file system"),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "fewer or shorter axes, or a shorter folder"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another folder"),
}


@contextlib.contextmanager
def disk_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an `OSError` that the user can fix into a `UserError` with advice."""
    try:
        yield
    except OSError as error:
        if error.errno not in _ADVICE:
            raise
        what, hint = _ADVICE[error.errno]
        raise UserError(what, got=os.fspath(path), hint=hint) from error


def _temporary(path: Path) -> Path:
    # The name is cut, since a file name has at most 255 bytes.
    return path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex}.tmp")


def _write_new(path: Path, write: Callable[[BinaryIO], object], sync: bool = True) -> None:
    with path.open("xb") as file:
        write(file)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power failure, if the file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes(path: str | os.PathLike[str], content: bytes, *, sync: bool = True) -> None:
    """`write_through` of bytes in memory."""
    write_through(path, lambda file: file.write(content), sync=sync)


def write_through(path: str | os.PathLike[str], write: Callable[[BinaryIO], object], *, sync: bool = True) -> None:
    """Write a file atomically: a reader sees the old content or the new, never a part.

    `write` writes the content into the open file, so that a large one needs no copy in memory. Without `sync` this does
    not hold after a power failure; for files in a folder that `publish` will make safe.
    """
    final = Path(path)
    temporary = _temporary(final)
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_new(temporary, write, sync)
            temporary.replace(final)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        if sync:
            _sync_folder(final.parent)


def write_text(path: str | os.PathLike[str], text: str, *, sync: bool = True) -> None:
    """`write_bytes` of UTF-8 text, line ends as given."""
    write_bytes(path, text.encode("utf-8"), sync=sync)


def to_json(value: Any) -> str:
    """Indented JSON with the order of keys and a final newline; NaN is refused, since it is not JSON.

    Characters that are unsafe to show are written as JSON escapes, so that the value reads back the same.
    """
    return escape_unsafe(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def escape_unsafe(text: str) -> str:
    """JSON text with characters that are unsafe to show as escapes."""
    if text.isascii() and "\x7f" not in text:  # JSON escapes the rest of ASCII; a search in a large plan takes seconds
        return text
    return UNSAFE.sub(lambda match: json.dumps(match[0])[1:-1], text)


def write_json(path: str | os.PathLike[str], value: Any, *, sync: bool = True) -> None:
    """`write_bytes` of `to_json(value)`."""
    write_text(path, to_json(value), sync=sync)


def read_whole(path: str | os.PathLike[str], largest: int = LARGEST) -> bytes:
    """The bytes of a regular file of limited size; anything else is a `UserError`."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)  # else a pipe would wait for a writer
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
        raise UserError(f"the file cannot be read ({getattr(error, 'strerror', error)})", got=path) from None
    if len(content) > largest:
        raise UserError(f"the file is too large: more than {largest >> 20} MiB", got=path)
    return content


def parse_json(content: bytes, source: object) -> Any:
    """The value in UTF-8 JSON; a `UserError` names `source` if it is damaged, too deep or has a number not finite."""
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(text, parse_int=_integer, parse_float=_finite, parse_constant=_finite)
        nodes, depth = [value] if type(value) in (dict, list) else [], 0
        while nodes:
            depth += 1
            if depth > DEEPEST:
                raise RecursionError
            children = [one.values() if type(one) is dict else one for one in nodes]
            nodes = [child for own in children for child in own if type(child) in (dict, list)]
    except RecursionError:
        raise UserError(f"the JSON file has more than {DEEPEST} levels", got=source) from None
    except ValueError as error:
        raise UserError(f"not a readable JSON file ({error})", got=source) from None
    return value


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"a number of more than {DIGITS} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is not a finite number")
    return value


def read_json(path: str | os.PathLike[str], largest: int = LARGEST) -> Any:
    """`parse_json` of `read_whole`."""
    return parse_json(read_whole(path, largest), Path(path))


def create_exclusive(path: str | os.PathLike[str], text: str, *, sync: bool = True) -> bool:
    """Create a new file with its content; True for the one process that created it.

    The content is written to a temporary name and *linked* into place: `link` is atomic also over NFS and fails if the
    name exists, so that no reader sees an empty claim. On a file system without links the exclusive create decides.
    """
    final = Path(path)
    temporary = _temporary(final)
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            content = text.encode("utf-8")
            _write_new(temporary, lambda file: file.write(content), sync)
            try:
                os.link(temporary, final)
            except FileExistsError:
                # Over NFS the answer to a link can be lost, and the retry then meets its own link.
                return temporary.stat().st_nlink == 2
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                    raise
                try:
                    _write_new(final, lambda file: file.write(content), sync)
                except FileExistsError:
                    return False
            if sync:
                _sync_folder(final.parent)
            return True
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def publish(attempt_folder: str | os.PathLike[str], final_folder: str | os.PathLike[str], *, sync: bool = True) -> bool:
    """Rename a finished folder to its final name: the first call wins, a later one gets False.

    POSIX refuses to rename a folder onto one that is not empty, so nothing needs to be checked before.
    """
    attempt, final = Path(attempt_folder), Path(final_folder)
    assert any(attempt.iterdir()), f"nothing to publish in {attempt}"
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        for folder, _, names in os.walk(attempt) if sync else ():
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
        if sync:
            _sync_folder(final.parent)
        return True


def folder_clock(folder: str | os.PathLike[str]) -> float:
    """The current time on the clock that stamps this folder's files (the server's, if it is shared).

    Leases are compared on this clock, since the clocks of two hosts may differ by minutes.
    """
    probe = Path(folder) / f".clock.{uuid.uuid4().hex}.tmp"
    with disk_errors(probe):
        try:
            with probe.open("xb"):
                os.utime(probe)  # sets the server's time, not ours
            return probe.stat().st_mtime
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)


def safe_join(root: str | os.PathLike[str], *names: str) -> Path:
    """root / names; a name that leaves root (`..`, absolute, a link to the outside) is refused."""
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
