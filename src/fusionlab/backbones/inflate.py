"""Inflation (Carreira & Zisserman 2017): the modules of a 2D tower for clips, by one rule for every tower.

    convolution k×k     k×k×k, the weights of a frame repeated k times along time and divided by k
    convolution 1×1     1×1×1
    batch norm          the same numbers
    pool k×k            k×k×k; 1×k×k where it has a stride in space and none in time
    mean of all places  2×k×k: the mean of two steps
    fully connected     unchanged: it sees each step of time alone
    elementwise         unchanged
    code with kernels   of a block: unchanged, with inflated modules; a still clip must leave the 2D map (this is tried)
    anything else       it sees each frame alone; refused if it has kernels larger than 1×1

A rule is for a class of torch or of ours, and not for a subclass, which may compute something else.

So frames that are all the same leave what the 2D tower makes of one of them, except within reach of the clip's ends,
where time is padded with zeros.
"""

from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from math import prod, sqrt
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from fusionlab import errors
from fusionlab.backbones.connected import Connected
from fusionlab.backbones.folding import fold_time, repeat_over_time, unfold_time
from fusionlab.backbones.initialise import Classifier
from fusionlab.backbones.layers import keeps_shape, layer_text, pair
from fusionlab.backbones.norm import StillNorm2d, StillNorm3d
from fusionlab.backbones.padding import Conv3d, MaxPool3d, MeanPool3d, SameConv2d, SameMaxPool2d
from fusionlab.backbones.tower import Tower

TimeEnds = Literal["zeros", "repeat"]
ENOUGH = 8  # steps of a clip with which a layer is tried
SIDE = 16  # of its frames, or smaller
FAILURES = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)  # of code that is given another shape
CONTAINERS = (nn.Module, nn.ModuleList, nn.ModuleDict)  # a plain module: what is inside of a `Segment`
CONVOLUTIONS = (nn.Conv2d, SameConv2d, Connected, Classifier)
NORMS = (nn.BatchNorm2d, StillNorm2d)
POOLS = (nn.MaxPool2d, nn.AvgPool2d, SameMaxPool2d)
ELEMENTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh,
    nn.Dropout, nn.Identity, nn.Softmax, StochasticDepth,
)  # fmt: skip


@dataclass(frozen=True)
class Time:
    """How a module is inflated."""

    stride: int = 1  # in time, of what has a stride in space
    deep: bool = True  # False: kernels are 1×k×k
    repeat_ends: bool = False  # time is padded with the first and the last frame, not with zeros


Special = Callable[[nn.Module, Time], nn.Module | None]


def inflate(module: nn.Module, time: Time, special: Special | None = None) -> nn.Module:
    """A module for clips (N, D, T, H, W). `special` answers first, for modules with a rule of their own, or None."""
    made = special(module, time) if special else None
    if made is None:
        made = _inflated(module, time)
    if made is None and _is_entered(module, time):
        made = copy(module)
        vars(made).pop("initialise_own", None)  # bound to the 2D module
        if "takes_clips" in vars(made):  # what a 2D tower says of its layers
            made.takes_clips = True  # type: ignore[assignment]
        made._modules = {name: part and inflate(part, time, special) for name, part in module._modules.items()}
    return _each_frame(module, time) if made is None else made


def _is_entered(module: nn.Module, time: Time) -> bool:
    """Whether its parts are inflated: of containers, and of code that sees neighbours by its parts alone."""
    if type(module) in CONTAINERS or _is_chain(module):
        return True
    numbers = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return next(module.children(), None) is not None and not numbers and _neighbours(module, time) is not None


def _is_chain(module: nn.Module) -> bool:
    """Whether it runs its parts one after the other, and nothing else."""
    return type(module).forward is nn.Sequential.forward


def _neighbours(module: nn.Module, time: Time) -> nn.Module | None:
    """The first part that would see neighbours in time, or has a stride in it."""
    for part in module.modules():
        kernel: Any = getattr(part, "kernel_size", None)
        stride: Any = getattr(part, "stride", 1) if time.stride > 1 else 1
        if kernel is not None and max(*pair(kernel), *pair(stride)) > 1:
            return part
    return None


def has_stride(module: nn.Module) -> bool:
    """Whether some part of it has a stride in space, which it can have in time as well."""
    kinds = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
    return any(max(pair(part.stride)) > 1 for part in module.modules() if isinstance(part, kinds))


class EachFrame(nn.Module):
    """A module of frames, for clips. In a state dict its weights have the names of the module's own."""

    takes_clips = True

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.register_state_dict_post_hook(_without_module)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_with_module)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        return unfold_time(self.module(fold_time(x)), x.shape[0])

    def layer_text(self) -> str:
        return layer_text(self.module)


def _without_module(_: nn.Module, state: dict[str, Any], prefix: str, __: Any) -> None:
    inner = f"{prefix}module."
    for name in [one for one in state if one.startswith(inner)]:
        state[prefix + name.removeprefix(inner)] = state.pop(name)


def _with_module(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
    for name in [one for one in state if one.startswith(prefix)]:
        state[f"{prefix}module.{name.removeprefix(prefix)}"] = state.pop(name)


def _each_frame(module: nn.Module, time: Time) -> EachFrame:
    """For modules that see no neighbours; one that does would go without its time."""
    if (part := _neighbours(module, time)) is not None:
        raise errors.UserError(
            "a layer of this tower cannot be inflated: its kernels have no rule, or its code is written for frames",
            got=f"{type(part).__name__} in {type(module).__name__}" if part is not module else type(part).__name__,
            hint="a tower of torch's own convolutions (padded with zeros), batch norms and pools, such as a ResNet",
        )
    return EachFrame(module)


def _inflated(module: nn.Module, time: Time) -> nn.Module | None:
    """A module of torch or of ours, of exactly this class; None for any other."""
    kind = type(module)
    if isinstance(module, nn.Conv2d) and kind in CONVOLUTIONS:
        zeros = module.padding_mode == "zeros" and not isinstance(module.padding, str)
        return _convolution(module, time) if zeros else None
    if isinstance(module, nn.BatchNorm2d) and kind in NORMS:
        return _norm(module)
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d) and kind in POOLS:
        plain = pair(getattr(module, "dilation", 1)) == (1, 1) and not getattr(module, "return_indices", False)
        return _pool(module, time) if plain and getattr(module, "divisor_override", None) is None else None
    if kind is nn.AdaptiveAvgPool2d and module.output_size in (1, (1, 1)):
        return nn.AdaptiveAvgPool3d(1)
    return module if kind in ELEMENTWISE else None


def _convolution(flat: nn.Conv2d, time: Time) -> Conv3d:
    kernel, stride, dilation = flat.kernel_size, flat.stride, flat.dilation
    frames = max(kernel) if time.deep else 1
    assert not isinstance(flat.padding, str), "padding is a number"
    made = Conv3d(
        flat.in_channels, flat.out_channels, (frames, *kernel), groups=flat.groups, bias=flat.bias is not None,
        stride=(time.stride if max(stride) > 1 else 1, *stride), padding=(frames // 2, *flat.padding),
        dilation=(1, *dilation), same=isinstance(flat, SameConv2d), repeat_ends=time.repeat_ends,
        device=flat.weight.device, dtype=flat.weight.dtype,
    )  # fmt: skip
    with torch.no_grad():
        made.weight.copy_(repeat_over_time(flat.weight, frames))
        if flat.bias is not None and made.bias is not None:
            made.bias.copy_(flat.bias)
    return made


def _norm(flat: nn.BatchNorm2d) -> nn.BatchNorm3d:
    if isinstance(flat, StillNorm2d):
        made: nn.BatchNorm3d = StillNorm3d(flat.num_features, eps=flat.eps)
    else:
        made = nn.BatchNorm3d(flat.num_features, flat.eps, flat.momentum, flat.affine, flat.track_running_stats)
    made.load_state_dict(flat.state_dict())
    return made


def _pool(flat: nn.MaxPool2d | nn.AvgPool2d, time: Time) -> nn.Module:
    kernel, stride, padding = pair(flat.kernel_size), pair(flat.stride), pair(flat.padding)
    steps = time.stride if max(stride) > 1 else 1
    frames = max(kernel) if (steps > 1 or max(stride) == 1) and (time.deep or steps > 1) else 1
    window = ((frames, *kernel), (steps, *stride), (padding[0] if frames > 1 else 0, *padding))
    if isinstance(flat, nn.AvgPool2d):
        return MeanPool3d(*window, ceil_mode=flat.ceil_mode, count_include_pad=flat.count_include_pad)
    return MaxPool3d(*window, ceil_mode=flat.ceil_mode, same=isinstance(flat, SameMaxPool2d))


class Inflated(Tower):
    """Any 2D tower, inflated by the rule above; its layers and taps keep their names.

    `time_strides`: layer -> its stride in time, of layers with a stride in space; of all others it is 1. `time_ends`:
    whether time is padded with zeros, or with the first and the last frame again.

    Of a network of another library it draws first weights as the library does, and loads that library's files.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        size: int | None = None,
        *,
        tower: Callable[..., Tower],
        time_strides: Mapping[str, int],
        time_ends: TimeEnds = "zeros",
    ) -> None:
        expect_ends(time_ends)
        flat = tower(in_channels, classes) if size is None else tower(in_channels, classes, size)
        if any(place.tap.time_field != 1 for place in flat.geometry.values()):
            raise errors.UserError("only a tower of frames can be inflated", got=type(flat).__name__)
        _expect_strides(time_strides, flat)
        layers = {
            name: _layer(flat, name, Time(time_strides.get(name, 1), repeat_ends=time_ends == "repeat"))
            for name in flat.names
        }
        super().__init__(layers, {name: tap.after for name, tap in flat.taps.items()}, flat.in_channels, flat.size)
        self.mean.copy_(flat.mean)
        self.scale.copy_(flat.scale)
        if (padding := getattr(flat, "padding", None)) is not None:
            self.padding = padding  # that of its weights, which a file of weights is compared with
        if (lend_library := getattr(flat, "lend_library", None)) is not None:
            lend_library(self)


def _layer(flat: Tower, name: str, time: Time) -> nn.Module:
    """A layer of a 2D tower, for clips; what leaves no map keeps its weights, and sees each step of time alone."""
    layer = flat.get_submodule(name)
    if not flat.geometry[name].tap.spatial:
        if type(layer) is nn.AvgPool2d:
            return MeanPool3d((2, *pair(layer.kernel_size)), stride=1)
        return layer if type(layer) in ELEMENTWISE or not keeps_shape(layer) else EachFrame(layer)
    try:
        made = inflate(layer, time)
        return made if _is_known(layer) or _agrees(layer, time, flat, name) else _each_frame(layer, time)
    except errors.UserError as error:
        raise errors.UserError(error.what, got=f"{name} of {flat.title}: {error.got}", hint=error.hint) from None


def _is_known(layer: nn.Module) -> bool:
    """Whether a rule is all that it is made of."""
    if _is_chain(layer):
        return all(map(_is_known, layer.children()))
    return next(layer.children(), None) is None


@torch.no_grad()
def _agrees(layer: nn.Module, time: Time, flat: Tower, name: str) -> bool:
    """Whether a still clip leaves the 2D map: the code of a library may fix four axes, or count them.

    Tried on the CPU with random weights, small frames, and time padded with frames; compared in the middle of the clip.
    """
    below = flat.names[: flat.names.index(name)]
    tap = flat.geometry[below[-1]].tap if below else None
    channels, side = (tap.channels, tap.side) if tap else (flat.in_channels, flat.size)
    draw = torch.Generator().manual_seed(0)
    with torch.device("cpu"):
        tried = deepcopy(layer).to_empty(device="cpu").float().eval()
        for own in (*tried.parameters(), *tried.buffers()):
            if not own.is_floating_point():
                own.zero_()
            elif own.ndim > 1:
                own.uniform_(-1, 1, generator=draw).mul_(sqrt(3 / prod(own.shape[1:])))
            else:  # of norms, a variance too
                own.uniform_(0.5, 1.5, generator=draw)
        made = inflate(tried, replace(time, repeat_ends=True)).eval()
        for small in dict.fromkeys((min(side, SIDE), side)):
            x = torch.randn(1, channels, small, small, generator=draw)
            try:
                y = tried(x.contiguous(memory_format=torch.channels_last))
            except FAILURES:
                continue  # its code needs maps of its own size
            try:
                found = made(x.unsqueeze(2).expand(-1, -1, ENOUGH * time.stride, -1, -1))
            except FAILURES:
                return False
            if found.ndim != 5 or found[:, :, 0].shape != y.shape:
                return False
            middle = found[:, :, found.shape[2] // 2]
            return torch.allclose(middle, y, rtol=0, atol=1e-3 * float(y.abs().max()))
    return False


def _expect_strides(strides: Mapping[str, object], flat: Tower) -> None:
    choices = [name for name in flat.names if has_stride(flat.get_submodule(name))]
    for name, stride in strides.items():
        if name not in choices:
            raise errors.unknown("layer with a stride", name, choices, form="time_strides={{{}: 2}}")
        if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:
            raise errors.UserError(
                "a stride in time is a whole number of steps", got=f"{name}: {stride}", allowed=["1", "2"]
            )


def expect_ends(time_ends: object) -> None:
    if time_ends not in get_args(TimeEnds):
        raise errors.unknown("choice for time_ends", str(time_ends), get_args(TimeEnds), form="time_ends={}")
