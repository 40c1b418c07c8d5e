"""A net's size as the papers count it."""

from dataclasses import dataclass

from torch import nn

from fusionlab.backbones.tower import Tower
from fusionlab.two_stream.net import Net, Stream


@dataclass(frozen=True)
class Description:
    """The size of the whole network: both towers as far as they are used, and the net's own layers.

    Where the paper has an SVM outside the network, the net has a linear classifier on a descriptor. The paper counts
    neither its layer nor its weights, so they are apart, in `svm_parameters`.
    """

    parameters: int
    layers: int  # weighted layers
    trained_parameters: int  # with the classifier in the SVM's place
    svm_parameters: int


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def norm_scales(module: nn.Module) -> int:
    """The scales of batch normalisations, which TensorFlow's networks go without."""
    norms = (part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm))
    return sum(norm.weight.numel() for norm in norms if norm.affine)


def weighted_layers(module: nn.Module) -> int:
    """Modules with a weight of their own of two axes or more: convolutions and fully connected layers."""
    return sum(any(p.ndim >= 2 for p in part.parameters(recurse=False)) for part in module.modules())


def describe(net: Net, appearance: Tower | None = None, motion: Tower | None = None) -> Description:
    """`appearance` and `motion`: the towers below the net; not those inside it."""
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
