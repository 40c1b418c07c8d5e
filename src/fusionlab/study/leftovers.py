"""What a study no longer needs: checkpoints, results that came second, temporary files, and weights if so wished.

A place is left alone if its attempt may still run, if it is published (but for weights that nobody keeps), or if it
lies behind a link.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fusionlab.errors import UserError
from fusionlab.records.files import disk_errors
from fusionlab.records.record import CHECKPOINT, WEIGHTS
from fusionlab.study.attempt import Attempt, refuse_links
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import Job, expect_own_job_folders, read

DAY = 24 * 3600.0


@dataclass(frozen=True)
class Leftover:
    """A file or folder that may be deleted, with its size in bytes."""

    path: Path
    why: str
    bytes: int

    def delete(self) -> None:
        with disk_errors(self.path):
            if self.path.is_dir() and not self.path.is_symlink():
                shutil.rmtree(self.path)  # it follows no link
            else:
                self.path.unlink(missing_ok=True)


def leftovers(study: Path, keep: str) -> list[Leftover]:
    """The leftovers of a study; `keep` as in `run.keep`."""
    if study.is_symlink():
        raise UserError("a link to a study", got=f"{study} -> {study.readlink()}", hint=f"name {study.resolve()}")
    plan = read(study)
    ledger = Ledger(study, plan)
    for job in plan.jobs:
        refuse_links(ledger.folder(job.id))
    expect_own_job_folders(plan, study)  # nothing else is touched, so its data do not matter
    found: list[Leftover] = []
    running: list[Path] = []
    for job in plan.jobs:
        if ledger.folder(job.id).is_dir():
            found += _of_job(ledger, job, keep, running)
    places = {one.path for one in found}
    found += [one for one in _temporary(study, running) if not places & {one.path, *one.path.parents}]
    return sorted(found, key=lambda one: one.path)


def _of_job(ledger: Ledger, job: Job, keep: str, running: list[Path]) -> Iterator[Leftover]:
    state = ledger.state(job.id)
    for attempt in ledger.attempts(job.id):
        if not attempt.end_file.is_file() and ledger.lives(attempt):
            running.append(attempt.folder)
        elif not attempt.folder.is_symlink():
            checkpoint = attempt.folder / CHECKPOINT
            if state.name == "published" and keep != "last" and _is_file(checkpoint):
                yield Leftover(checkpoint, "checkpoint of a published job", size_of(checkpoint))
            yield from _second(attempt, job, state.published)
    for arm in job.arms if job.kind == "cohort" and keep == "none" else ():
        weights = ledger.folder(job.id) / "published" / arm / WEIGHTS
        if arm in state.published and not weights.parent.is_symlink() and _is_file(weights):
            yield Leftover(weights, "weights (keep=none)", size_of(weights))


def _second(attempt: Attempt, job: Job, published: frozenset[str]) -> Iterator[Leftover]:
    """The results of an attempt that ended, where another one was published."""
    if attempt.result.is_symlink() or not attempt.result.is_dir():
        return
    for one in attempt.result.iterdir():
        if one.name in published or (not job.arms and job.id in published):
            yield Leftover(one, "result of an attempt that came second", size_of(one))


def _temporary(study: Path, running: list[Path]) -> Iterator[Leftover]:
    """Files that a killed process has left half-written, older than a day."""
    before = time.time() - DAY
    for folder, folders, names in os.walk(study):  # it follows no link
        folders[:] = [name for name in folders if Path(folder, name) not in running]
        for name in names:
            place = Path(folder, name)
            if name.startswith(".") and name.endswith(".tmp") and _is_file(place) and place.stat().st_mtime < before:
                yield Leftover(place, "half-written file", size_of(place))


def _is_file(path: Path) -> bool:
    """A regular file, no link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(Path(folder, name).lstat().st_size for folder, _, names in os.walk(path) for name in names)
