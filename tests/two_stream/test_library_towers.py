"""Towers from other libraries in a fused network: fusions, widened layers, copies drawn anew, freezing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.torchvision_nets import Torchvision
from fusionlab.errors import UserError
from fusionlab.fusion.cat import Cat
from fusionlab.fusion.conv import Conv
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.trunk import Trunk

CLASSES, SIZE = 5, 32


def towers(name: str = "resnet18", frames: int = 2) -> tuple[Torchvision, Torchvision]:
    made = tuple(Torchvision(channels, CLASSES, SIZE, frames, name=name) for channels in (3, 2))
    for tower in made:
        initialise(tower, 0)
    return made[0], made[1]


def batch(frames: int = 2) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    clips = {
        stream: torch.randint(0, 256, (2, channels, frames, SIZE, SIZE), dtype=torch.uint8, generator=draw)
        for stream, channels in (("appearance", 3), ("motion", 2))
    }
    return {**clips, "label": torch.arange(2)}


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["stem.2", "layer3"])
def test_a_fused_network_of_clips_trains(layer: str) -> None:
    appearance, motion = towers("r3d_18", frames=8)
    frozen = {name: value.clone() for name, value in appearance.state_dict().items()}
    net = FusedNet(appearance, motion, Conv, Pool2d, layer)
    given = batch(frames=8)
    features = Trunk(appearance, motion).features(given, net.needs)
    net.train().loss(features, given["label"]).backward()
    assert all(one.grad is not None for one in net.parameters())
    assert all(torch.equal(value, frozen[name]) for name, value in appearance.state_dict().items())
    assert net.eval()(features).shape == (2, CLASSES, 1)


@pytest.mark.parametrize("above", ["appearance", pytest.param("fresh", marks=pytest.mark.slow)])
def test_the_next_segments_convolutions_are_widened_for_a_stack(above: str) -> None:
    appearance, motion = towers()
    net = FusedNet(appearance, motion, Cat, Pool2d, "layer1", above=above)
    segment = net.above["layer2_0_add"]
    widened = [segment.get_submodule(path) for path in ("layer2.0.conv1", "layer2.0.downsample.0")]
    assert [conv.in_channels for conv in widened] == [128, 128]
    weights = widened[0].weight
    if above == "appearance":
        pair = [one.get_submodule("layer2_0_add.layer2.0.conv1").weight for one in (appearance, motion)]
        assert torch.equal(weights, torch.cat(pair, dim=1))
    else:
        assert abs(weights.std() / (2 / (128 * 9)) ** 0.5 - 1) < 0.05
    given = batch()
    features = Trunk(appearance, motion).features(given, net.needs)
    assert net.eval()(features).shape == (2, CLASSES, 2)


def test_what_cannot_be_widened_is_refused() -> None:
    with pytest.raises(UserError):
        FusedNet(*towers(), Cat, Pool2d, "layer1_0")  # an identity shortcut is above it


def test_a_tap_that_only_one_tower_has_is_refused_in_words() -> None:
    appearance, _ = towers()
    with torch.device("meta"):
        other = Torchvision(2, CLASSES, SIZE, name="vit_b_32")
        with pytest.raises(UserError, match=r"nothing can be fused at (.|\n)*no map here, but a tensor"):
            FusedNet(appearance.to("meta"), other, Conv, Pool2d, "layer1:encoder_layers_encoder_layer_3")


def test_frozen_segments_stay_in_evaluation() -> None:
    appearance, motion = towers()
    trunk = Trunk(appearance, motion).train()
    assert not any(part.training for part in appearance.modules() if isinstance(part, nn.BatchNorm2d))
    assert not trunk.get_submodule("appearance").training
