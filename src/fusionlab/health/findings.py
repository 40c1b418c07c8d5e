"""Findings of the doctor: single ones, and all of them as text, as JSON and as a quarantine list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fusionlab.errors import one_line

SHOWN = 10
UNJUDGED = "flow-unjudged-videos"  # the code of a note: videos with too little motion for a verdict
WRONG, UNSURE, NOTE = "wrong", "cannot say", "note"
QUARANTINE = "leave them out: --quarantine bad.txt, then data.quarantine=bad.txt"
GET_AGAIN = f"get them again, or {QUARANTINE}"


@dataclass(frozen=True)
class Finding:
    """An error or a note about a data set.

    `code`: stable, for programs. `files`: names, each with a remark or "". `leave_out`: the videos to quarantine so
    that the finding disappears.
    """

    code: str
    severity: str
    what: str  # a sentence for people
    remedy: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    leave_out: Sequence[str] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wrong(self) -> bool:
        return self.severity == WRONG

    def plain(self) -> dict[str, Any]:
        """The finding as plain data for JSON."""
        return {
            "code": self.code, "severity": self.severity, "what": self.what, "count": len(self.files),
            "files": [{"name": name, "why": why} for name, why in self.files.items()], "remedy": self.remedy,
            "numbers": dict(self.numbers),
        }  # fmt: skip


def of_files(
    code: str, severity: str, what: str, files: Mapping[str, str], remedy: str = GET_AGAIN, **numbers: Any
) -> list[Finding]:
    """A finding about these files, to be quarantined if it is an error; nothing if there are no files."""
    if not files:
        return []
    sentence = what.format(count=len(files), videos=f"{len(files)} video{'s' * (len(files) > 1)}")
    leave_out = list(files) if severity == WRONG else []
    return [Finding(code, severity, sentence, remedy if severity != NOTE else "", files, leave_out, numbers)]


@dataclass(frozen=True)
class Report:
    """All findings.

    `looked_at`: the number of checks. `not_looked_at`: checks that were skipped, and why. `quarantined`: names.
    """

    data: str
    videos: int
    findings: Sequence[Finding]
    looked_at: Mapping[str, Any] = field(default_factory=dict)
    not_looked_at: Sequence[str] = ()
    quarantined: Sequence[str] = ()

    @property
    def healthy(self) -> bool | None:
        """Whether no check found an error; None if a check cannot say."""
        severities = {one.severity for one in self.findings}
        return False if WRONG in severities else None if UNSURE in severities else True

    @property
    def ordered(self) -> list[Finding]:
        """Errors first, notes last."""
        return sorted(self.findings, key=lambda one: (WRONG, UNSURE, NOTE).index(one.severity))

    def plain(self) -> dict[str, Any]:
        return {
            "data": self.data, "videos": self.videos, "healthy": self.healthy, "looked_at": dict(self.looked_at),
            "not_looked_at": list(self.not_looked_at), "findings": [one.plain() for one in self.ordered],
        }  # fmt: skip

    def text(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        counts = ", ".join(f"{value} {name}" for name, value in self.looked_at.items() if isinstance(value, int))
        yield f"{self.data}: {counts}"
        for one in self.ordered:
            yield ""
            yield f"{one.severity}  {one.code}: {one.what}"
            for name, why in list(one.files.items())[:SHOWN]:
                yield "         " + one_line(name + (f": {why}" if why else ""))
            if len(one.files) > SHOWN:
                yield f"         … and {len(one.files) - SHOWN} more; --json names all"
            if one.remedy:
                yield f"  try:   {one.remedy}"
        yield ""
        yield from (f"not checked: {one}" for one in self.not_looked_at)
        wrong = sum(one.wrong for one in self.findings)
        unsure = [one.code for one in self.findings if one.severity == UNSURE]
        if wrong:
            yield f"{wrong} thing{'s' * (wrong > 1)} wrong"
        elif unsure:
            yield f"cannot say whether all is right: {', '.join(unsure)}"
        else:
            some = sum(len(one.files) for one in self.findings if one.code == UNJUDGED)
            alone = f"; cannot say of {some} video{'s' * (some > 1)} by themselves"
            yield "nothing is wrong in what was checked" + alone * bool(some)

    def quarantine(self) -> str:
        """One name and reason on each line, as `data.quarantine=FILE` reads it, with the videos already in it."""
        why = {name: ["quarantined before"] for name in self.quarantined}
        for one in self.findings:
            for name in one.leave_out:
                why.setdefault(name, []).append(" ".join(filter(None, [one.code, one.files.get(name, "")])))
        return "".join(f"{name} # {'; '.join(map(one_line, why[name]))}\n" for name in sorted(why))
