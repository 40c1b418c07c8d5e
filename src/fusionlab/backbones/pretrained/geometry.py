"""What a file says of its layers beyond their weights, held against the tower's: weights of one shape may still belong
to another network (VGG-M's conv2 has a stride of 2 and VGG-S's of 1, and both are 5×5×96×256).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from typing import Any

import numpy as np
from torch import nn

from fusionlab.backbones.lrn import LocalResponseNorm
from fusionlab.backbones.taps import pair
from fusionlab.backbones.tower import Tower

Facts = Mapping[str, Any]


def compare(tower: Tower, file: Mapping[str, tuple[str, Facts]]) -> tuple[list[str], list[str]]:
    """`file`: layer -> its type and numbers. What does not agree, and what is only worth a note."""
    wrong: list[str] = []
    notes: list[str] = []
    for name, layer in tower.named_children():
        kind, facts = file.get(name, ("", {}))
        if isinstance(layer, LocalResponseNorm):
            wrong += _lrn(name, layer, facts.get("param") if kind == "lrn" else None)
        elif isinstance(layer, nn.Conv2d) and kind == "conv":
            wrong += _differ(name, "stride", _numbers(facts.get("stride", 1), 2), pair(layer.stride))
            assert not isinstance(layer.padding, str)
            down, right = pair(layer.padding)
            wrong += _differ(name, "pad", _numbers(facts.get("pad", 0), 4), (down, down, right, right))
        elif isinstance(layer, nn.MaxPool2d | nn.AvgPool2d) and kind == "pool":
            # Not the padding: MatConvNet pads at the end where our pools round up.
            wrong += _differ(name, "window", _numbers(facts.get("pool", 1), 2), pair(layer.kernel_size))
            wrong += _differ(name, "stride", _numbers(facts.get("stride", 1), 2), pair(layer.stride))
            own = "max" if isinstance(layer, nn.MaxPool2d) else "avg"
            said = str(facts.get("method", "max"))
            if said != own:
                wrong.append(f"{name}: takes the {said} in the file, the {own} in the tower")
    for name, (kind, _) in file.items():
        if kind == "lrn" and name not in tower.names:
            notes.append(f"{name} of the file has no weights and no place in this tower: left out")
    return wrong, notes


def _lrn(name: str, layer: LocalResponseNorm, param: Any) -> list[str]:
    """MatConvNet's [N κ α β], of y = x / (κ + α Σ x²)^β."""
    own = (layer.window, layer.kappa, layer.alpha, layer.beta)
    numbers = _numbers(param, 4)
    if len(numbers) == 4 and all(isclose(a, b, rel_tol=1e-6) for a, b in zip(numbers, own, strict=True)):
        return []
    said = "nothing" if param is None else f"{numbers}"
    return [f"{name}: N κ α β are {said} in the file, {tuple(map(float, own))} in the tower"]


def _differ(name: str, what: str, file: tuple[float, ...], own: tuple[int, ...]) -> list[str]:
    return [] if file == own else [f"{name}: {what} is {file} in the file, {own} in the tower"]


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    """`count` numbers; one stands for all, and two of four for (up and down, left and right)."""
    given = tuple(float(one) for one in np.asarray(value, dtype=np.float64).ravel()) if _numeric(value) else ()
    return tuple(one for one in given for _ in range(count // len(given))) if given and len(given) < count else given


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, np.ndarray) and value.dtype.kind in "fiu")
