"""Lightning's loggers, one an arm.

csv           metrics.csv and hparams.yaml beside the arm's run.json
tensorboard   <attempt>/tensorboard/<arm>
wandb         one run an arm, below <attempt>/wandb; it is sent only with mode=online
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fusionlab.errors import UserError, unknown
from fusionlab.study.attempt import Attempt

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

LOGGERS = ("none", "csv", "tensorboard", "wandb")
# logger -> the packages of which it needs one; our extra has the logger's name
PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}


def expect_logger(name: str) -> None:
    """A `UserError` if there is no such logger, or if its package is not installed."""
    if name not in LOGGERS:
        raise unknown("logger", name, LOGGERS, form="logger={}")
    if name in PACKAGES and not any(find_spec(package) for package in PACKAGES[name]):
        raise UserError(f"{name} is not installed", got=f"logger={name}", hint=f"pip install 'fusionlab[{name}]'")


def make_logger(how: Mapping[str, Any], attempt: Attempt, arm: str) -> Logger:
    from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger  # planning does without

    expect_logger(str(how["name"]))
    if how["name"] == "csv":
        return CSVLogger(attempt.result, name=arm, version="")
    if how["name"] == "tensorboard":
        return TensorBoardLogger(attempt.folder / "tensorboard", name=arm, version="", default_hp_metric=False)
    os.environ.setdefault("WANDB_SILENT", "true")
    # without create_new, all loggers of a process would write into one run
    return WandbLogger(name=arm, project=how["project"], save_dir=attempt.folder, mode=how["mode"], reinit="create_new")
