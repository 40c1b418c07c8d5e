"""Inlets: the convolutions through which a layer reads its input, where it can be widened."""

from torch import nn

from fusionlab.backbones.layers import any_channels, is_convolution, is_residual


def inlets(layer: nn.Module) -> tuple[str, ...] | None:
    """Dotted names, within the layer, of the convolutions that read its input; "" where it is one itself. Empty where
    any number of channels passes, None where their number is fixed by something that cannot be widened: an identity
    shortcut, batch normalisation, groups.
    """
    if is_convolution(layer):
        return ("",) if getattr(layer, "groups", 1) == 1 else None
    if isinstance(layer, nn.Sequential):
        return _of_chain(layer)
    if any_channels(layer):
        return ()
    if is_residual(layer) and layer.downsample is not None:
        return _joined(("conv1", "downsample"), layer)
    return None


def _of_chain(chain: nn.Sequential) -> tuple[str, ...] | None:
    """Those of the first part that is not passed by any number of channels."""
    for name, part in chain.named_children():
        found = inlets(part)
        if found != ():
            return None if found is None else tuple(_name(name, one) for one in found)
    return ()


def _joined(children: tuple[str, ...], layer: nn.Module) -> tuple[str, ...] | None:
    """Those of several children that read the same input, if each can be widened."""
    found: list[str] = []
    for name in children:
        own = inlets(layer.get_submodule(name))
        if not own:
            return None
        found += [_name(name, one) for one in own]
    return tuple(found)


def _name(child: str, own: str) -> str:
    return f"{child}.{own}" if own else child
