"""Any classification network of torchvision as a tower, of images or of clips: backbone=torchvision, by `name`.

`options` are arguments of torchvision's own builder. A network that is made for one size of frames, as ViT, gets the
size of ours. For another number of channels than 3 the first convolution is replaced by one that takes them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import partial
from math import prod, sqrt
from pathlib import Path
from typing import Any

from torch import nn
from torchvision import models

from fusionlab import errors
from fusionlab.backbones.graph import GraphTower
from fusionlab.backbones.pretrained import imagenet

OURS = ("weights", "progress", "num_classes")  # arguments of a builder that have options of their own
# Trained with pixels from −1 to 1; torchvision's builder changes them inside of the network, if it loads the weights.
MINUS_ONE_TO_ONE = ("googlenet", "inception_v3")


class Torchvision(GraphTower):
    """A network of torchvision by its name. `frames`: of the clips, for networks of clips."""

    library = "torchvision"
    options: dict[str, Any]

    def __init__(
        self,
        in_channels: int,
        classes: int,
        size: int = 224,
        frames: int = 16,
        *,
        name: str = "resnet18",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if name not in names():
            raise errors.unknown("network of torchvision", name, names(), form="backbone.appearance.name={}")
        for option in OURS:
            if option in (options or {}):
                hint = "weights=imagenet, or a file" if option == "weights" else None
                raise errors.UserError(
                    "this option of torchvision's builder is set by fusionlab", got=option, hint=hint
                )
        self.name, self.options = name, dict(options or {})
        build = partial(network, name, in_channels, classes, size, self.options)
        super().__init__(build, in_channels, size, frames=frames if name in videos() else None)

    def imagenet_file(self, folder: Any) -> Path:
        """The file of weights of this network, downloaded if missing."""
        files = published(self.name)
        found = next((files[one] for one in ("IMAGENET1K_V1", *files) if one in files and "IMAGENET1K" in one), None)
        if found is None:
            raise errors.UserError(
                f"torchvision has no ImageNet weights of {self.name}",
                got="weights=imagenet",
                allowed=[f"{one}: {file.url}" for one, file in files.items()] or None,
                hint="weights=null, or one of these files in run.weights, and weights=<its name>",
            )
        return imagenet.fetch(found)

    def published_files(self) -> list[imagenet.Published]:
        return list(published(self.name).values())

    def pixels(self, file: str) -> tuple[list[float], list[float]]:
        """Mean and scale of bytes, as the transforms of this file have them."""
        choices = models.get_model_weights(self.name)
        chosen = next((one for one in choices if one.url.endswith(f"/{file}")), next(iter(choices), None))
        if chosen is None:
            return [255 * one for one in imagenet.MEAN], [255 * one for one in imagenet.STD]
        if self.name in MINUS_ONE_TO_ONE and not self.options.get("transform_input"):
            return [127.5] * 3, [127.5] * 3
        transforms = chosen.transforms()
        return [255 * one for one in transforms.mean], [255 * one for one in transforms.std]


def videos() -> list[str]:
    return models.list_models(module=models.video)


def names() -> list[str]:
    """Networks that give a class to an image or to a clip."""
    return sorted([*models.list_models(module=models), *videos()])


def published(name: str) -> dict[str, imagenet.Published]:
    """torchvision's files of a network, by the names of its choices. Their names hold the first digits of the hash."""
    found = {}
    for one in models.get_model_weights(name):
        file = one.url.rpartition("/")[2]
        if digits := re.search(r"-([0-9a-f]{8,})\.pth$", file):
            found[one.name] = imagenet.Published(file, digits[1])
    return found


def network(name: str, in_channels: int, classes: int, size: int, options: Mapping[str, Any]) -> nn.Module:
    """torchvision's network, without weights."""
    make = models.get_model_builder(name)
    try:
        whole = make(weights=None, num_classes=classes, **_fixed_size(make, size), **options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise errors.UserError(
            f"torchvision cannot build {name} with these options", got=f"size={size}, {dict(options)}: {error}"
        ) from error
    if in_channels != 3:
        replace_first(whole, in_channels)
    return whole


def _fixed_size(make: Any, size: int) -> dict[str, Any]:
    """The builder's argument for the size of frames, of a network that is made for one size."""
    made = inspect.signature(make).return_annotation
    arguments = inspect.signature(made).parameters if inspect.isclass(made) else {}
    if "image_size" in arguments:
        return {"image_size": size}
    return {"input_size": (size, size)} if "input_size" in arguments else {}


def replace_first(whole: nn.Module, in_channels: int) -> None:
    """Let the first convolution take so many channels; it is drawn for a ReLU, N(0, 2 / fan in)."""
    path, first = next((path, one) for path, one in whole.named_modules() if isinstance(one, nn.Conv2d | nn.Conv3d))
    assert not isinstance(first.padding, str)
    made = type(first)(
        in_channels, first.out_channels, first.kernel_size, first.stride, first.padding, first.dilation,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )  # fmt: skip
    nn.init.normal_(made.weight, 0.0, sqrt(2.0 / prod(made.weight.shape[1:])))
    if made.bias is not None:
        nn.init.zeros_(made.bias)
    above, _, own = path.rpartition(".")
    whole.get_submodule(above).add_module(own, made)
