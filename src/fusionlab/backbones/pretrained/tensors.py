"""Plain tensors by name in a file: torch's own format, or safetensors. Nothing in such a file is ever run."""

from __future__ import annotations

import json
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from fusionlab.backbones.pretrained import imagenet
from fusionlab.backbones.pretrained.weight_file import Found
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError
from fusionlab.records.files import parse_json
from fusionlab.records.torch_files import refuse_bombs

PREFIX = "tower."  # of a stream's published weights
PIXELS = ("mean", "scale")
# What the weights that fusionlab publishes were trained on goes where their file goes: it is JSON in what torch keeps
# beside the tensors of a state dict, (prefix of a module) -> {name: value}. So it is no weight and in no fingerprint,
# and whoever loads the file as a state dict need not know of it.
BESIDE, TRAINED_ON = "fusionlab", "trained_on"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU. A pickle that holds anything else is refused, before it could do anything."""
    return dict(_opened(path))


def _opened(path: Path) -> Mapping[str, Tensor]:
    """As torch gives it, with what lies beside the tensors."""
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
    return state


def _unpickled(path: Path) -> Any:
    refuse_bombs(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on pickles of other versions of torch: whatever is wrong is an error below
        return torch.load(path, map_location="cpu", weights_only=True)


def _reason(error: Exception) -> str:
    """The first sentence. torch's own message goes on to advise loading the file all the same, code included."""
    said = str(error).rpartition("WeightsUnpickler error: ")[2].strip()
    return said.partition("\n")[0].partition(". ")[0][:200] or type(error).__name__


def _plain(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided and not value.is_quantized and not value.is_meta


def trained_on(path: Path) -> dict[str, Any]:
    """What a file says of its training; nothing where it says nothing, or something else."""
    return _said(_opened(path))


def _said(state: Mapping[str, Tensor]) -> dict[str, Any]:
    beside = getattr(state, "_metadata", None)
    beside = beside.get(BESIDE) if isinstance(beside, Mapping) else None
    text = beside.get(TRAINED_ON) if isinstance(beside, Mapping) else None
    try:
        found = parse_json(text.encode(), TRAINED_ON) if isinstance(text, str) else {}
    except (UserError, UnicodeEncodeError):
        return {}
    return found if isinstance(found, dict) else {}


def saying(state: Mapping[str, Tensor], on: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The same tensors, with what they were trained on beside them."""
    told = OrderedDict(state)
    told._metadata = {BESIDE: {TRAINED_ON: json.dumps(on, sort_keys=True)}}  # type: ignore[attr-defined]
    return told


def read(path: Path, tower: Tower) -> Found:
    """A state dict of torchvision's, of one of our towers, or of a stream."""
    opened = _opened(path)
    state = dict(opened)
    if imagenet.is_layout(state):
        mean, scale = imagenet.pixels()
        return Found("torchvision", imagenet.renamed(state, tower), mean, scale)
    published = bool(state) and all(name.startswith(PREFIX) for name in state)
    state = {name.removeprefix(PREFIX): value for name, value in state.items()}
    weights = {name: value for name, value in state.items() if name not in PIXELS}
    found = Found("state dict", weights, trained_on=_said(opened))
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
