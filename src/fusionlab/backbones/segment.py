"""Layers made of a part of a traced network: its modules, run by code that torch.fx generates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx, nn
from torch.nn import functional as F

from fusionlab.backbones.trace import FIRST, LAST, GraphCut, Traced

VECTOR = "vector"


class Dense3d(nn.Conv3d):
    """A linear layer on a map (N, D, T, H, W); of one place a matrix product."""

    whole_map = True  # see layers.py

    def forward(self, input: Tensor) -> Tensor:
        if tuple(input.shape[2:]) != self.kernel_size:
            return super().forward(input)
        return F.linear(input.flatten(1), self.weight.flatten(1), self.bias)[..., None, None, None]


class Segment(nn.Module):
    """A part of a network: its modules at the library's paths, run by code generated from the graph.

    `forms`: of what comes in and what goes out, in the library: channels first, channels last, or a vector.
    """

    def __init__(self, whole: nn.Module, graphs: Sequence[fx.Graph], forms: tuple[str, str], clips: bool) -> None:
        super().__init__()
        self.takes_clips = clips
        self.forms = forms
        self.whole_map = forms[1] == VECTOR  # see layers.py
        for graph in graphs:
            for node in graph.nodes:
                if node.op in ("call_module", "get_attr"):
                    _adopt(self, whole, str(node.target))
        # Called with self: neither a copy nor `train` has to know of them.
        codes = [compile_graph(whole, graph) for graph in graphs]
        self.evaluated, self.trained = codes[0], codes[-1]

    def forward(self, x: Tensor) -> Tensor:
        code = self.trained if self.training else self.evaluated
        return leave(code(self, enter(x, self.forms[0])), self.forms[1], 3 if self.takes_clips else 2)


def enter(x: Tensor, form: str) -> Tensor:
    return x if form == FIRST else x.movedim(1, -1) if form == LAST else x.flatten(1)


def leave(x: Tensor, form: str, axes: int) -> Tensor:
    return x if form == FIRST else x.movedim(-1, 1) if form == LAST else x.reshape(*x.shape, *[1] * axes)


def _adopt(segment: nn.Module, whole: nn.Module, target: str) -> None:
    """Register a module, a parameter or a buffer of the whole at its own path."""
    *folders, name = target.split(".")
    here, there = segment, whole
    for folder in folders:
        there = there.get_submodule(folder)
        if folder not in here._modules:
            here.add_module(folder, nn.Module())
        here = here.get_submodule(folder)
    if name in here._modules or name in here._parameters or name in here._buffers:
        return
    value = getattr(there, name)
    if isinstance(value, nn.Module):
        here.add_module(name, value)
    elif isinstance(value, nn.Parameter):
        here.register_parameter(name, value)
    else:  # a buffer, or a constant of the code
        persistent = name in there._buffers and name not in there._non_persistent_buffers_set
        here.register_buffer(name, value, persistent=persistent)


def form(cut: GraphCut) -> str:
    """The form of a cut's tensor in the library."""
    return VECTOR if len(cut.shape) == 2 else cut.channels


def cut_graph(traced: Traced, here: GraphCut, there: GraphCut) -> fx.Graph:
    """The graph from one cut to the next, with one input."""
    graph = fx.Graph()
    made = {here.tensor: graph.placeholder("x")}

    def copied(node: fx.Node) -> fx.Node:
        if node not in made:
            if node in traced.clip_counts:
                made[node] = graph.call_method("size", (made[here.tensor], 0))
            else:
                made[node] = graph.node_copy(node, copied)
        return made[node]

    for node in traced.nodes[here.at + 1 : there.at + 1]:
        if node not in traced.constants:
            copied(node)
    graph.output(made[there.tensor])
    return graph


def compile_graph(whole: nn.Module, graph: fx.Graph) -> Any:
    """A function of a module and x."""
    return type(fx.GraphModule(whole, graph)).forward
