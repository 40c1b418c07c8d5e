"""Lightning's loggers, one for each arm.

csv           metrics.csv and hparams.yaml beside the arm's run.json
tensorboard   <attempt>/tensorboard/<arm>
wandb         one run for each arm, below <attempt>/wandb; it is sent only with mode=online. The group is the study, or
              the folder of the streams, which studies share; `wandb_table` adds the final table
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from fusionlab.config.run_config import LoggerConfig
from fusionlab.errors import UserError
from fusionlab.study.attempt import Attempt

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

# logger -> the packages of which it needs one; our extra has the logger's name
PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}


def expect_installed(logger: str) -> None:
    """Raise a `UserError` if the package of a logger is missing."""
    if logger in PACKAGES and not any(find_spec(package) for package in PACKAGES[logger]):
        raise UserError(f"{logger} is not installed", got=f"logger={logger}", hint=f"pip install 'fusionlab[{logger}]'")


def make_logger(how: LoggerConfig, attempt: Attempt, arm: str) -> Logger:
    from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger  # planning does not need them

    expect_installed(how.name)
    if how.name == "csv":
        return CSVLogger(attempt.result, name=arm, version="")
    if how.name == "tensorboard":
        return TensorBoardLogger(attempt.folder / "tensorboard", name=arm, version="", default_hp_metric=False)
    os.environ.setdefault("WANDB_SILENT", "true")
    # without create_new, all loggers of a process would write into one run
    create = {"mode": how.mode, "reinit": "create_new"}
    belongs = {"group": group(attempt), "job_type": "arm"}
    return WandbLogger(name=arm, project=how.project, save_dir=attempt.folder, **cast(Any, create | belongs))


def group(attempt: Attempt) -> str:
    """The folder's name of the study of an attempt, or of the streams."""
    folder = attempt.job.parent
    return (folder.parent if folder.name == "jobs" else folder).resolve().name
