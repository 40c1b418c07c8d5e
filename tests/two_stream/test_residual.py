"""Fused nets of residual towers: widened blocks, an average pool under a temporal head, statistics that stand still."""

import pytest
import torch
from torch import Tensor, nn
from two_stream_fakes import run

from fusionlab.backbones.resnet import ResNet18
from fusionlab.errors import UserError
from fusionlab.fusion.cat import Cat
from fusionlab.fusion.conv import Conv
from fusionlab.fusion.sum import Sum
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.temporal.pool3d import Pool3d
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import StreamNet

N, T, C, SIZE = 2, 3, 5, 64


def tower(channels: int, partial_bn: bool = False) -> ResNet18:
    made = ResNet18(channels, C, SIZE, partial_bn=partial_bn)
    StreamNet(made, "appearance" if channels == 3 else "motion", seed=0)
    return made.eval()


A, B = tower(3), tower(4)


def maps(layer: str) -> dict[str, dict[str, Tensor]]:
    tap, draw = A.taps[layer], torch.Generator().manual_seed(0)
    return {
        stream: {layer: torch.rand(N, tap.channels, T, tap.side, tap.side, generator=draw)}
        for stream in ("appearance", "motion")
    }


def frames(both: dict[str, dict[str, Tensor]], layer: str) -> tuple[Tensor, Tensor]:
    x_a, x_b = (both[stream][layer].transpose(1, 2).flatten(0, 1) for stream in ("appearance", "motion"))
    return x_a, x_b


def test_a_stack_widens_both_ways_into_a_block() -> None:
    """Its first convolution and its shortcut: each starts from both towers' filters side by side."""
    net = FusedNet(A, B, Cat, Pool2d, "layer2").eval()
    both = maps("layer2")
    a, b = frames(both, "layer2")
    block, other = A.layer3[0], B.layer3[0]
    main = block.bn2(block.conv2(block.bn1(block.conv1(a) + other.conv1(b)).relu()))
    short = block.downsample[1](block.downsample[0](a) + other.downsample[0](b))
    x = run(A, A.layer3[1]((main + short).relu()), "layer3")
    expected = x.unflatten(0, (N, T)).transpose(1, 2).flatten(2)
    torch.testing.assert_close(net(both), expected, rtol=1e-4, atol=1e-4)
    assert net.above["layer3"][0].conv1.in_channels == net.above["layer3"][0].downsample[0].in_channels == 256
    assert A.layer3[0].conv1.in_channels == 128  # the tower is as it was


def test_time_is_pooled_above_a_map_without_another_pooling() -> None:
    """The strongest response in time, then the tower's own average over places."""
    net = FusedNet(A, B, Sum, Pool3d, "layer4").eval()
    both = maps("layer4")
    x = (both["appearance"]["layer4"] + both["motion"]["layer4"]).amax(dim=2).mean(dim=(2, 3))
    expected = A.fc(x[..., None, None]).flatten(2)
    torch.testing.assert_close(net(both), expected)


def test_layers_and_other_towers() -> None:
    with pytest.raises(UserError, match="layer1"):
        FusedNet(A, B, Sum, Pool2d, "relu5")
    net = FusedNet(A, B, Conv, Pool2d, "fc8")  # the class scores, whatever a tower calls them
    assert net.layer_a == net.layer_b == "fc"
    assert set(FusedNet(A, B, Sum, Pool2d, "layer2+layer4+fc").beside) == {"layer3", "layer4", "avgpool", "fc"} - (
        {"avgpool"}  # left to the temporal head
    )


@pytest.mark.parametrize("partial_bn", [True, False])
def test_partial_batch_normalisation_above_the_fusion(partial_bn: bool) -> None:
    appearance, motion = tower(3, partial_bn), tower(4, partial_bn)
    appearance.requires_grad_(False)
    net = FusedNet(appearance, motion, Sum, Pool2d, "layer3").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    net.loss(maps("layer3"), torch.tensor([0, 1])).backward()
    optimiser.step()
    norms = [name for name, part in net.named_modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    for name in norms:
        for own in ("running_mean", "running_var", "weight", "bias"):
            assert (f"{name}.{own}" in moved) != partial_bn
    assert "above.layer4.0.conv1.weight" in moved
