"""What one place of a map sees, found by gradients: an oracle that knows nothing of the towers' arithmetic."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from fusionlab.backbones.lrn import LocalResponseNorm
from fusionlab.backbones.tower import Tower


def seen_by(tower: Tower, layer: str, size: int, place: int) -> tuple[int, int]:
    """The first and the last input row that place (place, place) behind a layer sees, in frames of this size.

    The tower's own layers, narrowed to one channel: every filter is positive, and a maximum is an average, so that
    the gradient is above zero exactly where the place looks. None may look beyond the frame's edge.
    """
    layers = nn.Sequential(*(narrowed(tower.get_submodule(name)) for name in tower.below((_tap(tower, layer),))))
    x = torch.ones(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    y: Tensor = layers(x)
    (gradient,) = torch.autograd.grad(y[0, 0, place, place], x)
    rows = gradient[0, 0].sum(dim=1).nonzero().flatten()
    first, last = int(rows[0]), int(rows[-1])
    assert first > 0 and last < size - 1, "the frame is too small to show the whole field"
    return first, last


def _tap(tower: Tower, layer: str) -> str:
    return next(tap for tap, told in tower.taps.items() if told.after == layer)


def narrowed(layer: nn.Module) -> nn.Module:
    """The same windows on one channel."""
    if isinstance(layer, nn.Conv2d):
        conv = nn.Conv2d(
            1, 1, layer.kernel_size, layer.stride, layer.padding, bias=False, device="cpu", dtype=torch.float64
        )  # type: ignore[arg-type]
        nn.init.constant_(conv.weight, 1 / conv.weight.numel())
        return conv
    if isinstance(layer, nn.MaxPool2d):
        return nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
    if isinstance(layer, nn.BatchNorm2d | LocalResponseNorm):
        return nn.Identity()
    copied = deepcopy(layer)
    for name, child in layer.named_children():
        setattr(copied, name, narrowed(child))
    return copied
