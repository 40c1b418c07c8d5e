"""What a layer does to a map, measured: torch's operations are followed while it runs on the meta device.

A layer's class is not asked, so a residual block, an Inception block or a layer of your own needs no declaration.

    stride, field            input pixels between two places; pixels that one place sees along a side
    time_stride, time_field  frames between two time steps; frames that one step sees
    rectified                nothing is below zero
    inlets                   the convolutions that read the layer's input

A window of size k adds (k - 1) · stride to the field and multiplies the stride by its own. Behind an operation that
joins places in another way, as an attention, a field is None: unknown. So is a time field behind a mean over the clip.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from fusionlab.backbones.axes import MAP, PLACES, REDUCE, VIEWS, Axes, behind, reduced
from fusionlab.backbones.folding import fold_time, takes_clips, unfold_time

Shape = tuple[int, int, int, int]  # D, T, H, W


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
    """What a layer leaves, and what reads its input.

    `inlets`: the paths, within the layer, of the convolutions that read its input, "" where it is one itself. Empty
    where any number of channels passes; None where something that cannot be widened fixes their number: an identity
    shortcut, batch normalisation, groups.
    """

    place: Place
    shape: Shape
    inlets: tuple[str, ...] | None


@dataclass(frozen=True)
class _Seen:
    """A tensor on its way. `own`: its channels are those of the layer's input; `sure`: its stride is known."""

    place: Place
    axes: Axes
    own: bool
    sure: bool = True


_measured: dict[Hashable, Measured] = {}


def measure(layer: nn.Module, shape: Shape, place: Place) -> Measured:
    """Run the layer on a map (D, T, H, W) on the meta device; it keeps its parameters and its mode.

    Equal layers are measured once.
    """
    key = _key(layer)
    if key is None:
        return _measure(layer, shape, place)
    if (key, shape, place) not in _measured:
        _measured[key, shape, place] = _measure(layer, shape, place)
    return _measured[key, shape, place]


def _measure(layer: nn.Module, shape: Shape, place: Place) -> Measured:
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
    made = seen.place
    if folded:  # each frame alone
        made = replace(made, time_stride=place.time_stride, time_field=place.time_field)
    if not seen.sure:
        made = replace(made, stride=place.stride * max(1, round(shape[2] / max(1, y.shape[3]))))
    if (declared := getattr(layer, "rectified", None)) is not None:
        made = replace(made, rectified=bool(declared))
    if getattr(layer, "whole_map", False):
        made = replace(made, spatial=False)
    return Measured(made, cast(Any, tuple(y.shape[1:])), followed.inlets(seen))


PLAIN = (int, float, str, bool, type(None), type)


def _key(layer: nn.Module) -> Hashable | None:
    """All that determines what a layer does to a map; None where some part has more than plain numbers."""
    parts = []
    for path, part in layer.named_modules():
        own = []
        for name, value in vars(part).items():
            several = tuple(value) if isinstance(value, tuple | list) else (value,)
            if name not in _OF_MODULES:
                if not all(isinstance(one, PLAIN) for one in several):
                    return None
                own.append((name, several))
        numbers = (*part._parameters.items(), *part._buffers.items())
        shapes = tuple((name, tuple(one.shape), one.dtype) for name, one in numbers if one is not None)
        parts.append((path, type(part), tuple(own), shapes))
    return tuple(parts)


_OF_MODULES = frozenset(vars(nn.Module()))  # what every module has, its training mode among them


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
POOLS = {
    "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d",
    "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d",
}  # fmt: skip
NORMS = {"native_layer_norm", "native_group_norm", "_softmax", "_log_softmax"}  # over some axes
MOVES = VIEWS | {
    "permute", "transpose", "t", "expand", "squeeze", "unsqueeze", "slice", "select", "split", "split_with_sizes",
    "chunk", "unbind", "stack", "cat", "clone", "_to_copy", "copy_", "detach", "alias", "native_dropout", "contiguous",
    "constant_pad_nd", "reflection_pad2d", "replication_pad2d", "replication_pad3d", "lift_fresh",
}  # fmt: skip
# What joins places as far as is written here, or none at all; everything else that is not elementwise joins some.
KNOWN = POOLS | NORMS | MOVES | REDUCE | {
    "convolution", "mm", "addmm", "native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm",
    "_native_batch_norm_legit_no_training", "miopen_batch_norm", "hardswish", "hardswish_", "prelu", "_prelu_kernel",
    "log_sigmoid_forward",
}  # fmt: skip
# What leaves nothing below zero where nothing below zero comes in. A number below zero undoes it.
KEEPS = POOLS | MOVES | {"add", "add_", "mul", "mul_", "div", "pow", "sqrt", "square", "mean", "sum", "amax", "max"}
SCALES = {"add", "add_", "mul", "mul_", "div"}
PARTS = {"split", "split_with_sizes", "chunk", "unbind", "select", "slice"}  # some of the channels, if along these
DERIVED = ""  # the name of what was computed from weights


class _Follower(TorchDispatchMode):
    """with _Follower(x, place, …): layer(x)"""

    def __init__(self, x: Tensor, place: Place, layer: nn.Module, numbers: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen: Any = WeakIdKeyDictionary()
        self._seen[x] = _Seen(place, MAP[x.ndim], own=True)
        self._layer = layer
        self._names: Any = WeakIdKeyDictionary()
        for name, one in numbers.items():
            if one.ndim:  # a single number counts no channels
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
        known = name in KNOWN or torch.Tag.pointwise in func.tags
        for y in tree_leaves(out):
            if not isinstance(y, Tensor):
                continue
            if sources:
                self._seen[y] = self._after(name, args, sources, weights, y, known)
            elif weights:
                view = len(weights) == len(tensors) == 1 and name in MOVES
                self._names[y] = weights[0] if view else DERIVED
        return out

    def _after(
        self, name: str, args: Sequence[Any], sources: list[Tensor], weights: list[str], y: Tensor, known: bool
    ) -> _Seen:
        seen = [cast(_Seen, self._seen[one]) for one in sources]
        x, first = sources[0], seen[0]
        full = [one for source, one in zip(sources, seen, strict=True) if source.shape == y.shape]
        axes = behind(name, args, first.axes, x.shape, y.shape)
        if name not in MOVES and full:  # of what meets here, the one with the most known axes
            axes = max((one.axes for one in full), key=lambda one: sum(map(bool, one)))
        joined = _join([one.place for one in seen])
        place, sure = _moved(name, args, x, first.axes, joined, y)
        attends = name in ("mm", "addmm") and not weights
        if not known or attends:
            place = replace(place, field=None, time_field=None)
            sure = sure and (attends or y.shape == x.shape)
        own = self._own(name, args, seen, weights, axes, place)
        return _Seen(replace(place, rectified=_rectified(name, args, joined, weights)), axes, own,
                     sure and all(one.sure for one in (full or seen)))  # fmt: skip

    def _own(
        self, name: str, args: Sequence[Any], seen: Sequence[_Seen], weights: Sequence[str], axes: Axes, place: Place
    ) -> bool:
        """Whether the channels are still those of the layer's input; what reads them is noted."""
        if not any(one.own for one in seen):
            return False
        if weights:
            self._read(name, weights)
            return False
        first = seen[0]
        along = args[1] if len(args) > 1 and isinstance(args[1], int) else 0
        part = name in PARTS and first.axes[along if name not in ("split", "split_with_sizes", "chunk") else (
            args[2] if len(args) > 2 else 0)] == "D"  # fmt: skip
        lost = "D" not in axes and place.spatial  # a vector of the whole map is read by a fully connected layer
        if not all(one.own for one in seen) or (name == "cat" and len(seen) > 1) or part or lost:
            self._fixed = True  # such as x + f(x): both would have to be widened
            return False
        return True

    def _read(self, name: str, weights: Sequence[str]) -> None:
        """Note a convolution of the layer, which can be widened, or that there is something else."""
        paths = {one.rpartition(".")[0] for one in weights}
        if name in ("convolution", "mm", "addmm") and len(paths) == 1 and DERIVED not in weights:
            (path,) = paths
            part = self._layer.get_submodule(path)
            if hasattr(part, "kernel_size") and hasattr(part, "out_channels") and getattr(part, "groups", 1) == 1:
                self._inlets.append(path)
                return
        self._fixed = True


def _rectified(name: str, args: Sequence[Any], joined: Place, weights: Sequence[str]) -> bool:
    if name in RECTIFIES:
        return True
    if name in CUTS:
        lowest = args[1] if len(args) > 1 else None
        return joined.rectified or (isinstance(lowest, int | float) and lowest >= 0)
    negative = name in SCALES and any(isinstance(one, int | float) and one < 0 for one in args[1:])
    return name in KEEPS and joined.rectified and not weights and not negative


def _join(places: Sequence[Place]) -> Place:
    """What meets in one operation: the larger field and stride."""

    def largest(numbers: Sequence[int | None]) -> int | None:
        return None if None in numbers else max(cast(Sequence[int], numbers))

    return Place(
        max(one.stride for one in places), largest([one.field for one in places]),
        max(one.time_stride for one in places), largest([one.time_field for one in places]),
        all(one.rectified for one in places), any(one.spatial for one in places),
    )  # fmt: skip


def _moved(name: str, args: Sequence[Any], x: Tensor, axes: Axes, before: Place, y: Tensor) -> tuple[Place, bool]:
    """The place behind one operation, and whether its stride is sure."""
    if name == "convolution" or name in POOLS:
        return _window(name, args, x, axes, before, y)
    if name in REDUCE:
        return _whole(before, x, axes, reduced(name, args, axes), spatial=False), True
    if name in NORMS:
        over = axes[1:] if name == "native_group_norm" else axes[args[1]] if isinstance(args[1], int) else (
            axes[-len(args[1]):])  # fmt: skip
        over = (over,) if isinstance(over, str) else over
        joins = any(one in PLACES or not one for one in over)
        return replace(before, field=None, time_field=None) if joins and x.shape[-1] > 1 else before, True
    if name in VIEWS and axes == MAP.get(x.ndim) and y.ndim == 2 and len(y) == len(x) and y.numel() == x.numel():
        return _whole(before, x, axes, axes[2:], spatial=False), True
    if name == "slice":
        step = args[4] if len(args) > 4 else 1
        along = axes[args[1] % x.ndim if len(args) > 1 else 0]
        if step > 1 and along == "H":
            return replace(before, stride=before.stride * step), True
        if step > 1 and along == "T":
            return replace(before, time_stride=before.time_stride * step), True
        return before, step == 1 or along in ("W", "D", "N")
    return before, True


def _whole(before: Place, x: Tensor, axes: Axes, over: Sequence[str], *, spatial: bool) -> Place:
    """One number of all places along these axes."""
    place = before
    if "H" in over and "W" in over:
        side = x.shape[axes.index("H")]
        place = replace(place, field=_wider(place.field, side, place.stride), spatial=spatial)
    if "T" in over and x.shape[axes.index("T")] > 1:
        place = replace(place, time_field=None)
    if "" in over:
        place = replace(place, field=None, time_field=None)
    return place


def _numbers(value: Any, count: int) -> list[int]:
    given = [value] if isinstance(value, int) else list(value)
    return given * count if len(given) == 1 else given


def _window(name: str, args: Sequence[Any], x: Tensor, axes: Axes, before: Place, y: Tensor) -> tuple[Place, bool]:
    """Behind windows over places and time steps. One over channels changes nothing."""
    count = x.ndim - 2
    padding, dilation = [0] * count, [1] * count
    if "adaptive" in name:
        stride = [here // left for here, left in zip(x.shape[2:], y.shape[2:], strict=True)]
        kernel = [here - (left - 1) * step for here, left, step in zip(x.shape[2:], y.shape[2:], stride, strict=True)]
        stride = [1 if left == 1 else step for left, step in zip(y.shape[2:], stride, strict=True)]
    elif name == "convolution":
        kernel, stride = list(args[1].shape[2:]), _numbers(args[3], count)
        padding, dilation = _numbers(args[4], count), _numbers(args[5], count)
    else:
        kernel = _numbers(args[1], count)
        stride = _numbers(args[2], count) if len(args) > 2 and args[2] else kernel
        padding = _numbers(args[3], count) if len(args) > 3 else padding
        dilation = _numbers(args[4], count) if len(args) > 4 and "max" in name else dilation
    place, sure = before, True
    for n, axis in enumerate(axes[2:]):
        size = dilation[n] * (kernel[n] - 1) + 1
        if axis == "H":
            mean = "avg" in name
            whole = size == x.shape[n + 2] and padding[n] == 0 and (mean or (name == "convolution" and size > 1))
            place = replace(
                place, field=_wider(before.field, size, before.stride), stride=before.stride * stride[n],
                spatial=before.spatial and not whole,
            )  # fmt: skip
        elif axis == "T":
            place = replace(
                place, time_field=_wider(before.time_field, size, before.time_stride),
                time_stride=before.time_stride * stride[n],
            )  # fmt: skip
        elif not axis and size > 1:
            place, sure = replace(place, field=None, time_field=None), stride[n] == 1
    if "adaptive" in name and axes[2] == "T" and y.shape[2] == 1 < x.shape[2]:
        place = replace(place, time_field=None)  # a mean over the clip, however long it is
    return place, sure


def _wider(field: int | None, size: int, stride: int) -> int | None:
    return None if field is None else field + (size - 1) * stride
