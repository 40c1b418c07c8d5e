"""What the doctor found, as text, as JSON, and as a list of videos to leave out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fusionlab.errors import one_line
from fusionlab.health.finding import Finding

SHOWN = 10


@dataclass(frozen=True)
class Report:
    """`looked_at`: what it was, in numbers; `not_looked_at`: in words, and why; `left_out`: names, quarantined."""

    data: str
    videos: int
    findings: Sequence[Finding]
    looked_at: Mapping[str, Any] = field(default_factory=dict)
    not_looked_at: Sequence[str] = ()
    left_out: Sequence[str] = ()

    @property
    def healthy(self) -> bool:
        """Nothing is wrong in what was looked at."""
        return not any(one.wrong for one in self.findings)

    @property
    def ordered(self) -> list[Finding]:
        """What is wrong first."""
        return sorted(self.findings, key=lambda one: not one.wrong)

    def plain(self) -> dict[str, Any]:
        return {
            "data": self.data, "videos": self.videos, "healthy": self.healthy, "looked_at": dict(self.looked_at),
            "not_looked_at": list(self.not_looked_at), "findings": [one.plain() for one in self.ordered],
        }  # fmt: skip

    def text(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        looked = ", ".join(f"{value} {name}" for name, value in self.looked_at.items() if isinstance(value, int))
        yield f"{self.data}: {looked}"
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
        yield from (f"not looked at: {one}" for one in self.not_looked_at)
        wrong = sum(one.wrong for one in self.findings)
        yield f"{wrong} thing{'s' * (wrong > 1)} wrong" if wrong else "nothing is wrong in what was looked at"

    def quarantine(self) -> str:
        """One name a line, and why: as `data.quarantine=FILE` reads it. What was quarantined stays so."""
        why = {name: ["quarantined before"] for name in self.left_out}
        for one in self.findings:
            for name in one.leave_out:
                why.setdefault(name, []).append(" ".join(filter(None, [one.code, one.files.get(name, "")])))
        return "".join(f"{name} # {'; '.join(map(one_line, why[name]))}\n" for name in sorted(why))
