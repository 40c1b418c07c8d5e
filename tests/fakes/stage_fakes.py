"""Both stages of a small study in this process: the jobs of a plan on the drifting videos, without a worker."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from data_fakes import Drifting

from fusionlab.data.dataset import Entry
from fusionlab.jobs import retest, stages
from fusionlab.jobs.job_data import Data
from fusionlab.planning.grid import plan_study
from fusionlab.records.record import read_record
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Arm, Job, Plan
from fusionlab.video.store import Store

EPOCHS = 2
WORDS = [
    "fusion=conv", "fusion.init=he", "layer=relu5", "temporal=conv3d",
    "backbone.appearance.width=8", "backbone.motion.width=8",
    "data.sampling.crop=16", "data.sampling.fields=4", "data.sampling.stride=1", "data.sampling.validation=0.25",
    f"optim.streams.epochs={EPOCHS}", "optim.streams.batch_size=8", "optim.streams.lr=0.01",
    f"optim.fusion.epochs={EPOCHS}", "optim.fusion.batch_size=8", "optim.fusion.lr=0.01",
    "optim.streams.schedule.warmup=0", "optim.fusion.schedule.warmup=0", "run.device=cpu", "run.loaders=0",
]  # fmt: skip


class Splits(Drifting):
    """The set with two splits, and ceilings that name the system they were asked for."""

    def lists(self, split: int) -> tuple[list[Entry], list[Entry]]:
        train, test = super().lists(split)
        return (train, test) if split == 1 else (test + train[8:], train[:8])

    def ceilings(self, system: str) -> dict[str, Fraction]:
        return {system: Fraction(1)}


@dataclass(frozen=True)
class Trained:
    """A study whose jobs have run, or will, and its data."""

    plan: Plan
    study: Path
    data: Data

    def copied(self, home: Path, patch: pytest.MonkeyPatch) -> Trained:
        """The study in a folder of its own, with its plan, whose files a test may change."""
        shutil.copytree(self.study.parent, home / "runs")
        made = replace(self, study=home / "runs" / self.study.name)
        made.plan.write(made.study)
        patch.setenv("FUSIONLAB_DATA", str(made.data.run.data))
        return made

    @classmethod
    def planned(cls, study: Path, data: Data, *words: str, without: str | None = None) -> Trained:
        """Of `WORDS`, where a word of the same name is not given, and it is not `without`."""
        names = {word.partition("=")[0] for word in words} | {without}
        return cls(
            plan_study([*(word for word in WORDS if word.partition("=")[0] not in names), *words]).plan, study, data
        )

    def arm(self, kind: str) -> Arm:
        """A stream, `late`, or the one fused arm."""
        (arm,) = (one for one in self.plan.arms if one.kind == kind or one.axes["streams"] == kind)
        return arm

    def place(self, arm: Arm) -> Path:
        return self.plan.job(arm.job).path(self.study) / "published" / arm.name

    def result(self, kind: str) -> dict[str, Any]:
        """What an arm's record says of its training and test."""
        result: dict[str, Any] = read_record(self.place(self.arm(kind)))["result"]
        return result

    def run(self, job: Job, number: int = 1) -> None:
        """Run one job, without a worker and its processes."""
        attempt = Attempt(job.path(self.study), number)
        attempt.claim_file.parent.mkdir(parents=True, exist_ok=True)
        attempt.open()
        stages.train(self.plan, self.study, job, attempt)

    def run_all(self) -> Trained:
        """Run all jobs of training, streams first."""
        with found(self.data):
            for kind in ("stream", "cohort"):
                for job in (one for one in self.plan.jobs if one.kind == kind):
                    self.run(job)
        return self

    def train(self, kind: str) -> dict[str, Any]:
        """Run an arm's job and return its result."""
        self.run(self.plan.job(self.arm(kind).job))
        return self.result(kind)


def small_data(store: Store, drifting: Drifting) -> Data:
    run: Any = plan_study(WORDS).run
    return Data(Splits(drifting.root), store.folder, run)


@contextmanager
def found(data: Data) -> Iterator[None]:
    """Every job finds these data, whatever its config names."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (stages, retest):
            patch.setattr(module, "open_data", lambda *_: data)
        yield
