"""A net's size as the papers count it, and whether it can be built at all, before anything is trained."""

from dataclasses import dataclass

from torch import nn

from fusionlab.backbones.tower import Tower
from fusionlab.fusion.fusion import FusionFactory
from fusionlab.temporal.temporal import TemporalFactory
from fusionlab.two_stream.fused import Above, FusedNet
from fusionlab.two_stream.net import Net, Stream


@dataclass(frozen=True)
class Description:
    """The whole network: both towers as far as they are used, and what the net adds.

    Bilinear fusion is followed by a linear classifier where the paper has an SVM outside the network. The
    paper counts neither its layer nor its weights, so they are apart, in `svm_parameters`.
    """

    parameters: int
    layers: int  # weighted layers
    trained_parameters: int  # what an optimiser moves, the classifier in the SVM's place too
    svm_parameters: int


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def weighted_layers(module: nn.Module) -> int:
    """Modules with a weight of their own of two axes or more: convolutions and fully connected layers."""
    return sum(any(p.ndim >= 2 for p in part.parameters(recurse=False)) for part in module.modules())


def describe(net: Net, appearance: Tower | None = None, motion: Tower | None = None) -> Description:
    """`appearance` and `motion`: the towers whose maps the net takes; one that is inside the net is not
    given.
    """
    towers: dict[Stream, Tower | None] = {"appearance": appearance, "motion": motion}
    beneath: list[nn.Module] = []
    for stream, taps in net.needs.items():
        tower = towers[stream]
        if tower is not None:
            beneath += [tower.get_submodule(name) for name in tower.below(taps)]
    svm = parameters(net.svm) if net.svm is not None else 0
    return Description(
        parameters=parameters(net) + sum(map(parameters, beneath)) - svm,
        layers=weighted_layers(net) + sum(map(weighted_layers, beneath)) - (net.svm is not None),
        trained_parameters=sum(p.numel() for p in net.parameters() if p.requires_grad),
        svm_parameters=svm,
    )


def check(
    appearance: Tower,
    motion: Tower,
    fusion: FusionFactory,
    temporal: TemporalFactory,
    layer: str,
    *,
    above: Above = "appearance",
    into: Stream = "appearance",
    keep: bool = False,
    tower_weight: float = 0.5,
) -> Description:
    """Build the fused net, so that whatever is wrong with it is said here, before a job starts.

    Meant for towers on the meta device, where it costs milliseconds and no memory:

    >>> import torch
    >>> from fusionlab.backbones.tiny import Tiny
    >>> from fusionlab.fusion.conv import Conv
    >>> from fusionlab.temporal.pool2d import Pool2d
    >>> with torch.device("meta"):
    ...     check(Tiny(3, classes=24), Tiny(12, classes=24), Conv, Pool2d, "relu5").layers
    14
    """
    net = FusedNet(
        appearance, motion, fusion, temporal, layer, above=above, into=into, keep=keep, tower_weight=tower_weight
    )
    return describe(net, appearance, motion)
