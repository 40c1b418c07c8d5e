"""Strides, windows and normalisation in a file, compared with the tower's.

Weights of another network can have the same shapes: conv2 of VGG-M and VGG-S is 5×5×96×256 in both, with a stride of 2
in one and 1 in the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from typing import Any

import numpy as np
from torch import nn

from fusionlab.backbones.layers import is_convolution, is_pooling, pair, takes_mean
from fusionlab.backbones.tower import Tower

Facts = Mapping[str, Any]


def compare(tower: Tower, file: Mapping[str, tuple[str, Facts]]) -> tuple[list[str], list[str]]:
    """`file`: layer -> its type and numbers. Returns the differences, and notes."""
    wrong: list[str] = []
    notes: list[str] = []
    for name, layer in tower.named_children():
        type_, facts = file.get(name, ("", {}))
        if (lrn := getattr(layer, "lrn_numbers", None)) is not None:
            wrong += _lrn(name, lrn, facts.get("param") if type_ == "lrn" else None)
        elif is_convolution(layer) and type_ == "conv":
            wrong += _differ(name, "stride", _numbers(facts.get("stride", 1), 2), _sides(layer, "stride"))
            down, right = _sides(layer, "padding")
            wrong += _differ(name, "pad", _numbers(facts.get("pad", 0), 4), (down, down, right, right))
        elif is_pooling(layer) and type_ == "pool":
            # Not the padding: MatConvNet pads at the end where our pools round up.
            wrong += _differ(name, "window", _numbers(facts.get("pool", 1), 2), _sides(layer, "kernel_size"))
            wrong += _differ(name, "stride", _numbers(facts.get("stride", 1), 2), _sides(layer, "stride"))
            own = "avg" if takes_mean(layer) else "max"
            method = str(facts.get("method", "max"))
            if method != own:
                wrong.append(f"{name}: takes the {method} in the file, the {own} in the tower")
    for name, (type_, _) in file.items():
        if type_ == "lrn" and name not in tower.names:
            notes.append(f"{name} of the file has no weights and is not in this tower: ignored")
    return wrong, notes


def _lrn(name: str, own: tuple[float, ...], param: Any) -> list[str]:
    """MatConvNet's [N κ α β], of y = x / (κ + α Σ x²)^β."""
    numbers = _numbers(param, 4)
    if len(numbers) == 4 and all(isclose(a, b, rel_tol=1e-6) for a, b in zip(numbers, own, strict=True)):
        return []
    in_file = "missing" if param is None else f"{numbers}"
    return [f"{name}: N κ α β are {in_file} in the file, {tuple(map(float, own))} in the tower"]


def _sides(layer: nn.Module, name: str) -> tuple[int, int]:
    """Height and width; a layer of clips has its time before."""
    value = getattr(layer, name)
    return pair(value if isinstance(value, int) else value[-2:])


def _differ(name: str, what: str, file: tuple[float, ...], own: tuple[int, ...]) -> list[str]:
    return [] if file == own else [f"{name}: {what} is {file} in the file, {own} in the tower"]


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    """`count` numbers; one stands for all, and two of four for (up and down, left and right)."""
    given = tuple(float(one) for one in np.asarray(value, dtype=np.float64).ravel()) if _numeric(value) else ()
    return tuple(one for one in given for _ in range(count // len(given))) if given and len(given) < count else given


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, np.ndarray) and value.dtype.kind in "fiu")
