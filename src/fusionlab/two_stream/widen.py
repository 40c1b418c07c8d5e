"""Widen the layer above a fusion that leaves another number of channels than the tower had there."""

from copy import copy
from typing import cast

import torch
from torch import nn

from fusionlab import errors
from fusionlab.two_stream.fusion_point import Cut, FusionPoint

Convolution = nn.Conv2d | nn.Conv3d


def widen(layers: nn.ModuleDict, cut: Cut, channels: int) -> dict[str, Convolution]:
    """Replace the convolutions that read the next weighted layer's input by ones that take all channels.

    Returns them by their paths; they are not initialised yet.
    """
    widened: dict[str, Convolution] = {}
    for inlet in cut.inlets or ():
        path = f"{cut.weighted}.{inlet}" if inlet else str(cut.weighted)
        above, _, own = path.rpartition(".")
        widened[path] = with_channels(cast(Convolution, layers.get_submodule(path)), channels)
        layers.get_submodule(above).add_module(own, widened[path])
    return widened


def with_channels(layer: Convolution, in_channels: int) -> Convolution:
    """The same convolution for another number of input channels, not initialised."""
    made, old = copy(layer), layer.weight
    made._parameters = dict(layer._parameters)  # the copy's own: its filters are made anew
    made.in_channels = in_channels
    shape = (old.shape[0], in_channels, *old.shape[2:])
    made.weight = nn.Parameter(torch.empty(shape, dtype=old.dtype, device=old.device))
    return made


def stack(conv: Convolution, inlet: str, point: FusionPoint, start: Cut) -> bool:
    """Start from both towers' filters side by side, each on its own block of a stack [a, b], with the bias of `start`.

    `inlet`: the convolution within the next weighted layer, "" where it is that layer itself. Returns False where the
    fusion left no stack; then the layer has to be drawn anew.
    """
    convolutions = [_reads(cut, inlet) for cut in (point.a, point.b)]
    weights = [None if own is None else own.weight for own in convolutions]
    if sum(cut.tap.channels for cut in (point.a, point.b)) != conv.in_channels:
        return False
    if any(w is None for w in weights) or len({(w.shape[0], w.shape[2:]) for w in weights if w is not None}) != 1:
        raise errors.UserError(
            f"the layer above a stack at {point.name} starts from both towers' filters, and these differ in shape",
            got=" and ".join("no such layer" if w is None else str(tuple(w.shape)) for w in weights),
            hint="above=fresh",
        )
    of_start = _reads(start, inlet)
    with torch.no_grad():
        first = 0  # block by block: torch.cat on the meta device, as in planning, would import a compiler
        for w in weights:
            assert w is not None
            conv.weight[:, first : first + w.shape[1]].copy_(w)
            first += w.shape[1]
        if conv.bias is not None and of_start is not None and of_start.bias is not None:
            conv.bias.copy_(of_start.bias)
    return True


def _reads(cut: Cut, inlet: str) -> Convolution | None:
    """The convolution at the same place above a tower's own cut."""
    if cut.weighted is None or inlet not in (cut.inlets or ()):
        return None
    return cast(Convolution, cut.tower.get_submodule(cut.weighted).get_submodule(inlet))
