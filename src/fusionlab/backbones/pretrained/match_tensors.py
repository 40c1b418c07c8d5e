"""A file's tensors into a tower, or one error that lists all that does not fit.

A first layer of three channels fits a tower of any number of channels by the cross-modality rule: flow starts from
weights for colour (Wang et al. 2015, and the released code of the 2016 paper):

    w_o(c) = 1/3 Σ_rgb w_o(rgb)      for each channel c = 1 … 2L, at each place of the filter

A convolution of frames fits one of clips by inflation: w / N, repeated N times along time (`backbones/inflate.py`).

Flow's zero is 128, and it keeps the contrast that the weights were trained for: pixels enter as (x - 128) / scale, with
the mean of the file's scales.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite, prod
from pathlib import Path

import torch
from torch import Tensor

from fusionlab.backbones.folding import is_2d_kernel, repeat_over_time
from fusionlab.backbones.layers import is_convolution
from fusionlab.backbones.pretrained.tensors import PIXELS, RGB, WeightFile
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError

ZERO = 128.0  # of flow
SHOWN = 12


@dataclass
class _Fitting:
    """Compares the entries with the tower's, one after the other."""

    first: str  # the weights that read the pixels
    head: str  # what the classifier's entries begin with
    taken: dict[str, Tensor] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    counts: tuple[int, int] | None = None  # of classes, where they differ: the file's and the tower's
    averaged: bool = False  # over colours, for another number of channels
    inflated: int = 0  # convolutions of frames
    other_time: bool = False  # whether kernels see another number of frames
    frames: bool = False  # whether frames of another size would explain an error

    def entry(self, name: str, given: Tensor, own: Tensor) -> None:
        value = _as_filters(given, own)
        if is_2d_kernel(value, own):
            value, self.inflated = repeat_over_time(value, own.shape[2]), self.inflated + 1
        if not (value.dtype == own.dtype or (value.is_floating_point() and own.is_floating_point())):
            self.wrong.append(f"type: {name} is {value.dtype}, in the tower {own.dtype}")
            return
        if name == self.first and _colour(value, own):
            value, self.averaged = value.mean(dim=1, keepdim=True).expand_as(own), True
        if value.shape != own.shape:
            self._misshapen(name, value, own)
        elif not value.to(own.dtype).isfinite().all():
            self.wrong.append(f"not finite: {name}")
        else:
            self.taken[name] = value

    def _misshapen(self, name: str, value: Tensor, own: Tensor) -> None:
        if name.startswith(self.head) and value.shape[1:] == own.shape[1:]:
            self.counts = len(value), len(own)
            return
        if value.ndim == 5 and (own_frames := own.shape[2] if own.ndim == 5 else 1) != value.shape[2]:
            self.other_time = True
            self.wrong.append(f"frames: {name} sees {value.shape[2]} in the file, {own_frames} in the tower")
            return
        self.wrong.append(f"shape: {name} {tuple(value.shape)}, in the tower {tuple(own.shape)}")
        self.frames |= name.startswith("fc") and _other_frames(value, own)


@torch.no_grad()
def fit(tower: Tower, file: WeightFile, *, fresh_head: bool, path: Path) -> list[str]:
    """Returns notes for the user. If anything is wrong the tower is unchanged."""
    notes, head = list(file.notes), f"{tower.classifier}."
    wanted = {name: one for name, one in tower.state_dict().items() if name not in PIXELS}
    given = file.weights
    if fresh_head:
        wanted, given = ({name: one for name, one in of.items() if not name.startswith(head)} for of in (wanted, given))
        notes.append(f"{tower.classifier} is drawn, not loaded")
    first = next(name for name, layer in tower.named_modules() if is_convolution(layer))
    fitting = _Fitting(f"{first}.weight", head, wrong=[*file.wrong, *_names(wanted, given)])
    for name, own in wanted.items():
        if name in given:
            fitting.entry(name, given[name], own)
    mean, scale = _pixels(file, given.get(fitting.first), fitting)
    _refuse(fitting, path, tower)
    for name, one in fitting.taken.items():
        wanted[name].copy_(one)
    if fitting.inflated:
        notes.append(
            f"{fitting.inflated} convolutions of frames are inflated: repeated along time and divided by its length"
        )
    if fitting.averaged:
        notes.append(f"{first} is the mean over RGB, repeated {tower.in_channels} times")
    if mean and scale:
        tower.set_pixels(mean, scale)
        if fitting.averaged:
            notes.append(f"pixels of flow: mean {ZERO:g}, scale {scale[0]:g}")
    return notes


def _names(wanted: dict[str, Tensor], given: dict[str, Tensor]) -> list[str]:
    # Batch normalisations of older versions do not count their batches, nor do ours need it.
    missing = [name for name in wanted if name not in given and not name.endswith(".num_batches_tracked")]
    return [
        *(f"missing: {name} {tuple(wanted[name].shape)}" for name in missing),
        *(f"unexpected: {name} {tuple(one.shape)}" for name, one in given.items() if name not in wanted),
    ]


def _as_filters(value: Tensor, own: Tensor) -> Tensor:
    """As the convolution of frames that our towers have in its place.

    Of a linear layer's (O, D·H·W), since both unroll in this order, and of a convolution of clips one frame deep.
    """
    if value.ndim == 5 and own.ndim == 4 and value.shape[2] == 1:
        return value.squeeze(2)
    if value.ndim == 2 and own.ndim in (4, 5) and value.shape[1] == prod(own.shape[1:]):
        return value.reshape(len(value), *own.shape[1:])
    return value


def _colour(value: Tensor, own: Tensor) -> bool:
    """Does only the number of channels differ, and is it that of colour?"""
    same = (
        value.ndim == own.ndim
        and value.ndim in (4, 5)
        and value.shape[0] == own.shape[0]
        and value.shape[2:] == own.shape[2:]
    )
    return same and value.is_floating_point() and value.shape[1] == RGB != own.shape[1]


def _other_frames(value: Tensor, own: Tensor) -> bool:
    """A fully connected layer for a map of another size, which frames of another size left?"""
    if value.ndim == 2 and own.ndim == 4:
        return value.shape[1] % own.shape[1] == 0
    return value.ndim == own.ndim == 4 and value.shape[:2] == own.shape[:2]


def _pixels(
    file: WeightFile, first: Tensor | None, fitting: _Fitting
) -> tuple[list[float], list[float]] | tuple[None, None]:
    """Mean and scale of the pixels; None where the tower's own stay."""
    if file.mean is None or file.scale is None or first is None or first.ndim not in (4, 5):
        return None, None
    for name, numbers in (("mean", file.mean), ("scale", file.scale)):
        if len(numbers) != first.shape[1]:
            fitting.wrong.append(f"shape: {name} of {len(numbers)} channels, the first layer reads {first.shape[1]}")
        elif not all(isfinite(one) and (name == "mean" or one > 0) for one in numbers):
            fitting.wrong.append(f"{name} of the pixels is {numbers}")
    if fitting.averaged:
        return [ZERO], [sum(file.scale) / len(file.scale)]
    return file.mean, file.scale


def _refuse(fitting: _Fitting, path: Path, tower: Tower) -> None:
    """One error that lists all differences."""
    wrong, counts = fitting.wrong, fitting.counts
    drawn = f"weights.head=fresh: {tower.classifier} is drawn, all below it loaded"
    if counts and not wrong:
        raise UserError(
            "these weights are for another number of classes",
            got=f"{counts[0]} in {path}, {counts[1]} here",
            hint=drawn,
        )
    if not wrong:
        return
    hint = None
    if fitting.frames:
        hint = "data.sampling.crop=224, for example: frames must be as large as those that the weights were trained on"
    elif fitting.other_time:
        hint = "these weights have kernels with another number of frames; weights of the 2D tower fit any"
    elif all(line.startswith(f"missing: {fitting.head}") for line in wrong):
        hint = drawn
    if counts:
        wrong = [f"classes: {counts[0]}, here {counts[1]} (weights.head=fresh would draw {tower.classifier})", *wrong]
    shown = wrong[:SHOWN] + ([f"… and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else [])
    raise UserError(
        f"these weights do not fit {type(tower).__name__} ({tower.in_channels} channels, frames of {tower.size})",
        got="\n    ".join([str(path), *shown]),
        hint=hint,
    )
