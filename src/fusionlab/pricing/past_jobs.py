"""What earlier jobs took, from the records of studies and streams below `run.root`.

Reading is bounded, and a record that is damaged, of another machine or without plausible numbers is left out. Records
that are older than `circumstances["job"]` have the seconds of their epochs and of the whole job.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from fusionlab.errors import UserError
from fusionlab.pricing.machine_class import Machine
from fusionlab.records.other_tests import Asked
from fusionlab.records.plan_file import PUBLISHED
from fusionlab.records.record import readable_records
from fusionlab.records.signature import signature
from fusionlab.sizes.sizing import SEEDS
from fusionlab.study.plan import STREAMS_FOLDER, Arm

MOST_JOBS = 300  # of which the records are read, the newest first
LONGEST_START = 120.0  # seconds until a process has loaded its libraries, and of its end
PARTS = ("setup", "train", "validate", "test", "record")
LONGEST = 10 * 365 * 86400.0  # seconds that a job may have taken

Record = Mapping[str, Any]
NOTHING = Asked()


@dataclass(frozen=True)
class PastJob:
    """What one job took. `arms`: as they were trained, with their configs. Numbers that it lacks are None.

    `epochs`: the seconds of each epoch with its validation, in older records, which know no parts.
    """

    arms: tuple[Arm, ...]
    contents: tuple[str, ...]  # of its arms, sorted: equal for jobs that differ in their seeds only
    seconds: float  # of the whole process
    steps: int
    step_s: float | None = None
    views_s: float | None = None  # of all validations and the test
    record_s: float = 0.0
    peak: int | None = None
    epochs: tuple[float, ...] = field(default=())
    asked: Asked = NOTHING  # the other tests of its arms


def content_of(config: Mapping[str, Any]) -> str:
    """The signature of an arm without its seeds."""
    return signature({part: one for part, one in config.items() if part not in SEEDS})


def past_jobs(root: str | Path, here: Machine, most: int = MOST_JOBS) -> list[PastJob]:
    """The jobs of this machine class whose records lie below `root`, the newest first."""
    jobs: list[PastJob] = []
    for folder in _newest(Path(root), most):
        records, _ = readable_records(folder)
        whole: dict[Any, list[Record]] = defaultdict(list)
        for record in records.values():
            own = Machine.of_record(record["circumstances"])
            if record["status"] == "done" and own is not None and own.is_like(here):
                # Arms of one attempt were trained together; a later attempt trains those that are left.
                job = record["circumstances"].get("job")
                whole[str(job.get("setup_s")) if isinstance(job, Mapping) else None].append(record)
        jobs += filter(None, (_job(group, folder) for group in whole.values()))
    return jobs


def _newest(root: Path, most: int) -> list[Path]:
    """The folders of published arms, by the time when they got their last one."""
    found: list[tuple[float, Path]] = []
    for pattern in (f"{STREAMS_FOLDER}/*/{PUBLISHED}", f"*/jobs/*/{PUBLISHED}"):
        for folder in root.glob(pattern):
            try:
                found.append((folder.stat().st_mtime, folder))
            except OSError:
                continue
    return [folder for _, folder in sorted(found, reverse=True)[:most]]


def _job(records: Sequence[Record], published: Path) -> PastJob | None:
    """One job from the records of its arms; None if some of these are missing, or numbers are."""
    last = max(records, key=lambda record: number(record["circumstances"], "seconds") or 0.0)
    around, job = last["circumstances"], last["circumstances"].get("job")
    seconds = number(around, "seconds")
    if not seconds or (isinstance(job, Mapping) and job.get("arms") != len(records)):
        return None
    arms = tuple(Arm(one["name"], one["kind"], one["axes"], one["signature"], one["config"], "") for one in records)
    contents = tuple(sorted(content_of(one["config"]) for one in records))
    steps = max((record["result"].get("steps") or 0 for record in records), default=0)
    if not isinstance(job, Mapping):
        epochs = around.get("epoch_seconds")
        lengths = tuple(one for one in map(_plausible, epochs) if one) if isinstance(epochs, list) else ()
        return PastJob(arms, contents, took(published, seconds), steps, epochs=lengths)
    parts = [number(job, f"{part}_s") for part in PARTS]
    if None in parts:
        return None
    _, _, validate, test, record = (part or 0.0 for part in parts)
    done, whole, peak = job.get("steps"), sum(part or 0.0 for part in parts), number(job, "peak", 2**50)
    return PastJob(
        arms, contents, took(published, whole), done if type(done) is int and done >= 0 else steps,
        number(job, "step_s"), validate + test, record, int(peak) if peak else None, asked=_asked(around),
    )  # fmt: skip


def _asked(around: Mapping[str, Any]) -> Asked:
    """The tests in a record's run; those of other versions may have other names."""
    run = around.get("run")
    try:
        return Asked.of(run) if isinstance(run, Mapping) else NOTHING
    except (UserError, TypeError):
        return NOTHING


def took(published: Path, known: float, most: float = LONGEST_START) -> float:
    """Seconds from the claim of a job to its last publication, which include the start of its process.

    If they cannot be known, for a job of several attempts or a copied folder: `known`, those that its records tell.
    `most`: seconds that the former may be beyond the latter.
    """
    try:
        (claim,) = (published.parent / "claims").glob("???.json")
        seconds = published.stat().st_mtime - claim.stat().st_mtime
    except (OSError, ValueError):
        return known
    return seconds if known <= seconds <= known + most else known


def number(source: Mapping[str, Any], name: str, most: float = LONGEST) -> float | None:
    """A plausible number of a record: finite, from 0 on."""
    return _plausible(source.get(name), most)


def _plausible(value: Any, most: float = LONGEST) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= most else None


def middle(values: Sequence[float]) -> float | None:
    return median(values) if values else None
