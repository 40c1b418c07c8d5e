"""Inlets: the convolutions that read a layer's input, which have to be widened for more channels."""

from torch import nn

from fusionlab.backbones.layers import any_channels, is_chain, is_convolution, is_residual


def inlets(layer: nn.Module) -> tuple[str, ...] | None:
    """The paths, within the layer, of the convolutions that read its input; "" where it is one itself.

    Empty where any number of channels passes; None where something that cannot be widened fixes their number: an
    identity shortcut, batch normalisation, groups.
    """
    if is_convolution(layer):
        return ("",) if getattr(layer, "groups", 1) == 1 else None
    if is_chain(layer):
        return _of_chain(layer)
    if any_channels(layer):
        return ()
    if is_residual(layer) and layer.downsample is not None:
        return _joined(("conv1", "downsample"), layer)
    return None


def _of_chain(chain: nn.Module) -> tuple[str, ...] | None:
    """Those of the first part that needs a certain number of channels."""
    for name, part in chain.named_children():
        own = inlets(part)
        if own != ():
            return None if own is None else tuple(_name(name, one) for one in own)
    return ()


def _joined(children: tuple[str, ...], layer: nn.Module) -> tuple[str, ...] | None:
    """Those of several children that read the same input, if each can be widened."""
    paths: list[str] = []
    for name in children:
        own = inlets(layer.get_submodule(name))
        if not own:
            return None
        paths += [_name(name, one) for one in own]
    return tuple(paths)


def _name(child: str, own: str) -> str:
    return f"{child}.{own}" if own else child
