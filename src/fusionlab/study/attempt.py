"""One attempt at a job: a folder of its own, a lease, one end, and at most one publication of each arm.

    <job>/claims/NNN.json           who tries, and which arms (exclusive create: one holder)
    <job>/claims/NNN.beat           its modification time is the lease
    <job>/claims/NNN.end.json       how it ended: done | failed | interrupted | died; and what became of each arm
    <job>/attempts/NNN/             log.txt, checkpoints, whatever the job needs while it runs
    <job>/attempts/NNN/result/      what is to be published: a folder for each arm
    <job>/attempts/NNN/failed/      the records of arms that failed: they are never published
    <job>/attempts/NNN/replaced/    failed records of older versions, which published them
    <job>/published/<arm>/          appears by one rename of such a result: the arm is done
    <job>/published/                of a job without arms: appears by one rename of `result`

Only results are published, so that logs and checkpoints keep their place whoever wins, and what is published is what
is reproducible.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError, out_of_memory
from fusionlab.records.crash import crash_point
from fusionlab.records.files import (
    create_exclusive,
    disk_errors,
    publish,
    read_json,
    to_json,
    write_json,
    write_text,
)
from fusionlab.records.record import FILE, read_record
from fusionlab.study.comparison import differences

OUTCOMES = ("done", "failed", "interrupted", "died")
TAIL = 64 * 1024  # bytes of a log in which its last line is looked for


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
    def failed(self) -> Path:
        return self.folder / "failed"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def progress_file(self) -> Path:
        return self.folder / "progress"

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

    @cached_property
    def arms(self) -> tuple[str, ...] | None:
        """The arms that its claim took; None: all of the job's, as in claims of older versions."""
        return claimed_arms(read_json(self.claim_file)) if self.claim_file.is_file() else None

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

    def earlier(self) -> list[Attempt]:
        """The attempts before this one, newest first."""
        before = (Attempt(self.job, number) for number in range(self.number - 1, 0, -1))
        return [attempt for attempt in before if attempt.folder.is_dir()]

    def checkpoints(self, arm: str) -> list[Path]:
        """The folders of attempts before this one, newest first, where a checkpoint of the arm may lie. After the
        arm has failed it is trained from its first step: its user may have repaired it.
        """
        folders = []
        for attempt in self.earlier():
            if (attempt.failed / arm).is_dir():
                break
            folders.append(attempt.folder)
        return folders

    def publish(self, arm: str | None = None) -> Publication:
        """Publish an arm, or what a job without arms has made. The loser leaves its result where it is, compares, and
        reports.
        """
        result, published = (self.result, self.published) if arm is None else (self.result / arm, self.published / arm)
        if arm is not None and failure_reason(published) is not None:
            self._replace(published)
        done = Publication(True) if publish(result, published) else Publication(False, differences(published, result))
        report = self.folder / "publication.json"
        before = read_json(report) if report.is_file() else {}
        write_json(report, {**before, arm or "": asdict(done)})
        return done

    def _replace(self, published: Path) -> None:
        """Take a failed record of an older version out of the way."""
        place = self.folder / "replaced" / published.name
        with disk_errors(place), contextlib.suppress(FileNotFoundError):
            place.parent.mkdir(exist_ok=True)
            published.rename(place)
            if failure_reason(place) is None:  # in between another attempt has published the arm
                with contextlib.suppress(OSError):  # and yet another one again
                    place.rename(published)
        crash_point("publish.replaced")

    def publications(self) -> dict[str, Publication]:
        place = self.folder / "publication.json"
        return {arm: Publication(**one) for arm, one in read_json(place).items()} if place.is_file() else {}

    def failures(self) -> dict[str, str]:
        """The arms that this attempt recorded as failed, with their reasons."""
        found = (
            (place.name, failure_reason(place)) for place in (self.failed.iterdir() if self.failed.is_dir() else ())
        )
        return {arm: reason for arm, reason in found if reason is not None}

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """Write down the error that ends this attempt; its worker puts it into the end."""
        try:
            yield
        except Exception as error:
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            if out_of_memory(error):
                reason = f"out of memory: {reason}"
            with contextlib.suppress(UserError, OSError):  # a full disk: the error itself is what matters
                write_text(self.folder / "reason.txt", reason.strip() + "\n")
            raise

    def reason(self) -> str | None:
        """What the job itself gave as the reason."""
        try:
            return (self.folder / "reason.txt").read_text(encoding="utf-8", errors="replace").strip()[-1000:] or None
        except OSError:
            return None

    def last_line(self) -> str | None:
        """The last line of its log."""
        with contextlib.suppress(OSError), self.log.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - TAIL))
            lines = log.read().decode("utf-8", errors="replace").strip().splitlines()
            return lines[-1].strip()[-1000:] if lines else None
        return None

    def end(self, outcome: str, reason: str | None = None, arms: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Write how it ended; the first end holds. `arms`: those that came to nothing, each with its reason."""
        assert outcome in OUTCOMES
        publications = self.publications()
        end = {
            "outcome": outcome,
            "reason": reason,
            "arms": dict(arms or {}),
            "log": os.fspath(self.log.relative_to(self.job)),
            "published": sorted(arm for arm, one in publications.items() if one.won),
            "differences": [
                f"{arm}/{line}" if arm else line for arm, one in publications.items() for line in one.differences
            ],
        }
        create_exclusive(self.end_file, to_json(end))
        return end


def claimed_arms(claim: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The arms that a claim took; None where it does not say: all of its job's."""
    arms = claim.get("arms")
    return tuple(map(str, arms)) if isinstance(arms, list) else None


def failure_reason(place: Path) -> str | None:
    """The reason, where a folder holds the record of an arm that failed."""
    if not (place / FILE).is_file():
        return None
    try:
        record = read_record(place)
    except UserError:  # damaged: nobody knows what it was, so it stays
        return None
    return str(record["reason"]) if record["status"] == "failed" else None
