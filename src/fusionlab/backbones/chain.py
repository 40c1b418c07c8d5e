"""A traced network as a chain of layers, each from one cut to the next; its names, and the names that are no layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from inspect import get_annotations
from typing import NamedTuple

import torch
from torch import fx, nn

from fusionlab import errors
from fusionlab.backbones.connected import Connected
from fusionlab.backbones.initialise import Classifier
from fusionlab.backbones.segment import VECTOR, Dense3d, Segment, compile_graph, cut_graph, form, leave
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.trace import FIRST, GraphCut, Traced, cuts, is_reshape, value_text

PLACE_BY_PLACE = (nn.Dropout, nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.Tanh)
CommonCut = tuple[GraphCut, ...]  # a cut, in each mode


class Link(NamedTuple):
    """A layer. `sources`: the library's name of each of its parameters and buffers."""

    layer: nn.Module
    sources: dict[str, str]


class Chain:
    """The layers of a network from its graphs, `modes`: in evaluation and in training. `kind`: the tower's class."""

    def __init__(self, whole: nn.Module, modes: tuple[Traced, Traced], clips: bool, kind: type[Tower]) -> None:
        self.whole, self.modes, self.clips = whole, modes, clips
        self.names = _ends(modes[0])
        self.taken = taken_names(kind)
        found = self._common()
        result = found[-1][0] if found else None
        if result is None or result.tensor is not modes[0].result or len(result.shape) != 2:
            raise errors.UserError(
                "a network of another library has to leave one number for each class, (N, C)",
                got=f"{type(whole).__name__}, which leaves {value_text(modes[0].values[modes[0].result])}",
            )
        self.links: dict[str, Link] = {}
        self.layer_at: dict[str, str] = {}  # a cut -> the layer that ends there, or before it where all is reshaped
        self._build([one for one in found if not self._written(one)])

    def _common(self) -> list[CommonCut]:
        """The cuts of both modes, in order."""
        first, second = (cuts(mode, self.clips) for mode in self.modes)
        if {one.tensor for one in (first[-1], second[-1])} != {mode.result for mode in self.modes}:
            return []
        by_name = {one.name: k for k, one in enumerate(second[:-1])}
        found, last = [], -1
        for one in first[:-1]:
            k = by_name.get(one.name, -1)
            if k > last and second[k].shape == one.shape and second[k].channels == one.channels:
                found.append((one, second[k]))
                last = k
        return [*found, (first[-1], second[-1])]

    def _written(self, place: CommonCut) -> bool:
        """Whether what follows a cut writes into its map. Activations that do are set to make a new one instead."""
        modules = [
            self.whole.get_submodule(str(node.target)) if node.op == "call_module" else None
            for cut, traced in zip(place, self.modes, strict=True)
            for node in traced.writers(cut)
        ]
        if not all(getattr(one, "inplace", False) is True for one in modules):
            self.modes[0].reasons[place[0].name] = "what follows writes into this map"
            if place[0].tensor.op == "placeholder":
                raise errors.UserError("this network writes into its input", got=type(self.whole).__name__)
            return True
        for one in modules:
            one.inplace = False  # type: ignore[union-attr]
        return False

    def _build(self, found: list[CommonCut]) -> None:
        """Make the links."""
        weighted = [k for k in range(1, len(found)) if self._weighted(found[k - 1], found[k])]
        last = max(weighted, default=1)
        self.modes[0].reasons |= {one.name: "it is part of the classifier" for one, _ in found[last:-1]}
        begin = 0
        for k in (*range(1, last), len(found) - 1):  # what follows the last weights belongs to the classifier
            here, there = found[begin], found[k]
            begin = k
            if k < last and self._only_reshapes(here, there):
                if self.links:
                    self.layer_at[there[0].name] = next(reversed(self.links))
                continue
            link = self._link(here, there)
            name = self.names.get(there[0].tensor, there[0].name) if k < last else self._classifier(here, there)
            name = _free(name.replace(".", "_"), {*self.taken, *self.links})
            self.links[name], self.layer_at[there[0].name] = link, name
        self.whole.train()

    def _classifier(self, here: CommonCut, there: CommonCut) -> str:
        """The name of the last module with weights."""
        own = [str(one.target) for one in self._nodes(here, there, 0) if self._has_weights(one)]
        return own[-1] if own else there[0].name

    def _nodes(self, here: CommonCut, there: CommonCut, mode: int) -> list[fx.Node]:
        traced = self.modes[mode]
        return [one for one in traced.nodes[here[mode].at + 1 : there[mode].at + 1] if one not in traced.constants]

    def _weighted(self, here: CommonCut, there: CommonCut) -> bool:
        for one in self._nodes(here, there, 0):
            if self._has_weights(one) or any(given in self.modes[0].constants for given in one.all_input_nodes):
                return True
        return False

    def _has_weights(self, node: fx.Node) -> bool:
        return node.op == "call_module" and any(True for _ in self.whole.get_submodule(str(node.target)).parameters())

    def _only_reshapes(self, here: CommonCut, there: CommonCut) -> bool:
        """Whether numbers stay what and, as a map with channels first, where they are; tried on random ones."""
        for mode, traced in enumerate(self.modes):
            if not all(is_reshape(one, self.whole) for one in self._nodes(here, there, mode)):
                return False
            x = torch.rand(here[mode].shape, device="cpu", generator=torch.Generator().manual_seed(0))
            code, axes = compile_graph(self.whole, cut_graph(traced, here[mode], there[mode])), 3 if self.clips else 2
            with torch.random.fork_rng(devices=[]), torch.device("cpu"):
                y = code(self.whole.train(mode == 1), x.clone())
            if not torch.equal(leave(x, form(here[mode]), axes), leave(y, form(there[mode]), axes)):
                return False
        return True

    def _link(self, here: CommonCut, there: CommonCut) -> Link:
        """The layer from one cut to the next."""
        forms = form(here[0]), form(there[0])
        path = self._module(here, there)
        own = None if path is None else self.whole.get_submodule(path)
        if own is not None and forms == (VECTOR, VECTOR):
            own = self._dense(own) if isinstance(own, nn.Linear) else own if isinstance(own, PLACE_BY_PLACE) else None
        elif forms != (FIRST, FIRST):
            own = None
        if own is not None:
            return Link(own, {name: f"{path}.{name}" for name in own.state_dict()})
        different = self.modes if self.modes[0] is not self.modes[1] else self.modes[:1]
        graphs = [cut_graph(traced, here[mode], there[mode]) for mode, traced in enumerate(different)]
        segment = Segment(self.whole, graphs, forms, self.clips)
        return Link(segment, {name: name for name in segment.state_dict()})

    def _module(self, here: CommonCut, there: CommonCut) -> str | None:
        """The module that is all there is between two cuts, in both modes; a layer of torch, or else the outermost."""
        paths: list[list[str]] = []
        for mode, traced in enumerate(self.modes):
            ends = here[mode].tensor, there[mode].tensor
            paths.append([one.path for one in traced.calls if (one.argument, one.result) == ends])
        both = [path for path in paths[0] if path in paths[1]]
        leaf = len(self._nodes(here, there, 0)) == 1
        return (both[0] if leaf else both[-1]) if both else None

    def _dense(self, layer: nn.Linear) -> nn.Module:
        """The same weights as a convolution."""
        make = Dense3d if self.clips else Connected
        weight = layer.weight
        with torch.device("meta"):
            dense = make(layer.in_features, layer.out_features, 1, bias=layer.bias is not None)
        dense.weight = nn.Parameter(weight.detach().reshape(dense.weight.shape), weight.requires_grad)
        if layer.bias is not None:
            dense.bias = layer.bias
        return dense.train(layer.training)

    def spellings(self, names: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Aliases of layers, and the names that are no layer with the reasons."""
        traced = self.modes[0]
        aliases: dict[str, str] = {}
        no_map: dict[str, str] = {}
        for path, node in _last_nodes(traced).items():
            flat, name = path.replace(".", "_"), traced.names.get(node, "")
            if flat in self.links:
                continue
            if (layer := self.layer_at.get(name)) is not None:
                aliases[flat] = layer
            else:
                no_map[flat] = traced.reasons.get(name, "training and evaluation have no common place here")
        for alias, path in names.items():
            layer = aliases.get(path.replace(".", "_"), path.replace(".", "_"))
            if layer in self.links:
                aliases[alias] = layer
        return aliases, no_map


def _last_nodes(traced: Traced) -> dict[str, fx.Node]:
    """The last node in each module, and each node by its own name."""
    found: dict[str, fx.Node] = {}
    for node in traced.nodes:
        if node.op == "placeholder" or node in traced.constants or node in traced.clip_counts:
            continue
        path = traced.names.get(node, "")
        while path:
            found[path] = node
            path = path.rpartition(".")[0]
    return found


def _ends(traced: Traced) -> dict[fx.Node, str]:
    """Nodes by the module that they are the last of: layer1.0, rather than layer1.0.relu_1.

    The layers of a plain chain keep their own names.
    """
    last = _last_nodes(traced)
    names: dict[fx.Node, str] = {}
    for node, name in traced.names.items():
        module = name.rpartition(".")[0]
        chain = node.op == "call_module" and isinstance(traced.whole.get_submodule(module), nn.Sequential)
        names[node] = module if module and not chain and last.get(module) is node else name
    return names


def taken_names(kind: type[Tower]) -> frozenset[str]:
    """Names of a tower's own attributes, which no layer can have."""
    with torch.device("meta"):
        least = Tower({"fc": Classifier(1, 1, 1), "softmax": nn.Softmax(dim=1)}, {}, 1, 1)
    declared = {name for one in kind.__mro__ for name in get_annotations(one)}
    return frozenset({*dir(kind), *declared, *dir(least), "initialise_own", "input"} - {"fc"})


def _free(name: str, others: Collection[str]) -> str:
    """A name that no other has: with "_layer" behind it where one has."""
    while name in others:
        name += "_layer"
    return name
