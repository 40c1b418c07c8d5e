"""Stage one as a loop of twenty lines: the same tower, data, optimiser and rates as `fit`, without a framework.

It computes what a stream's cohort computes with dropout 0, one loss a step, up to rounding. The optimiser is fused, as
ours. A layout says what lies in channels-last memory; the fastest one differs between towers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy

import torch
from torch import Tensor
from torch.nn import functional as F

from fusionlab.backbones.tower import Tower
from fusionlab.training.cohort import Batch
from fusionlab.training.recipe import Recipe, make_optimiser

ALL, FRAMES, NOTHING = LAYOUTS = ("channels-last", "channels-last frames", "contiguous")


def train(
    tower: Tower, stream: str, recipe: Recipe, batches: Sequence[Batch], validation: Sequence[Batch]
) -> tuple[Tower, float]:
    """A copy of the tower after one epoch, all in channels-last memory, and its validation loss."""
    loop = Loop(tower, stream, recipe, len(batches))
    for batch in batches:
        loop.step(batch)
    loop.net.eval()
    with torch.no_grad():
        losses = [loop.loss(batch).item() for batch in validation]
    return loop.net, sum(losses) / len(losses)


def stepper(tower: Tower, stream: str, recipe: Recipe, batches: Iterator[Batch], layout: str) -> Callable[[], None]:
    """A function that trains a copy of the tower for one more step, at the recipe's first rate."""
    loop = Loop(tower, stream, recipe, None, layout)
    return lambda: loop.step(next(batches))


class Loop:
    """`per_epoch`: steps, for the schedule; None: the rate stays."""

    def __init__(self, tower: Tower, stream: str, recipe: Recipe, per_epoch: int | None, layout: str = ALL) -> None:
        self.net, self.stream, self.recipe, self.layout = deepcopy(tower), stream, recipe, layout
        self.per_epoch = per_epoch
        self.net.train()
        self.layers = [self.net.get_submodule(name) for name in self.net.names[:-1]]
        if layout == ALL:
            self.layers = [layer.to(memory_format=torch.channels_last) for layer in self.layers]
        numbers = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, **recipe.own}
        self.optimiser = make_optimiser(recipe.name, [{"params": list(self.net.parameters()), **numbers}])
        self.done = 0

    def loss(self, batch: Batch) -> Tensor:
        x = batch[self.stream].transpose(1, 2).flatten(0, 1)
        if self.layout != NOTHING:
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.net.normalise(x)
        for layer in self.layers:
            x = layer(x)
        return F.cross_entropy(x.flatten(1), batch["label"].repeat_interleave(len(x) // len(batch["label"])))

    def step(self, batch: Batch) -> None:
        if self.per_epoch is not None:
            for group in self.optimiser.param_groups:
                group["lr"] = self.recipe.rate(self.done, self.per_epoch, ())
        self.optimiser.zero_grad()
        self.loss(batch).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.done += 1
