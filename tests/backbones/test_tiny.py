"""The tiny tower: geometry, taps and how they are spelled, and where its weights come from."""

from functools import partial

import pytest
import torch

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.taps import resolve
from fusionlab.backbones.tiny import Tiny
from fusionlab.errors import UserError
from fusionlab.testing import tower_contract as contract


@pytest.mark.parametrize("size", [32, 40, 56])
def test_contract_at_other_sizes(size: int) -> None:
    contract.check(partial(Tiny, size=size))


def test_geometry() -> None:
    with torch.device("meta"):
        taps = Tiny(3, classes=24).taps
    assert list(taps) == [
        *(f"{kind}{n}" for n in range(1, 6) for kind in ("conv", "relu")),
        "fc6",
        "fc7",
        "fc8",
        "softmax",
    ]
    assert [taps[f"relu{n}"].side for n in range(1, 6)] == [24, 12, 12, 12, 12]
    assert (taps["relu5"].stride, taps["relu5"].field, taps["relu5"].channels) == (4, 39, 32)
    assert [name for name, tap in taps.items() if not tap.spatial] == ["fc6", "fc7", "fc8", "softmax"]
    assert taps["fc6"].after == "relu6"


@pytest.mark.parametrize("convolutions", [2, 3, 4])
def test_fewer_convolutions(convolutions: int) -> None:
    contract.check(partial(Tiny, convolutions=convolutions))
    with torch.device("meta"):
        less, full = Tiny(3, classes=24, convolutions=convolutions), Tiny(3, classes=24)
    last = f"relu{convolutions}"
    assert [name for name in less.taps if name.startswith("relu")][-1] == last
    assert less.taps[last] == full.taps[last]
    assert less.taps["fc6"].channels == full.taps["fc6"].channels
    assert f"pool{convolutions}" in less.names and f"conv{convolutions + 1}" not in less.names


@torch.no_grad()
def test_receptive_field_is_what_one_place_sees() -> None:
    tower = Tiny(1, classes=2, size=96)
    for name, parameter in tower.named_parameters():
        parameter.fill_(0.0 if name.endswith("bias") else 1.0)  # then any light within the field shows
    columns = torch.eye(96)[:, None, None, None, :].expand(-1, 1, 1, 96, -1)  # clip c is lit in column c alone
    for name, at in tower.collect(columns, ("relu1", "relu2", "relu5")).items():
        middle = at.shape[-1] // 2
        assert int((at[:, 0, 0, middle, middle] > 0).sum()) == tower.taps[name].field


@pytest.mark.parametrize(
    "spelled, meant",
    [
        ("relu5", "relu5"),
        ("ReLU5", "relu5"),
        ("RELU_5", "relu5"),
        ("relu5_3", "relu5"),
        ("Conv5_3", "conv5"),
        (" fc-6 ", "fc6"),
        ("FC8", "fc8"),
        ("Softmax", "softmax"),
    ],
)
def test_spellings(spelled: str, meant: str) -> None:
    with torch.device("meta"):
        taps = Tiny(3, classes=2).taps
    assert resolve(spelled, taps) == meant


def test_spellings_where_a_layer_has_parts() -> None:
    parts = ["relu4_3", "relu5_1", "relu5_2", "relu5_3", "fc6"]
    assert resolve("relu5", parts) == "relu5_3"
    assert resolve("ReLU5_2", parts) == "relu5_2"
    assert resolve("relu52", parts) == "relu5_2"


def test_fc8_is_the_classifier_of_a_tower_that_calls_it_fc() -> None:
    assert resolve("FC_8", ["layer4", "fc", "softmax"]) == "fc"
    assert resolve("fc8", ["fc", "fc8"]) == "fc8"
    for other in ("fc7", "fc88", "relu5"):
        with pytest.raises(UserError, match="unknown layer"):
            resolve(other, ["layer4", "fc", "softmax"])


@pytest.mark.parametrize("typo, near", [("rleu5", "relu5"), ("relu6", "relu"), ("fc9", "fc"), ("sofmax", "softmax")])
def test_a_typo_is_answered_with_the_nearest(typo: str, near: str) -> None:
    with torch.device("meta"):
        taps = Tiny(3, classes=2).taps
    with pytest.raises(UserError, match=f"unknown layer(.|\n)*allowed:.*relu5(.|\n)*did you mean layer={near}"):
        resolve(typo, taps)


def test_wrong_input_is_refused() -> None:
    tower = Tiny(3, classes=2)
    with pytest.raises(UserError, match="D = 3"):
        tower(torch.zeros(1, 12, 1, 48, 48))
    with pytest.raises(UserError, match="T = 1"):
        tower(torch.zeros(1, 3, 48, 48))
    with pytest.raises(UserError, match="unknown layer"):
        tower.collect(torch.zeros(1, 3, 1, 48, 48), ("pool1",))
    with pytest.raises(UserError, match="size=16"):
        Tiny(3, classes=2, size=8)
    for width in (0, 1, -2):
        with pytest.raises(UserError, match="width must be 2"):
            Tiny(3, classes=2, width=width)
    for convolutions in (1, 6):
        with pytest.raises(UserError, match="2 to 5 convolutions"):
            Tiny(3, classes=2, convolutions=convolutions)


def test_bytes_are_centred() -> None:
    x = torch.tensor([0, 64, 128, 192], dtype=torch.uint8).reshape(1, 1, 1, 2, 2)
    assert Tiny(1, classes=2).normalise(x).flatten().tolist() == [-4, -2, 0, 2]


def test_weights_follow_from_seed_and_name() -> None:
    one, other = Tiny(3, classes=4), Tiny(12, classes=4)
    initialise(one, seed=0, prefix="x.")
    state = torch.get_rng_state()
    initialise(other, seed=0, prefix="x.")
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(one.fc7.weight, other.fc7.weight)
    initialise(other, seed=1, prefix="x.")
    assert not torch.equal(one.fc7.weight, other.fc7.weight)
    initialise(other, seed=0, prefix="y.")
    assert not torch.equal(one.fc7.weight, other.fc7.weight)
    assert one.conv4.weight.std().item() == pytest.approx((2 / (9 * 32)) ** 0.5, rel=0.05)
    assert one.fc8.weight.std().item() == pytest.approx(0.01, rel=0.15)
    assert not any(p.any() for name, p in one.named_parameters() if name.endswith("bias"))


def test_first_weights_never_change() -> None:
    """Golden: these numbers are part of every result."""
    tower = Tiny(3, classes=4)
    initialise(tower, seed=0, prefix="appearance.")
    assert tower.conv1.weight.flatten()[:3].tolist() == pytest.approx(
        [0.1226265729, -0.0398683175, 0.0167025086], abs=1e-7
    )
