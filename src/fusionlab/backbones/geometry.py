"""What a layer does to a map, measured: torch's operations are followed while it runs on the meta device.

A layer's class is not asked, so a residual block, an Inception block or a layer of your own needs no declaration.

    stride, field            input pixels between two places; pixels that one place sees along a side
    time_stride, time_field  frames between two time steps; frames that one step sees
    rectified                nothing is below zero
    inlets                   the convolutions that read the layer's input

A window of size k adds (k - 1) · stride to the field and multiplies the stride by its own. Behind an attention a field
is None: unknown. So is a time field behind a mean over the whole clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from fusionlab.backbones.folding import fold_time, takes_clips, unfold_time

Axes = tuple[str, ...]  # one word for each axis of a tensor; "" for one that is none of these
MAP: dict[int, Axes] = {4: ("N", "D", "H", "W"), 5: ("N", "D", "T", "H", "W")}


@dataclass(frozen=True)
class Place:
    """Properties of one place of a map."""

    stride: int = 1
    field: int | None = 1
    time_stride: int = 1
    time_field: int | None = 1
    rectified: bool = False
    spatial: bool = True  # a map with places, rather than a vector


@dataclass(frozen=True)
class Measured:
    """What a layer leaves. `shape`: (D, T, H, W); `inlets`: see `inlets.py`."""

    place: Place
    shape: tuple[int, int, int, int]
    inlets: tuple[str, ...] | None


@dataclass(frozen=True)
class _Seen:
    """A tensor on its way. `own`: it still has the channels of the layer's input; `axes`: None where they are mixed."""

    place: Place
    axes: Axes | None
    own: bool


def measure(layer: nn.Module, shape: tuple[int, int, int, int], place: Place) -> Measured:
    """Run the layer on a map (D, T, H, W) on the meta device; it keeps its parameters and its mode."""
    numbers = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
    meta = {name: torch.empty_like(one, device="meta", requires_grad=False) for name, one in numbers.items()}
    x = torch.empty(1, *shape, device="meta", dtype=next(_floats(meta), torch.get_default_dtype()))
    folded = not takes_clips(layer)
    x = fold_time(x) if folded else x
    with _evaluating(layer), torch.no_grad(), _Follower(x, place, layer, meta) as followed:
        y = functional_call(layer, meta, (x,))
        seen = followed.seen(y)
    y = unfold_time(y, clips=1) if folded else y
    if y.ndim != 5:
        raise RuntimeError(f"a layer leaves a map (N, D, T, H, W), not {tuple(y.shape)}")
    declared = getattr(layer, "rectified", None)
    own = replace(seen.place, rectified=seen.place.rectified if declared is None else bool(declared))
    if getattr(layer, "whole_map", False):
        own = replace(own, spatial=False)
    return Measured(own, cast(Any, tuple(y.shape[1:])), followed.inlets(seen))


def _floats(numbers: Mapping[str, Tensor]) -> Iterator[torch.dtype]:
    return (one.dtype for one in numbers.values() if one.is_floating_point())


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    before = {part: part.training for part in module.modules()}
    for part in before:
        part.training = False
    try:
        yield
    finally:
        for part, mode in before.items():
            part.training = mode


RECTIFIES = {"relu", "relu_", "threshold", "sigmoid", "sigmoid_", "hardsigmoid", "hardsigmoid_"}
CUTS = {"hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min", "clamp_min_"}  # at their first number
# What leaves nothing below zero where nothing below zero comes in. A number below zero undoes it.
KEEPS = {
    "add", "add_", "mul", "mul_", "div", "cat", "pow", "sqrt", "square", "clone", "_to_copy", "copy_", "detach",
    "alias", "view", "_unsafe_view", "_reshape_alias", "permute", "transpose", "expand", "squeeze", "unsqueeze",
    "as_strided", "slice", "select", "roll", "constant_pad_nd", "replication_pad3d", "native_dropout", "mean", "sum",
    "amax", "max", "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool2d", "avg_pool3d",
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d",
}  # fmt: skip
SCALES = {"add", "add_", "mul", "mul_", "div"}
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm"}
ATTENDS = {"bmm", "baddbmm"}
MEANS = {"mean", "sum", "amax"}


class _Follower(TorchDispatchMode):
    """with _Follower(x, place, …): layer(x)"""

    def __init__(self, x: Tensor, place: Place, layer: nn.Module, numbers: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen: Any = WeakIdKeyDictionary()
        self._seen[x] = _Seen(place, MAP[x.ndim], own=True)
        self._layer = layer
        # A single number counts no channels.
        self._names: Any = WeakIdKeyDictionary()
        for name, one in numbers.items():
            if one.ndim:
                self._names[one] = name
        self._numbers = numbers  # kept alive
        self._inlets: list[str] = []
        self._fixed = False

    def seen(self, y: Tensor) -> _Seen:
        if y not in self._seen:
            raise RuntimeError("what the layer leaves does not depend on its input")
        return cast(_Seen, self._seen[y])

    def inlets(self, end: _Seen) -> tuple[str, ...] | None:
        declared = getattr(self._layer, "any_channels", None)
        if declared is not None:
            return () if declared else None
        if self._fixed or (end.own and self._inlets):
            return None
        return tuple(dict.fromkeys(self._inlets))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func._overloadpacket.__name__
        tensors = [one for one in tree_leaves((args, kwargs or {})) if isinstance(one, Tensor)]
        sources = [one for one in tensors if one in self._seen]
        weights = [self._names[one] for one in tensors if one in self._names]
        for y in tree_leaves(out):
            if not isinstance(y, Tensor):
                continue
            if sources:
                self._seen[y] = self._after(name, args, sources, weights, y)
            elif len(weights) == len(tensors) == 1:  # a view of a weight
                self._names[y] = weights[0]
        return out

    def _after(self, name: str, args: Sequence[Any], sources: list[Tensor], weights: list[str], y: Tensor) -> _Seen:
        seen = [cast(_Seen, self._seen[one]) for one in sources]
        own = self._own(name, seen, weights, len(sources))
        joined = _join([one.place for one in seen])
        x, first = sources[0], seen[0]
        known = next((one.axes for s, one in zip(sources, seen, strict=True) if one.axes and s.shape == y.shape), None)
        place, axes = _moved(name, args, x, first, joined, known, y)
        negative = name in SCALES and any(isinstance(one, int | float) and one < 0 for one in args[1:])
        keeps = name in KEEPS and joined.rectified and not weights and not negative
        if name in CUTS:
            lowest = args[1] if len(args) > 1 else None
            keeps = joined.rectified or (isinstance(lowest, int | float) and lowest >= 0)
        return _Seen(replace(place, rectified=name in RECTIFIES or keeps), axes, own)

    def _own(self, name: str, seen: Sequence[_Seen], weights: Sequence[str], sources: int) -> bool:
        """Whether the channels are still those of the layer's input; what reads them is noted."""
        if not any(one.own for one in seen):
            return False
        if not weights:
            if not all(one.own for one in seen) or (name == "cat" and sources > 1):
                self._fixed = True  # such as x + f(x): both would have to be widened
                return False
            return True
        paths = {name.rpartition(".")[0] for name in weights}
        reads = [path for path in paths if any(one.endswith("weight") for one in weights)]
        part = self._layer.get_submodule(reads[0]) if len(paths) == 1 and reads else self._layer
        convolution = hasattr(part, "kernel_size") and hasattr(part, "out_channels")
        if (name == "convolution" or name in PRODUCTS) and convolution and getattr(part, "groups", 1) == 1:
            self._inlets.append(reads[0])
        else:
            self._fixed = True
        return False


def _join(places: Sequence[Place]) -> Place:
    """What meets in one operation: the larger field and stride."""

    def largest(numbers: Sequence[int | None]) -> int | None:
        return None if None in numbers else max(cast(Sequence[int], numbers))

    return Place(
        max(one.stride for one in places), largest([one.field for one in places]),
        max(one.time_stride for one in places), largest([one.time_field for one in places]),
        all(one.rectified for one in places), any(one.spatial for one in places),
    )  # fmt: skip


def _moved(
    name: str, args: Sequence[Any], x: Tensor, first: _Seen, joined: Place, known: Axes | None, y: Tensor
) -> tuple[Place, Axes | None]:
    """The place and the axes behind one operation."""
    axes = first.axes
    canonical = axes is not None and axes == MAP.get(x.ndim)
    if name == "convolution" or "_pool" in name:
        if not canonical:
            return joined, None
        return _window(name, args, x, joined, y), MAP[y.ndim]
    if name in ("permute", "transpose") and axes is not None:
        order = list(range(x.ndim))
        if name == "permute":
            order = [one % x.ndim for one in args[1]]
        else:
            one, two = args[1] % x.ndim, args[2] % x.ndim
            order[one], order[two] = two, one
        return joined, tuple(axes[one] for one in order)
    if name in MEANS and axes is not None and len(args) > 1:
        return _mean(args, x, axes, joined, y)
    if name == "slice" and axes is not None:
        steps = args[4] if len(args) > 4 and axes[args[1] % x.ndim] == "H" else 1  # of W too, and counted once
        return replace(joined, stride=joined.stride * steps), axes
    if name in ATTENDS or "attention" in name:
        return replace(joined, field=None, time_field=None), known
    if canonical and y.shape == (x.shape[0], prod(x.shape[1:])) and name in ("view", "_unsafe_view", "_reshape_alias"):
        steps = x.shape[2] if x.ndim == 5 else 1
        return _whole(joined, x.shape[-1], steps, exactly=x.ndim == 4), None
    if y.ndim in MAP and known is None and canonical and x.ndim == y.ndim:
        if name in ("constant_pad_nd", "replication_pad3d", "cat"):
            return joined, MAP[y.ndim]
        if x.shape[-1] != y.shape[-1]:  # such as an interpolation
            stride = max(1, round(joined.stride * x.shape[-1] / max(1, y.shape[-1])))
            return replace(joined, stride=stride, field=None), MAP[y.ndim]
    return joined, known if y.ndim == len(known or ()) else None


def _numbers(value: Any, count: int) -> list[int]:
    given = [value] if isinstance(value, int) else list(value)
    return given * count if len(given) == 1 else given


def _window(name: str, args: Sequence[Any], x: Tensor, before: Place, y: Tensor) -> Place:
    """Behind windows over places and time steps."""
    axes = x.ndim - 2
    padding, dilation = [0] * axes, [1] * axes
    if "adaptive" in name:
        stride = [here // left for here, left in zip(x.shape[2:], y.shape[2:], strict=True)]
        kernel = [here - (left - 1) * step for here, left, step in zip(x.shape[2:], y.shape[2:], stride, strict=True)]
        stride = [1 if left == 1 else step for left, step in zip(y.shape[2:], stride, strict=True)]
    elif name == "convolution":
        kernel, stride = list(args[1].shape[2:]), _numbers(args[3], axes)
        padding, dilation = _numbers(args[4], axes), _numbers(args[5], axes)
    else:
        kernel = _numbers(args[1], axes)
        stride = _numbers(args[2], axes) if len(args) > 2 and args[2] else kernel
        padding = _numbers(args[3], axes) if len(args) > 3 else padding
        dilation = _numbers(args[4], axes) if len(args) > 4 and "max" in name else dilation
    size = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    mean = "avg" in name
    whole = size[-1] == x.shape[-1] and padding[-1] == 0 and (mean or (name == "convolution" and size[-1] > 1))
    place = replace(
        before, field=_wider(before.field, size[-1], before.stride), stride=before.stride * stride[-1],
        spatial=before.spatial and not whole,
    )  # fmt: skip
    if axes == 3:
        place = replace(
            place, time_field=_wider(before.time_field, size[0], before.time_stride),
            time_stride=before.time_stride * stride[0],
        )  # fmt: skip
    return place


def _wider(field: int | None, size: int, stride: int) -> int | None:
    return None if field is None else field + (size - 1) * stride


def _mean(args: Sequence[Any], x: Tensor, axes: Axes, before: Place, y: Tensor) -> tuple[Place, Axes | None]:
    gone = [axes[one % x.ndim] for one in (args[1] or range(x.ndim))]
    place = before
    if "H" in gone and "W" in gone:
        side = x.shape[axes.index("H")]
        place = replace(place, field=_wider(place.field, side, place.stride), spatial=False)
    if "T" in gone:
        place = replace(place, time_field=None)
    left = axes if y.ndim == x.ndim else tuple(one for one in axes if one not in gone)
    return place, left


def _whole(before: Place, side: int, steps: int, *, exactly: bool) -> Place:
    """A vector of all places."""
    time = before.time_field if exactly or steps == 1 else None
    return replace(before, field=_wider(before.field, side, before.stride), time_field=time, spatial=False)
