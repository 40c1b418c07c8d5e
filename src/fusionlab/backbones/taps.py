"""Taps: the named places of a tower at which a map can be read, and their spellings."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import count

from torch import nn

from fusionlab import errors
from fusionlab.backbones.layers import Window, leaves_vector, main_path, rectified


@dataclass(frozen=True)
class Tap:
    """The properties of a map taken at a layer."""

    channels: int
    stride: int  # input pixels between two neighbouring places
    side: int  # places along one side, for frames of the size that the tower is made for
    field: int  # receptive field: input pixels, along one side, that one place sees
    spatial: bool  # a map with places, rather than a vector (what the fully connected layers give)
    rectified: bool  # nothing is below zero, as behind a ReLU
    after: str  # the layer that it is read behind


def walk(layers: Mapping[str, nn.Module], channels: int, size: int) -> dict[str, Tap]:
    """The geometry behind each layer of a chain: field += (kernel - 1)·stride; stride *= the layer's.

    Kernels are square. Frames that are too small for a layer are refused.
    """
    here = Tap(channels, stride=1, side=size, field=1, spatial=True, rectified=False, after="input")
    seen: dict[str, Tap] = {}
    for name, layer in layers.items():
        for part in main_path(layer):
            here = _behind(part, here)
            if here.side < 1:
                hint = f"size={_smallest(layers, channels, size)} or more"
                raise errors.UserError("frames are too small for this tower", got=f"size={size}", hint=hint)
        here = replace(here, after=name)
        seen[name] = here
    return seen


def _behind(part: nn.Module, here: Tap) -> Tap:
    """The map behind one part."""
    spatial = here.spatial and not leaves_vector(part, here.side)
    here = replace(here, spatial=spatial, rectified=rectified(part, before=here.rectified))
    if (window := Window.of(part)) is not None:
        side, field = window.places(here.side), here.field + (window.size - 1) * here.stride
        here = replace(here, side=side, field=field, stride=here.stride * window.stride)
    return replace(here, channels=getattr(part, "out_channels", here.channels))


def _smallest(layers: Mapping[str, nn.Module], channels: int, size: int) -> int:
    """The smallest frames above `size` that are large enough for every layer."""
    parts = [part for layer in layers.values() for part in main_path(layer)]
    for larger in count(size + 1):
        here = Tap(channels, stride=1, side=larger, field=1, spatial=True, rectified=False, after="input")
        if all((here := _behind(part, here)).side >= 1 for part in parts):
            return larger
    raise AssertionError


# The last convolution of VGG-16's blocks: its relu5_3 is relu5 in other towers.
LAST = {"1": "2", "2": "2", "3": "3", "4": "3", "5": "3"}


def resolve(name: str, taps: Iterable[str]) -> str:
    """The tap that `name` means, in any case; an unknown name is an error with the nearest tap.

    Also "relu_5"; "relu5_3" where there is one relu5; "relu5" for the last of several; "fc8" for the classifier of a
    tower that calls it fc.
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
