"""Inflation of any 2D tower: a video that stands still is a picture."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from fusionlab.backbones.inception import Inception
from fusionlab.backbones.inflate import Inflated, Time, inflate
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.lrn import LocalResponseNorm
from fusionlab.backbones.norm import StillNorm2d, StillNorm3d
from fusionlab.backbones.resnet import ResNet18, ResNet50
from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.torchvision_nets import Torchvision
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.vgg16 import Vgg16
from fusionlab.errors import UserError
from fusionlab.testing import tower_contract as contract

Make = Callable[..., Tower]
SMALL_TINY = partial(Tiny, width=4)
CHANNELS, CLASSES = 2, 5


class Residual(nn.Module):
    """y = relu(norm(conv(x)) + lrn(x))"""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.lrn, self.relu = LocalResponseNorm(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.norm(self.conv(x)) + self.lrn(x))
        return y


class Mean(Tower):
    """With a mean of all places at its end, and a layer inside a block that has no rule."""

    def __init__(self, in_channels: int, classes: int, size: int = 16) -> None:
        layers = {
            "conv1": nn.Conv2d(in_channels, 6, 5, stride=2, padding=2),
            "block": Residual(),
            "pool": nn.MaxPool2d(3, 2, ceil_mode=True),
            "squeeze": nn.AvgPool2d(2, 2),
            "norm": LocalResponseNorm(),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "fc": nn.Conv2d(6, classes, 1),
            "softmax": nn.Softmax(dim=1),
        }
        super().__init__(layers, {name: name for name in layers}, in_channels, size, mean=120.0, scale=50.0)


def pair(make: Make, size: int, strides: dict[str, int], ends: str = "repeat") -> tuple[Tower, Inflated]:
    """A 2D tower with statistics that matter, and the tower that is inflated from it."""
    made: list[Tower] = []

    def kept(*numbers: int) -> Tower:
        made.append(make(*numbers))
        initialise(made[0], seed=0)
        draw = torch.Generator().manual_seed(1)
        for part in made[0].modules():
            if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None and part.running_var is not None:
                part.running_mean.normal_(0, 0.1, generator=draw)
                part.running_var.uniform_(0.5, 1.5, generator=draw)
        return made[0].double().eval()

    inflated = Inflated(CHANNELS, CLASSES, size, tower=kept, time_strides=strides, time_ends=ends)  # type: ignore[arg-type]
    return made[0], inflated.double().eval()


def still(size: int, frames: int) -> Tensor:
    draw = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (2, CHANNELS, 1, size, size), generator=draw, dtype=torch.uint8).expand(
        -1, -1, frames, -1, -1
    )


TOWERS = [
    (SMALL_TINY, 24, {}),
    (SMALL_TINY, 24, {"conv1": 2, "pool5": 2}),
    (partial(Inception, width=0.0625), 48, {"conv1": 2, "pool2": 2, "pool4": 2}),
    (Mean, 16, {"conv1": 2, "squeeze": 2}),
    pytest.param(ResNet18, 32, {"conv1": 2, "layer3": 2}, marks=pytest.mark.slow),
    pytest.param(ResNet50, 32, {"maxpool": 2, "layer4": 2}, marks=pytest.mark.slow),
    pytest.param(Vgg16, 32, {"pool3": 2}, marks=pytest.mark.slow),
    *(
        pytest.param(partial(Torchvision, name=name), 64, {}, marks=pytest.mark.slow, id=name)
        for name in ("resnet18", "mobilenet_v2", "efficientnet_b0", "densenet121", "vgg11")
    ),
]


@pytest.mark.parametrize("make, size, strides", TOWERS)
@torch.no_grad()
def test_a_still_video_gives_the_maps_of_one_frame(make: Make, size: int, strides: dict[str, int]) -> None:
    """Everywhere, where time is padded with the frames at its ends."""
    flat, inflated = pair(make, size, strides)
    assert list(inflated.taps) == list(flat.taps)
    frames = 4 * inflated.time_stride
    x = still(size, frames)
    expected, found = flat.collect(x[:, :, :1], flat.taps), inflated.collect(x, inflated.taps)
    for tap, y in found.items():
        assert y.shape[2] == inflated.steps(tap, frames) >= 2 or not flat.taps[tap].spatial
        assert torch.allclose(y, expected[tap].expand_as(y), atol=1e-9 * float(expected[tap].abs().max())), tap


@torch.no_grad()
def test_padded_with_zeros_it_does_within_the_clip_and_not_at_its_ends() -> None:
    flat, inflated = pair(SMALL_TINY, 24, {}, ends="zeros")
    x = still(24, 13)
    expected, found = flat.collect(x[:, :, :1], flat.taps), inflated.collect(x, inflated.taps)
    for tap in ("conv1", "relu2", "relu5"):
        time_field = inflated.taps[tap].time_field
        assert time_field is not None and time_field % 2 and time_field < 13
        reach = time_field // 2
        inner = found[tap][:, :, reach : 13 - reach]
        assert torch.allclose(inner, expected[tap].expand_as(inner), atol=1e-9), tap
        for end in (0, -1):
            assert not torch.allclose(found[tap][:, :, end], expected[tap][:, :, 0], atol=0.01), tap


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_kernels_sum_over_time_is_the_2d_kernel(kernel: int) -> None:
    flat = nn.Conv2d(3, 4, kernel, padding=kernel // 2)
    made = inflate(flat, Time())
    assert isinstance(made, nn.Conv3d) and made.weight.shape == (4, 3, kernel, kernel, kernel)
    assert torch.allclose(made.weight.sum(2), flat.weight, atol=1e-7)
    assert all(torch.equal(made.weight[:, :, t], flat.weight / kernel) for t in range(kernel))
    assert made.bias is not None and torch.equal(made.bias, flat.bias)
    assert inflate(flat, Time(deep=False)).weight.shape == (4, 3, 1, kernel, kernel)


def test_windows_in_time() -> None:
    """Of pools: as large as in space where they have a stride in time, or none at all; else one frame."""
    pool, within = nn.MaxPool2d(3, 2, padding=1), nn.MaxPool2d(3, 1, padding=1)
    for flat, time, window, stride, padding in (
        (pool, Time(), 1, 1, 0), (pool, Time(2), 3, 2, 1), (within, Time(2), 3, 1, 1),
        (within, Time(deep=False), 1, 1, 0), (pool, Time(2, deep=False), 3, 2, 1),
    ):  # fmt: skip
        made = inflate(flat, time)
        assert isinstance(made, nn.MaxPool3d)
        assert (made.kernel_size[0], made.stride[0], made.padding[0]) == (window, stride, padding)  # type: ignore[index]


def test_norms_stay_what_they_are() -> None:
    flat = nn.BatchNorm2d(3, eps=0.01, momentum=0.3)
    nn.init.normal_(flat.weight)
    made = inflate(flat, Time())
    assert isinstance(made, nn.BatchNorm3d) and (made.eps, made.momentum) == (0.01, 0.3)
    assert torch.equal(made.weight, flat.weight)
    fixed = inflate(StillNorm2d(3, eps=0.01), Time())
    assert isinstance(fixed, StillNorm3d) and fixed.eps == 0.01 and not fixed.weight.requires_grad


def test_the_2d_module_is_left_as_it_was() -> None:
    flat = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Sequential(nn.MaxPool2d(2, 2)))
    made = inflate(flat, Time())
    assert isinstance(flat[0], nn.Conv2d) and isinstance(flat[1][0], nn.MaxPool2d)
    assert isinstance(made, nn.Sequential) and isinstance(made[1][0], nn.MaxPool3d)


@pytest.mark.parametrize("make, size", [(SMALL_TINY, 24), (partial(Inception, width=0.0625), 48)])
def test_contract(make: Make, size: int) -> None:
    contract.check(partial(Inflated, size=size, tower=make, time_strides={}))
    contract.check(partial(Inflated, size=size, tower=make, time_strides={"conv1": 2}, time_ends="repeat"))


def test_parameters() -> None:
    """Each k×k k times; the fully connected layers once."""
    for make, size, deep in ((ResNet18, 64, (7, 3)), (Vgg16, 64, (3,))):
        with torch.device("meta"):
            flat, made = make(3, 5, size), Inflated(3, 5, size, tower=make, time_strides={})
        more = 0
        for name, part in flat.named_modules():
            if isinstance(part, nn.Conv2d) and part.kernel_size[0] > 1 and not name.startswith("fc"):
                assert part.kernel_size[0] in deep
                more += (part.kernel_size[0] - 1) * part.weight.numel()
        assert sum(p.numel() for p in made.parameters()) == sum(p.numel() for p in flat.parameters()) + more


def test_a_layer_that_fixes_four_axes_is_refused_where_it_has_kernels() -> None:
    """ConvNeXt's blocks permute their maps, so that their kernels would stay without time."""
    with pytest.raises(UserError, match=r"cannot be inflated(.|\n)*features_1_0"), torch.device("meta"):
        Inflated(3, 5, 64, tower=partial(Torchvision, name="convnext_tiny"), time_strides={})


def test_pixels_are_the_2d_towers() -> None:
    made = Inflated(3, 5, tower=Mean, time_strides={})
    assert made.size == 16 and made.mean.flatten().tolist() == [120.0] * 3 and made.scale.unique().tolist() == [50.0]


@pytest.mark.parametrize(
    "numbers, said",
    [
        ({"time_strides": {"conv9": 2}}, "unknown layer with a stride(.|\n)*conv9(.|\n)*conv1, pool1, pool5"),
        ({"time_strides": {"conv2": 2}}, "unknown layer with a stride(.|\n)*conv2"),
        ({"time_strides": {"conv1": 0}}, "a stride in time is a whole number(.|\n)*conv1: 0"),
        ({"time_strides": {"conv1": True}}, "a stride in time is a whole number"),
        ({"time_ends": "copy"}, "choice for time_ends(.|\n)*zeros, repeat"),
        ({"tower": partial(Inflated, tower=SMALL_TINY, time_strides={})}, "only a tower of frames can be inflated"),
    ],
)
def test_bad_input(numbers: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Inflated(3, 5, 24, **{"tower": SMALL_TINY, "time_strides": {}, **numbers})  # type: ignore[arg-type]
