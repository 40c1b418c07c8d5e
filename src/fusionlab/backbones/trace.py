"""Where a network of another library can be cut: its graph, traced with torch.fx, and the places with one live tensor.

A network is a graph of operations. Behind an operation it can be cut into two if exactly one tensor is still needed
there; such a place is a cut if that tensor is a map (N, D, H, W), of clips (N, D, T, H, W), or a vector (N, D).

Tracing reads `self.training` once, so the graph is traced in evaluation and in training, and cuts are those of both.
Shapes come from one pass on the meta device. Maps with channels last, as in a Swin Transformer, are recognised by their
shape (frames are square); where that does not decide, by following the permutations from the input on.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torchvision import ops
from torchvision.models.feature_extraction import NodePathTracer
from torchvision.ops import Permute

from fusionlab import errors

CLIPS = 11  # of the pass on shapes: a number that no other axis is likely to have
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
RESHAPES = {"flatten", "reshape", "view", "permute", "transpose", "contiguous", "size", "squeeze", "unsqueeze"}
IN_PLACE = {"iadd", "isub", "imul", "itruediv"}
FIRST, LAST = "first", "last"  # the place of channels


class GraphCut(NamedTuple):
    """A place where the network can be cut: behind node number `at`, where only `tensor` is needed."""

    at: int
    tensor: fx.Node
    name: str
    shape: tuple[int, ...]
    channels: str  # FIRST or LAST; of a vector FIRST


class Call(NamedTuple):
    """A call of a module with one argument."""

    path: str
    argument: fx.Node
    result: fx.Node


@dataclass
class Traced:
    """The graph of a network in one mode."""

    graph: fx.Graph
    names: Mapping[fx.Node, str]  # module paths; an operation's own name is appended
    calls: list[Call]  # inner modules before the ones around them
    values: Mapping[fx.Node, Any]  # on the meta device
    writes: list[tuple[fx.Node, int]]  # nodes that write into an input, and the memory of that input
    training: bool
    whole: nn.Module
    reasons: dict[str, str] = field(default_factory=dict)  # names without a map -> why

    @cached_property
    def nodes(self) -> list[fx.Node]:
        return list(self.graph.nodes)

    @cached_property
    def place(self) -> dict[fx.Node, int]:
        return {node: k for k, node in enumerate(self.nodes)}

    @cached_property
    def constants(self) -> set[fx.Node]:
        """Parameters, and what follows from them alone: each part computes it anew. Not what is written into."""
        found: set[fx.Node] = set()
        for node in self.nodes:
            inputs = node.all_input_nodes
            follows = inputs and node.op != "output" and all(one in found for one in inputs)
            if node.op == "get_attr" or (follows and not any(_writes_into(user, node) for user in node.users)):
                found.add(node)
        return found

    @cached_property
    def clip_counts(self) -> set[fx.Node]:
        """Nodes that hold N, the same in every part."""
        found: set[fx.Node] = set()
        for node in self.nodes:
            value = self.values.get(node)
            if isinstance(value, int) and value == CLIPS and node.args:
                axis = node.args[1] if len(node.args) > 1 else None
                of = node.args[0]
                if axis == 0 and (node.target == "size" or (node.target is operator.getitem and _is_shape(of))):
                    found.add(node)
        return found

    def writers(self, cut: GraphCut) -> list[fx.Node]:
        """What writes into the tensor of a cut, or into a view of it, behind the cut."""
        where = _memory(self.values[cut.tensor])
        return [node for node, written in self.writes if written == where and self.place[node] > cut.at]

    @property
    def result(self) -> fx.Node:
        (value,) = self.nodes[-1].args
        made = self.values.get(value) if isinstance(value, fx.Node) else value
        if not isinstance(value, fx.Node) or not isinstance(made, Tensor):
            mode = "in training" if self.training else "in evaluation"
            raise errors.UserError(
                f"a network of another library has to leave one tensor, and {mode} this one does not",
                got=value_text(made),
                hint="options of the library that switch further outputs off, as "
                "'backbone.appearance.options={aux_logits:false}'",
            )
        return value


def trace(
    whole: nn.Module, shape: tuple[int, ...], leaves: Iterable[type] = (), wrapped: Iterable[Any] = ()
) -> tuple[Traced, Traced]:
    """The graph in evaluation and the one in training; the same one twice where the code does not ask.

    `shape`: of an input without N. `leaves`, `wrapped`: modules and functions that are not looked into.
    """
    before = [part.training for part in whole.modules()]
    modes: list[Traced] = []
    try:
        for training in (False, True):
            tracer = _Tracer(
                leaf_modules=(Permute, *leaves), autowrap_modules=(math, ops), autowrap_functions=tuple(wrapped)
            )
            with quiet(), torch.no_grad():
                graph = tracer.trace(whole.train(training))
                if modes and _steps(graph) == _steps(modes[0].graph):
                    return modes[0], modes[0]
                with torch.device("meta"):
                    values, writes = _run(whole, graph, torch.zeros(CLIPS, *shape))
            modes.append(Traced(graph, tracer.node_to_qualname, tracer.calls, values, writes, training, whole))
    except Exception as error:
        raise errors.UserError(
            "this network cannot be cut into layers: torch.fx cannot follow its code, or frames of this shape",
            got=f"{type(whole).__name__}, {shape}: {type(error).__name__}: {str(error).partition(chr(10))[0][:200]}",
            hint="another size=, another name=, or a tower of your own: docs/adding-parts.md",
        ) from error
    finally:
        for part, mode in zip(whole.modules(), before, strict=True):
            part.training = mode
    return modes[0], modes[1]


def _steps(graph: fx.Graph) -> list[str]:
    return [f"{node.name} {node.op} {node.target} {node.args} {node.kwargs}" for node in graph.nodes]


def _run(whole: nn.Module, graph: fx.Graph, x: Tensor) -> tuple[dict[fx.Node, Any], list[tuple[fx.Node, int]]]:
    """What every node holds, for one input; and which nodes write into their inputs."""
    memo: dict[int, Any] = {}
    for one in whole.parameters():
        memo[id(one)] = nn.Parameter(torch.empty_like(one, device="meta"), requires_grad=False)
    for part in whole.modules():
        for own in (*part._buffers.values(), *vars(part).values()):
            if isinstance(own, Tensor):
                memo[id(own)] = torch.empty_like(own, device="meta")
    values: dict[fx.Node, Any] = {}
    writes: list[tuple[fx.Node, int]] = []

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            given = [values[one] for one in n.all_input_nodes if isinstance(values[one], Tensor)]
            versions = [one._version for one in given]
            values[n] = super().run_node(n)
            writes.extend((n, _memory(one)) for one, v in zip(given, versions, strict=True) if one._version != v)
            return values[n]

        def fetch_args_kwargs_from_env(self, n: fx.Node) -> tuple[Any, Any]:
            args, kwargs = super().fetch_args_kwargs_from_env(n)
            return _mutable(args), _mutable(kwargs)

    Recorder(fx.GraphModule(deepcopy(whole, memo), graph), garbage_collect_values=False).run(x)
    return values, writes


def _memory(x: Tensor) -> int:
    """The identity of a tensor's memory; equal for views of one tensor."""
    return x.untyped_storage()._cdata


def _mutable(value: Any) -> Any:
    """Lists as the generated code has them; some functions of torchvision write into theirs."""
    if isinstance(value, list):
        return [_mutable(one) for one in value]
    if isinstance(value, dict):
        return {name: _mutable(one) for name, one in value.items()}
    return tuple(_mutable(one) for one in value) if type(value) is tuple else value


class _Tracer(NodePathTracer):  # type: ignore[misc]
    """Names nodes by module paths, and records the calls of modules. Layers of torch, and their kinds, are leaves."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: list[Call] = []

    def is_leaf_module(self, m: nn.Module, module_qualname: str) -> bool:
        kinds = (one for one in type(m).__mro__ if one is not nn.Module)
        kind = any(one.__module__.startswith("torch.nn.modules") for one in kinds)
        return (kind and not isinstance(m, CONTAINERS)) or super().is_leaf_module(m, module_qualname)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        made = super().call_module(m, forward, args, kwargs)
        if len(args) == 1 and not kwargs and isinstance(args[0], fx.Proxy) and isinstance(made, fx.Proxy):
            self.calls.append(Call(self.path_of_module(m), args[0].node, made.node))
        return made


# -- cuts


def cuts(traced: Traced, clips: bool) -> list[GraphCut]:
    """All places with one live tensor that is a map or a vector, in order; the input is the first, without a name."""
    last_use = {node: max((traced.place[user] for user in node.users), default=-1) for node in traced.nodes}
    skip = traced.constants | traced.clip_counts
    axes = _channel_axes(traced)
    rank, found, alive = (5 if clips else 4), list[GraphCut](), list[fx.Node]()
    done: set[fx.Node] = set()
    for at, node in enumerate(traced.nodes[:-1]):
        alive = [one for one in alive if last_use[one] > at]
        if node not in skip and last_use[node] > at:
            alive.append(node)
        name = traced.names.get(node, "")
        if len(alive) == 1 and alive[0] not in done:
            tensor = alive[0]
            channels = _channels(traced.values[tensor], rank, axes.get(tensor))
            if channels is not None:
                done.add(tensor)
                shape = tuple(traced.values[tensor].shape)
                found.append(GraphCut(at, tensor, traced.names.get(tensor, ""), shape, channels))
            elif name:
                traced.reasons[name] = _reason([traced.values[tensor]], rank)
        elif name:
            traced.reasons[name] = _reason([traced.values[one] for one in alive], rank)
    return found


def _reason(alive: list[Any], rank: int) -> str:
    """Why there is no cut where these values are needed."""
    tensors = [one for one in alive if isinstance(one, Tensor)]
    if len(tensors) > 1:
        return f"{len(tensors)} tensors are needed here, not one: it lies inside a block"
    if not tensors or tensors[0].ndim not in (2, rank):
        return f"there is no map here, but {value_text((tensors or alive or [None])[0])}"
    if len(alive) > 1:
        return "sizes that were read below are needed here too: it lies inside a block"
    return f"it is unknown where the channels of this map are, of {value_text(tensors[0])}"


def _channels(value: Any, rank: int, axis: int | None) -> str | None:
    """Where a value has its channels; None where it is neither a map nor a vector."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim not in (2, rank):
        return None
    if len(value) != CLIPS:
        return None
    if value.ndim == 2:
        return FIRST
    first, last = value.shape[-1] == value.shape[-2], value.shape[-2] == value.shape[-3]
    if first and last:
        return {1: FIRST, rank - 1: LAST}.get(axis) if axis is not None else None
    return FIRST if first else LAST if last else None


def _channel_axes(traced: Traced) -> dict[fx.Node, int]:
    """The axis of the channels at each node, where permutations and torch's layers tell."""
    axes: dict[fx.Node, int] = {}
    for node in traced.nodes:
        value = traced.values.get(node)
        if not isinstance(value, Tensor) or value.ndim < 3:
            continue
        module = traced.whole.get_submodule(str(node.target)) if node.op == "call_module" else None
        before = next((one for one in node.all_input_nodes if one in axes), None)
        order = _order(node, module)
        if node.op == "placeholder" or isinstance(module, _CHANNELS_FIRST):
            axes[node] = 1
        elif isinstance(module, nn.Linear) or (isinstance(module, nn.LayerNorm) and type(module) is nn.LayerNorm):
            axes[node] = value.ndim - 1
        elif order is not None and before is not None:
            axes[node] = [one % value.ndim for one in order].index(axes[before])
        elif before is not None and traced.values[before].ndim == value.ndim and "transpose" not in str(node.target):
            axes[node] = axes[before]
    return axes


_CHANNELS_FIRST = (
    nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd, nn.modules.pooling._AdaptiveAvgPoolNd,
)  # fmt: skip


def _order(node: fx.Node, module: nn.Module | None) -> list[int] | None:
    """The order of a permutation."""
    if isinstance(module, Permute):
        return list(module.dims)
    if node.target == "permute" or node.target is torch.permute:
        order = node.args[1:] if len(node.args) > 2 else node.args[1] if len(node.args) > 1 else node.kwargs.get("dims")
        return [int(str(one)) for one in order] if isinstance(order, list | tuple) else None
    return None


def is_reshape(node: fx.Node, whole: nn.Module) -> bool:
    """Whether a node can change the order and the shape of numbers, and none of them."""
    if node.op == "call_module":
        return isinstance(whole.get_submodule(str(node.target)), nn.Identity | nn.Flatten | Permute | nn.Dropout)
    target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return target.lstrip("_") in RESHAPES or node.target in (operator.getitem, getattr, torch._assert)


def _writes_into(node: fx.Node, given: fx.Node) -> bool:
    """Whether it is an operation like x.add_(y) or x += y, on x = `given`."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    in_place = (node.op == "call_method" and name.endswith("_")) or name in IN_PLACE
    return bool(in_place and node.args and node.args[0] is given)


def _is_shape(of: Any) -> bool:
    return isinstance(of, fx.Node) and (of.target == "size" or (of.target is getattr and str(of.args[1]) == "shape"))


def value_text(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, Tensor):
        return f"a tensor (N, {', '.join(map(str, value.shape[1:]))})"
    if isinstance(value, Mapping):
        return f"several: {', '.join(map(str, value))}"
    if isinstance(value, list | tuple):
        tensors = sum(isinstance(one, Tensor | fx.Node) for one in value)
        return f"{tensors} tensors" if tensors == len(value) else f"{len(value)} values, {tensors} of them tensors"
    return type(value).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Without a library's warnings, which are no news for a user of fusionlab."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
