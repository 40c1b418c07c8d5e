"""The cost of a job: the seconds of its parts and of a training step, and the peak of its memory.

It goes into the circumstances of each record that the job writes, so that later plans can state prices, and into the
job's progress. It reads a clock a few times a step and asks the device for nothing: no step waits for it.
"""

from __future__ import annotations

import math
import os
import time
from array import array
from statistics import median
from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch

from fusionlab.records.activity import mark, measure_with
from fusionlab.records.environment import peak_memory
from fusionlab.study.launchers import WORKERS_VARIABLE
from fusionlab.training.cohort import Cohort

FIRST = 3  # steps in which memory is allocated and kernels are chosen; they are left out

Part = Literal["setup", "train", "validate", "test", "record"]
PARTS: tuple[Part, ...] = ("setup", "train", "validate", "test", "record")


class JobCost(pl.Callback):
    """The clock of a job: each second belongs to one part, the one that began last.

    As a callback of a training it sees its steps and validations by itself. Of a resumed job, only this attempt
    counts; of a cohort whose arms have several checkpoints, all of its trainings together.
    """

    def __init__(self, job: str, *, batch: int, threads: int) -> None:
        self.job, self.batch, self.threads = job, batch, threads
        self.arms = self.test_clips = 0
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.steps = array("d")  # from the end of a step to the end of the next one, with the reading of its clips
        self.count = 0  # of steps; the first one of an epoch has no length: its loader starts, or waits
        self._part: Part = "setup"
        self._around: Part = "setup"  # the part in which a validation began
        self._since = time.monotonic()
        self._step_ended: float | None = None
        self._peak: int | None = None

    def begin(self, part: Part) -> None:
        """End the present part and begin this one."""
        now = time.monotonic()
        self.seconds[self._part] += now - self._since
        self._part, self._since = part, now
        mark(part=part)
        self._peak = max(filter(None, (self._peak, peak_memory())), default=None)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begin("train")
        cohort = cast(Cohort, pl_module)
        goes_on = self._step_ended is not None and cohort.step % cohort.steps_per_epoch  # behind a validation inside it
        self._step_ended = time.monotonic() if goes_on else None

    def on_train_batch_end(self, *_: Any) -> None:
        now = time.monotonic()
        if self._step_ended is not None:
            self.steps.append(now - self._step_ended)
        self._step_ended = now
        self.count += 1

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._around = self._part
        self.begin("validate")

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begin(self._around)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begin("setup")

    def report_device(self, device: str) -> None:
        """Put the device and the memory of this job into its progress."""
        cuda = torch.device(device).type == "cuda"
        mark(part=self._part, device=torch.cuda.get_device_name(device) if cuda else device)

        def measure() -> dict[str, Any]:
            own = {"device_memory": self.peak(device)} if cuda else {}
            return {"memory": peak_memory(), **own}

        measure_with(measure)

    def to_dict(self, device: str) -> dict[str, Any]:
        """All of it up to now, as in `circumstances["job"]` of a record."""
        self.begin(self._part)
        steps = self.steps[FIRST:] or self.steps
        workers = os.environ.get(WORKERS_VARIABLE, "")
        return {
            "id": self.job,
            "arms": self.arms,
            "steps": self.count,
            "batch": self.batch,
            **{f"{part}_s": round(seconds, 3) for part, seconds in self.seconds.items()},
            "step_s": round(median(steps), 6) if steps else None,
            "test_clips": self.test_clips,
            "peak": self.peak(device),
            "threads": self.threads,
            "workers": int(workers) if workers.isdecimal() else None,
        }

    def peak(self, device: str) -> int | None:
        """The bytes that this process had at most: of tensors on a GPU, else as `peak_memory` says at each new part."""
        if torch.device(device).type == "cuda":
            return int(torch.cuda.max_memory_allocated(device))
        return self._peak


class EndAfter(pl.Callback):
    """Ends a training after some seconds, with a validation, but not before it has taken `steps`."""

    def __init__(self, seconds: float, steps: int) -> None:
        self.seconds, self.steps, self.end = seconds, steps, math.inf

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.end = time.monotonic() + self.seconds

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if cast(Cohort, pl_module).step >= self.steps and time.monotonic() > self.end:
            trainer.should_stop = True
