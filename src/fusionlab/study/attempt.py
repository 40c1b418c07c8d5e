"""One attempt at a job: a folder of its own, a lease, one end, and at most one publication.

    <job>/claims/NNN.json       who tries (exclusive create: one holder)
    <job>/claims/NNN.beat       its modification time is the lease
    <job>/claims/NNN.end.json   how it ended: done | failed | interrupted | died
    <job>/attempts/NNN/         log.txt, checkpoints, whatever the job needs while it runs
    <job>/attempts/NNN/result/  what is to be published
    <job>/published/            appears by one rename of such a result: the job is done

Only `result` is published, so that the log and the checkpoints keep their place whoever wins, and what is
published is what is reproducible.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fusionlab.records.files import (
    create_exclusive,
    disk_errors,
    publish,
    read_json,
    to_json,
    write_json,
    write_text,
)
from fusionlab.study.comparison import differences

OUTCOMES = ("done", "failed", "interrupted", "died")


@dataclass(frozen=True)
class Publication:
    """Whether this attempt was the first; if not, in what its result differs from the first one's."""

    won: bool
    differences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Attempt:
    job: Path
    number: int

    @property
    def folder(self) -> Path:
        return self.job / "attempts" / f"{self.number:03d}"

    @property
    def result(self) -> Path:
        return self.folder / "result"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def published(self) -> Path:
        return self.job / "published"

    @property
    def claim_file(self) -> Path:
        return self.job / "claims" / f"{self.number:03d}.json"

    @property
    def beat_file(self) -> Path:
        return self.job / "claims" / f"{self.number:03d}.beat"

    @property
    def end_file(self) -> Path:
        return self.job / "claims" / f"{self.number:03d}.end.json"

    def open(self) -> None:
        """Make the attempt's folders and start its lease."""
        with disk_errors(self.result):
            self.result.mkdir(parents=True, exist_ok=True)
            self.beat_file.touch()
            self.beat()

    def beat(self) -> None:
        """Renew the lease. A beat that fails is no reason to stop: the next may succeed."""
        with contextlib.suppress(OSError):
            os.utime(self.beat_file)

    def earlier(self) -> list[Path]:
        """The folders of the attempts before this one, newest first: where a checkpoint may lie."""
        before = (Attempt(self.job, number).folder for number in range(self.number - 1, 0, -1))
        return [folder for folder in before if folder.is_dir()]

    def publish(self) -> Publication:
        """The job's last act. The loser leaves its result where it is, compares, and reports."""
        if publish(self.result, self.published):
            done = Publication(True)
        else:
            done = Publication(False, differences(self.published, self.result))
        write_json(self.folder / "publication.json", asdict(done))
        return done

    def publication(self) -> Publication | None:
        place = self.folder / "publication.json"
        return Publication(**read_json(place)) if place.is_file() else None

    def explain(self, reason: str) -> None:
        """Say in a line why this attempt fails; the worker puts it into the end."""
        write_text(self.folder / "reason.txt", reason.strip() + "\n")

    def reason(self) -> str:
        """What the job said, else the last line of its log."""
        for place in (self.folder / "reason.txt", self.log):
            try:
                lines = place.read_text(encoding="utf-8", errors="replace").strip()
            except OSError:
                continue
            if lines:
                return (lines if place.name == "reason.txt" else lines.splitlines()[-1].strip())[-1000:]
        return "no reason was given"

    def end(self, outcome: str, reason: str | None = None) -> dict[str, Any]:
        """Write how it ended; the first end holds."""
        assert outcome in OUTCOMES
        publication = self.publication()
        end = {
            "outcome": outcome,
            "reason": reason,
            "log": os.fspath(self.log.relative_to(self.job)),
            "published": bool(publication and publication.won),
            "differences": publication.differences if publication else [],
        }
        create_exclusive(self.end_file, to_json(end))
        return end
