"""Training a cohort from where it stands to its end, in one process.

Lightning runs the loop (device, precision, automatic optimisation); the place in the data, checkpoints and
resuming are ours, since each is a function of one number, `cohort.step`.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from pytorch_lightning.utilities.exceptions import SIGTERMException

from fusionlab.errors import UserError
from fusionlab.records.activity import mark
from fusionlab.records.crash import crash_point
from fusionlab.training import checkpoint
from fusionlab.training.cohort import Batch, Cohort
from fusionlab.training.lightning_warnings import quiet
from fusionlab.training.precision import FLOAT32, expect_precision, of_lightning
from fusionlab.training.weights import State, fingerprint


class Placed(Protocol):
    """Data whose training loader begins at a step: `start_step` set, `train_dataloader()` gives what remains
    of the epoch that contains it."""

    start_step: int

    def prepare_data(self) -> None: ...
    def setup(self, stage: str) -> None: ...
    def train_dataloader(self) -> Any: ...
    def val_dataloader(self) -> Any: ...


@dataclass(frozen=True)
class Outcome:
    """What became of an arm. `val_loss`, `best_step`: of its best validation, also where it failed later;
    `state` and `weights` (their fingerprint) are the best's and None where it failed."""

    name: str
    status: Literal["done", "failed"]
    reason: str | None
    best_step: int | None
    val_loss: float | None
    steps: int
    state: State | None
    weights: str | None


class Onwards:
    """The training data as Lightning sees it: each pass goes from the cohort's step to the end of the epoch.

    It has no length on purpose: Lightning takes the length of the first pass, which is short after a resume,
    for that of all others.
    """

    def __init__(self, data: Placed, cohort: Cohort) -> None:
        self.data, self.cohort = data, cohort

    def __iter__(self) -> Iterator[Batch]:
        # a generator: Lightning also calls `iter` only to see whether it can
        self.data.start_step = self.cohort.step
        yield from self.data.train_dataloader()


class Conduct(pl.Callback):
    """Between the steps: injected crashes, checkpoints, the end when no arm is left, a line an epoch."""

    def __init__(self, folder: Path | None, every: int, job: str, say: Callable[[str], None] | None) -> None:
        self.folder, self.every, self.job, self.say = folder, every, job, say
        self.due = False

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        cohort = cast(Cohort, module)
        mark()
        crash_point(f"{self.job}.step")
        if not cohort.active():
            trainer.should_stop = True
        self.due |= self.every > 0 and cohort.step % self.every == 0
        if not trainer.is_last_batch:  # after an epoch's last batch its validation comes first
            self.save(trainer, cohort)

    def on_validation_batch_end(self, *_: Any) -> None:
        mark()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        cohort = cast(Cohort, module)
        self.save(trainer, cohort)
        if not cohort.active():
            trainer.should_stop = True
        if self.say is not None:
            self.say(line(cohort))

    def save(self, trainer: pl.Trainer, cohort: Cohort) -> None:
        if self.due and self.folder is not None:
            checkpoint.write(self.folder, cohort, trainer.optimizers[0])
        self.due = False


def fit(
    cohort: Cohort,
    data: Placed,
    *,
    folder: Path | None = None,
    device: str = "cpu",
    precision: str = FLOAT32,
    resume_from: Mapping[str, Any] | None = None,
    checkpoint_every: int = 0,
    progress: Callable[[str], None] | None = None,
    job: Literal["stream", "cohort"] = "cohort",
) -> dict[str, Outcome]:
    """Train every arm to its end and leave the best weights in the arms that are done.

    `folder` takes a checkpoint every `checkpoint_every` steps (0: none); `resume_from` is the content of one, of an
    attempt before this one (`checkpoint.furthest`). `progress` gets one plain line an epoch.
    `job` names the crash points. The number of epochs is each arm's own, in its recipe. SIGTERM ends the
    process after the step in hand, with status 143.
    """
    expect_precision(precision)
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise UserError("torch sees no GPU here", got=device, allowed=["cpu"])
    with quiet():
        data.prepare_data()
        data.setup("fit")
        data.start_step = 0
        cohort.steps_per_epoch = len(data.train_dataloader())
        if not cohort.steps_per_epoch:
            raise UserError("there are no clips to train on", got="an empty training list")
        if resume_from is not None:
            checkpoint.restore(cohort, resume_from)
            if progress is not None:
                progress(f"continuing at step {cohort.step}")
        cohort.train()
        epochs = cohort.epochs - cohort.step // cohort.steps_per_epoch
        if cohort.active() and epochs > 0:
            conduct = Conduct(folder, checkpoint_every, job, progress)
            try:
                trainer(device, precision, epochs, conduct).fit(cohort, Onwards(data, cohort), data.val_dataloader())
            except SIGTERMException:  # would leave the process with status 0, as if all were done
                raise SystemExit(128 + signal.SIGTERM) from None
        if cohort.unmeasured():  # no arm has come to a validation, or none is trained at all
            trainer(device, precision, 1).validate(cohort, data.val_dataloader(), verbose=False)
    return {name: outcome(cohort, name) for name in cohort.arms}


def trainer(device: str, precision: str, epochs: int, *callbacks: pl.Callback) -> pl.Trainer:
    """Lightning as a plain loop. The environment is named so that under SLURM it does not start to schedule
    itself; `inference_mode` is off since the weights kept during a validation live longer than it."""
    where = torch.device(device)
    return pl.Trainer(
        accelerator="gpu" if where.type == "cuda" else where.type,
        devices=[where.index or 0] if where.type == "cuda" else 1,
        precision=cast(Any, of_lightning(precision)),
        max_epochs=epochs,
        callbacks=list(callbacks),
        plugins=[LightningEnvironment()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        inference_mode=False,
    )


def outcome(cohort: Cohort, name: str) -> Outcome:
    arm = cohort.arms[name]
    assert arm.status != "training", f"{name} has not come to its end"
    if arm.best is not None:
        arm.net.load_state_dict(arm.best)
    return Outcome(
        name=name,
        status=arm.status,
        reason=arm.reason,
        best_step=arm.best_step,
        val_loss=arm.best_loss if arm.best_step is not None else None,
        steps=arm.steps,
        state=arm.best,
        weights=None if arm.best is None else fingerprint(arm.best),
    )


def line(cohort: Cohort) -> str:
    """One line on where the cohort stands."""
    arms = list(cohort.arms.values())
    epoch = -(-cohort.step // cohort.steps_per_epoch)
    count = {status: sum(arm.status == status for arm in arms) for status in ("training", "done", "failed")}
    measured = [arm for arm in arms if arm.losses and arm.status != "failed"]
    best = min(measured, key=lambda arm: arm.best_loss, default=None)
    told = "" if best is None else f", lowest validation loss {best.best_loss:.4f} ({best.name})"
    states = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    return f"epoch {epoch}, step {cohort.step}: arms {states}{told}"
