"""Fresh weights, each a function of (seed, the parameter's name) and of nothing else.

No generator is shared, so a network's draws do not depend on what was built before it or beside it. Arms of one seed
that share a layer (same name, same shape) start it from the same numbers, so they can be compared in pairs.

    weights       N(0, 2 / fan in)      He et al. 2015, for layers followed by a ReLU
    biases        0
    classifier    N(0, 0.01²)           as in the released code
    norm layers   scale 1, shift 0, and statistics as if nothing had been seen

A part with its own rule has a method `initialise_own(generator_for)`.
"""

from collections.abc import Callable
from math import prod, sqrt
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from fusionlab.records import draws

GeneratorFor = Callable[[str], torch.Generator]  # the name of a parameter within the part -> its generator


@runtime_checkable
class InitialisesItself(Protocol):
    def initialise_own(self, generator_for: GeneratorFor) -> None: ...


class Classifier(nn.Conv2d):
    """The last weighted layer: a convolution that starts at N(0, 0.01²), so that no class is favoured."""

    whole_map = True  # see layers.py

    def initialise_own(self, generator_for: GeneratorFor) -> None:
        gaussian(self.weight, 0.01, generator_for("weight"))
        if self.bias is not None:
            nn.init.zeros_(self.bias)


def gaussian(parameter: Tensor, deviation: float, generator: torch.Generator) -> None:
    """N(0, deviation²), drawn in float32 on the CPU wherever the parameter lives."""
    draw = torch.empty(parameter.shape, dtype=torch.float32, device="cpu").normal_(0.0, deviation, generator=generator)
    with torch.no_grad():
        parameter.copy_(draw)


def initialise(module: nn.Module, seed: int, prefix: str = "") -> None:
    """Draw every parameter of `module` anew. Parameters without storage (meta device) are left alone."""

    def visit(part: nn.Module, name: str) -> None:
        if isinstance(part, InitialisesItself):
            if not any(parameter.is_meta for parameter in part.parameters()):
                part.initialise_own(lambda own: _generator(seed, name + own))
            return
        for own, parameter in part.named_parameters(recurse=False):
            if not parameter.is_meta:
                _usual(own, parameter, _generator(seed, name + own))
        if (reset := getattr(part, "reset_running_stats", None)) is not None:
            reset()
        for own, child in part.named_children():
            visit(child, f"{name}{own}.")

    visit(module, prefix)


def _generator(seed: int, name: str) -> torch.Generator:
    return torch.Generator(device="cpu").manual_seed(draws.key("init", seed, name))


def _usual(name: str, parameter: nn.Parameter, generator: torch.Generator) -> None:
    if parameter.ndim >= 2:
        gaussian(parameter, sqrt(2.0 / prod(parameter.shape[1:])), generator)
    else:
        nn.init.constant_(parameter, 1.0 if name == "weight" else 0.0)  # a norm layer's scale; every bias
