"""Every tower of the catalogue: the contract, its maps at other sizes, its receptive fields by gradients."""

from copy import deepcopy
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from backbone_probes import frames_seen_by, seen_by
from torch import nn

from fusionlab.backbones.taps import walk
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError
from fusionlab.testing import load_parts
from fusionlab.testing import tower_contract as contract

OF_LIBRARIES = ("torchvision", "timm", "efficientnet_lite0")  # test_graph.py
TOWERS = {
    name: make
    for name, make in load_parts(Path(__file__).parents[2] / "conf" / "backbone").items()
    if name not in OF_LIBRARIES
}
MIXED = tuple(f"{kind}{group}" for kind in ("mc", "rmc") for group in range(2, 6))
# Smaller frames and fewer channels where that saves seconds; a new yaml is tried with its own.
SMALL: dict[str, dict[str, Any]] = {
    **{name: {"size": size} for name, size in {"vgg_m": 64, "vgg16": 32, "resnet18": 64, "resnet50": 32}.items()},
    "inflated": {"size": 32},
    **{name: {"size": 48, "width": 0.125} for name in ("inception", "i2d", "i3d", "i3d_bottom", "i3d_top")},
    **{name: {"size": 48, "width": 0.125} for name in ("s3d", "s3d_g")},
    **{name: {"size": 32, "width": 0.125} for name in ("r2d", "r3d", "r2plus1d", "fr2d", *MIXED)},
}
VARIANTS = (
    "i2d",
    "i3d_bottom",
    "i3d_top",
    "s3d_g",
    "inflated",
    "fr2d",
    *MIXED,
)  # of a class that is tried by another yaml or test
ALL = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in VARIANTS else []) for name in TOWERS]
)


def tower(name: str, **numbers: Any) -> Tower:
    """On the meta device."""
    with torch.device("meta"):
        return TOWERS[name](3, 5, **numbers)


def test_the_papers_towers_are_there() -> None:
    assert {"tiny", "vgg_m", "vgg16", "resnet18", "resnet50"} <= set(TOWERS)


@ALL
def test_contract(name: str) -> None:
    contract.check(partial(TOWERS[name], **SMALL.get(name, {})))


@ALL
@pytest.mark.parametrize("larger", [0, 1, 5, 16, 33, 100])
def test_sides_and_channels_at_other_sizes(name: str, larger: int) -> None:
    """What a tap announces is what comes out, on the meta device."""
    made = tower(name, size=tower(name).size + larger).eval()
    frames = made.time_stride
    found = made.collect(torch.empty(1, 3, frames, made.size, made.size, device="meta"), made.taps)
    for tap, x in found.items():
        told = made.taps[tap]
        assert x.shape == (1, told.channels, made.steps(tap, frames), told.side, told.side), tap


@ALL
def test_receptive_fields_and_strides_are_those_that_gradients_show(name: str) -> None:
    made = tower(name)
    for tap, told in made.taps.items():
        if told.spatial and told.rectified and told.time_field is not None:
            assert told.field is not None
            size = told.field + 3 * told.stride + 40
            middle = size // 2 // told.stride
            (first, last), (second, _) = seen_by(made, told.after, size, (middle, middle + 1))
            assert (last - first + 1, second - first) == (told.field, told.stride), tap
            if made.time_stride > 1:
                frames = told.time_field + 3 * told.time_stride + 40
                middle = frames // 2 // told.time_stride
                (first, last), (second, _) = frames_seen_by(made, told.after, frames, (middle, middle + 1))
                assert (last - first + 1, second - first) == (told.time_field, told.time_stride), tap


@ALL
def test_what_is_a_map_and_what_a_vector(name: str) -> None:
    made = tower(name)
    vectors = [tap for tap, told in made.taps.items() if not told.spatial]
    assert vectors == [tap for tap in made.taps if tap.startswith("fc") or tap == "softmax"]
    assert made.classifier == vectors[-2] and made.classes == 5


@ALL
def test_a_tower_can_be_copied_and_loaded_on_the_meta_device(name: str) -> None:
    made = tower(name)
    copied = deepcopy(made)
    assert copied.load_state_dict(made.state_dict(), assign=True)
    assert all(value.is_meta for value in copied.state_dict().values())


@ALL
def test_frames_that_are_too_small_are_refused_with_the_smallest_that_do(name: str) -> None:
    with pytest.raises(UserError, match="frames are too small for this tower") as refused:
        tower(name, size=8)
    assert refused.value.hint is not None
    smallest = int(refused.value.hint.removeprefix("size=").removesuffix(" or more"))
    made = tower(name, size=smallest)
    x = torch.empty(1, 3, made.time_stride, smallest, smallest, device="meta")
    assert made.eval()(x).shape == (1, 5, 1, 1, 1)
    with pytest.raises(UserError, match="frames are too small"):
        tower(name, size=smallest - 1)


@pytest.mark.parametrize(
    "kind, numbers",
    [(nn.Conv2d, {}), *((pool, {"ceil_mode": up}) for pool in (nn.MaxPool2d, nn.AvgPool2d) for up in (False, True))],
)
def test_the_number_of_windows_is_torchs(kind: Any, numbers: dict[str, bool]) -> None:
    """Every small kernel, stride and padding along every short side."""
    tried = 0
    for kernel, stride, padding in product(range(1, 5), range(1, 5), range(3)):
        if 2 * padding > kernel:
            continue
        layer = kind(*((1, 1) if kind is nn.Conv2d else ()), kernel, stride, padding=padding, **numbers).to("meta")
        for side in range(max(1, kernel - 2 * padding), 12):
            y = layer(torch.empty(1, 1, side, side, device="meta"))
            assert walk({"layer": layer}, 1, side)["layer"].tap.side == y.shape[-1], (kernel, stride, padding, side)
            tried += 1
    assert tried > 300


def test_a_dilated_kernel_is_as_large_as_what_it_spans() -> None:
    with torch.device("meta"):
        layer = nn.Conv2d(1, 1, 3, stride=2, dilation=4)
        found = walk({"layer": layer}, 1, 30)["layer"].tap
        assert (found.side, found.field) == (layer(torch.empty(1, 1, 30, 30)).shape[-1], 9)
