"""Inflation of any 2D tower: a video that stands still is a picture."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from fusionlab.backbones.inception import Inception
from fusionlab.backbones.inflate import Inflated, Time, inflate
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.lrn import LocalResponseNorm
from fusionlab.backbones.norm import StillNorm2d, StillNorm3d
from fusionlab.backbones.pretrained import imagenet, load, locate
from fusionlab.backbones.resnet import ResNet18, ResNet50
from fusionlab.backbones.timm_nets import Timm
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
        for name in ("resnet18", "mobilenet_v2", "efficientnet_b0", "densenet121", "vgg11", "regnet_y_400mf", "swin_t")
    ),
    pytest.param(partial(Timm, name="mobilenetv3_small_050"), 64, {}, id="timm mobilenetv3"),
    *(
        pytest.param(partial(Timm, name=name), 64, {}, marks=pytest.mark.slow, id=f"timm {name}")
        for name in ("efficientnet_b0", "dla34")
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


# -- networks of other libraries

resnet18 = partial(Torchvision, name="resnet18")
mobilenet = partial(Timm, name="mobilenetv3_small_050")


def of_library(make: Make, size: int = 32, channels: int = 3, ends: str = "zeros") -> Inflated:
    return Inflated(channels, CLASSES, size, tower=make, time_strides={}, time_ends=ends)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [mobilenet, pytest.param(resnet18, marks=pytest.mark.slow)])
def test_first_weights_are_the_librarys_inflated_and_a_function_of_the_seed(make: Make) -> None:
    """Whatever torch's own generator is, and in copies of layers too."""
    drawn = []
    for start in (0, 1):
        torch.manual_seed(start)
        made = of_library(make)
        initialise(made, seed=0)
        drawn.append(made.state_dict())
    for name, value in drawn[0].items():
        assert torch.equal(value, drawn[1][name]), name
    flat = make(3, CLASSES, 32)
    initialise(flat, seed=0)
    for name, value in flat.state_dict().items():
        found = drawn[0][name]
        assert torch.allclose(found.sum(2) if found.ndim == 5 != value.ndim else found, value, atol=1e-6), name
    copied = deepcopy(made.get_submodule(made.names[0]))
    before = {name: value.clone() for name, value in made.state_dict().items()}
    initialise(copied, seed=3)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert not torch.equal(next(copied.parameters()), next(made.parameters()))


@torch.no_grad()
@pytest.mark.parametrize("frames, channels", [(8, 3), (8, 2)])
def test_a_librarys_file_of_the_2d_network_is_inflated(frames: int, channels: int, tmp_path: Path) -> None:
    """By the library's names, with the pixels of its transforms; flow starts from the mean over colours."""
    model = models.squeezenet1_1(num_classes=CLASSES).eval()
    torch.save(model.state_dict(), tmp_path / "squeezenet1_1.pth")
    make = partial(Torchvision, name="squeezenet1_1")
    made, flat = of_library(make, channels=channels, ends="repeat").eval(), make(channels, CLASSES, 32).eval()
    for tower in (made, flat):
        initialise(tower, seed=0)
        loaded = load(tower, str(tmp_path / "squeezenet1_1.pth"))
        assert loaded.origin == "torchvision: squeezenet1_1.pth"
    assert loaded.notes == ([] if channels == 3 else loaded.notes)
    x = torch.randint(0, 256, (1, channels, 1, 32, 32), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    expected = flat(x)
    found = made(x.expand(-1, -1, frames, -1, -1))
    assert expected.std() > 1e-3 and torch.allclose(found, expected.expand_as(found), atol=1e-3 * expected.abs().max())
    assert torch.equal(made.mean, flat.mean) and torch.equal(made.scale, flat.scale)


def test_imagenet_is_the_file_of_the_2d_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def fetch(published: imagenet.Published) -> Path:
        asked.append(published.file)
        return tmp_path / published.file

    monkeypatch.setattr(imagenet, "fetch", fetch)
    for name, start in (("resnet34", "resnet34-"), ("resnet18", "resnet18-f37072fd"), ("swin_t", "swin_t-")):
        make = partial(Torchvision, name=name)
        with torch.device("meta"):
            made = Inflated(3, 1000, 32, tower=make, time_strides={}) if name != "swin_t" else make(3, 1000, 32)
        locate("imagenet", made)
        assert asked.pop().startswith(start)


@torch.no_grad()
def test_a_module_of_frames_keeps_the_names_of_its_weights() -> None:
    class Normed(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Conv2d(4, 4, 3, padding=1), nn.GroupNorm(2, 4))

    flat, x = Normed(), torch.randn(2, 4, 3, 5, 5)
    made = inflate(flat, Time(deep=False))
    assert list(made.state_dict()) == list(flat.state_dict())
    other = inflate(Normed(), Time(deep=False))
    other.load_state_dict(made.state_dict())
    y = other(x)
    assert torch.allclose(y[:, :, 1], flat(x[:, :, 1]), atol=1e-6)
    nn.ModuleDict({"x": other}).load_state_dict(nn.ModuleDict({"x": made}).state_dict())


# -- subclasses, which may compute something else


class Standardised(nn.Conv2d):
    """With a forward of its own."""

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.conv2d(input, self.weight - self.weight.mean(), self.bias, self.stride, self.padding)


class Activated(nn.BatchNorm2d):
    """As timm's BatchNormAct2d: a norm with its activation."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).relu()


class Columns(nn.Module):
    """As timm's SqueezeExcite: the mean over axes 2 and 3, which of a clip are time and height."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(6, 6, 1), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.gate(self.conv(x.mean((2, 3), keepdim=True)))
        return y


class Deep(Columns):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 6, 3, padding=1)


def with_block(block: Callable[[], nn.Module]) -> Make:
    class Made(Tower):
        def __init__(self, in_channels: int, classes: int, size: int = 16) -> None:
            layers = {
                "conv1": nn.Conv2d(in_channels, 6, 3, padding=1),
                "block": block(),
                "avgpool": nn.AdaptiveAvgPool2d(1),
                "fc": nn.Conv2d(6, classes, 1),
                "softmax": nn.Softmax(dim=1),
            }
            super().__init__(layers, {name: name for name in layers}, in_channels, size)

    return Made


@pytest.mark.parametrize(
    "block",
    [
        lambda: Activated(6),
        lambda: nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), Activated(6)),
        lambda: Columns(),
        lambda: nn.Conv2d(6, 6, 1, padding_mode="reflect"),
        lambda: nn.AdaptiveAvgPool2d(4),
        lambda: nn.GroupNorm(2, 6),
    ],
)
@torch.no_grad()
def test_a_module_without_a_rule_keeps_what_it_computes(block: Callable[[], nn.Module]) -> None:
    flat, inflated = pair(with_block(block), 16, {})
    x = still(16, 4)
    expected, found = flat.collect(x[:, :, :1], flat.taps), inflated.collect(x, inflated.taps)
    for tap, y in found.items():
        assert torch.allclose(y, expected[tap].expand_as(y), atol=1e-9 * float(expected[tap].abs().max())), tap


@pytest.mark.parametrize(
    "block, said",
    [
        (lambda: Standardised(6, 6, 3, padding=1), "block of Made: Standardised"),
        (lambda: nn.Sequential(nn.ReLU(), Standardised(6, 6, 3, padding=1)), "block of Made: Standardised"),
        (lambda: nn.Conv2d(6, 6, 3, padding=1, padding_mode="reflect"), "block of Made: Conv2d"),
        (lambda: nn.Conv2d(6, 6, 3, padding="same"), "block of Made: Conv2d"),
        (lambda: nn.MaxPool2d(3, 1, padding=1, dilation=2), "block of Made: MaxPool2d"),
        (lambda: Deep(), "block of Made: Conv2d in Deep"),  # its code counts axes
    ],
)
def test_kernels_without_a_rule_are_refused(block: Callable[[], nn.Module], said: str) -> None:
    with pytest.raises(UserError, match=rf"cannot be inflated(.|\n)*{said}"), torch.device("meta"):
        Inflated(3, 5, 16, tower=with_block(block), time_strides={})
