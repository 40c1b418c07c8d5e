"""Plain tensors by name in a file: torch's own format, or safetensors. No code in such a file is ever run."""

from __future__ import annotations

import json
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from fusionlab.backbones.pretrained import imagenet, inception_files
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError
from fusionlab.records.files import parse_json
from fusionlab.records.torch_files import refuse_bombs

PREFIX = "tower."  # of a stream's published weights
PIXELS = ("mean", "scale")
RGB = 3
# The weights that fusionlab publishes carry what they were trained on: JSON in what torch keeps beside the tensors of a
# state dict, (prefix of a module) -> {name: value}. It is not a weight and in no fingerprint, and any reader of state
# dicts can ignore it.
BESIDE, TRAINED_ON = "fusionlab", "trained_on"


@dataclass
class WeightFile:
    """The content of a weight file, in the names of the tower that is to have it.

    `weights` are as in a tower's state dict; an entry may still be as a linear layer has it, (O, I).
    """

    layout: str  # whose file this is
    weights: dict[str, Tensor]
    mean: list[float] | None = None  # pixels enter as (x - mean) / scale: one number for each channel of the file
    scale: list[float] | None = None  # None, both: as the tower has it
    mean_image: NDArray[Any] | None = None
    notes: list[str] = field(default_factory=list)  # for the user
    trained_on: dict[str, Any] = field(default_factory=dict)  # data set and split, where the file has them
    wrong: list[str] = field(default_factory=list)  # what does not fit, apart from names and shapes


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU. A pickle that holds anything else is refused, before it could do anything."""
    return dict(_opened(path))


def _opened(path: Path) -> Mapping[str, Tensor]:
    """The tensors as torch returns them, with the metadata beside them."""
    try:
        state: Any = load_file(path) if path.suffix.lower() == ".safetensors" else _unpickled(path)
    except FileNotFoundError:
        raise UserError("the weight file does not exist", got=path) from None
    except Exception as error:
        raise UserError(
            "this is not a weight file of plain tensors",
            got=f"{path}: {_reason(error)}",
            hint="a whole file of tensors by name: torch.save(net.state_dict(), …), or safetensors",
        ) from error
    if not isinstance(state, dict) or not all(isinstance(name, str) and _plain(one) for name, one in state.items()):
        holds = ", ".join(map(str, list(state)[:6])) if isinstance(state, dict) else type(state).__name__
        raise UserError(
            "this is not a weight file of plain tensors",
            got=f"{path}, which holds {holds}",
            hint="save the state dict alone: torch.save(net.state_dict(), …)",
        )
    return state


def _unpickled(path: Path) -> Any:
    refuse_bombs(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on pickles of other versions of torch: whatever is wrong is an error below
        return torch.load(path, map_location="cpu", weights_only=True)


def _reason(error: Exception) -> str:
    """The first sentence. torch's own message goes on to advise loading the file all the same, code included."""
    message = str(error).rpartition("WeightsUnpickler error: ")[2].strip()
    return message.partition("\n")[0].partition(". ")[0][:200] or type(error).__name__


def _plain(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided and not value.is_quantized and not value.is_meta


def trained_on(path: Path) -> dict[str, Any]:
    """The training data that the file names; empty where it names none."""
    return _metadata(_opened(path))


def _metadata(state: Mapping[str, Tensor]) -> dict[str, Any]:
    beside = getattr(state, "_metadata", None)
    beside = beside.get(BESIDE) if isinstance(beside, Mapping) else None
    text = beside.get(TRAINED_ON) if isinstance(beside, Mapping) else None
    try:
        content = parse_json(text.encode(), TRAINED_ON) if isinstance(text, str) else {}
    except (UserError, UnicodeEncodeError):
        return {}
    return content if isinstance(content, dict) else {}


def with_metadata(state: Mapping[str, Tensor], trained_on: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The same tensors, with their training data as metadata."""
    copied = OrderedDict(state)
    copied._metadata = {BESIDE: {TRAINED_ON: json.dumps(trained_on, sort_keys=True)}}  # type: ignore[attr-defined]
    return copied


def read(path: Path, tower: Tower) -> WeightFile:
    """A state dict of torchvision's, of a port of I3D, of one of our towers, or of a stream."""
    opened = _opened(path)
    state = dict(opened)
    if isinstance(tower, imagenet.OfLibrary) and not _is_ours(state):
        mean, scale = tower.pixels(path.name)
        return WeightFile(tower.library, tower.renamed(state), mean, scale)
    if (port := inception_files.layout_of(state)) is not None:
        weights = port.renamed(state)
        first = weights.get("conv1.conv.weight")
        mean, scale = port.pixels(first.shape[1] if first is not None and first.ndim > 1 else RGB)
        return WeightFile(port.layout, weights, mean, scale, wrong=port.differences(tower))
    if imagenet.is_layout(state):
        mean, scale = imagenet.pixels(of_clips=any(value.ndim == 5 for value in state.values()))
        return WeightFile("torchvision", imagenet.renamed(state, tower), mean, scale)
    published = bool(state) and all(name.startswith(PREFIX) for name in state)
    state = {name.removeprefix(PREFIX): value for name, value in state.items()}
    weights = {name: value for name, value in state.items() if name not in PIXELS}
    content = WeightFile("state dict", weights, trained_on=_metadata(opened))
    _set_pixels(content, state, published)
    return content


def _is_ours(state: Mapping[str, Tensor]) -> bool:
    """Whether a tower of fusionlab wrote this, under its own names."""
    return any(name.startswith(PREFIX) or name in PIXELS for name in state)


def _set_pixels(content: WeightFile, state: Mapping[str, Tensor], published: bool) -> None:
    missing = [name for name in PIXELS if name not in state]
    if missing == list(PIXELS) and published:
        content.notes.append("published before pixels were part of the weights: mean and scale are the tower's own")
        return
    content.wrong += [f"missing: {name}, how pixels enter" for name in missing]
    if not missing:
        mean, scale = ([float(number) for number in state[name].flatten()] for name in PIXELS)
        content.mean, content.scale = mean, scale
