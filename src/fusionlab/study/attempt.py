"""One attempt at a job: its own folder, a lease, one end, and at most one publication of each arm.

    <job>/claims/NNN.json           the process and the arms of this attempt (exclusive create: one owner)
    <job>/claims/NNN.beat           its modification time is the lease
    <job>/claims/NNN.end.json       the outcome (done | failed | interrupted | died) and the reasons of arms
    <job>/attempts/NNN/             log.txt, checkpoints, all that the job needs while it runs
    <job>/attempts/NNN/plan.json    the job's part of the plan
    <job>/attempts/NNN/result/      results to be published: a folder per arm
    <job>/attempts/NNN/failed/      the records of failed arms: they are never published
    <job>/attempts/NNN/replaced/    failed records of older versions, which published them
    <job>/published/<arm>/          a result that was renamed: the arm is done
    <job>/published/                for a job without arms: the renamed `result`

Only results are published, and everything published is reproducible. Logs stay where they are; checkpoints do until
each arm of the job is published (`run.keep`).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError, out_of_memory, show
from fusionlab.records.crash import crash_point
from fusionlab.records.environment import memory_text
from fusionlab.records.files import (
    create_exclusive,
    disk_errors,
    publish,
    read_json,
    to_json,
    write_json,
    write_text,
)
from fusionlab.records.lock import alone
from fusionlab.records.record import FILE, read_record
from fusionlab.study.changes import ARM, DONE, END, note
from fusionlab.study.comparison import differences

OUTCOMES = ("done", "failed", "interrupted", "died")
# In the JSON of a claim a line begins so only at the top level.
_ARMS = b'\n  "arms": ['
_CODE = re.compile(rb'\n  "code": "([\w.+-]+)"')
TAIL = 64 * 1024  # bytes at the end of a log that are searched for its last line


@dataclass(frozen=True)
class Publication:
    """Whether this attempt was the first; if not, how its result differs from the first one."""

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
        """The arms of its claim; None, as in claims of older versions: all arms of the job."""
        return claimed_arms(read_json(self.claim_file)) if self.claim_file.is_file() else None

    def open(self) -> None:
        """Create the attempt's folders and start its lease."""
        with disk_errors(self.result):
            self.result.mkdir(parents=True, exist_ok=True)
            self.beat_file.touch()
            self.beat()

    def beat(self) -> None:
        """Renew the lease. A failed beat is ignored: the next may succeed."""
        with contextlib.suppress(OSError):
            os.utime(self.beat_file)

    def earlier(self) -> list[Attempt]:
        """The attempts before this one, newest first."""
        before = (Attempt(self.job, number) for number in range(self.number - 1, 0, -1))
        return [attempt for attempt in before if attempt.folder.is_dir()]

    def checkpoints(self, arm: str) -> list[Path]:
        """The folders of earlier attempts that may hold a checkpoint of the arm, newest first.

        After a failure the arm is trained from its first step, since its user may have repaired it.
        """
        folders = []
        for attempt in self.earlier():
            if (attempt.failed / arm).is_dir():
                break
            folders.append(attempt.folder)
        return folders

    def publish(self, arm: str | None = None) -> Publication:
        """Publish an arm, or the result of a job without arms; if another attempt was first, compare and report."""
        crash_point("attempt.before_publish")
        result, published = (self.result, self.published) if arm is None else (self.result / arm, self.published / arm)
        if arm is not None and failure_reason(published) is not None:
            with alone(self.job / ".replaced.lock", show, "the failed record"):  # another attempt may publish meanwhile
                if failure_reason(published) is not None:
                    self._replace(published)
        done = Publication(True) if publish(result, published) else Publication(False, differences(published, result))
        crash_point("attempt.after_publish")
        report = self.folder / "publication.json"
        before = read_json(report) if report.is_file() else {}
        write_json(report, {**before, arm or "": asdict(done)}, sync=False)  # only this attempt's worker reads it
        note(self.job, ARM)
        return done

    def _replace(self, published: Path) -> None:
        """Move a failed record of an older version away."""
        place = self.folder / "replaced" / published.name
        with disk_errors(place):
            place.parent.mkdir(exist_ok=True)
            published.rename(place)
        crash_point("publish.replaced")

    def publications(self) -> dict[str, Publication]:
        place = self.folder / "publication.json"
        return {arm: Publication(**one) for arm, one in read_json(place).items()} if place.is_file() else {}

    def failures(self) -> dict[str, str]:
        """The arms that this attempt recorded as failed, with their reasons."""
        reasons = (
            (place.name, failure_reason(place)) for place in (self.failed.iterdir() if self.failed.is_dir() else ())
        )
        return {arm: reason for arm, reason in reasons if reason is not None}

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """Save the error that ends this attempt, for its worker."""
        try:
            yield
        except Exception as error:
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            if out_of_memory(error):
                reason = "; ".join(filter(None, (f"out of memory: {reason.strip()}", memory_text())))
            with contextlib.suppress(UserError, OSError):  # a full disk: the error itself is what matters
                write_text(self.folder / "reason.txt", reason.strip() + "\n")
            raise

    def reason(self) -> str | None:
        """The reason that the job itself saved."""
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
        """Write the outcome, if none is written yet. `arms`: those without a result, each with its reason."""
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
        crash_point("attempt.before_end")
        create_exclusive(self.end_file, to_json(end))
        crash_point("attempt.after_end")
        note(self.job, DONE if outcome == "done" else END)
        return end


def claimed_arms(claim: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The arms of a claim; None if it names none: all arms of its job."""
    arms = claim.get("arms")
    return tuple(map(str, arms)) if isinstance(arms, list) else None


def names_arms(job: str | os.PathLike[str], number: int) -> bool | None:
    """Whether the claim of a job's attempt names its arms; None without such a claim."""
    head = _head(f"{job}/claims/{number:03d}.json")
    return None if head is None else _ARMS in head or Attempt(Path(job), number).arms is not None


def claimed_code(attempt: Attempt) -> str | None:
    """The version of the code in an attempt's claim; None in claims of older versions."""
    named = _CODE.search(_head(attempt.claim_file) or b"")
    return named[1].decode() if named else None


def _head(claim: str | os.PathLike[str]) -> bytes | None:
    """The first bytes of a claim: to parse it takes longer, and thousands are read at once."""
    try:
        with open(claim, "rb", buffering=0) as file:
            return file.read(8192)
    except OSError:
        return None


def failure_reason(place: Path) -> str | None:
    """The reason, if a folder holds the record of a failed arm."""
    if not (place / FILE).is_file():
        return None
    try:
        record = read_record(place)
    except UserError:  # damaged: its content is unknown, so it stays
        return None
    return str(record["reason"]) if record["status"] == "failed" else None


def refuse_links(job: Path) -> None:
    """Refuse a job's folder if it or a folder in it is a link."""
    for place in (job, *(job / name for name in ("claims", "attempts", "published"))):
        if place.is_symlink():
            raise UserError("a job's folder is a link", got=f"{place} -> {place.readlink()}", hint="use a real folder")
