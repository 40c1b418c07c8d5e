"""The networks' rows on a GPU, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from fusionlab.benchmarks import networks_rows
from fusionlab.benchmarks.row import Row


def rows() -> Iterator[Row]:
    if torch.cuda.is_available():
        yield from networks_rows.on("cuda")
    else:
        yield Row("networks on a GPU", None, "×", missing="there is none here")
