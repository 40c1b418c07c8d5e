"""What earlier jobs took, from the records of studies and streams below `run.root`.

Reading is bounded, and a record that is damaged, of another machine or without plausible numbers is left out. Records
that are older than `circumstances["job"]` have the seconds of their epochs and of the whole job.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from fusionlab.pricing.machine import Machine
from fusionlab.records.plan_file import PUBLISHED
from fusionlab.records.record import readable_records
from fusionlab.records.signature import signature
from fusionlab.sizes.sizing import SEEDS
from fusionlab.study.plan import STREAMS_FOLDER, Arm

MOST_JOBS = 300  # of which the records are read, the newest first
PARTS = ("step", "setup", "train", "validate", "test", "record")
LONGEST = 10 * 365 * 86400.0  # seconds that a job may have taken

Record = Mapping[str, Any]


@dataclass(frozen=True)
class PastJob:
    """What one job took. `arms`: as they were trained, with their configs. Numbers that it lacks are None.

    `epochs`: the seconds of each epoch with its validation, in older records, which know no parts.
    """

    arms: tuple[Arm, ...]
    contents: tuple[str, ...]  # of its arms, sorted: equal for jobs that differ in their seeds only
    seconds: float
    steps: int
    step_s: float | None = None
    setup_s: float | None = None
    train_s: float | None = None
    validate_s: float | None = None
    test_s: float | None = None
    record_s: float = 0.0
    peak: int | None = None
    epochs: tuple[float, ...] = field(default=())


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
                whole[number(job, "setup_s") if isinstance(job, Mapping) else None].append(record)
        jobs += filter(None, (_job(group) for group in whole.values()))
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


def _job(records: Sequence[Record]) -> PastJob | None:
    """One job from the records of its arms; None if some of these are missing, or numbers are."""
    last = max(records, key=lambda record: number(record["circumstances"], "seconds") or 0.0)
    around, steps = last["circumstances"], last["result"].get("steps") or 0
    job = around.get("job")
    own: Mapping[str, Any] = job if isinstance(job, Mapping) else {}
    seconds = number(around, "seconds")
    if not seconds or (own and own.get("arms") != len(records)):
        return None
    arms = tuple(Arm(one["name"], one["kind"], one["axes"], one["signature"], one["config"], "") for one in records)
    contents = tuple(sorted(content_of(one["config"]) for one in records))
    if not own:
        epochs = around.get("epoch_seconds")
        lengths = tuple(_lengths(epochs)) if isinstance(epochs, list) else ()
        most = max((record["result"].get("steps") or 0 for record in records), default=0)
        return PastJob(arms, contents, seconds, most, epochs=lengths)
    step, setup, train, validate, test, record = (number(own, f"{part}_s") for part in PARTS)
    done = own.get("steps")
    return PastJob(
        arms, contents, seconds, done if type(done) is int and done >= 0 else steps, step, setup, train, validate, test,
        record or 0.0, int(number(own, "peak", 2**50) or 0) or None,
    )  # fmt: skip


def number(source: Any, name: str, most: float = LONGEST) -> float | None:
    """A plausible number of a record: finite, from 0 on."""
    value = source.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= most else None


def _lengths(epochs: Sequence[Any]) -> Iterator[float]:
    for one in epochs:
        value = number({"s": one}, "s")
        if value:
            yield value


def middle(values: Sequence[float]) -> float | None:
    return median(values) if values else None
