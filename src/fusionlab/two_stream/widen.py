"""Making room above a fusion that leaves another number of channels than the tower had there."""

import torch
from torch import nn

from fusionlab import errors
from fusionlab.backbones.inlets import inlets
from fusionlab.two_stream.cut import Cut
from fusionlab.two_stream.fusion_point import Meeting


def widen(column: nn.ModuleDict, name: str, channels: int) -> dict[str, nn.Conv2d]:
    """Put convolutions that take all channels in the place of those that read the layer's input.

    Returns them by their names within the column; they are not initialised yet.
    """
    wide: dict[str, nn.Conv2d] = {}
    for inlet in inlets(column[name]) or ():
        path = f"{name}.{inlet}" if inlet else name
        above, _, own = path.rpartition(".")
        narrow = column.get_submodule(path)
        assert isinstance(narrow, nn.Conv2d)
        wide[path] = widened(narrow, channels)
        column.get_submodule(above).add_module(own, wide[path])
    return wide


def widened(layer: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """The same kind of convolution for another number of input channels, not yet initialised."""
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


def stack(wide: nn.Conv2d, inlet: str, meeting: Meeting, start: Cut) -> bool:
    """Start from both towers' filters side by side, each on its own block of a stack [a, b], with the bias of
    `start`. False where the fusion left no stack: then the layer has to be drawn anew.

    `inlet`: the convolution within the next weighted layer, "" where it is that layer itself.
    """
    convolutions = [_reads(cut, inlet) for cut in (meeting.a, meeting.b)]
    weights = [None if conv is None else conv.weight for conv in convolutions]
    if sum(cut.tap.channels for cut in (meeting.a, meeting.b)) != wide.in_channels:
        return False
    if any(w is None for w in weights) or len({(w.shape[0], w.shape[2:]) for w in weights if w is not None}) != 1:
        raise errors.UserError(
            f"the layer above a stack at {meeting.name} starts from both towers' filters, and these differ in shape",
            got=" and ".join("no such layer" if w is None else str(tuple(w.shape)) for w in weights),
            hint="above=fresh",
        )
    of_start = _reads(start, inlet)
    with torch.no_grad():
        first = 0  # block by block: torch.cat of weights without memory, as planning has them, imports a compiler
        for w in weights:
            assert w is not None
            wide.weight[:, first : first + w.shape[1]].copy_(w)
            first += w.shape[1]
        if wide.bias is not None and of_start is not None and of_start.bias is not None:
            wide.bias.copy_(of_start.bias)
    return True


def _reads(cut: Cut, inlet: str) -> nn.Conv2d | None:
    """The convolution at the same place above a tower's own cut."""
    layer = None if cut.weighted is None else cut.tower.get_submodule(cut.weighted)
    if layer is None or inlet not in (inlets(layer) or ()):
        return None
    conv = layer.get_submodule(inlet)
    assert isinstance(conv, nn.Conv2d)
    return conv


def _two(sizes: tuple[int, ...]) -> tuple[int, int]:
    height, width = sizes
    return height, width
