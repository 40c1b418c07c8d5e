"""The Inception family: counts, geometry, and torchvision's own networks with the same weights."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import video

from fusionlab.backbones.inception import BLOCKS, DEEP, Gate, Inception, Inception3d
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.norm import StillNorm2d, StillNorm3d, trainable
from fusionlab.backbones.tower import Tower
from fusionlab.data.brush.brush import Knobs, drawn
from fusionlab.data.brush.labels import labels
from fusionlab.data.brush.vocabulary import BRUSH
from fusionlab.errors import UserError
from fusionlab.testing import tower_contract as contract

CLASSES = 5
Norms = nn.BatchNorm2d | nn.BatchNorm3d
S3D: dict[str, Any] = {"kernels": "separable", "padding": "torchvision"}
KINDS: dict[str, dict[str, Any]] = {
    "i2d": {"kernels": "2d"},
    "i3d": {},
    "bottom": {"last": "mixed_3c"},
    "top": {"first": "mixed_4b"},
    "s3d": S3D,
    "s3d_g": {**S3D, "kernels": "gated"},
}


def count(tower: nn.Module) -> int:
    return sum(one.numel() for one in tower.parameters())


def scales(tower: nn.Module) -> int:
    """Of batch norms, γ."""
    return sum(part.weight.numel() for part in tower.modules() if isinstance(part, Norms))


@cache
def on_meta(kind: type[Tower], channels: int = 3, **numbers: Any) -> Tower:
    with torch.device("meta"):
        return kind(channels, 400, **numbers)


def small(kind: type[Tower] = Inception3d, channels: int = 3, size: int = 48, **numbers: Any) -> Tower:
    """Drawn, in evaluation, with statistics that matter."""
    made = kind(channels, CLASSES, size, **{"width": 0.125, **numbers})
    initialise(made, seed=0)
    draw = torch.Generator().manual_seed(1)
    for part in made.modules():
        if isinstance(part, Norms) and part.running_mean is not None and part.running_var is not None:
            part.running_mean.normal_(0, 0.1, generator=draw)
            part.running_var.uniform_(0.5, 1.5, generator=draw)
    return made.double().eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    "kind, numbers, ours, without_scales",
    [
        (Inception, {}, 6_009_904, 6_002_624),
        (Inception3d, {}, 12_697_264, 12_689_984),
        (Inception3d, {"channels": 2}, 12_675_312, 12_668_032),
        (Inception3d, {"kernels": "2d"}, 6_009_904, 6_002_624),
    ],
)
def test_parameters(kind: type[Tower], numbers: dict[str, Any], ours: int, without_scales: int) -> None:
    """With the scales of batch norm, and without, as TensorFlow's networks are."""
    made = on_meta(kind, **numbers)
    assert (count(made), count(made) - scales(made)) == (ours, without_scales)


def test_parameters_of_s3d_are_torchvisions() -> None:
    with torch.device("meta"):
        theirs = video.s3d()
    assert count(on_meta(Inception3d, **S3D)) == count(theirs) == 8_320_048


def test_multiply_adds_of_64_frames() -> None:
    """Of I3D and S3D as they were derived apart from this code; every layer is 3D in one of two mixed networks."""
    names = ("i2d", "i3d", "bottom", "top", "s3d")
    flat, deep, bottom, top, separable = (macs(on_meta(Inception3d, **KINDS[name]), 64) for name in names)
    assert (deep / 1e9, separable / 1e9) == pytest.approx((111.15, 71.91), abs=0.01)
    assert bottom + top == flat + deep
    below = ("conv1", "conv2", "conv3", "mixed_3b", "mixed_3c")  # as many as of 32 pictures, since conv1 skips frames
    assert macs(on_meta(Inception3d, **KINDS["i2d"]), 64, below) == 32 * macs(on_meta(Inception), 1, below)


def macs(tower: Tower, frames: int, below: tuple[str, ...] = ()) -> int:
    """Of convolutions, by their outputs, on the meta device."""
    total = 0

    def add(layer: nn.Module, _: Any, y: Tensor) -> None:
        nonlocal total
        assert isinstance(layer.weight, Tensor)
        total += y.numel() * layer.weight[0].numel()

    within = [tower.get_submodule(name) for name in below] or [tower]
    convs = [part for one in within for part in one.modules() if isinstance(part, nn.Conv2d | nn.Conv3d)]
    hooks = [conv.register_forward_hook(add) for conv in convs]
    tower.eval().collect(torch.empty(1, 3, frames, 224, 224, device="meta"), ("fc",))
    for hook in hooks:
        hook.remove()
    return total


def test_parameters_of_gates_and_of_mixed_networks() -> None:
    """A gate has C² + C; a layer that is 3D has its kernels three times (conv1 seven times)."""
    outs = [64, 192, *(width for widths in BLOCKS.values() for width in (widths[2], widths[4]))]
    gates = sum(out * out + out for out in outs)
    assert count(on_meta(Inception3d, **{**S3D, "kernels": "gated"})) == 8_320_048 + gates
    below, above = (count(on_meta(Inception3d, **KINDS[name])) for name in ("bottom", "top"))
    assert below - 6_009_904 + above == 12_697_264  # every layer is in one of the two
    more = 6 * 49 * 3 * 64 + 2 * 9 * (64 * 192 + 96 * 128 + 16 * 32 + 128 * 192 + 32 * 96)
    assert below == 6_009_904 + more


@pytest.mark.parametrize("name", KINDS)
def test_contract(name: str) -> None:
    contract.check(partial(Inception3d, size=32, width=0.0625, **KINDS[name]))


@pytest.mark.parametrize("size", [48, 65])
@pytest.mark.parametrize("padding", ["tensorflow", "torchvision"])
def test_contract_of_frames(size: int, padding: Any) -> None:
    contract.check(partial(Inception, size=size, width=0.0625, padding=padding))


@pytest.mark.parametrize("name", KINDS)
def test_geometry(name: str) -> None:
    taps = on_meta(Inception3d, **KINDS[name]).taps
    assert list(taps) == ["conv1", "conv2", "conv3", *BLOCKS, "fc", "softmax"]
    assert [taps[tap].side for tap in ("conv1", "conv3", "mixed_3c", "mixed_4f", "mixed_5c")] == [112, 56, 28, 14, 7]
    assert [taps[tap].time_stride for tap in ("conv1", "mixed_3c", "mixed_4b", "mixed_5b", "fc")] == [2, 2, 4, 8, 8]
    assert [taps[tap].channels for tap in BLOCKS] == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert all(tap.rectified for tap in list(taps.values())[:-2])
    assert list(on_meta(Inception).taps) == list(taps)  # so that 2D and 3D towers can be fused at one name


@pytest.mark.parametrize("frames, left", [(64, 7), (32, 3), (16, 1), (8, 1), (250, 31)])
def test_steps_that_are_left(frames: int, left: int) -> None:
    """The last pool takes two steps, or the only one."""
    assert on_meta(Inception3d).steps("fc", frames) == left


def kernels(tower: Tower) -> Mapping[str, int]:
    """Layer -> the frames of its deepest kernel."""
    return {
        name: max(part.kernel_size[0] for part in tower.get_submodule(name).modules() if isinstance(part, nn.Conv3d))
        for name in DEEP
    }


def test_which_layers_are_3d() -> None:
    deep = {name: kernels(on_meta(Inception3d, **numbers)) for name, numbers in KINDS.items()}
    assert set(deep["i2d"].values()) == {1}
    assert deep["i3d"] == deep["s3d"] == {name: 7 if name == "conv1" else 3 for name in DEEP}
    border = DEEP.index("mixed_4b")
    for n, name in enumerate(DEEP):
        low, high = (deep["i3d"][name], 1) if n < border else (1, deep["i3d"][name])
        assert (deep["bottom"][name], deep["top"][name]) == (low, high)


def test_a_kernel_of_s3d_is_one_in_space_and_one_in_time() -> None:
    shapes = {
        tuple(part.kernel_size)
        for part in on_meta(Inception3d, **S3D).modules()
        if isinstance(part, nn.Conv3d)
    }  # fmt: skip
    assert shapes == {(1, 1, 1), (1, 3, 3), (3, 1, 1), (1, 7, 7), (7, 1, 1)}
    conv1 = on_meta(Inception3d, **S3D).conv1
    assert [name for name, _ in conv1.named_children()] == ["conv", "bn", "relu", "time_conv", "time_bn", "time_relu"]
    assert (conv1.conv.stride, conv1.time_conv.stride) == ((1, 2, 2), (2, 1, 1))


@torch.no_grad()
def test_i3d_is_the_2d_tower_where_nothing_moves() -> None:
    """On brush's frames: everywhere, where the clip's ends are repeated; within the clip, where zeros are."""
    frame = brush_frame()
    flat = small(Inception, width=0.0625)
    state = flat.state_dict()
    clip = frame.expand(-1, -1, 24, -1, -1)
    for ends in ("repeat", "zeros"):
        deep = small(width=0.0625, time_ends=ends)
        deep.load_state_dict({name: inflated(state[name], one) for name, one in deep.state_dict().items()})
        expected, found = flat.collect(frame, flat.taps), deep.collect(clip, flat.taps)
        for tap in deep.taps:
            close = torch.allclose(found[tap], expected[tap].expand_as(found[tap]), atol=1e-9)
            assert close == (ends == "repeat"), (tap, ends)
        middle = found["mixed_3b"][:, :, 4:-4]  # a step there sees 7 to either side
        assert torch.allclose(middle, expected["mixed_3b"].expand_as(middle), atol=1e-9)


def brush_frame() -> Tensor:
    """One frame of a clip of brush in which nothing moves, (1, 3, 1, 48, 48)."""
    film = torch.from_numpy(drawn(Knobs(noise=0), labels(BRUSH, ["still"])[0], "v1", 1))
    assert torch.equal(film[0], film[1])
    return film[0].permute(2, 0, 1)[None, :, None]


def inflated(flat: Tensor, deep: Tensor) -> Tensor:
    """By the definition: the same weights in each of N frames, divided by N."""
    return torch.stack([flat / deep.shape[2]] * deep.shape[2], dim=2) if deep.ndim == 5 and flat.ndim == 4 else flat


@torch.no_grad()
def test_the_order_of_frames_matters_to_layers_that_are_3d() -> None:
    """Not to a 2D layer, and a pool takes maxima: the order within its first window is lost below `top`."""
    x = noise(1, 3, 16, 48, 48)
    for name, blind in (("i2d", True), ("top", True), ("i3d", False), ("bottom", False), ("s3d", False)):
        made = small(**KINDS[name])
        assert torch.allclose(made(x)[0, :, 0], made(shuffled(x))[0, :, 0]) == blind, name


def shuffled(x: Tensor) -> Tensor:
    """Frames 0 and 2 exchanged: conv1 of I2D reads both, and the first window of its first pool in time has both."""
    order = list(range(x.shape[2]))
    order[0], order[2] = 2, 0
    return x[:, :, order]


@torch.no_grad()
def test_a_gate() -> None:
    x, gate = noise(2, 3, 4, 5, 6), Gate(3).double()
    nn.init.normal_(gate.bias)
    y = gate(x)
    for n in range(2):
        means = [float(x[n, c].mean()) for c in range(3)]
        for d in range(3):
            logit = sum(float(gate.weight[d, c]) * means[c] for c in range(3)) + float(gate.bias[d])
            assert torch.allclose(y[n, d], x[n, d] / (1 + torch.tensor(-logit, dtype=x.dtype).exp()))


@pytest.mark.slow
@pytest.mark.parametrize("frames", [16, 14])
@torch.no_grad()
def test_s3d_gives_what_torchvisions_gives(frames: int) -> None:
    """On the smallest frames that leave 7×7, which its last pool needs."""
    torch.manual_seed(0)
    theirs = video.s3d(num_classes=CLASSES).double().eval()
    for part in theirs.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.kaiming_normal_(part.weight)
        if isinstance(part, nn.BatchNorm3d):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    ours = Inception3d(3, CLASSES, 209, **S3D).double().eval()
    order = zip(ours.state_dict().items(), [("", None)] * 2 + list(theirs.state_dict().items()), strict=True)
    state = {name: one if own is None else own.reshape(one.shape) for (name, one), (_, own) in order}
    ours.load_state_dict(state)
    x = noise(1, 3, frames, 209, 209)
    y = theirs(x)
    assert y.std() > 0.1 and (theirs(x.flip(2)) - y).abs().max() > 1e-3
    assert torch.allclose(ours(x).mean((2, 3, 4)), y, rtol=0, atol=1e-10)


def test_partial_bn_moves_the_first_norm_and_no_other() -> None:
    for kind, numbers in ((Inception, {}), (Inception3d, {}), (Inception3d, S3D)):
        made = kind(3, CLASSES, 32, width=0.0625, partial_bn=True, **numbers)
        learns = [name for name, part in made.named_modules() if isinstance(part, Norms) and not still(part)]
        assert learns == ["conv1.bn"]
        trainable(made)
        assert [name for name, one in made.named_parameters() if one.requires_grad and "bn" in name] == [
            "conv1.bn.weight", "conv1.bn.bias",
        ]  # fmt: skip
        full = kind(3, CLASSES, 32, width=0.0625, **numbers)
        full.load_state_dict(made.state_dict())
        assert all(part.eps == 1e-3 for tower in (made, full) for part in tower.modules() if isinstance(part, Norms))
        x = torch.randn(1, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))
        assert torch.allclose(made.eval()(x), full.eval()(x), atol=1e-6)


def still(part: nn.Module) -> bool:
    return isinstance(part, StillNorm2d | StillNorm3d)


def test_width_is_a_factor_of_every_layer() -> None:
    whole, quarter = on_meta(Inception3d), on_meta(Inception3d, width=0.25)
    for tap in ("conv1", "conv3", *BLOCKS):
        assert whole.taps[tap].channels == 4 * quarter.taps[tap].channels
    assert on_meta(Inception3d, width=0.001).taps["mixed_5c"].channels == 4  # one for each branch


def test_dropout_is_before_the_classifier() -> None:
    made = on_meta(Inception3d, dropout=0.3)
    assert made.names[-4:] == ("avgpool", "dropout", "fc", "softmax") and made.dropout.p == 0.3


@pytest.mark.parametrize(
    "numbers, said",
    [
        ({"kernels": "3D"}, "unknown kind of kernels(.|\n)*2d, 3d, separable, gated"),
        ({"first": "conv2"}, "unknown layer with kernels in time(.|\n)*conv2(.|\n)*did you mean first=conv"),
        ({"last": "mixed_6a"}, "unknown layer with kernels in time(.|\n)*mixed_6a"),
        ({"first": "mixed_5b", "last": "mixed_3b"}, "the first layer is above the last"),
        ({"kernels": "2d", "first": "mixed_3b"}, "have no effect"),
        ({"kernels": "2d", "time_ends": "repeat"}, "have no effect"),
        ({"time_ends": "mirror"}, "choice for time_ends"),
        ({"padding": "caffe"}, "unknown kind of padding(.|\n)*tensorflow, torchvision"),
        ({"width": 0}, "width is a factor"),
        ({"width": float("inf")}, "width is a factor"),
        ({"width": True}, "width is a factor"),
        ({"dropout": 1.0}, "dropout is a share"),
        ({"partial_bn": "some"}, "choice for partial_bn"),
        ({"size": 31}, "frames are too small(.|\n)*size=32 or more"),
    ],
)
def test_bad_input(numbers: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Inception3d(3, CLASSES, **{"size": 48, "width": 0.0625, **numbers})
