"""Errors that teach: what went wrong, what was got, what is allowed, what to type.

A situation that a user can cause raises `UserError`; `assert` is for our own bugs. The verbs print a
`UserError` as it is, without a traceback, and exit with a status other than 0.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """One clear message; lines that were not given are left out.

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

    def __str__(self) -> str:
        lines = [self.what]
        if self.got is not None:
            lines.append(f"  got:      {self.got}")
        if self.allowed is not None:
            lines.append(f"  allowed:  {', '.join(self.allowed)}")
        if self.hint is not None:
            lines.append(f"  try:      {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call UserError(what) and lose the keywords on the way between two processes.
        return _again, (self.what, self.got, self.allowed, self.hint)


def _again(what: str, got: str | None, allowed: tuple[str, ...] | None, hint: str | None) -> UserError:
    return UserError(what, got=got, allowed=allowed, hint=hint)


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that was most likely meant, whatever its case and separators; None where nothing is near.

    >>> nearest("ReLU_5", ["relu4", "relu5"])
    'relu5'
    """
    by_plain: dict[str, str] = {}
    for choice in choices:
        by_plain.setdefault(_plain(choice), choice)
    found = difflib.get_close_matches(_plain(name), list(by_plain), n=1, cutoff=0.6)
    return by_plain[found[0]] if found else None


def unknown(kind: str, got: str, allowed: Iterable[str], form: str = "{}") -> UserError:
    """The error for a name that is not in a list; `form` is how the right name is typed, e.g. "fusion={}"."""
    names, got = list(allowed), str(got)
    near = nearest(got, names)
    hint = None if near is None else f"did you mean {form.format(near)} ?"
    return UserError(f"unknown {kind}", got=got, allowed=names, hint=hint)


def out_of_memory(error: BaseException) -> bool:
    """Whether memory was short: a matter of the whole process, not of who met it first.

    On the CPU torch says so by a plain RuntimeError.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error).casefold()
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or (
        isinstance(error, RuntimeError)
        and any(sign in text for sign in ("defaultcpuallocator", "out of memory", "bad_alloc", "alloc_failed"))
    )
