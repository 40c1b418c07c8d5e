"""torchvision's ImageNet weights: which file is whose, where it lies, and what its names are in our towers.

    tower      torchvision's choice                  top-1   file
    vgg16      VGG16_Weights.IMAGENET1K_V1           71.59   vgg16-397923af.pth
    resnet18   ResNet18_Weights.IMAGENET1K_V1        69.76   resnet18-f37072fd.pth
    resnet50   ResNet50_Weights.IMAGENET1K_V1        76.13   resnet50-0676ba61.pth
    inception  GoogLeNet_Weights.IMAGENET1K_V1       69.78   googlenet-1378be20.pth

V1 for ResNet-50 too: it was trained as the papers train; V2 (80.86) comes from a longer recipe with other augmentation,
and what is built on it cannot be compared with what the literature builds on V1.

Inflated towers take the file of their 2D tower. I3D and Inception need padding=torchvision for it.

Pixels are those of torchvision's transforms: (x / 255 - mean) / std of each channel, here on bytes;
GoogLeNet's lie between -1 and 1. Its video ResNets (r3d_18, mc3_18, r2plus1d_18, trained on Kinetics) have their own.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError
from fusionlab.records.files import disk_errors

NAME = "imagenet"
CLASSES = 1000
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
MEAN_OF_VIDEO = (0.43216, 0.394666, 0.37645)
STD_OF_VIDEO = (0.22803, 0.22145, 0.216989)
SITE = "https://download.pytorch.org/models"
PATIENCE = 30.0  # seconds without a byte, then the network counts as missing


@dataclass(frozen=True)
class Published:
    """A file of torchvision's; the first digits of its sha256 are part of its name."""

    file: str
    digits: str

    @property
    def url(self) -> str:
        return f"{SITE}/{self.file}"


FILES = {
    "vgg16": Published("vgg16-397923af.pth", "397923af"),
    "resnet18": Published("resnet18-f37072fd.pth", "f37072fd"),
    "resnet50": Published("resnet50-0676ba61.pth", "0676ba61"),
    "googlenet": Published("googlenet-1378be20.pth", "1378be20"),
}
# MatConvNet's page of models. Nobody else has VGG-M-2048 as it was trained.
VGG_M, VGG_M_MAT = "VGG-M-2048", "imagenet-vgg-m-2048.mat"
VGG_M_URL = f"https://www.vlfeat.org/matconvnet/models/{VGG_M_MAT}"


@runtime_checkable
class OfLibrary(Protocol):
    """A tower of another library, which knows that library's files."""

    library: str

    def imagenet_file(self, folder: str | os.PathLike[str] | None) -> Path: ...
    def published_files(self) -> list[Published]: ...
    def pixels(self, file: str) -> tuple[list[float], list[float]]: ...
    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]: ...


def which(tower: Tower) -> str | None:
    """The row of `FILES` for a tower, by its layers."""
    parts = {name for name, _ in tower.named_modules()}
    if {"conv5_3", "fc6", "fc8"} <= parts:
        return "vgg16"
    if {"layer3.5.conv3", "fc"} <= parts and "layer3.6" not in parts:
        return "resnet50"
    if {"conv1", "layer4.1.conv2", "fc"} <= parts and not {"layer4.1.conv3", "layer4.2"} & parts:
        return "resnet18"
    of_googlenet = {"mixed_5c.b3b.conv", "fc"} <= parts and "mixed_5c.b1b.time_conv" not in parts
    if of_googlenet and getattr(tower, "padding", None) == "torchvision":
        return "googlenet"
    return None


def cache() -> Path:
    """The folder of torch hub: $TORCH_HOME/hub/checkpoints, or below ~/.cache/torch."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def locate(tower: Tower, folder: str | os.PathLike[str] | None, head: str | None) -> Path:
    """The file for this tower in torch hub's cache, downloaded if missing; VGG-M's is in the folder of weights."""
    row = which(tower)
    mat = Path(folder or "", VGG_M_MAT) if tower.published == VGG_M else None
    if row is None and not isinstance(tower, OfLibrary) and not (mat and mat.is_file()):
        raise _no_weights(tower, folder)
    if head == "keep" and tower.classes != CLASSES:
        raise UserError(
            "ImageNet's classifier is for another number of classes",
            got=f"{CLASSES} of ImageNet, {tower.classes} here",
            hint=f"weights.head=fresh: {tower.classifier} is drawn, all below it loaded",
        )
    if mat is not None:
        return mat
    return fetch(FILES[row]) if row is not None else tower.imagenet_file(folder)  # type: ignore[operator]


def downloads(tower: Tower) -> bool:
    """Whether the file for this tower is downloaded where it is missing."""
    return which(tower) is not None or isinstance(tower, OfLibrary)


def fetch(published: Published) -> Path:
    """A file of torchvision's in torch hub's cache; downloaded if missing."""
    path = cache() / published.file
    if not path.is_file():
        _download(published, path)
    return path


def _no_weights(tower: Tower, folder: str | os.PathLike[str] | None) -> UserError:
    """The error for a tower without weights of torchvision."""
    name = type(tower).__name__
    if tower.published == VGG_M:
        return UserError(
            f"torchvision has no ImageNet weights of {name}; MatConvNet has",
            got=f"weights={NAME}",
            hint=f"get {VGG_M_URL}, put it into {folder or 'run.weights'}, then weights={NAME} weights.head=fresh",
        )
    if getattr(tower, "padding", None) == "tensorflow":
        return UserError(
            "torchvision's ImageNet weights of Inception (GoogLeNet) need its padding",
            got=f"weights={NAME}, padding=tensorflow",
            hint="backbone.appearance.padding=torchvision, and backbone.motion.padding=torchvision",
        )
    return UserError(
        f"no ImageNet weights of {name} exist",
        got=f"weights={NAME}",
        allowed=["null: drawn from the seed", "a file: the weights.pt of a trained stream"],
        hint=f"weights=null, or a tower that has them: backbone={', '.join(FILES).replace('googlenet', 'inception')}",
    )


def _download(published: Published, path: Path) -> None:
    try:
        with disk_errors(path), _patience():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(published.url, str(path), published.digits, progress=sys.stderr.isatty())
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: what came has another hash
        raise UserError(
            "the ImageNet weights are not in the cache, and the download failed",
            got=f"{published.url}: {error}",
            hint=f"get {published.file} from {published.url} where there is a network, and put it into {path.parent}",
        ) from error


@contextmanager
def _patience() -> Iterator[None]:
    """A timeout: torch.hub has none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def check(path: Path, sha256: str, tower: Tower) -> None:
    """A file with the name of one of torchvision's must be that file."""
    for published in (*FILES.values(), *(tower.published_files() if isinstance(tower, OfLibrary) else ())):
        if path.name == published.file and not sha256.startswith(published.digits):
            raise UserError(
                "the content of this file does not match its name, or it is incomplete",
                got=f"{path}, sha256 {sha256[: len(published.digits)]}…",
                allowed=[f"sha256 {published.digits}…"],
                hint=f"rm '{path}', then the same command, or get it from {published.url}",
            )


def is_layout(state: Mapping[str, Tensor]) -> bool:
    """Are these names and shapes torchvision's? Our towers have no linear layer."""
    linear = "fc.weight" in state and state["fc.weight"].ndim == 2
    return linear or any(name.startswith(("features.", "classifier.")) for name in state)


def renamed(state: Mapping[str, Tensor], tower: Tower) -> dict[str, Tensor]:
    """By the tower's names. ResNet's are the same. VGG-16's layers are numbered, in the order of our chain:

    features.i    the i-th layer of the tower
    classifier.i  the i-th layer from fc6 on
    """
    if which(tower) != "vgg16":
        return dict(state)
    starts = {"features": 0, "classifier": tower.names.index("fc6")}
    by_name = {}
    for name, value in state.items():
        part, _, rest = name.partition(".")
        number, _, own = rest.partition(".")
        if part in starts and number.isdecimal() and starts[part] + int(number) < len(tower.names):
            name = f"{tower.names[starts[part] + int(number)]}.{own}"
        by_name[name] = value
    return by_name


def pixels(*, of_clips: bool = False) -> tuple[list[float], list[float]]:
    """Mean and scale of the three colours, for bytes; `of_clips`: of torchvision's networks for clips."""
    means, stds = (MEAN_OF_VIDEO, STD_OF_VIDEO) if of_clips else (MEAN, STD)
    return [255 * mean for mean in means], [255 * std for std in stds]
