"""What a layer does to a map, measured: against gradients, torch's own shapes, and what can be read off a layer."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from fusionlab.backbones.connected import Connected
from fusionlab.backbones.folding import run_layer
from fusionlab.backbones.geometry import Place, measure
from fusionlab.backbones.lrn import LocalResponseNorm
from fusionlab.backbones.resnet import ResNet18, ResNet50
from fusionlab.backbones.taps import walk
from fusionlab.backbones.vgg_m import VggM


def inlets(layer: nn.Module, channels: int) -> tuple[str, ...] | None:
    return measure(layer, (channels, 1, 12, 12), Place()).inlets


def shortcut(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 8, 1, bias=False), nn.BatchNorm2d(8))


@pytest.mark.parametrize(
    "layer, channels, found",
    [
        (nn.Conv2d(3, 4, 3), 3, ("",)),
        (nn.Conv3d(3, 4, 3, padding=1), 3, ("",)),
        (nn.MaxPool2d(3), 3, ()),
        (nn.AvgPool2d(3), 3, ()),
        (nn.ReLU(), 3, ()),
        (nn.Dropout(0.5), 3, ()),
        (nn.Softmax(dim=1), 3, ()),
        (LocalResponseNorm(), 7, ()),
        (nn.GELU(), 3, ()),
        (nn.SiLU(), 3, ()),
        (nn.PReLU(3), 3, None),
        (nn.GroupNorm(1, 3), 3, None),
        (nn.Sequential(), 3, ()),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), 3, ()),
        (nn.Sequential(nn.ReLU(), nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1))), 3, ("1.0",)),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)), 3, None),
        (nn.BatchNorm2d(3), 3, None),
        (nn.Conv2d(4, 4, 3, groups=2), 4, None),
        (nn.Linear(12, 4), 3, None),
        (Connected(3, 4, 12), 3, ("",)),
        (BasicBlock(8, 8), 8, None),
        (BasicBlock(4, 8, downsample=shortcut(4)), 4, ("conv1", "downsample.0")),
        (Bottleneck(4, 2, downsample=shortcut(4)), 4, ("conv1", "downsample.0")),
        (nn.Sequential(BasicBlock(4, 8, downsample=shortcut(4)), BasicBlock(8, 8)), 4, ("0.conv1", "0.downsample.0")),
        (BasicBlock(8, 8, downsample=nn.Sequential(nn.AvgPool2d(1))), 8, None),
    ],
    ids=repr,
)
def test_inlets(layer: nn.Module, channels: int, found: tuple[str, ...] | None) -> None:
    assert inlets(layer, channels) == found


def test_of_the_towers() -> None:
    with torch.device("meta"):
        shallow, deep, vgg = ResNet18(3, 5), ResNet50(3, 5), VggM(3, 5)
    first = ("0.conv1", "0.downsample.0")
    layers = [f"layer{n}" for n in range(1, 5)]
    assert [shallow.geometry[name].inlets for name in layers] == [None, first, first, first]
    assert [deep.geometry[name].inlets for name in layers] == [first] * 4
    assert [shallow.geometry[name].inlets for name in ("conv1", "bn1", "avgpool", "fc")] == [
        ("",),
        None,
        (),
        ("",),
    ]
    weighted = [name for name in vgg.names if vgg.geometry[name].inlets == ("",)]
    assert weighted == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert all(vgg.geometry[name].inlets == () for name in vgg.names if name not in weighted)


class Branches(nn.Module):
    """Two convolutions side by side, stacked, beside the input itself."""

    def __init__(self, wide: nn.Module, narrow: nn.Module) -> None:
        super().__init__()
        self.wide, self.narrow = wide, narrow

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.wide(x), self.narrow(x)], dim=1)


class Sum(Branches):
    def forward(self, x: Tensor) -> Tensor:
        return (self.wide(x) + self.narrow(x)).relu()


class Gate(nn.Module):
    """x · σ(mean of all places)"""

    takes_clips = True

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean(dim=(2, 3, 4), keepdim=True).sigmoid()


class Attention(nn.Module):
    """Each place is a mean over all places."""

    def forward(self, x: Tensor) -> Tensor:
        n, d, h, w = x.shape
        tokens = x.flatten(2)
        return x + (tokens @ (tokens.transpose(1, 2) @ tokens).softmax(dim=-1)).reshape(n, d, h, w)


def conv(channels: int, *window: Any, **more: Any) -> nn.Conv3d:
    return nn.Conv3d(channels, 1, *window, bias=False, **more)


class Halves(nn.Module):
    """One half of the channels goes through a convolution, and then the channels are shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 5, padding=2, stride=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        one, other = x.chunk(2, dim=1)
        y = torch.cat([one, self.conv(other)], dim=1)
        n, d, h, w = y.shape
        return y.view(n, 2, d // 2, h, w).transpose(1, 2).reshape(n, d, h, w)


class FirstHalf(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.chunk(2, dim=1)[0]


class Gram(nn.Module):
    """Of one clip, each place times the products of all places."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x[0].flatten(1)
        return (flat @ flat.t() @ flat).reshape(x.shape)


class Standardised(nn.Conv2d):
    """A convolution with weights of mean zero."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return nn.functional.conv2d(input, weight, self.bias, self.stride, self.padding)


def test_operations_that_lose_the_order_of_channels_keep_that_of_places() -> None:
    found = measure(nn.Sequential(Halves(), nn.Conv2d(4, 4, 3, 2, padding=1)), (4, 1, 16, 16), Place())
    assert (found.place.field, found.place.stride, found.shape) == (7, 2, (4, 1, 8, 8))
    assert found.inlets is None, "only half of the channels are read"
    assert measure(FirstHalf(), (4, 1, 6, 6), Place()).inlets is None
    assert measure(Gram(), (4, 1, 6, 6), Place()).place.field is None
    assert measure(Standardised(4, 3, 3), (4, 1, 8, 8), Place()).inlets is None, "its weights are not read as they are"
    assert measure(Standardised(4, 3, 3, bias=False), (4, 1, 8, 8), Place()).place.field == 3


def test_a_norm_over_places_leaves_an_unknown_field() -> None:
    for layer, field in ((nn.GroupNorm(2, 4), None), (nn.LayerNorm([4, 6, 6]), None), (nn.BatchNorm2d(4), 5)):
        assert measure(layer, (4, 1, 6, 6), Place(field=5)).place.field == field


def test_equal_layers_are_measured_once_and_unlike_ones_apart() -> None:
    layers = [nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(3, 4, 3, dilation=2)]
    one, again, *others = (measure(layer, (3, 1, 12, 12), Place()) for layer in layers)
    assert one is again and [other.place for other in others] != [one.place, one.place]
    assert [other.shape[2] for other in (one, *others)] == [10, 5, 8]
    assert measure(layers[0], (3, 1, 10, 10), Place()).shape[2] == 8


CHAINS = [
    [conv(1, (3, 5, 5), (2, 2, 2), padding=(1, 2, 2)), nn.AvgPool3d((1, 3, 3), (1, 2, 2)), conv(1, 3)],
    [conv(1, (5, 1, 1), (3, 1, 1)), conv(1, (1, 3, 3), (1, 2, 2), dilation=(1, 2, 2)), nn.ReLU()],
    [Branches(conv(1, 3, padding=1), conv(1, 1)), conv(3, (2, 3, 3), 2)],
    [Sum(conv(1, (3, 7, 7), padding=(1, 3, 3)), conv(1, (5, 3, 3), padding=(2, 1, 1))), nn.AvgPool3d(2, 2), conv(1, 3)],
    [nn.Conv2d(1, 1, 5, 2, bias=False), nn.AvgPool2d(3, 2, ceil_mode=True), conv(1, (3, 1, 1))],
]


@pytest.mark.parametrize("layers", CHAINS, ids=range(len(CHAINS)))
def test_strides_and_fields_are_what_gradients_show(layers: list[nn.Module]) -> None:
    """All filters are positive, so a gradient is above zero exactly where a place looks."""
    size, frames = 61, 31
    found = walk({str(n): layer for n, layer in enumerate(layers)}, 1, size, frames)[str(len(layers) - 1)]
    for layer in layers:
        layer.double()
        for parameter in layer.parameters():
            nn.init.ones_(parameter)
    x = torch.ones(1, 1, frames, size, size, dtype=torch.float64, requires_grad=True)
    y = x
    for layer in layers:
        y = run_layer(layer, y)
    assert (y.shape[2], y.shape[3]) == (found.steps, found.tap.side)
    t, i = y.shape[2] // 2, y.shape[3] // 2

    def seen(t: int, i: int) -> tuple[Tensor, Tensor]:
        (gradient,) = torch.autograd.grad(y[0, 0, t, i, i], x, retain_graph=True)
        gradient = gradient[0, 0]
        return gradient.sum(dim=(1, 2)).nonzero().flatten(), gradient.sum(dim=(0, 2)).nonzero().flatten()

    here, beside = seen(t, i), seen(t - 1, i - 1)
    span = [int(one[-1] - one[0]) + 1 for one in here]
    step = [int(one[0] - other[0]) for one, other in zip(here, beside, strict=True)]
    tap = found.tap
    assert (span, step) == ([tap.time_field, tap.field], [tap.time_stride, tap.stride])


def test_a_mean_over_the_clip_and_attention_leave_unknown_fields() -> None:
    found = measure(Gate(), (4, 8, 6, 6), Place(stride=2, field=5, time_stride=2, time_field=3)).place
    assert (found.stride, found.time_stride, found.time_field, found.spatial) == (2, 2, None, True)
    assert found.field == 5 + 5 * 2  # one place sees all six
    attended = measure(Attention(), (4, 1, 6, 6), Place(stride=2, field=5)).place
    assert (attended.stride, attended.field, attended.spatial) == (2, None, True)
    assert attended.time_field == 1, "it sees each frame alone"


def test_a_layer_keeps_its_weights_its_statistics_and_its_mode() -> None:
    layer = nn.Sequential(nn.Conv3d(2, 3, 1), nn.BatchNorm3d(3), nn.Dropout())
    layer[2].eval()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    measure(layer, (2, 4, 5, 5), Place())
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    assert [layer.training, layer[1].training, layer[2].training] == [True, True, False]


@pytest.mark.parametrize(
    "layer, before, after",
    [
        (nn.ReLU(), False, True), (nn.ReLU6(), False, True), (nn.Hardtanh(-1, 1), False, False),
        (nn.Hardtanh(-1, 1), True, True),
        (nn.Conv3d(4, 4, 1), True, False), (nn.BatchNorm3d(4), True, False), (nn.MaxPool3d(2), True, True),
        (nn.MaxPool3d(2), False, False), (nn.Dropout(), True, True), (nn.Softmax(dim=1), True, False),
        (LocalResponseNorm(), True, True), (nn.GELU(), True, False), (nn.Identity(), True, True),
        (nn.Sigmoid(), False, True),
    ],
    ids=repr,
)  # fmt: skip
def test_rectified(layer: nn.Module, before: bool, after: bool) -> None:
    assert measure(layer, (4, 4, 6, 6), Place(rectified=before)).place.rectified == after
    layer.rectified = not after  # type: ignore[assignment]
    assert measure(layer, (4, 4, 6, 6), Place(rectified=before)).place.rectified != after, "what a layer says counts"


class Cosine(nn.Module):
    """Each place, divided by its norm over channels; or by that over places."""

    def __init__(self, dim: Any) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return x / torch.linalg.vector_norm(x, dim=self.dim, keepdim=True)


def test_norms_over_channels_and_over_places() -> None:
    over_channels = measure(Cosine(1), (4, 1, 6, 6), Place(field=5, stride=2)).place
    over_places = measure(Cosine((2, 3)), (4, 1, 6, 6), Place(field=5, stride=2)).place
    assert (over_channels.field, over_places.field) == (5, 5 + 5 * 2)
