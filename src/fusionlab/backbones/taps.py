"""Taps: the named places of a tower at which a map can be read, and their spellings."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from fusionlab import errors
from fusionlab.backbones.folding import takes_clips
from fusionlab.backbones.geometry import Measured, Place, measure

FRAMES = 64  # of the clips with which taps are measured


@dataclass(frozen=True)
class Tap:
    """The properties of a map taken at a layer."""

    channels: int
    stride: int  # input pixels between two neighbouring places
    side: int  # places along one side, for frames of the size that the tower is made for
    field: int | None  # receptive field: input pixels, along one side, that one place sees; None: unknown
    spatial: bool  # a map with places, rather than a vector (what the fully connected layers give)
    rectified: bool  # nothing is below zero, as behind a ReLU
    after: str  # the layer that it is read behind
    time_stride: int = 1  # frames between two neighbouring time steps
    time_field: int | None = 1  # frames that one step sees; None: unknown, or the whole clip


@dataclass(frozen=True)
class LayerGeometry:
    """What a layer of a chain leaves, and what reads its input."""

    tap: Tap
    steps: int  # of time, for the measured number of frames
    inlets: tuple[str, ...] | None


def walk(layers: Mapping[str, nn.Module], channels: int, size: int, frames: int = FRAMES) -> dict[str, LayerGeometry]:
    """The geometry behind each layer of a chain, for square frames. Frames that are too small are refused."""
    frames = frames if any(takes_clips(layer) for layer in layers.values()) else 1
    found = _chain(layers, channels, size, frames)
    if len(found) < len(layers):
        hint = f"size={_smallest(layers, channels, size, frames)} or more"
        raise errors.UserError("frames are too small for this tower", got=f"size={size}", hint=hint)
    geometry = {}
    for name, one in found.items():
        depth, steps, side, _ = one.shape
        place = one.place
        tap = Tap(
            depth, place.stride, side, place.field, place.spatial, place.rectified, name, place.time_stride,
            place.time_field,
        )  # fmt: skip
        geometry[name] = LayerGeometry(tap, steps, one.inlets)
    return geometry


def _chain(layers: Mapping[str, nn.Module], channels: int, size: int, frames: int) -> dict[str, Measured]:
    """The layers up to the first for which the map is too small."""
    shape, place = (channels, frames, size, size), Place()
    found: dict[str, Measured] = {}
    for name, layer in layers.items():
        try:
            found[name] = measure(layer, shape, place)
        except RuntimeError as error:
            if not _TOO_SMALL.search(str(error)):
                raise
            return found
        shape, place = found[name].shape, found[name].place
        if min(shape) < 1:
            del found[name]
            return found
    return found


_TOO_SMALL = re.compile(r"[Kk]ernel size can't be greater|[Oo]utput size is too small|too small|should be at least")


def _smallest(layers: Mapping[str, nn.Module], channels: int, size: int, frames: int) -> int:
    """The smallest frames above `size` that are large enough for every layer."""
    low, high = size, 2 * size
    while len(_chain(layers, channels, high, frames)) < len(layers):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if len(_chain(layers, channels, middle, frames)) < len(layers):
            low = middle
        else:
            high = middle
    return high


# The last convolution of VGG-16's blocks: its relu5_3 is relu5 in other towers.
LAST = {"1": "2", "2": "2", "3": "3", "4": "3", "5": "3"}


def resolve(name: str, taps: Iterable[str]) -> str:
    """The tap that `name` means, in any case; an unknown name is an error with the nearest tap.

    Also "relu_5"; "relu5_3" where there is one relu5; "relu5" for the last of relu5_1 … relu5_3, and "layer1" or
    "features.3" for the last of what lies in it; "fc8" for the classifier of a tower that calls it fc.
    """
    known = list(taps)
    flat = {tap.lower().replace("_", ""): tap for tap in known}
    asked = re.sub(r"[\s_\-.]", "", name.lower())
    if asked in flat:
        return flat[asked]
    whole = re.fullmatch(r"([a-z]+(\d))(\d)", asked)
    if whole and whole[1] in flat and LAST.get(whole[2]) == whole[3]:
        return flat[whole[1]]
    words = re.split(r"[\s_\-.]", name.lower())
    if within := [tap for tap in known if tap.lower().split("_")[: len(words)] == words]:
        return within[-1]
    if asked == "fc8" and "fc" in flat:
        return flat["fc"]
    raise errors.unknown("layer", name, known, form="layer={}")
