"""Two-dimensional layers see every frame alone; a chain of them is bit for bit what it is on frames."""

import pytest
import torch
from torch import Tensor, nn

from fusionlab.backbones.folding import Clips, fold_time, run_layer, takes_clips, unfold_time
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.resnet import ResNet18
from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower

N, T = 2, 3


def clip(channels: int, size: int, clips: int = N, frames: int = T) -> Tensor:
    return torch.randn(clips, channels, frames, size, size, generator=torch.Generator().manual_seed(0))


class Declares(nn.Module):
    def __init__(self, clips: bool) -> None:
        super().__init__()
        self.takes_clips = clips


@pytest.mark.parametrize(
    "layer, clips",
    [
        (nn.Conv3d(1, 1, 1), True), (nn.MaxPool3d(2), True), (nn.BatchNorm3d(2), True),
        (nn.AdaptiveAvgPool3d(1), True), (nn.Sequential(nn.ReLU(), nn.Sequential(nn.Conv3d(1, 1, 1))), True),
        (nn.Conv2d(1, 1, 1), False), (nn.MaxPool2d(2), False), (nn.ReLU(), False), (nn.Sequential(), False),
        (Declares(True), True), (Declares(False), False), (nn.Sequential(Declares(True)), True),
    ],
    ids=repr,
)  # fmt: skip
def test_which_layers_take_clips(layer: nn.Module, clips: bool) -> None:
    assert takes_clips(layer) == clips


def test_a_layer_of_frames_sees_each_alone_and_one_of_clips_the_clip() -> None:
    x = clip(2, 5)
    flat, deep = nn.Conv2d(2, 3, 3), nn.Conv3d(2, 3, 3)
    alone = torch.stack([flat(x[:, :, t]) for t in range(T)], dim=2)
    torch.testing.assert_close(run_layer(flat, x), alone)
    assert torch.equal(run_layer(deep, x), deep(x))


@pytest.mark.parametrize("clips, frames", [(N, T), (1, T), (N, 1), (1, 1)])
@pytest.mark.parametrize("make", [Tiny, ResNet18])
def test_a_chain_has_the_bits_of_frames(make: type[Tower], clips: int, frames: int) -> None:
    """Against the layers on frames (N·T, D, H, W), as they were run before a layer took clips: maps and gradients."""
    tower = make(3, 5, 64).eval()
    initialise(tower, 0)
    layers = [tower.get_submodule(name) for name in tower.names[:-1]]
    x = clip(3, 64, clips, frames)
    found = []
    for way in ("clips", "frames"):
        tower.zero_grad()
        y = tower(x) if way == "clips" else unfold_time(nn.Sequential(*layers)(fold_time(x)), clips)
        y.square().sum().backward()
        found.append([y.detach(), *(p.grad.clone() for p in tower.parameters() if p.grad is not None)])
    assert len(found[0]) > 10 and all(map(torch.equal, *found))


def test_maps_stay_folded_between_layers_of_frames_and_are_views() -> None:
    moving = Clips(clip(4, 6))
    first = moving.fold()._x
    assert moving.fold()._x is first, "folded once"
    moving.through(nn.Identity())
    assert moving.map.data_ptr() == first.data_ptr() and moving.map.shape == (N, 4, T, 6, 6)
    assert moving.through(nn.MaxPool3d((T, 1, 1))).map.shape == (N, 4, 1, 6, 6)


def test_in_a_tower_of_clips_layers_without_places_take_clips_too() -> None:
    layers = {"conv": nn.Conv3d(3, 4, 3), "relu": nn.ReLU(), "pool": nn.MaxPool2d(2), "fc": nn.Conv3d(4, 2, 1)}
    tower = Tower(layers | {"softmax": nn.Softmax(dim=1)}, {"relu": "relu", "fc": "fc", "softmax": "softmax"}, 3, 12)
    taken = {name: takes_clips(tower.get_submodule(name)) for name in tower.names}
    assert taken == {"conv": True, "relu": True, "pool": False, "fc": True, "softmax": True}
    flat = Tiny(3, 5)
    assert not any(takes_clips(layer) for layer in flat.children())
