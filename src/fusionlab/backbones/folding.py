"""Time folded into clips: two-dimensional layers see every frame alone.

Every layer of a tower takes and leaves maps (N, D, T, H, W). A two-dimensional layer gets them folded, (N·T, D, H, W),
in channels-last memory: twice as fast as the default on a CPU, and both directions are then views.
"""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn


def fold_time(x: Tensor) -> Tensor:
    """(N, D, T, H, W) -> (N·T, D, H, W), in channels-last memory (D innermost)."""
    return x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)


def unfold_time(x: Tensor, clips: int) -> Tensor:
    """(N·T, D, H, W) -> (N, D, T, H, W), N = clips."""
    return x.reshape(clips, -1, *x.shape[1:]).transpose(1, 2)


def takes_clips(layer: nn.Module) -> bool:
    """Whether a layer takes (N, D, T, H, W) itself: declared as `takes_clips`, or some part of it is three-dimensional.

    Of torch's layers the three-dimensional ones have a class whose name ends in 3d.
    """
    declared = getattr(layer, "takes_clips", None)
    if declared is not None:
        return bool(declared)
    return any(getattr(part, "takes_clips", False) or is_3d(part) for part in layer.modules())


def is_3d(layer: nn.Module) -> bool:
    """Whether it is one of torch's three-dimensional layers."""
    kinds = type(layer).__mro__
    return any(kind.__module__.startswith("torch.nn.modules.") and kind.__name__.endswith("3d") for kind in kinds)


class Clips:
    """A map (N, D, T, H, W) on its way through layers; it stays folded between two-dimensional ones."""

    def __init__(self, x: Tensor) -> None:
        self._x, self._clips, self._folded = x, x.shape[0], False

    @property
    def map(self) -> Tensor:
        return unfold_time(self._x, self._clips) if self._folded else self._x

    def fold(self) -> Self:
        """Fold time into clips, if it is not yet."""
        if not self._folded:
            self._x, self._folded = fold_time(self._x), True
        return self

    def change(self, number: Callable[[Tensor], Tensor]) -> None:
        """Change the numbers, folded or not."""
        self._x = number(self._x)

    def through(self, layer: nn.Module) -> Self:
        """Run a layer."""
        if takes_clips(layer):
            self._x, self._folded = layer(self.map), False
        else:
            self._x = layer(self.fold()._x)
        return self


def run_layer(layer: nn.Module, x: Tensor) -> Tensor:
    """(N, D, T, H, W) -> (N, D', T', H', W')"""
    return Clips(x).through(layer).map


def is_2d_kernel(value: Tensor, own: Tensor) -> bool:
    """Whether `value` is the kernel for frames of a kernel for clips."""
    return value.ndim == 4 and own.ndim == 5 and value.shape[2:] == own.shape[3:] and value.is_floating_point()


def repeat_over_time(weight: Tensor, frames: int) -> Tensor:
    """(O, I, H, W) -> (O, I, N, H, W) = w / N, so that the sum over time is w."""
    return weight.unsqueeze(2).expand(-1, -1, frames, -1, -1) / frames
