"""VGG-M-2048 against the integers of the papers, and what larger frames give."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.lrn import LocalResponseNorm, normalised
from fusionlab.backbones.taps import walk
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.vgg_m import VggM
from fusionlab.errors import UserError

PARAMETERS = {
    "conv2": 614_656,
    "conv3": 1_180_160,
    "conv4": 2_359_808,
    "conv5": 2_359_808,
    "fc6": 75_501_568,
    "fc7": 8_390_656,
    "fc8": 206_949,
}
MACS = {
    "conv2": 415_334_400,
    "conv3": 199_360_512,
    "conv4": 398_721_024,
    "conv5": 398_721_024,
    "fc6": 75_497_472,
    "fc7": 8_388_608,
    "fc8": 206_848,
}


def on_meta(channels: int, **numbers: Any) -> VggM:
    with torch.device("meta"):
        return VggM(channels, 101, **numbers).eval()


def count(module: nn.Module) -> int:
    return sum(own.numel() for own in module.parameters())


@pytest.mark.parametrize("channels, conv1, total", [(3, 14_208, 90_627_813), (20, 94_176, 90_707_781)])
def test_parameters(channels: int, conv1: int, total: int) -> None:
    made = on_meta(channels)
    assert {name: count(layer) for name, layer in made.named_children() if count(layer)} == {
        "conv1": conv1,
        **PARAMETERS,
    }
    assert count(made) == total


@pytest.mark.parametrize(
    "channels, conv1, total", [(3, 167_664_672, 1_663_894_560), (20, 1_117_764_480, 2_613_994_368)]
)
def test_multiply_adds(channels: int, conv1: int, total: int) -> None:
    made = on_meta(channels)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        made(torch.empty(1, channels, 1, 224, 224, device="meta"))
    counts = counter.get_flop_counts()
    layers = {name: sum(counts[f"VggM.{name}"].values()) for name in ("conv1", *MACS)}
    assert layers == {"conv1": 2 * conv1, **{name: 2 * macs for name, macs in MACS.items()}}
    assert counter.get_total_flops() == 2 * total


def test_geometry() -> None:
    made = on_meta(3)
    found = {name: one.tap for name, one in walk(dict(made.named_children()), 3, 224).items()}
    assert [found[name].side for name in ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")] == [
        109, 54, 26, 13, 13, 13, 13, 6,
    ]  # fmt: skip
    relu5 = made.taps["relu5"]
    assert (relu5.channels, relu5.stride, relu5.side, relu5.field) == (512, 16, 13, 139)
    assert list(made.taps) == [
        *(f"{kind}{n}" for n in range(1, 6) for kind in ("conv", "relu")), "fc6", "fc7", "fc8", "softmax",
    ]  # fmt: skip
    assert [made.taps[name].channels for name in ("relu1", "relu2", "relu3", "relu4", "fc6", "fc7", "fc8")] == [
        96, 256, 512, 512, 4096, 2048, 101,
    ]  # fmt: skip
    assert [name for name, tap in made.taps.items() if tap.rectified] == [
        *(f"relu{n}" for n in range(1, 6)),
        "fc6",
        "fc7",
    ]
    assert [made.taps[name].after for name in ("fc6", "fc7")] == ["relu6", "relu7"], "before dropout"


@pytest.mark.parametrize(
    "channels, second_norm, norms",
    [(3, "auto", 2), (20, "auto", 1), (2, "auto", 1), (3, False, 1), (20, True, 2)],
)
def test_norms(channels: int, second_norm: Any, norms: int) -> None:
    """Behind relu1 and relu2 and before the pools; the motion tower has the first alone."""
    made = on_meta(channels, second_norm=second_norm)
    names = list(made.names)
    assert [name for name in names if isinstance(made.get_submodule(name), LocalResponseNorm)] == ["norm1", "norm2"][
        :norms
    ]
    assert names[names.index("relu1") :][:3] == ["relu1", "norm1", "pool1"]
    assert names[names.index("relu2") :][: norms + 1] == ["relu2", *["norm2"][: norms - 1], "pool2"]
    for n in range(1, norms + 1):
        x = 60 * torch.rand(1, 8, 2, 2, generator=torch.Generator().manual_seed(n))
        assert torch.equal(made.get_submodule(f"norm{n}")(x), normalised(x, 5, 2.0, 1e-4, 0.75))


def test_choices_that_are_none() -> None:
    with pytest.raises(UserError, match=r"choice for norm2(.|\n)*always(.|\n)*auto, true, false"):
        on_meta(3, second_norm="always")


# --- dropout ---


def dropouts(**numbers: Any) -> list[float]:
    made = on_meta(3, **numbers)
    return [made.get_submodule(name).p for name in ("drop6", "drop7")]


def test_dropout_of_each_layer() -> None:
    assert dropouts() == [0.85, 0.85]
    assert dropouts(dropout={"fc6": 0.9, "fc7": 0}) == [0.9, 0]
    assert dropouts(dropout={"fc7": 0.5}) == [0, 0.5]


@pytest.mark.parametrize(
    "dropout, told",
    [
        ({"fc8": 0.5}, "unknown layer to drop out from(.|\n)*fc8(.|\n)*fc6, fc7"),
        ({"conv5": 0.5}, "unknown layer to drop out from"),
        ({"fc6": 1.0}, "dropout of fc6 is a share"),
        ({"fc7": -0.1}, "dropout of fc7 is a share"),
        ({"fc7": float("nan")}, "dropout of fc7 is a share"),
        ({"fc6": "half"}, "dropout of fc6 is a share"),
        ({"fc6": True}, "dropout of fc6 is a share"),
        ({"fc6": None}, "dropout of fc6 is a share"),
    ],
)
def test_dropout_that_is_none_is_refused(dropout: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        on_meta(3, dropout=dropout)


# --- first weights ---


@pytest.mark.parametrize("channels, contrast", [(3, 58), (20, 12)])
def test_fresh_weights_keep_what_bytes_carry(channels: int, contrast: float) -> None:
    """Pictures of the contrast of photographs, and of flow: nothing fades or blows up on the way."""
    made = VggM(channels, 101, size=96).eval()
    initialise(made, seed=0)
    coarse = torch.randn(4, channels, 12, 12, generator=torch.Generator().manual_seed(0))
    smooth = nn.functional.interpolate(coarse, size=(96, 96), mode="bilinear")
    x = (128 + contrast * smooth / smooth.std()).clamp(0, 255).to(torch.uint8).unsqueeze(2)
    with torch.no_grad():
        maps = made.collect(x, ("relu1", "relu5", "fc8"))
    strength = {name: float(y.square().mean().sqrt()) / (contrast / 58) for name, y in maps.items()}
    assert 0.5 < strength["relu1"] < 2 and 0.4 < strength["relu5"] < 2.5 and strength["fc8"] < 2


# --- larger frames ---


@torch.no_grad()
def drawn(size: int, padded: bool = True) -> VggM:
    made = VggM(3, 5, size=size).eval()
    initialise(made, seed=0)
    made.set_pixels(128, 8)  # so that the norms have something to do
    for name, own in made.named_parameters():
        if name.endswith("bias"):
            own.normal_(0, 0.5, generator=torch.Generator().manual_seed(own.numel()))
    for layer in made.children():
        if isinstance(layer, nn.Conv2d) and not padded:
            layer.padding = (0, 0)
    return made


def pictures(side: int) -> Tensor:
    return torch.randint(0, 256, (1, 3, 1, side, side), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


@torch.no_grad()
def test_without_padding_a_map_of_predictions_is_that_of_crops_one_by_one() -> None:
    made, crop = drawn(96, padded=False), 203  # the frame of which conv3 … conv5 without padding leave pool5 its 2×2
    x = pictures(crop + 64)
    predictions = made(x)
    assert predictions.shape == (1, 5, 1, 3, 3)
    for i in range(3):
        for j in range(3):
            one = made(x[..., 32 * i : 32 * i + crop, 32 * j : 32 * j + crop])
            assert one.shape == (1, 5, 1, 1, 1)
            assert torch.allclose(predictions[..., i, j], one[..., 0, 0], rtol=1e-4, atol=1e-4)
    assert predictions.std() > 0.01


@torch.no_grad()
def test_with_padding_the_inner_places_are_equal_and_no_others() -> None:
    """Of relu5's 13×13 places of a crop, rows and columns 4 … 8 see none of the zeros around the crop's maps."""
    made = drawn(64)  # its connected layers are not asked for
    x = pictures(224 + 64)
    (whole,) = made.collect(x, ("relu5",)).values()
    (crop,) = made.collect(x[..., 32:256, 32:256], ("relu5",)).values()
    assert crop.shape[3:] == (13, 13)
    same = torch.isclose(whole[..., 2:15, 2:15], crop, rtol=1e-4, atol=1e-4).all(dim=1)[0, 0]
    inner = torch.zeros(13, 13, dtype=torch.bool)
    inner[4:9, 4:9] = True
    assert torch.equal(same, inner)


@torch.no_grad()
def test_predictions_are_those_of_the_connected_layers_at_each_window_of_the_last_map() -> None:
    made = drawn(96)
    x = pictures(96 + 64)
    predictions = made(x)
    cut = Tower(dict(deepcopy(made).named_children()), {"pool5": "pool5"}, 3, 96)
    (pool5,) = cut.collect(made.normalise(x), ("pool5",)).values()
    assert pool5.shape[3:] == (4, 4) and predictions.shape[3:] == (3, 3)
    for i in range(3):
        for j in range(3):
            one = cut.forward_from(pool5[..., i : i + 2, j : j + 2], after="pool5")
            assert torch.allclose(one[..., 0, 0], predictions[..., i, j], rtol=1e-4, atol=1e-4)
