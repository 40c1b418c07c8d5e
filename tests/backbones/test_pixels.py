"""How bytes become numbers: part of a tower's weights, and of those from before they were, its own."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError

BYTES = torch.tensor([[0, 64], [128, 192]], dtype=torch.uint8).reshape(1, 2, 1, 1, 2)


def tower(**pixels: float) -> Tower:
    return Tower({"conv": nn.Conv2d(2, 1, 1), "end": nn.Identity()}, {"conv": "conv"}, 2, 1, **pixels)


def test_each_channel_has_its_own() -> None:
    made = tower()
    made.set_pixels([64, 128], (32.0, 16.0))
    assert made.normalise(BYTES).flatten().tolist() == [-2, 0, 0, 4]
    assert made.normalise(BYTES[:, :, 0]).flatten().tolist() == [-2, 0, 0, 4], "frames as clips"
    made.set_pixels(64.0, 32)
    assert made.normalise(BYTES).flatten().tolist() == [-2, 0, 2, 4]
    assert made.normalise(BYTES.float()).flatten().tolist() == [0, 64, 128, 192]
    assert made.double().normalise(BYTES).dtype == torch.float64


def test_they_are_float32_and_saved_wherever_the_tower_is_made() -> None:
    with torch.device("meta"):
        state = tower(mean=3, scale=2).state_dict()
    for name in ("mean", "scale"):
        assert state[name].shape == (1, 2, 1, 1, 1) and state[name].dtype == torch.float32 and state[name].is_meta


@pytest.mark.parametrize(
    "mean, scale, told",
    [
        ([1, 2, 3], 1, "mean is one number, or one for each channel(.|\n)*3 numbers(.|\n)*1, 2"),
        (0, [], "scale is one number"),
        (0, 0, "scale has to be finite and above zero"),
        (0, [1, -1], "scale has to be finite and above zero"),
        (0, float("inf"), "scale has to be finite"),
        (float("nan"), 1, "mean has to be finite"),
    ],
)
def test_what_are_no_pixels_is_refused(mean: float, scale: float, told: str) -> None:
    with pytest.raises(UserError, match=told):
        tower().set_pixels(mean, scale)


def without(*names: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda state: {name: value for name, value in state.items() if not name.endswith(names)}


def test_weights_from_before_keep_the_towers_own() -> None:
    old = without("mean", "scale")(tower(mean=1, scale=2).state_dict())
    made = tower(mean=5, scale=6)
    made.load_state_dict(old)
    assert made.mean.flatten().tolist() == [5, 5] and made.scale.flatten().tolist() == [6, 6]
    assert set(old) == {"conv.weight", "conv.bias"}, "what was given is not touched"
    made.load_state_dict(tower(mean=1, scale=2).state_dict())
    assert made.mean.flatten().tolist() == [1, 1] and made.scale.flatten().tolist() == [2, 2]


def test_and_so_inside_another_module() -> None:
    pair = nn.ModuleDict({"a": tower(mean=5), "b": tower(mean=6)})
    pair.load_state_dict(without("a.mean", "a.scale")(nn.ModuleDict({"a": tower(), "b": tower(mean=7)}).state_dict()))
    assert [one.get_buffer("mean")[0, 0].item() for one in pair.children()] == [5, 7]


@pytest.mark.parametrize("missing", ["mean", "scale", "conv.weight", "conv.bias"])
def test_anything_else_that_is_missing_is_an_error(missing: str) -> None:
    with pytest.raises(RuntimeError, match=f"Missing key.*{missing}"):
        tower().load_state_dict(without(missing)(tower().state_dict()))


def test_tiny_sees_bytes_as_ever() -> None:
    """Bit for bit what a division by the number 32 gives."""
    x = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 1, 16, 16)
    assert torch.equal(Tiny(1, classes=2, size=16).normalise(x), (x.float() - 128.0) / 32.0)
