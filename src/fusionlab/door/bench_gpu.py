"""The networks' rows on a GPU, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from fusionlab.door import bench_networks
from fusionlab.door.bench_row import Row


def rows() -> Iterator[Row]:
    if torch.cuda.is_available():
        yield from bench_networks.on("cuda")
    else:
        yield Row("networks on a GPU", None, "×", missing="there is none here")
