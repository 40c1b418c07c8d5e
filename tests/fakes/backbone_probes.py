"""What one place of a map sees, found by gradients: an oracle that knows nothing of the towers' arithmetic."""

from collections.abc import Iterable
from copy import deepcopy
from functools import lru_cache
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from fusionlab.backbones.folding import takes_clips
from fusionlab.backbones.lrn import LocalResponseNorm
from fusionlab.backbones.padding import Conv3d, MaxPool3d, SameConv2d, SameMaxPool2d
from fusionlab.backbones.tower import Tower


def seen_by(tower: Tower, layer: str, size: int, places: Iterable[int]) -> list[tuple[int, int]]:
    """The first and the last input row that each place (place, place) behind a layer sees, in frames of this size.

    The tower's own layers, narrowed to one channel: every filter is positive, and a maximum is an average, so that
    the gradient is above zero exactly where the place looks. None may look beyond the frame's edge.
    """
    clip = (1,) if in_clips(tower) else ()
    x = torch.ones(1, 1, *clip, size, size, dtype=torch.float64, requires_grad=True)
    y = below(tower, layer)(x)
    gradients = [torch.autograd.grad(y[..., place, place].sum(), x, retain_graph=True)[0] for place in places]
    return [ends(gradient[0, 0].sum(dim=-1).reshape(-1, size).sum(dim=0)) for gradient in gradients]


def frames_seen_by(tower: Tower, layer: str, frames: int, steps: Iterable[int]) -> list[tuple[int, int]]:
    """The first and the last frame that each time step behind a layer sees, likewise."""
    x = torch.ones(1, 1, frames, 32, 32, dtype=torch.float64, requires_grad=True)
    y = below(tower, layer)(x)
    gradients = [torch.autograd.grad(y[:, :, step].sum(), x, retain_graph=True)[0] for step in steps]
    return [ends(gradient[0, 0].sum(dim=(1, 2))) for gradient in gradients]


def ends(lit: Tensor) -> tuple[int, int]:
    seen = lit.nonzero().flatten()
    first, last = int(seen[0]), int(seen[-1])
    assert first > 0 and last < len(lit) - 1, "the clip is too small to show the whole field"
    return first, last


def in_clips(tower: Tower) -> bool:
    return any(takes_clips(tower.get_submodule(name)) for name in tower.names)


def below(tower: Tower, layer: str) -> nn.Sequential:
    return nn.Sequential(*(layers_of(tower)[name] for name in tower.below((_tap(tower, layer),))))


@lru_cache(maxsize=1)
def layers_of(tower: Tower) -> dict[str, nn.Module]:
    return {name: narrowed(tower.get_submodule(name)) for name in tower.names}


def _tap(tower: Tower, layer: str) -> str:
    return next(tap for tap, told in tower.taps.items() if told.after == layer)


def narrowed(layer: nn.Module) -> nn.Module:
    """The same windows on one channel."""
    if isinstance(layer, nn.Conv2d | nn.Conv3d):
        copied: Any = deepcopy(layer)
        shape = (1, 1, *layer.kernel_size)
        copied.weight = nn.Parameter(torch.full(shape, 1 / prod(shape), dtype=torch.float64, device="cpu"))
        copied.bias, copied.groups = None, 1
        return Summed(copied)
    if isinstance(layer, SameMaxPool2d):
        return narrowed(SameConv2d(1, 1, layer.kernel_size, layer.stride))
    if isinstance(layer, MaxPool3d):
        return narrowed(Conv3d(1, 1, layer.kernel_size, layer.stride, layer.padding, same=layer.same))
    if isinstance(layer, nn.MaxPool2d):
        return nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
    if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d | LocalResponseNorm):
        return nn.Identity()
    copied = deepcopy(layer)
    for name, child in layer.named_children():
        setattr(copied, name, narrowed(child))
    vars(copied).pop("takes_clips", None)
    return copied


class Summed(nn.Module):
    """A layer of the sum of all channels."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.sum(dim=1, keepdim=True))
        return y
