"""Taps: the named places of a tower where a map may be taken out, and how people spell them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

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
    layer's. Frames of which a layer would leave nothing are refused.
    """
    here = Tap(channels, stride=1, side=size, field=1, spatial=True, rectified=False, after="input")
    seen: dict[str, Tap] = {}
    for name, layer in layers.items():
        for part in main_path(layer):
            here = _behind(part, here)
            if here.side < 1:
                hint = f"size={_smallest(layers, channels, size)} or more"
                raise errors.UserError("frames are too small for this tower", got=f"size={size}", hint=hint)
        here = replace(here, after=name, spatial=here.spatial and not name.startswith("fc"))
        seen[name] = here
    return seen


def is_residual(layer: nn.Module) -> bool:
    """Whether this is one of torchvision's residual blocks: y = relu(path(x) + shortcut(x)), where `downsample` is the
    shortcut, or None for x itself.
    """
    return hasattr(layer, "downsample") and isinstance(getattr(layer, "relu", None), nn.ReLU)


def main_path(layer: nn.Module) -> Iterator[nn.Module]:
    """A layer's parts in the order in which a map passes them; of a residual block those of the longer way, which
    decides what one place sees, and the ReLU that both ways end in.
    """
    if isinstance(layer, nn.Sequential):
        for child in layer:
            yield from main_path(child)
    elif is_residual(layer):
        yield from (part for name, part in layer.named_children() if name not in ("relu", "downsample"))
        yield layer.get_submodule("relu")
    else:
        yield layer


def _behind(part: nn.Module, here: Tap) -> Tap:
    """What one part makes of the map before it."""
    if isinstance(part, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        kernel, stride, _ = _window(part)
        # An average over the whole map leaves a vector; so does a convolution, but that is told by its name (fc…).
        vector = isinstance(part, nn.AvgPool2d) and kernel == here.side
        here = replace(
            here,
            side=_side(part, here.side),
            field=here.field + (kernel - 1) * here.stride,
            stride=here.stride * stride,
            spatial=here.spatial and not vector,
        )
    if isinstance(part, nn.Conv2d):
        here = replace(here, channels=part.out_channels)
    if isinstance(part, nn.Conv2d | nn.ReLU | nn.Softmax | nn.BatchNorm2d):
        here = replace(here, rectified=isinstance(part, nn.ReLU))
    return here


def _window(part: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) -> tuple[int, int, int]:
    """Kernel, stride and padding along one side; a dilated kernel is as large as what it spans."""
    assert not isinstance(part.padding, str)
    spread = 1 if isinstance(part, nn.AvgPool2d) else pair(part.dilation)[0]
    return spread * (pair(part.kernel_size)[0] - 1) + 1, pair(part.stride)[0], pair(part.padding)[0]


def _side(part: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d, side: int) -> int:
    """The number of windows along `side` places; where a pool rounds up, the last must begin inside."""
    kernel, stride, padding = _window(part)
    room = side + 2 * padding - kernel
    if isinstance(part, nn.Conv2d) or not part.ceil_mode:
        return room // stride + 1
    windows = -(-room // stride) + 1
    return windows - 1 if (windows - 1) * stride >= side + padding else windows


def _smallest(layers: Mapping[str, nn.Module], channels: int, size: int) -> int:
    """The smallest frames above `size` of which something is left behind every layer."""
    parts = [part for layer in layers.values() for part in main_path(layer)]
    for larger in count(size + 1):
        here = Tap(channels, stride=1, side=larger, field=1, spatial=True, rectified=False, after="input")
        if all((here := _behind(part, here)).side >= 1 for part in parts):
            return larger
    raise AssertionError


# Of VGG-16's blocks: relu5_3 is what other towers call relu5.
LAST = {"1": "2", "2": "2", "3": "3", "4": "3", "5": "3"}


def resolve(name: str, taps: Iterable[str]) -> str:
    """The tap that is meant by `name`: any case, "relu_5", "relu5_3" where there is one relu5, "relu5" for
    the last of several, "fc8" for the classifier of a tower that calls it fc. A wrong name is answered with
    the nearest right one.
    """
    known = list(taps)
    flat = {tap.lower().replace("_", ""): tap for tap in known}
    asked = re.sub(r"[\s_\-]", "", name.lower())
    if asked in flat:
        return flat[asked]
    whole = re.fullmatch(r"([a-z]+(\d))(\d)", asked)
    if whole and whole[1] in flat and LAST.get(whole[2]) == whole[3]:
        return flat[whole[1]]
    if parts := sorted(tap for tap in known if re.fullmatch(rf"{re.escape(asked)}_\d+", tap.lower())):
        return parts[-1]
    if asked == "fc8" and "fc" in flat:
        return flat["fc"]
    raise errors.unknown("layer", name, known, form="layer={}")
