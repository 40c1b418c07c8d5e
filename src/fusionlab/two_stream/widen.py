"""Making room above a fusion that leaves another number of channels than the tower had there."""

import torch
from torch import nn

from fusionlab import errors
from fusionlab.two_stream.cut import Cut


def widened(layer: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """The same kind of convolution for another number of input channels, not yet initialised."""
    assert not isinstance(layer.padding, str)
    return type(layer)(
        in_channels,
        layer.out_channels,
        _two(layer.kernel_size),
        _two(layer.stride),
        _two(layer.padding),
        bias=layer.bias is not None,
        device=layer.weight.device,
        dtype=layer.weight.dtype,
    )


def stack(wide: nn.Conv2d, a: Cut, b: Cut, start: Cut) -> bool:
    """Start from both towers' filters side by side, each on its own block of a stack [a, b], with the bias
    of `start`. False where the fusion left no stack: then the layer has to be drawn anew.
    """
    weights = [cut.weights.weight for cut in (a, b)]
    if sum(weight.shape[1] for weight in weights) != wide.in_channels:
        return False
    if len({(weight.shape[0], weight.shape[2:]) for weight in weights}) != 1:
        raise errors.UserError(
            "the layer above the stack cannot start from both towers' filters: they differ in shape",
            got=" and ".join(str(tuple(weight.shape)) for weight in weights),
            hint="above=fresh",
        )
    with torch.no_grad():
        wide.weight.copy_(torch.cat(weights, dim=1))
        if wide.bias is not None and start.weights.bias is not None:
            wide.bias.copy_(start.weights.bias)
    return True


def _two(sizes: tuple[int, ...]) -> tuple[int, int]:
    height, width = sizes
    return height, width
