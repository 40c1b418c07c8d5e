"""Taps: the named places of a tower where a map may be taken out, and how people spell them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from torch import nn

from fusionlab import errors


@dataclass(frozen=True)
class Tap:
    """What a map taken at a layer is like."""

    channels: int
    stride: int  # input pixels between two neighbouring places
    side: int  # places along one side, for frames of the size that the tower is made for
    field: int  # receptive field: input pixels, along one side, that one place sees
    spatial: bool  # a map with places, rather than a vector (what the fully connected layers give)
    rectified: bool  # comes out of a ReLU: nothing below zero
    after: str  # the layer that it is read behind


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """One number for both sides, or one for each (height, width)."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def walk(layers: Mapping[str, nn.Module], channels: int, size: int) -> dict[str, Tap]:
    """The geometry behind each layer of a chain (square kernels): field += (kernel - 1)·stride; stride *= the
    layer's.
    """
    here = Tap(channels, stride=1, side=size, field=1, spatial=True, rectified=False, after="input")
    seen: dict[str, Tap] = {}
    for name, layer in layers.items():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            kernel, stride = pair(layer.kernel_size)[0], pair(layer.stride)[0]
            field = here.field + (kernel - 1) * here.stride
            here = replace(here, side=_side(layer, here.side), field=field, stride=here.stride * stride)
        if isinstance(layer, nn.Conv2d):
            here = replace(here, channels=layer.out_channels)
        if isinstance(layer, nn.Conv2d | nn.ReLU | nn.Softmax):
            here = replace(here, rectified=isinstance(layer, nn.ReLU))
        here = replace(here, after=name, spatial=here.spatial and not name.startswith("fc"))
        seen[name] = here
    return seen


def _side(layer: nn.Conv2d | nn.MaxPool2d, side: int) -> int:
    """The number of windows along `side` places; where a pool rounds up, the last must begin inside."""
    assert not isinstance(layer.padding, str)
    kernel, stride, padding = pair(layer.kernel_size)[0], pair(layer.stride)[0], pair(layer.padding)[0]
    room = side + 2 * padding - kernel
    if not (isinstance(layer, nn.MaxPool2d) and layer.ceil_mode):
        return room // stride + 1
    windows = -(-room // stride) + 1
    return windows - 1 if (windows - 1) * stride >= side + padding else windows


def resolve(name: str, taps: Iterable[str]) -> str:
    """The tap that is meant by `name`: any case, "relu_5", "relu5_3" where there is one relu5, "relu5" for
    the last of several. A wrong name is answered with the nearest right one.
    """
    known = list(taps)
    flat = {tap.lower().replace("_", ""): tap for tap in known}
    asked = re.sub(r"[\s_\-]", "", name.lower())
    if asked in flat:
        return flat[asked]
    if (whole := re.fullmatch(r"([a-z]+\d)\d", asked)) and whole[1] in flat:
        return flat[whole[1]]
    if parts := sorted(tap for tap in known if re.fullmatch(rf"{re.escape(asked)}_\d+", tap.lower())):
        return parts[-1]
    raise errors.unknown("layer", name, known, form="layer={}")
