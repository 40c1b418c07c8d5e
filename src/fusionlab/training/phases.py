"""Phases: which layers of a stream's tower are trained at a step.

Below the lowest trained layer nothing has a gradient, and batch normalisation keeps its statistics; dropout stays as it
is. The phase follows from the step alone, so that resuming has nothing to restore.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fusionlab.backbones.tower import Tower
from fusionlab.errors import unknown
from fusionlab.training.recipe import Recipe


def expect_layers(recipe: Recipe, tower: Tower) -> None:
    """Raise a `UserError` for a layer of the recipe that the tower does not have."""
    for option, layer in (("from_layer", recipe.from_layer), ("first.from_layer", recipe.first.from_layer)):
        if layer is not None and layer not in tower.names[:-1]:
            form = f"optim.streams.{option}={{}}"
            raise unknown("layer of the tower", layer, tower.names[:-1], form=form)


def layers_below(tower: Tower, layer: str) -> list[nn.Module]:
    """The layers below this one."""
    return [tower.get_submodule(name) for name in tower.names[: tower.names.index(layer)]]


def freeze(layers: Iterable[nn.Module], frozen: bool = True, trained: Container[nn.Parameter] = ()) -> None:
    """Keep these layers as they are, or train again those of their parameters that are in `trained`."""
    for layer in layers:
        for parameter in layer.parameters():
            parameter.requires_grad_(not frozen and parameter in trained)
            if frozen:
                parameter.grad = None
        for part in layer.modules():
            if isinstance(part, _BatchNorm):
                part.train(not frozen)
