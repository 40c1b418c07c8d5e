"""First values of fusion filters: stacked identities [w_a·I, w_b·I], or noise."""

from collections.abc import Callable
from functools import partial
from math import prod, sqrt

import torch
from torch import Generator, Tensor

from fusionlab.backbones.initialise import gaussian


def stacked(channels_in: int, channels_out: int, weights: tuple[float, ...]) -> Tensor:
    """[w_0·I, w_1·I, …]: a scaled identity for each block of input channels, (channels_out, channels_in)."""
    assert channels_in == channels_out * len(weights)
    return torch.cat([weight * torch.eye(channels_out) for weight in weights], dim=1)


def _identity(filters: Tensor, generator: Generator, *, weights: tuple[float, float]) -> None:
    with torch.no_grad():
        filters.copy_(stacked(filters.shape[1], filters.shape[0], weights).reshape(filters.shape))


def _noise(filters: Tensor, generator: Generator, *, variance: Callable[[int, int], float]) -> None:
    places = prod(filters.shape[2:])
    gaussian(filters, sqrt(variance(filters.shape[1] * places, filters.shape[0] * places)), generator)


# [w_a·I, w_b·I], by the names of the released code; the weights of appearance and motion.
WEIGHTS: dict[str, tuple[float, float]] = {
    "identity": (1.0, 1.0),  # equals sum; the authors' "sumAB"
    "2sumAB": (0.25, 0.75),  # motion three times as much, since its activations are about three times smaller
    "netA": (1.0, 0.0),
    "netB": (0.0, 1.0),
    "100sumAB": (0.01, 1.0),
}

# N(0, variance), from fan in and fan out: the inputs of an output, and the outputs of an input.
VARIANCES: dict[str, Callable[[int, int], float]] = {
    "gaussian": lambda fan_in, fan_out: 0.01**2,  # the authors' "classic"
    "xavier": lambda fan_in, fan_out: 2.0 / (fan_in + fan_out),  # Glorot and Bengio 2010, the normal one
    "xavierimproved": lambda fan_in, fan_out: 2.0 / fan_out,  # MatConvNet's name; He et al. 2015, for the gradient
    "he": lambda fan_in, fan_out: 2.0 / fan_in,  # He et al. 2015, for the signal
}

INITS: dict[str, Callable[[Tensor, Generator], None]] = {
    **{name: partial(_identity, weights=weights) for name, weights in WEIGHTS.items()},
    **{name: partial(_noise, variance=variance) for name, variance in VARIANCES.items()},
}
