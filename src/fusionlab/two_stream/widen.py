"""Widen the layer above a fusion that leaves another number of channels than the tower had there."""

from typing import cast

import torch
from torch import nn

from fusionlab import errors
from fusionlab.backbones.inlets import inlets
from fusionlab.two_stream.fusion_point import Cut, FusionPoint


def widen(layers: nn.ModuleDict, name: str, channels: int) -> dict[str, nn.Conv2d]:
    """Replace the convolutions that read the layer's input by ones that take all channels.

    Returns them by their paths; they are not initialised yet.
    """
    widened: dict[str, nn.Conv2d] = {}
    for inlet in inlets(layers[name]) or ():
        path = f"{name}.{inlet}" if inlet else name
        above, _, own = path.rpartition(".")
        widened[path] = _with_channels(cast(nn.Conv2d, layers.get_submodule(path)), channels)
        layers.get_submodule(above).add_module(own, widened[path])
    return widened


def _with_channels(layer: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """The same convolution for another number of input channels, not initialised."""
    assert not isinstance(layer.padding, str)
    return type(layer)(
        in_channels,
        layer.out_channels,
        _two(layer.kernel_size),
        _two(layer.stride),
        _two(layer.padding),
        _two(layer.dilation),
        bias=layer.bias is not None,
        device=layer.weight.device,
        dtype=layer.weight.dtype,
    )


def stack(conv: nn.Conv2d, inlet: str, point: FusionPoint, start: Cut) -> bool:
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


def _reads(cut: Cut, inlet: str) -> nn.Conv2d | None:
    """The convolution at the same place above a tower's own cut."""
    layer = None if cut.weighted is None else cut.tower.get_submodule(cut.weighted)
    if layer is None or inlet not in (inlets(layer) or ()):
        return None
    return cast(nn.Conv2d, layer.get_submodule(inlet))


def _two(sizes: tuple[int, ...]) -> tuple[int, int]:
    height, width = sizes
    return height, width
