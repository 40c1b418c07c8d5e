"""A fused network's modules called one after the other, as in a script: the reference of the bench.

Conv fusion at a layer of two equal towers, pool2d, the layers above, cross-entropy: the same modules with the same
weights, without the machinery that makes them exchangeable. Both begin with a batch of the loader, clips of bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from fusionlab.backbones.tower import Tower
from fusionlab.fusion.conv import Conv
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.two_stream.fused import FusedNet

CHANNELS_LAST = torch.channels_last


@torch.no_grad()
def below(tower: Tower, clips: Tensor, layer: str, memory: torch.memory_format = CHANNELS_LAST) -> Tensor:
    """(N, D, T, H, W) bytes -> the frames' maps at a layer, (N·T, D', H', W')."""
    x = clips.transpose(1, 2).flatten(0, 1).contiguous(memory_format=memory)
    x = (x.float() - tower.mean[:, :, 0]) / tower.scale[:, :, 0]
    for name in tower.below([layer]):
        x = tower.get_submodule(name)(x)
    return x


def above(net: FusedNet, x_a: Tensor, x_b: Tensor, label: Tensor) -> Tensor:
    """The loss, from both towers' maps of all frames."""
    assert isinstance(net.fusion, Conv) and isinstance(net.temporal, Pool2d) and net.rectified == [True]
    filters, pool = net.fusion.filters, net.temporal.pool
    assert pool is not None
    x = pool(F.conv2d(torch.cat((x_a, x_b), dim=1), filters.weight, filters.bias).relu())
    for layer in net.above.values():
        x = layer(x)
    return F.cross_entropy(x.flatten(1), label.repeat_interleave(len(x) // len(label)))


def loss(
    appearance: Tower,
    motion: Tower,
    net: FusedNet,
    batch: Mapping[str, Tensor],
    memory: torch.memory_format = CHANNELS_LAST,
) -> Tensor:
    """The whole network."""
    x_a = below(appearance, batch["appearance"], net.layer_a, memory)
    x_b = below(motion, batch["motion"], net.layer_b, memory)
    return above(net, x_a, x_b, batch["label"])
