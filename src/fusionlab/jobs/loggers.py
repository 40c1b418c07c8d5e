"""Records sent to where people look at runs. The records on disk are the truth; a logger is a copy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from fusionlab.config.run_config import LoggerConfig
from fusionlab.errors import UserError
from fusionlab.records.signature import flatten


def send(record: Mapping[str, Any], how: LoggerConfig, folder: Path) -> None:
    """One run per record; wandb writes into the attempt's folder, and to the net only in mode=online."""
    if how.name == "none":
        return
    try:
        import wandb
    except ImportError as error:
        raise UserError("wandb is not installed", got="logger=wandb", hint="pip install 'fusionlab[wandb]'") from error
    os.environ.setdefault("WANDB_SILENT", "true")
    with wandb.init(
        project=how.project, mode=cast(Any, how.mode), dir=str(folder), name=record["name"],
        config={**record["config"], "signature": record["signature"]}, reinit="finish_previous",
    ) as run:  # fmt: skip
        run.summary["status"] = record["status"]
        run.log({name: one for name, one in flatten(record["result"]).items() if isinstance(one, int | float)})
