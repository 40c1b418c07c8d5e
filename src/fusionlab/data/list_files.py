"""Reading lists of videos: lines of text, names that stay in their folder, each once; all errors are reported."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from fusionlab.data.dataset import Entry
from fusionlab.errors import UserError, nearest
from fusionlab.records.files import parse_json, read_whole

LONGEST = 1000  # characters of a place; a line may have millions
SHOWN = 10  # names in a message
Named = tuple[str, str, int]  # place in a file, video, label
_NO_LINE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")  # line ends, controls, bytes that are no UTF-8


def some(names: Sequence[str], most: int = SHOWN) -> str:
    """The first names, for a message.

    >>> some(["a", "b", "c"], 2)
    'a, b …'
    """
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")


class Wrong:
    """Collects errors while lists are read, and raises one `UserError` for all of them after the block.

    >>> with Wrong() as wrong:
    ...     wrong.add("a line is no name", "a.txt:3: ?")
    ...     wrong.add("a line is no name", "a.txt:7: !")
    Traceback (most recent call last):
    fusionlab.errors.UserError: a line is no name
      got:      2: a.txt:3: ?, a.txt:7: !
    """

    def __init__(self) -> None:
        self.places: dict[str, list[str]] = {}
        self.hints: dict[str, str] = {}

    def add(self, what: str, place: object, hint: str | None = None) -> None:
        self.places.setdefault(what, []).append(str(place)[:LONGEST])
        if hint is not None:
            self.hints.setdefault(what, hint)

    def add_unknown(self, what: str, place: str, got: str, allowed: Collection[str], otherwise: str) -> None:
        """A name that is not allowed; the nearest one that is allowed becomes the hint, once."""
        near = None if what in self.hints else nearest(got, allowed)
        self.add(what, place, f"did you mean {near} ?" if near else otherwise)

    def __enter__(self) -> Wrong:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None and self.places:
            raise self._error()

    def _error(self) -> UserError:
        by_error = {what: f"{len(places)}: {some(places)}" for what, places in self.places.items()}
        what, *others = by_error
        hint = "; ".join(dict.fromkeys(self.hints.values())) or None
        if not others:
            return UserError(what, got=by_error[what], hint=hint)
        lines = "\n            ".join(f"{what}: {one}" for what, one in by_error.items())
        return UserError(f"{what}, and there are more errors in these lists", got=lines, hint=hint)


def read_text(path: Path) -> str:
    """The text of a list, with LF as line end and without a byte order mark."""
    try:
        text = read_whole(path).decode("utf-8-sig")
    except UserError:
        if path.exists():
            raise
        raise UserError("list not found", got=path, hint="the folder that holds the lists of the data set") from None
    except UnicodeDecodeError as error:
        place = f"{path}:{error.object.count(10, 0, error.start) + 1}"
        hint = f"iconv -f latin1 -t utf8 '{path}' > …, if it is in Latin-1"
        raise UserError("a list is text in UTF-8", got=f"{place}: byte {error.start}", hint=hint) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_lines(path: Path) -> list[tuple[str, str]]:
    """(place, text) of each line that is not empty."""
    lines = [(f"{path.name}:{n}", line.strip()) for n, line in enumerate(read_text(path).split("\n"), 1)]
    return [(place, line) for place, line in lines if line]


def read_json(path: Path) -> Any:
    """The value in a list that is JSON."""
    return parse_json(read_text(path).encode(), path)


def stays_inside(name: str) -> bool:
    """Whether a name leads to a place below its folder.

    >>> [stays_inside(name) for name in ("a/-b #1.avi", "../a.avi", "/a.avi", "a/../../b.avi", "")]
    [True, False, False, False, False]
    """
    return bool(name) and name[0] != "/" and "\0" not in name and ".." not in name.split("/")


def is_a_line(name: str) -> bool:
    """Whether a name can be written as one line of UTF-8."""
    return _NO_LINE.search(name) is None


def refuse_outside(name: str) -> str:
    """The name; a `UserError` where it leaves its folder."""
    if not stays_inside(name):
        raise UserError("a name must stay inside its folder", got=name or "an empty name")
    return name


def entries(named: Iterable[Named], wrong: Wrong) -> list[Entry]:
    """The videos of a list; each must be there once, and stay in its folder."""
    labels: dict[str, int] = {}
    for place, name, label in named:
        if not stays_inside(name):
            hint = "names below the data set's folder, without .. and not from the disk's root"
            wrong.add("a name in a list must stay inside its folder", f"{place}: {name or 'an empty name'}", hint)
        elif not is_a_line(name):
            wrong.add("a video's name is one line of text in UTF-8", f"{place}: {name!a}", "another name for the file")
        elif (name := str(PurePosixPath(name)) if "//" in name or "./" in name else name) in labels:
            wrong.add("a list names a video twice", f"{place}: {name}")
        else:
            labels[name] = label
    return list(labels.items())


def class_labels(classes: Sequence[str]) -> dict[str, int]:
    """Class -> label."""
    return {name: label for label, name in enumerate(classes)}
