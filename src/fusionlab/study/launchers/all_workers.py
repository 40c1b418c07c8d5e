"""The workers of a study under every launcher."""

from __future__ import annotations

from pathlib import Path

from fusionlab.errors import UserError
from fusionlab.study.launchers import Worker
from fusionlab.study.launchers.local import Local
from fusionlab.study.launchers.slurm import Slurm


def all_workers(study: Path) -> tuple[tuple[Worker, ...], str | None]:
    """The workers here and in SLURM's queue; and why the queue is not known, if it cannot be asked."""
    here = Local().list(study)
    try:
        return (*here, *Slurm().list(study)), None
    except UserError as error:
        return here, error.brief
