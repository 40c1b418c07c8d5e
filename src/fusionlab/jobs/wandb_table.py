"""Log the final table of a study as a wandb.Table: a run named `table`, in the study's group.

It has the lines and columns of report/table.csv. A column of whole numbers, or of numbers, has this type; an empty cell
is None. If wandb raises an error, it is shown, and the sweep is done all the same.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any, cast

from fusionlab.config.mask_secrets import hide_variables
from fusionlab.config.run_config import LoggerConfig
from fusionlab.errors import one_line, show
from fusionlab.jobs.loggers import expect_installed

NAME = "table"


def log_table(study: Path, how: LoggerConfig) -> None:
    """Log report/table.csv of a study, into <study>/wandb."""
    try:
        expect_installed("wandb")
        columns, lines = typed((study / "report" / "table.csv").read_text(encoding="utf-8"))
        _log(study, how, columns, lines)
    except Exception as error:
        reason = hide_variables(f"{type(error).__name__}: {error}")
        show(one_line(f"logger=wandb failed, the table is not logged: {reason}"))


def typed(text: str) -> tuple[list[str], list[list[Any]]]:
    """The columns and the lines of a CSV file, each column with one type.

    >>> typed("a,b,c\\n1,0.5,x\\n,2,3\\n")
    (['a', 'b', 'c'], [[1, 0.5, 'x'], [None, 2.0, '3']])
    """
    head, *lines = csv.reader(io.StringIO(text, newline=""))
    kinds = [_kind([cell for cell in cells if cell]) for cells in zip(*lines, strict=True)]
    return head, [[kind(cell) if cell else None for kind, cell in zip(kinds, line, strict=True)] for line in lines]


def _kind(cells: list[str]) -> type[int] | type[float] | type[str]:
    """The narrowest type of all cells."""
    for kind in (int, float):
        try:
            for cell in cells:
                kind(cell)
        except ValueError:
            continue
        return kind
    return str


def _log(study: Path, how: LoggerConfig, columns: list[str], lines: list[Any]) -> None:
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb  # an extra, and slow to import

    run = wandb.init(
        project=how.project,
        group=study.name,
        name=NAME,
        job_type=NAME,
        dir=study,
        mode=cast(Any, how.mode),
        reinit="create_new",
    )
    run.log({NAME: wandb.Table(columns=list(columns), data=list(lines))})
    run.finish()
