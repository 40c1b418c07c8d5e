"""The one optimiser of a cohort, one parameter group an arm.

Every update is elementwise and each group has its own rate, so an arm's step does not know of its neighbours.
`fused` is torch's single kernel a group: on one CPU thread it takes a fraction of the time of the default
loop of small operations, and it is the same arithmetic in company as alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

# name -> its further numbers in conf/optim/<name>.yaml
OWN_NUMBERS: dict[str, tuple[str, ...]] = {"adam": ("betas",), "sgd": ("momentum",)}


def optimiser(name: str, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
    """`groups`: {"params", "lr", "weight_decay", the own numbers of `name`} an arm."""
    if name == "adam":
        return torch.optim.Adam([{**g, "betas": tuple(g["betas"])} for g in groups], fused=True)
    assert name == "sgd", name
    return torch.optim.SGD(list(groups), fused=True)
