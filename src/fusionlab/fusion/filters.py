"""How fusion filters start: stacked identities [w_a·I, w_b·I], or noise."""

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


def _noise(filters: Tensor, generator: Generator) -> None:
    gaussian(filters, 0.01, generator)


def _he(filters: Tensor, generator: Generator) -> None:
    gaussian(filters, sqrt(2.0 / prod(filters.shape[1:])), generator)


INITS: dict[str, Callable[[Tensor, Generator], None]] = {
    "identity": partial(_identity, weights=(1.0, 1.0)),  # equals sum
    "gaussian": _noise,  # N(0, 0.01²)
    "he": _he,  # N(0, 2 / fan in)
}
