"""ResNets against torchvision's own, and partial batch normalisation."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.norm import StillNorm2d, trainable
from fusionlab.backbones.resnet import ResNet, ResNet18, ResNet50
from fusionlab.backbones.taps import walk
from fusionlab.errors import UserError

BOTH = pytest.mark.parametrize(
    "kind, theirs", [(ResNet18, models.resnet18), (ResNet50, models.resnet50)], ids=["18", "50"]
)
Kind = Callable[..., ResNet]
CLASSES = 7


def drawn(kind: Kind, **numbers: Any) -> ResNet:
    """Random in every parameter and statistic, at a scale that keeps the maps near one."""
    made = kind(3, CLASSES, **numbers)
    initialise(made, seed=0)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in made.modules():
            if isinstance(part, nn.BatchNorm2d):
                for value, low, high in (
                    (part.weight, 0.3, 0.9),
                    (part.bias, -0.3, 0.3),
                    (part.running_mean, -0.5, 0.5),
                    (part.running_var, 0.5, 2.0),
                ):
                    assert value is not None
                    value.uniform_(low, high, generator=draw)
        made.fc.weight.normal_(0, 0.05, generator=draw)
        made.fc.bias.normal_(0, 1, generator=draw)
    return made


def weights(made: ResNet) -> dict[str, Tensor]:
    """As torchvision names and shapes them."""
    state = {name: value for name, value in made.state_dict().items() if name not in ("mean", "scale")}
    return {**state, "fc.weight": state["fc.weight"].flatten(1)}


def frames(size: int, count: int = 2) -> Tensor:
    return torch.randn(count, 3, 1, size, size, generator=torch.Generator().manual_seed(2))


@BOTH
@pytest.mark.parametrize("size", [64, 100])
def test_outputs_equal_torchvisions_with_the_same_weights(kind: Kind, theirs: Any, size: int) -> None:
    """In float64: batch statistics of a few places, layer upon layer, would make float32's rounding large."""
    made, other = drawn(kind, size=size).double(), theirs(weights=None, num_classes=CLASSES).double()
    other.load_state_dict(weights(made))
    x = frames(size).double()
    for mode in (False, True):  # with loaded and with batch statistics
        seen = maps_of(other.train(mode), x[:, :, 0])
        with torch.no_grad():
            ours = made.train(mode).collect(x, made.taps)
        assert set(seen) | {"softmax"} == set(ours)
        for name, y in seen.items():
            assert 0.05 < y.std() < 20
            assert torch.allclose(ours[name].squeeze(2), y.reshape(ours[name].squeeze(2).shape), atol=1e-9), name
        assert torch.allclose(ours["softmax"].flatten(1), seen["fc"].softmax(1), atol=1e-9)
    assert all(torch.allclose(value, weights(made)[name], atol=1e-9) for name, value in other.state_dict().items())


@torch.no_grad()
def maps_of(other: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What torchvision's own forward leaves behind its layers."""
    seen: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda layer, given, y: seen.update({name: y})

    names = ("layer1", "layer2", "layer3", "layer4", "fc")
    hooks = [other.get_submodule(name).register_forward_hook(keeper(name)) for name in names]
    other(x)
    for hook in hooks:
        hook.remove()
    return seen


@BOTH
def test_parameters_are_torchvisions(kind: Kind, theirs: Any) -> None:
    with torch.device("meta"):
        whole = theirs(weights=None, num_classes=101)
        for channels, more in ((3, 0), (20, 17 * 64 * 7 * 7)):
            made = kind(channels, 101)
            assert (
                sum(own.numel() for own in made.parameters()) == sum(own.numel() for own in whole.parameters()) + more
            )
        assert list(weights(kind(3, 101))) == list(whole.state_dict())


@BOTH
def test_geometry(kind: Kind, theirs: Any) -> None:
    with torch.device("meta"):
        made = kind(20, 101)
    wide = 4 if kind is ResNet50 else 1
    assert list(made.taps) == ["layer1", "layer2", "layer3", "layer4", "fc", "softmax"]
    layers = [made.taps[f"layer{n}"] for n in range(1, 5)]
    assert [tap.side for tap in layers] == [56, 28, 14, 7] and [tap.stride for tap in layers] == [4, 8, 16, 32]
    assert [tap.channels for tap in layers] == [64 * wide, 128 * wide, 256 * wide, 512 * wide]
    assert all(tap.rectified and tap.spatial for tap in layers)
    assert layers[-1].field == (427 if kind is ResNet50 else 435)
    found = {name: one.tap for name, one in walk(dict(made.named_children()), 20, 224).items()}
    assert found["layer4"].spatial and found["avgpool"].side == 1 and not found["avgpool"].spatial
    assert not found["bn1"].rectified and found["relu"].rectified and found["avgpool"].rectified
    assert made.classifier == "fc" and made.get_submodule("fc").weight.shape[:2] == (101, 512 * wide)


@torch.no_grad()
def test_a_larger_frames_predictions_are_the_classifiers_at_each_window_of_the_last_map() -> None:
    made = drawn(ResNet18, size=64).eval()
    found = made.collect(frames(64 + 96), ("layer4", "fc"))
    assert found["layer4"].shape[3:] == (5, 5) and found["fc"].shape[3:] == (4, 4)
    for i, j in ((0, 0), (1, 3), (3, 2)):
        window = found["layer4"][..., i : i + 2, j : j + 2]
        assert torch.allclose(made.forward_from(window, after="layer4")[..., 0, 0], found["fc"][..., i, j], atol=1e-4)


# --- partial batch normalisation ---


@BOTH
def test_with_partial_bn_a_step_moves_the_first_norm_and_no_other(kind: Kind, theirs: Any) -> None:
    made = drawn(kind, size=32, partial_bn=True)
    trainable(made)
    made.train()
    before = deepcopy(made.state_dict())
    optimiser = torch.optim.SGD(made.parameters(), lr=0.1, weight_decay=0.1)
    made(frames(32, count=4)).logsumexp(1).sum().backward()
    optimiser.step()
    norms = {name for name, part in made.named_modules() if isinstance(part, nn.BatchNorm2d)}
    still = {name for name, part in made.named_modules() if isinstance(part, StillNorm2d)}
    assert norms - still == {"bn1"} and len(norms) == {ResNet18: 20, ResNet50: 53}[kind]
    moved = {name for name, value in made.state_dict().items() if not torch.equal(value, before[name])}
    assert not [name for name in moved if name.rpartition(".")[0] in still]
    owns = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert {f"bn1.{own}" for own in owns} <= moved
    assert {name for name, part in made.named_modules() if isinstance(part, nn.Conv2d)} == {
        name.removesuffix(".weight") for name in moved if name.endswith("weight") and name != "bn1.weight"
    }


def test_partial_bn_has_the_same_weights_under_the_same_names() -> None:
    full, part = drawn(ResNet18, size=32), ResNet18(3, CLASSES, size=32, partial_bn=True)
    part.load_state_dict(full.state_dict())
    x = frames(32)
    with torch.no_grad():
        assert torch.allclose(full.eval()(x), part.eval()(x), atol=1e-5)


def test_freshly_drawn_norms_forget_what_they_have_seen() -> None:
    made = drawn(ResNet18, size=32)
    initialise(made, seed=0)
    for value, number in (
        (made.bn1.weight, 1),
        (made.bn1.bias, 0),
        (made.bn1.running_mean, 0),
        (made.bn1.running_var, 1),
    ):
        assert bool((value == number).all())
    x = frames(32, count=8)
    with torch.no_grad():
        maps = made.train().collect(x, made.taps)
    assert 0.5 < maps["layer4"].square().mean().sqrt() < 4 and maps["fc"].abs().max() < 1


def test_what_partial_bn_cannot_be() -> None:
    with pytest.raises(UserError, match=r"choice for partial_bn(.|\n)*auto(.|\n)*true, false"):
        ResNet18(3, 5, partial_bn="auto")  # type: ignore[arg-type]
