"""The states of planned arms and jobs, if the study started now.

    done      published
    stale     published, but something that it was made from has changed since
    running   a worker is at it
    failed    its last attempt failed, and the command tries it again; or it was published, but its record is damaged
    to run    all others

An arm is stale if the packed store holds other content than it was trained on, if the file of its first weights has
another content, or if a stream below it is stale or was published after it. A store or a file that is gone says
nothing. Whether an estimator of flow, or the code of a part, would give other numbers today is not checked.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fusionlab.backbones.pretrained import locate
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig, StreamConfig, config_of
from fusionlab.errors import UserError
from fusionlab.jobs.job_data import Data
from fusionlab.monitor.status import NO_RECORD
from fusionlab.pricing.clip_counts import DataSets
from fusionlab.records.plan_file import Arm, Job
from fusionlab.records.record import readable_records
from fusionlab.sizes.sizing import content_key
from fusionlab.study.job_states import State
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import Plan
from fusionlab.study.recipes import FROM

ARM_STATES = ("done", "stale", "running", "failed", "to run")
TO_RUN = ("running", "failed", "to run")  # that still cost time


@dataclass(frozen=True)
class States:
    """Arm -> state, job -> state; stale arm -> why; arm that was published without a usable record -> why.

    `places`: arm that is done or stale -> the folder of its record.
    """

    arms: Mapping[str, str]
    jobs: Mapping[str, str]
    stale: Mapping[str, str]
    damaged: Mapping[str, str]
    places: Mapping[str, Path]

    @property
    def arm_counts(self) -> dict[str, int]:
        counts = Counter(self.arms.values())
        return {state: counts[state] for state in ARM_STATES if counts[state]}

    @property
    def job_counts(self) -> dict[str, int]:
        counts = Counter(self.jobs.values())
        return {state: counts[state] for state in ARM_STATES if counts[state]}

    def left(self, job: Job) -> list[str]:
        """The arms of a job that are still to be trained; a damaged record has to be removed first."""
        return [arm for arm in job.arms if self.arms[arm] in TO_RUN and arm not in self.damaged]


def states_of(plan: Plan, folder: Path, run: RunConfig, data: DataSets) -> States:
    """Reads the ledger and the records of published arms; changes nothing."""
    ledger = Ledger(folder, plan)
    known = ledger.states()
    arms = {arm.name: _arm_state(arm, known[arm.job]) for arm in plan.arms}
    records, damaged, places = _records(plan, folder, [arm for arm in plan.arms if arms[arm.name] == "done"])
    arms |= dict.fromkeys(damaged, "failed")
    stale = _Stale(records, run, data).of([arm for arm in plan.arms if arm.name in records])
    arms |= dict.fromkeys(stale, "stale")
    jobs = {job.id: _job_state(job, known[job.id], arms) for job in plan.jobs}
    return States(arms, jobs, stale, damaged, places)


def _records(
    plan: Plan, folder: Path, arms: list[Arm]
) -> tuple[dict[str, dict[str, Any]], dict[str, str], dict[str, Path]]:
    """Published arm -> its record; or why there is none that can be read, as `monitor.status` says it; its folder."""
    names = {arm.name for arm in plan.arms}
    read = {job: readable_records(plan.job(job).published(folder)) for job in {arm.job for arm in arms}}
    records, damaged, places = {}, {}, {}
    for arm in arms:
        own = arm.find(read[arm.job][0])
        if own is None:
            damaged[arm.name] = arm.damage(read[arm.job][1], names) or NO_RECORD
        elif own[1]["status"] != "done":
            damaged[arm.name] = str(own[1]["reason"])
        else:
            records[arm.name], places[arm.name] = own[1], own[0].parent
    return records, damaged, places


def _arm_state(arm: Arm, job: State) -> str:
    if arm.name in job.published or (job.name == "published" and not job.published):
        return "done"
    if arm.name in job.failed:
        return "failed"
    return "running" if job.name == "running" else "to run"


def _job_state(job: Job, state: State, arms: Mapping[str, str]) -> str:
    if state.name == "published":
        return "stale" if any(arms[arm] == "stale" for arm in job.arms) else "done"
    return state.name if state.name in ("running", "failed") else "to run"


class _Stale:
    """Compares the records of published arms with what is there now."""

    def __init__(self, records: Mapping[str, dict[str, Any]], run: RunConfig, data: DataSets) -> None:
        self.records, self.run, self.data = records, run, data
        self._configs: dict[str, ArmConfig | StreamConfig] = {}
        self._contents: dict[str, str | None] = {}
        self._hashes: dict[str, str | None] = {}
        self._streams: dict[str, tuple[str | None, str]] = {}  # a stream's signature -> why it is stale, and its time

    def of(self, arms: list[Arm]) -> dict[str, str]:
        """Stale arm -> why; streams first, since arms above them follow, in the plan's order, as they start."""
        found: dict[str, str] = {}
        for arm in sorted(arms, key=lambda arm: arm.kind != "stream"):
            record = self.records[arm.name]
            why = self._own(arm, record)
            time = str(record["circumstances"].get("started"))
            why = why or self._below(arm, time)
            if arm.kind == "stream":
                self._streams[arm.signature] = why, time
            if why is not None:
                found[arm.name] = why
        return found

    def _own(self, arm: Arm, record: Mapping[str, Any]) -> str | None:
        key, trained = content_key(arm), record["result"].get("data")
        config = self._configs.setdefault(key, self._configs.get(key) or config_of(arm))
        content = self._content(config)
        if None not in (content, trained) and content != trained:
            return "the packed store holds other videos, or was made in another way"
        if isinstance(config, StreamConfig):
            began = (record["result"].get("initial_weights") or {}).get("sha256")
            now = self._weights(config) if began else None
            if now is not None and now != began:
                return f"{config.weights.source} holds other weights"
        return None

    def _below(self, arm: Arm, time: str) -> str | None:
        for stream, signature in arm.config.get("stage_one", {}).items():
            name = "the stream that it started from" if arm.kind == "stream" else f"its {stream} stream"
            why, trained = self._streams.get(signature, (None, ""))
            if why is not None:
                return f"{name} is stale: {why}"
            if trained > time:
                return f"{name} was trained after it"
        return None

    def _content(self, config: Any) -> str | None:
        """The hash of the data that an arm would read now; None without a store."""
        key = repr((config.data.recipe, config.data.quarantine))
        if key not in self._contents:
            store = self.data.store(config.data)
            own = None if store is None else Data(self.data.dataset(config.data), store.folder, self.run)
            self._contents[key] = None if own is None else own.content(config.data)
        return self._contents[key]

    def _weights(self, config: StreamConfig) -> str | None:
        """sha256 of a file of first weights; None where it is gone, or is a download with its hash in its name."""
        source = config.weights.source
        if source is None or source == "imagenet" or source.startswith(FROM):
            return None
        if source not in self._hashes:
            try:
                with locate(source, cast(Any, None), self.run.weights).open(
                    "rb"
                ) as file:  # a file is one for any tower
                    self._hashes[source] = hashlib.file_digest(file, "sha256").hexdigest()
            except (UserError, OSError):
                self._hashes[source] = None
        return self._hashes[source]
