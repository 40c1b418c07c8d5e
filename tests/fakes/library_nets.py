"""A network of another library beside the tower that was made of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionlab.backbones.graph import GraphTower, build_quietly


def with_statistics(tower: GraphTower, seed: int = 0) -> GraphTower:
    """In float64, with statistics of batch normalisation that matter."""
    draw = torch.Generator().manual_seed(seed)
    for part in tower.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            part.running_mean.normal_(0, 0.1, generator=draw)
            assert part.running_var is not None
            part.running_var.uniform_(0.5, 1.5, generator=draw)
    return tower.double()


def whole_of(tower: GraphTower) -> nn.Module:
    """The library's network with the tower's weights."""
    whole = build_quietly(tower.build).double()
    own, state = tower.state_dict(), whole.state_dict()
    for name, source in tower.sources.items():
        state[source] = own[name].reshape(state[source].shape)
    for tied in tower.unused:
        state.pop(tied)
    whole.load_state_dict(state, strict=not tower.unused)
    return whole


def input_of(tower: GraphTower, clips: int = 2) -> Tensor:
    """(N, D, T, H, W), with T = 1 for networks of images."""
    shape = (clips, tower.in_channels, tower.frames or 1, tower.size, tower.size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def seen_by_library(tower: GraphTower, x: Tensor) -> Tensor:
    return x if tower.frames else x[:, :, 0]


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=0, atol=1e-10 * max(1.0, float(other.detach().abs().max())))
