"""Training of a cohort from its present step to its end, in one process.

Lightning runs the loop (device, precision, automatic optimisation). The position in the data, checkpoints and resuming
are fusionlab's own, since each is a function of one number, `cohort.step`.
"""

from __future__ import annotations

import logging
import math
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import (  # type: ignore[attr-defined]
    LightningEnvironment,
    SLURMEnvironment,
)
from pytorch_lightning.utilities.exceptions import (  # type: ignore[attr-defined]
    MisconfigurationException,
    SIGTERMException,
)

from fusionlab.errors import UserError
from fusionlab.records.activity import mark
from fusionlab.records.crash import crash_point
from fusionlab.records.every import Every
from fusionlab.training import checkpoint
from fusionlab.training.arm import ArmModule
from fusionlab.training.cohort import Batch, Cohort
from fusionlab.training.curve import Row
from fusionlab.training.recipe import BF16, FLOAT32, expect_precision
from fusionlab.training.weights import State, fingerprint

# Lightning's warnings that do not concern our users: (message, reason), for pytorch-lightning 2.6. A test fails when
# Lightning no longer gives one of them.
IGNORED: tuple[tuple[str, str], ...] = (
    (
        r"Found \d+ module\(s\) in eval mode at the start of training",
        "the frozen trunk is meant to be in eval mode",
    ),
    (
        r"The '\w+_dataloader' does not have many workers",
        "reads from the packed store are cheap; the data module decides",
    ),
    (r"`isinstance\(treespec, LeafSpec\)` is deprecated", "Lightning's own use of torch"),
    (r"GPU available but not used", "the caller chooses the device"),
    (r"You defined a `validation_step` but have no `val_dataloader`", "a training may have no validation list"),
)


class ResumableData(Protocol):
    """Data whose training loader gives the rest of the epoch that contains `start_step`."""

    start_step: int

    def prepare_data(self) -> None: ...
    def setup(self, stage: str) -> None: ...
    def train_dataloader(self) -> Any: ...
    def val_dataloader(self) -> Any: ...


@dataclass(frozen=True)
class Outcome:
    """The result of training an arm.

    `state`, `weights` (the fingerprint): of the weights that are kept, the best or the last; None if it failed.
    `val_loss`, `best_step`: of their validation, also if it failed later; without a validation the loss is None.
    `converged`: None where its recipe has
    another end. `seconds`: of each row of the curve.
    """

    name: str
    status: Literal["done", "failed"]
    reason: str | None
    best_step: int | None
    val_loss: float | None
    steps: int
    state: State | None
    weights: str | None
    curve: Sequence[Row] = ()
    seconds: Sequence[float] = ()
    converged: bool | None = None


class Stretches:
    """The training data for Lightning, to which an epoch is a stretch between two validations.

    Each pass goes from the cohort's step to its next validation. The batches of all passes come from one generator,
    which goes over the ends of the data's epochs: what loaders have read ahead is not thrown away at a validation.

    It has no length on purpose: Lightning would use the length of the first pass, which is short after a resume,
    for all passes.
    """

    def __init__(self, data: ResumableData, cohort: Cohort) -> None:
        self.data, self.cohort, self.step = data, cohort, cohort.step
        self.batches = self._batches()

    def __iter__(self) -> Iterator[Batch]:
        # a generator: Lightning also calls `iter` only to see whether it can
        end = next(iter(self.cohort.validations_left()), self.step)
        while self.step < end:
            batch = next(self.batches)
            self.step += 1
            yield batch

    def _batches(self) -> Iterator[Batch]:
        """The rest of the present epoch, then all epochs after it."""
        while True:
            self.data.start_step = self.step
            yield from self.data.train_dataloader()


class CohortCallback(pl.Callback):
    """Work between the steps of a cohort.

    It writes checkpoints and a line for each validation, ends the training when all arms are done, and has crash
    points for tests. A training that is long enough for a checkpoint by time also has one of its end, since its test
    may be interrupted. Without a validation (`validate`) it ends the stretches.
    """

    def __init__(
        self,
        validate: bool,
        folder: Path | None,
        every: Every,
        job: str,
        progress: Callable[[str], None] | None,
        callbacks: Mapping[str, pl.Callback],
        resumed: bool,
    ) -> None:
        self.folder, self.every, self.job, self.progress, self.callbacks = folder, every, job, progress, callbacks
        self.validate = validate
        self.due, self.some, self.last = False, resumed, time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        cohort = cast(Cohort, module)
        mark(step=cohort.step, steps=cohort.steps)
        crash_point(f"{self.job}.step")
        if not cohort.active():
            trainer.should_stop = True
        self.due |= self.every.is_due(cohort.step, time.monotonic() - self.last)
        if not trainer.is_last_batch:  # after a stretch's last batch its validation comes first
            self.save(trainer, cohort)

    def on_validation_batch_end(self, *_: Any) -> None:
        mark()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        cohort = cast(Cohort, module)
        if not self.validate:
            cohort.end_stretch(cohort.active() if trainer.should_stop else cohort.due())
        if not cohort.active():
            trainer.should_stop = True
            self.due |= self.some and self.every.seconds < math.inf
        self.save(trainer, cohort)
        if self.progress is not None:
            self.progress(progress_line(cohort))

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Save the present step before SIGTERM ends the process."""
        cohort = cast(Cohort, module)
        if isinstance(exception, SIGTERMException) and not (self.callbacks and validates_first(cohort)):
            # a validation after a resume has no training around it, whose hooks the user's callbacks may need
            self.due = bool(self.every)
            self.save(trainer, cohort)

    def save(self, trainer: pl.Trainer, cohort: Cohort) -> None:
        if self.due and self.folder is not None:
            checkpoint.write(self.folder, cohort, trainer.optimizers[0], self.callbacks)
            self.some, self.last = True, time.monotonic()
        self.due = False


def fit(
    cohort: Cohort,
    data: ResumableData,
    *,
    folder: Path | None = None,
    device: str = "cpu",
    precision: str = FLOAT32,
    resume_from: Path | None = None,
    checkpoint_every: int | Every = 0,
    progress: Callable[[str], None] | None = None,
    callbacks: Mapping[str, pl.Callback] | None = None,
    observers: Sequence[pl.Callback] = (),
    validate: bool = True,
    job: Literal["stream", "cohort"] = "cohort",
) -> dict[str, Outcome]:
    """Train every arm to its end and load the weights that its recipe keeps into the arms that are done.

    `folder`: gets a checkpoint every `checkpoint_every` steps (0: none). `resume_from`: a checkpoint of an earlier
    attempt (`choose_checkpoints`). `progress`: gets one plain line for each validation. `callbacks`: the user's;
    their `state_dict` is in the checkpoint. `observers`: callbacks without state. `validate`: whether there is a
    validation list; without one, stretches still end where the recipe has its validations. `job`: names the crash
    points. The length of the training is in the recipe of each arm. SIGTERM ends the process after the present step or
    batch, with a checkpoint and status 143.
    """
    every = checkpoint_every if isinstance(checkpoint_every, Every) else Every(checkpoint_every)
    expect_precision(precision)
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise UserError("torch sees no GPU here", got=device, allowed=["cpu"])
    own = dict(callbacks or {})

    def measure(arms: list[ArmModule]) -> None:
        """Validate these arms outside a training, or record that they are not validated."""
        if validate:
            trainer(device, precision, 1, *observers).validate(cohort, data.val_dataloader(), verbose=False)
        else:
            cohort.end_stretch(arms)

    with ignore_known_warnings(), without_slurm(), status_of_sigterm():
        data.prepare_data()
        data.setup("fit")
        data.start_step = 0
        cohort.steps_per_epoch = len(data.train_dataloader())
        if not cohort.steps_per_epoch:
            raise UserError("no clips to train on", got="an empty training list")
        if resume_from is not None:
            resume(cohort, resume_from, own)
            if progress is not None:
                progress(f"continuing at step {cohort.step}")
            if validates_first(cohort):
                measure(cohort.due())
        cohort.train()
        if left := len(cohort.validations_left()):
            saving = CohortCallback(validate, folder, every, job, progress, own, resume_from is not None)
            try:
                # the user's come first, so that a checkpoint has their state after the same step
                loop = trainer(device, precision, left, *own.values(), saving, *observers)
                loop.fit(cohort, Stretches(data, cohort), data.val_dataloader() if validate else None)
            except MisconfigurationException as error:
                if not own:
                    raise
                raise UserError("Lightning refuses a callback", got=f"{', '.join(own)}: {error}") from error
            for arm in cohort.active() if own else ():  # a callback has ended the training
                if arm.best is None:
                    arm.fail(f"a callback stopped the training at step {arm.steps}, before a validation")
                else:
                    arm.finish()
        if untrained := cohort.untrained():  # the other arms failed before a validation, or there are none
            measure(untrained)
    return {name: outcome(cohort, name) for name in cohort.arms}


def resume(cohort: Cohort, place: Path, callbacks: Mapping[str, pl.Callback]) -> None:
    """Load a checkpoint; afterwards none of it is in memory twice."""
    content = checkpoint.read(place)
    checkpoint.restore(cohort, content)
    for name, state in content.get("callbacks", {}).items():
        if name in callbacks:
            callbacks[name].load_state_dict(state)


def validates_first(cohort: Cohort) -> bool:
    """Whether a stretch has ended without its validation."""
    return bool(cohort.due())


def trainer(device: str, precision: str, epochs: int, *callbacks: pl.Callback) -> pl.Trainer:
    """A Lightning trainer as a plain loop.

    The environment is set so that Lightning does not schedule by itself under SLURM. `inference_mode` is off, since the
    weights kept during a validation are used after it.
    """
    where = torch.device(device)
    return pl.Trainer(
        accelerator="gpu" if where.type == "cuda" else where.type,
        devices=[where.index or 0] if where.type == "cuda" else 1,
        precision=cast(Any, BF16 if precision == BF16 else FLOAT32),
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
    assert arm.status != "training", f"{name} has not ended"
    if arm.best is not None:
        arm.net.load_state_dict(arm.best)
    return Outcome(
        name=name,
        status=arm.status,
        reason=arm.reason,
        best_step=arm.best_step,
        val_loss=arm.best_loss if math.isfinite(arm.best_loss) else None,
        steps=arm.steps,
        state=arm.best,
        weights=None if arm.best is None else fingerprint(arm.best),
        curve=arm.curve.rows,
        seconds=arm.curve.seconds,
        converged=arm.converged,
    )


def progress_line(cohort: Cohort) -> str:
    """The cohort's state in one line."""
    arms = list(cohort.arms.values())
    epoch = -(-cohort.step // cohort.steps_per_epoch)
    count = {status: sum(arm.status == status for arm in arms) for status in ("training", "done", "failed")}
    measured = [arm for arm in arms if arm.losses and arm.status != "failed"]
    best = min(measured, key=lambda arm: min(arm.losses), default=None)
    lowest = "" if best is None else f", lowest validation loss {min(best.losses):.4f} ({best.name})"
    states = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    return f"epoch {epoch}, step {cohort.step}: arms {states}{lowest}"


@contextmanager
def without_slurm() -> Iterator[None]:
    """Keep Lightning from asking whether it runs under SLURM, as it does whatever the environment of its Trainer.

    It would load an `hpc_ckpt_*` of the working directory, and on a login node it tells the user to type srun.
    """
    before = SLURMEnvironment.__dict__["detect"]
    SLURMEnvironment.detect = staticmethod(lambda: False)  # type: ignore[method-assign]
    try:
        yield
    finally:
        SLURMEnvironment.detect = before  # type: ignore[method-assign]


@contextmanager
def status_of_sigterm() -> Iterator[None]:
    """After Lightning's exception the process would end with status 0, as after a success."""
    try:
        yield
    except SIGTERMException:
        raise SystemExit(128 + signal.SIGTERM) from None


@contextmanager
def ignore_known_warnings() -> Iterator[None]:
    """Ignore the warnings above and Lightning's messages (devices, tips, reasons to stop)."""
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    with warnings.catch_warnings():
        for message, _ in IGNORED:
            warnings.filterwarnings("ignore", message=f".*{message}")
        logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            logger.setLevel(before)
