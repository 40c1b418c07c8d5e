"""Plain tensors by name in a file: torch's own format, or safetensors. Nothing in such a file is ever run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from fusionlab.backbones.pretrained import imagenet
from fusionlab.backbones.pretrained.found import Found
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError

PREFIX = "tower."  # of a stream's published weights
PIXELS = ("mean", "scale")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU. A pickle that holds anything else is refused, before it could do anything."""
    try:
        state: Any = load_file(path) if path.suffix.lower() == ".safetensors" else _unpickled(path)
    except FileNotFoundError:
        raise UserError("there is no weight file", got=path) from None
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
    return dict(state)


def _unpickled(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on pickles of other versions of torch: whatever is wrong is an error below
        return torch.load(path, map_location="cpu", weights_only=True)


def _reason(error: Exception) -> str:
    """The first sentence. torch's own message goes on to advise loading the file all the same, code included."""
    said = str(error).rpartition("WeightsUnpickler error: ")[2].strip()
    return said.partition("\n")[0].partition(". ")[0][:200] or type(error).__name__


def _plain(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided and not value.is_quantized and not value.is_meta


def read(path: Path, tower: Tower) -> Found:
    """A state dict of torchvision's, of one of our towers, or of a stream."""
    state = read_tensors(path)
    if imagenet.is_layout(state):
        mean, scale = imagenet.pixels()
        return Found("torchvision", imagenet.renamed(state, tower), mean, scale)
    published = bool(state) and all(name.startswith(PREFIX) for name in state)
    state = {name.removeprefix(PREFIX): value for name, value in state.items()}
    found = Found("state dict", {name: value for name, value in state.items() if name not in PIXELS})
    _set_pixels(found, state, published)
    return found


def _set_pixels(found: Found, state: Mapping[str, Tensor], published: bool) -> None:
    missing = [name for name in PIXELS if name not in state]
    if missing == list(PIXELS) and published:
        found.notes.append("published before pixels were part of the weights: mean and scale are the tower's own")
        return
    found.wrong += [f"missing: {name}, how pixels enter" for name in missing]
    if not missing:
        mean, scale = ([float(number) for number in state[name].flatten()] for name in PIXELS)
        found.mean, found.scale = mean, scale
