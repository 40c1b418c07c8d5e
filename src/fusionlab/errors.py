"""Errors that say what is wrong, what was given, what is allowed and what to type; and safe output of text.

A situation that a user can cause raises `UserError`; `assert` is for our own bugs. Commands print a `UserError` without
a traceback, and exit with a status other than 0.

Names, reasons and paths may come from strangers. All text for a person goes through `visible`, or through `one_line` if
a line end in it could look like a line of ours; `show` prints it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TextIO

# C0 but tab and line end, DEL, C1; what reorders, hides or breaks a line; halves of pairs; what is no character.
# The joiners (U+200C, U+200D) stay: Persian and emoji are written with them.
UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    r"\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]"
)


def visible(text: object) -> str:
    r"""The text with unsafe characters as Python escapes: those that control a terminal, reorder text or are invalid.

    Line ends and tabs stay, and so do all letters, accents and emoji.

    >>> print(visible("a\x1b[31mb\u202ec"))
    a\x1b[31mb\u202ec
    """
    text = str(text)
    if text.isascii() and text.isprintable():  # most are, and a large report has a million
        return text
    return UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


def one_line(text: object) -> str:
    """`visible` on one line: consecutive blanks, tabs and line ends become one blank."""
    return visible(re.sub(r"[ \t\r\n]+", " ", str(text)).strip(" "))


BOLD, NOT_BOLD = "\x1b[1m", "\x1b[22m"  # of a terminal


def show(text: object = "", file: TextIO | None = None, *, bold: bool = False) -> None:
    """Print for a person: all output of commands goes through this function. `bold`: ANSI's bold may pass."""
    shown = visible(text)
    for sign in (BOLD, NOT_BOLD) if bold else ():
        shown = shown.replace(visible(sign), sign)
    print(shown, file=file, flush=True)


class UserError(Exception):
    """An error of the user; lines without content are left out.

    >>> print(UserError("unknown fusion", got="sun", allowed=["sum", "conv"], hint="fusion=sum"))
    unknown fusion
      got:      sun
      allowed:  sum, conv
      try:      fusion=sum
    """

    def __init__(
        self,
        what: str,
        *,
        got: object = None,
        allowed: Iterable[str] | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.got = None if got is None else str(got)
        self.allowed = None if allowed is None else tuple(str(one) for one in allowed)
        self.hint = hint
        super().__init__(what)

    @property
    def brief(self) -> str:
        """What is wrong and what was given, as part of a line."""
        return self.what if self.got is None else f"{self.what} ({self.got})"

    def __str__(self) -> str:
        lines = [self.what]
        if self.got is not None:
            lines.append(f"  got:      {self.got}")
        if self.allowed is not None:
            lines.append(f"  allowed:  {', '.join(self.allowed)}")
        if self.hint is not None:
            lines.append(f"  try:      {self.hint}")
        # A line end in a name must not begin a line that looks like one of these.
        return "\n".join(re.sub(r"\n(?! {4})", "\n    ", visible(line)) for line in lines)

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call UserError(what) and lose the keywords between two processes.
        return _rebuild, (self.what, self.got, self.allowed, self.hint)


def _rebuild(what: str, got: str | None, allowed: tuple[str, ...] | None, hint: str | None) -> UserError:
    return UserError(what, got=got, allowed=allowed, hint=hint)


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The most similar choice, whatever its case and separators; None if none is similar.

    >>> nearest("ReLU_5", ["relu4", "relu5"])
    'relu5'
    """
    by_plain: dict[str, str] = {}
    for choice in choices:
        by_plain.setdefault(_plain(choice), choice)
    matches = difflib.get_close_matches(_plain(name), list(by_plain), n=1, cutoff=0.6)
    return by_plain[matches[0]] if matches else None


def unknown(kind: str, got: str, allowed: Iterable[str], form: str = "{}") -> UserError:
    """The error for an unknown name; `form` shows how the right one is typed, e.g. "fusion={}"."""
    names, got = list(allowed), str(got)
    similar = nearest(got, names)
    hint = None if similar is None else f"did you mean {form.format(similar)} ?"
    return UserError(f"unknown {kind}", got=got, allowed=names, hint=hint)


def is_whole(value: object) -> bool:
    """A whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def expect_whole(option: str, value: object, least: int = 1, *others: str) -> None:
    """Raise a `UserError` unless the option is a whole number from `least` on. `others`: texts that it may be too."""
    if not (is_whole(value) and least <= value) and value not in others:  # type: ignore[operator]
        raise UserError(
            f"{option} is a whole number", got=f"{option}={value}", allowed=[*others, f"{least}, {least + 1}, …"],
            hint=f"{option}={max(least, 1)}",
        )  # fmt: skip


def out_of_memory(error: BaseException) -> bool:
    """Whether the process ran out of memory; on the CPU torch raises a plain RuntimeError for that."""
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error).casefold()
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or (
        isinstance(error, RuntimeError)
        and any(sign in text for sign in ("defaultcpuallocator", "out of memory", "bad_alloc", "alloc_failed"))
    )
