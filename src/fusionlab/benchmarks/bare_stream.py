"""Stage one as a loop of twenty lines: the same tower, data, optimiser and rates as `fit`, without a framework.

Frames, maps and filters are in channels-last memory, and the optimiser is fused. It computes what a stream's cohort
computes with dropout 0, one loss a step, up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor
from torch.nn import functional as F

from fusionlab.backbones.tower import Tower
from fusionlab.training.cohort import Batch
from fusionlab.training.recipe import Recipe


def train(
    tower: Tower, stream: str, recipe: Recipe, batches: Sequence[Batch], validation: Sequence[Batch]
) -> tuple[Tower, float]:
    """A copy of the tower after one epoch of Adam, and its validation loss."""
    net = deepcopy(tower).train()
    layers = [net.get_submodule(name).to(memory_format=torch.channels_last) for name in net.names[:-1]]
    optimiser = torch.optim.Adam(net.parameters(), lr=recipe.lr, betas=tuple(recipe.own["betas"]), fused=True)

    def loss_of(batch: Batch) -> Tensor:
        x = batch[stream].transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x = net.normalise(x)
        for layer in layers:
            x = layer(x)
        return F.cross_entropy(x.flatten(1), batch["label"].repeat_interleave(len(x) // len(batch["label"])))

    for step, batch in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate(step, len(batches), ())
        optimiser.zero_grad()
        loss_of(batch).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    net.eval()
    with torch.no_grad():
        losses = [loss_of(batch).item() for batch in validation]
    return net, sum(losses) / len(losses)
