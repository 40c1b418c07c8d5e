"""The callback for loggers: they get each arm's curve during the training, its config and result at the end.

A logger has a copy of the record. If it raises an error, this is shown once, the logger is not used any more, and its
arm continues. `run` is not logged; elsewhere, options that are named like a secret are masked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from fusionlab.config.mask_secrets import hide_variables, masked
from fusionlab.config.run_config import LoggerConfig
from fusionlab.errors import one_line, show
from fusionlab.jobs.loggers import make_logger
from fusionlab.records.signature import flatten
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Arm
from fusionlab.training.cohort import Cohort
from fusionlab.training.curve import Row

# the leaves of a result that are logged
FINAL = ("accuracy", "correct", "total", "kinds", "val_loss", "best_step")


class CurveLoggers(pl.Callback):
    """Sends each arm's curve to the arm's own logger, after each validation, or the stretch that has none."""

    def __init__(self, how: LoggerConfig, attempt: Attempt) -> None:
        self.how, self.attempt = how, attempt
        self.loggers: dict[str, Logger] = {}
        self.rows: dict[str, int] = {}  # logged rows of each arm
        self.failures: dict[str, str] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for arm in cast(Cohort, pl_module).arms.values():
            self.log_curve(arm.name, arm.curve.rows)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.on_validation_end(trainer, pl_module)

    def log_curve(self, arm: str, rows: Sequence[Row]) -> None:
        def write(logger: Logger) -> None:
            for row in rows[self.rows.get(arm, 0) :]:
                numbers = {name: value for name, value in row.items() if value is not None}
                logger.log_metrics(cast(Any, numbers), step=cast(int, row["step"]))
                self.rows[arm] = self.rows.get(arm, 0) + 1
            logger.save()

        if len(rows) > self.rows.get(arm, 0):
            self._try(arm, write)

    def log_result(self, arm: Arm, status: str, result: Mapping[str, Any]) -> str | None:
        """Log the config and the final numbers; returns the error of the arm's logger, if it failed."""
        final = flatten({name: result[name] for name in FINAL if name in result})
        numbers = {f"result/{name}": value for name, value in final.items() if value is not None}

        def write(logger: Logger) -> None:
            logger.log_hyperparams(
                cast(Any, {**masked(arm.config, "run"), "signature": arm.signature, "status": status})
            )
            if numbers:
                logger.log_metrics(cast(Any, numbers), step=int(result.get("steps") or 0))
            logger.finalize("success" if status == "done" else "failed")

        self._try(arm.name, write)
        return self.failures.get(arm.name)

    def _try(self, arm: str, write: Callable[[Logger], None]) -> None:
        if self.how.name == "none" or arm in self.failures:
            return
        try:
            if arm not in self.loggers:
                self.loggers[arm] = make_logger(self.how, self.attempt, arm)
            write(self.loggers[arm])
        except Exception as error:
            reason = hide_variables(f"{type(error).__name__}: {error}")
            if not self.failures:
                show(one_line(f"logger={self.how.name} failed, training continues without it: {reason}"))
            self.failures[arm] = reason
