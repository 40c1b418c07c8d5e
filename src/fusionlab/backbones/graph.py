"""A tower made of a network of another library: its graph is cut where one tensor is alive; each part is a layer.

    part of the graph                                       layer
    one module, on maps with channels first                 that module itself
    a linear layer on a vector                              the same as a 1×1 convolution
    anything else                                           `Segment`: the module paths of the library, generated code
    only reshapes, as a permutation or a flatten            none: the layers around it take the same numbers

A layer has the path of the module that ends with it, with "_" for ".": layer1_0, features_3, conv1. Between layers
there is a map with channels first. Where the library has channels last, they are moved; a vector (N, D) is a map
(N, D, 1, 1) here.

First weights are the library's own: its network is built anew with the seed's generator, and a layer takes its part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import partial
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor, nn

from fusionlab.backbones.chain import Chain
from fusionlab.backbones.folding import is_2d_kernel, repeat_over_time
from fusionlab.backbones.initialise import GeneratorFor, gaussian
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.trace import quiet, trace

Builder = Callable[[], nn.Module]
OF_LIBRARY = ("library", "imagenet_file", "published_files", "pixels", "renamed")  # what loading asks of a tower


class GraphTower(Tower):
    """A network of another library as a tower.

    `no_map`: the library's names that are no layer, and why. `aliases`: further names of layers.
    """

    name = ""  # of the network in its library
    library: str
    one_prediction = True  # of frames of any size: the last map is averaged
    build: Builder
    frames: int | None
    sources: Mapping[str, str]  # the library's name of each number
    unused: frozenset[str]  # the library's names that have no part in the tower
    no_map: Mapping[str, str]
    aliases: Mapping[str, str]

    def __init__(
        self,
        build: Builder,
        in_channels: int,
        size: int,
        *,
        frames: int | None = None,
        leaves: Iterable[type] = (),
        wrapped: Iterable[Any] = (),
        names: Callable[[nn.Module], Mapping[str, str]] = lambda _: {},
    ) -> None:
        """`build` makes the network; `frames` of clips where it takes these.

        `names` lists further names of layers: name -> the library's path.
        """
        whole = build_quietly(build)
        shape = (in_channels, size, size) if frames is None else (in_channels, frames, size, size)
        modes = trace(whole, shape, leaves, wrapped)
        chain = Chain(whole, modes, clips=frames is not None, kind=type(self))
        layers = {name: link.layer for name, link in chain.links.items()}
        taps = {name: name for name in (*layers, "softmax")}
        super().__init__({**layers, "softmax": nn.Softmax(dim=1)}, taps, in_channels, size, frames=frames or 1)
        self.build = build
        self.frames = frames
        self.sources = {
            f"{name}.{own}": source for name, link in chain.links.items() for own, source in link.sources.items()
        }
        self.unused = frozenset(whole.state_dict()) - frozenset(self.sources.values())
        self.aliases, self.no_map = chain.spellings(names(whole))
        for name, link in chain.links.items():
            layer = self.get_submodule(name)
            if link.sources:
                _draw_by_library(layer, build, link.sources)

    @property
    def title(self) -> str:
        return " ".join([type(self).__name__, *([self.name] if self.name else [])])

    def initialise_own(self, generator_for: GeneratorFor) -> None:
        """Draw all layers as the library does."""
        draw(self, self.build, self.sources, generator_for)

    def lend_library(self, tower: nn.Module) -> None:
        """Give a tower with the same layers, as an inflated one, the library's first weights and its files."""
        for name in self.names:
            own = {one.removeprefix(f"{name}."): at for one, at in self.sources.items() if one.startswith(f"{name}.")}
            if own:
                _draw_by_library(tower.get_submodule(name), self.build, own)
        _draw_by_library(tower, self.build, self.sources)
        knows = copy(self)
        knows._modules = {}  # its weights are not kept
        for name in OF_LIBRARY:
            if hasattr(knows, name):
                setattr(tower, name, getattr(knows, name))

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of the library by this tower's names, without what has no part in it, as auxiliary heads."""
        own: dict[str, list[str]] = {}
        for name, source in self.sources.items():
            own.setdefault(source, []).append(name)
        return {
            name: value
            for source, value in state.items()
            if source not in self.unused
            for name in own.get(source, [source])
        }


def build_quietly(build: Builder) -> nn.Module:
    """The library's network; torch's own generator is left as it was.

    On the meta device too: the code of some networks computes numbers as it builds them. These are built on the CPU.
    """
    with quiet(), torch.random.fork_rng(devices=[]):
        if torch.get_default_device().type != "meta":
            return build()
        try:
            return build()
        except Exception:  # raised again below, if it has another cause
            with torch.device("cpu"):
                return build().to("meta")


def _draw_by_library(module: nn.Module, build: Builder, sources: Mapping[str, str]) -> None:
    """Let `initialise` draw a module as the library does. A copy of the module (deepcopy) draws itself."""
    setattr(module, "initialise_own", partial(draw, module, build, sources))  # noqa: B010


@torch.no_grad()
def draw(module: nn.Module, build: Builder, sources: Mapping[str, str], generator_for: GeneratorFor) -> None:
    """Draw a module as the library draws the whole; kernels of an inflated one are repeated along time.

    What was widened since is drawn as in initialise.py.
    """
    with quiet(), torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(generator_for("").initial_seed())
        fresh = build().state_dict()
    for name, own in module.state_dict().items():
        if name not in sources:
            continue
        value = fresh[sources[name]]
        if is_2d_kernel(value, own):
            value = repeat_over_time(value, own.shape[2])
        if value.numel() == own.numel():
            own.copy_(value.reshape(own.shape))
        else:
            gaussian(own, sqrt(2.0 / prod(own.shape[1:])), generator_for(name))
