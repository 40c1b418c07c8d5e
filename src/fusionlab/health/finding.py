"""One thing that the doctor has to say: what it is, of which videos, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WRONG, NOTE = "wrong", "note"
QUARANTINE = "leave them out: --quarantine bad.txt, then data.quarantine=bad.txt"
GET_AGAIN = f"get them again, or {QUARANTINE}"


@dataclass(frozen=True)
class Finding:
    """`code` is stable, for programs. `files`: names, each with what there is to say of it alone, or nothing.
    `leave_out`: the videos without which the data set would be well in this respect.
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
        """For JSON."""
        return {
            "code": self.code, "severity": self.severity, "what": self.what, "count": len(self.files),
            "files": [{"name": name, "why": why} for name, why in self.files.items()], "remedy": self.remedy,
            "numbers": dict(self.numbers),
        }  # fmt: skip


def of_files(
    code: str, severity: str, what: str, files: Mapping[str, str], remedy: str = GET_AGAIN, **numbers: Any
) -> list[Finding]:
    """A finding of these files, which are left out if it is wrong; none where there are none."""
    if not files:
        return []
    said = what.format(count=len(files), videos=f"{len(files)} video{'s' * (len(files) > 1)}")
    leave_out = list(files) if severity == WRONG else []
    return [Finding(code, severity, said, remedy if severity == WRONG else "", files, leave_out, numbers)]
