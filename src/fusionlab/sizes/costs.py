"""The costs of a net, layer by layer: parameters, multiply-adds, memory. It may be on the meta device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fusionlab.backbones.layers import keeps_shape, layer_text
from fusionlab.backbones.tower import Tower
from fusionlab.sizes.memory_meter import MemoryMeter, SameLayout
from fusionlab.sizes.op_meter import Key, Meter
from fusionlab.two_stream.net import STREAMS, Net, Stream

PARTS = (
    "appearance", "motion", "own_appearance", "own_motion", "tower", "fusion", "temporal", "above", "beside", "svm",
)  # fmt: skip


@dataclass(frozen=True)
class LayerCosts:
    """One layer's costs. `part`: appearance or motion (the frozen towers below), or a part of the net, see `PARTS`.

    `shape`: (D, T, H, W) of its output for one clip; `macs` of one clip; `kept`: bytes of the whole batch.
    """

    part: str
    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    kept: int
    elementwise: bool


@dataclass(frozen=True)
class Costs:
    """`pixels`, `maps`, `towers`, `forward`: bytes of the whole batch."""

    layers: tuple[LayerCosts, ...]
    snippets: int  # T
    predictions: tuple[int, ...]  # T' of each head
    pixels: int
    maps: int  # from the frozen towers to the net
    towers: int  # the peak while they run, with the maps
    forward: int  # the peak of the net's forward pass, with `kept`, without the maps
    tested: int  # the same in evaluation mode, where nothing is kept

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts, from below."""
        parts = dict.fromkeys(layer.part for layer in self.layers)
        return tuple(sorted(parts, key=lambda part: PARTS.index(part) if part in PARTS else len(PARTS)))

    def layer(self, part: str, name: str) -> LayerCosts | None:
        return next((layer for layer in self.of(part) if layer.name == name), None)

    def of(self, part: str) -> tuple[LayerCosts, ...]:
        return tuple(layer for layer in self.layers if layer.part == part)

    @property
    def parameters(self) -> int:
        """The number of all parameters, with those of an SVM."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def kept(self) -> int:
        return sum(layer.kept for layer in self.layers)


@dataclass(frozen=True)
class TowerRun:
    """One forward pass of a frozen tower: its layers, the maps for the nets above it, and bytes of the whole batch."""

    layers: tuple[LayerCosts, ...]
    features: Mapping[str, Tensor]
    pixels: int
    maps: int
    most: int  # the peak while it runs, with the maps


def run_tower(
    tower: Tower, stream: Stream, taps: Sequence[str], *, clips: int, snippets: int, dtype: torch.dtype = torch.float32
) -> TowerRun:
    """Run a frozen tower up to these taps; arguments as of `measure`."""
    if dtype != torch.float32:
        tower = deepcopy(tower).to(dtype)
    pixels = _pixels(tower, clips, snippets)
    rows: dict[str, Key] = {name: (stream, name) for name in tower.below(taps)}
    memory = MemoryMeter([pixels, *tower.parameters(), *tower.buffers()])
    with _mode(tower, train=False), torch.no_grad(), SameLayout(), Meter(tower, _owner(rows)) as meter, memory:
        features = tower.collect(pixels, tuple(taps))
    layers = tuple(_layers(tower, rows, meter, clips))
    return TowerRun(layers, features, pixels.untyped_storage().nbytes(), memory.now, memory.most)


def measure(
    net: Net,
    appearance: Tower | None = None,
    motion: Tower | None = None,
    *,
    clips: int = 1,
    snippets: int,
    dtype: torch.dtype = torch.float32,
    run: Callable[..., TowerRun] = run_tower,
) -> Costs:
    """The forward pass of one training step: `clips` clips of T = `snippets`, of the towers' own frame size.

    `appearance` and `motion`: the towers below the net, as for `describe`. `dtype`: of all that is computed; the little
    that autocast leaves in float32 is counted half. `run`: a `run_tower` that remembers, for many nets above one tower.
    """
    if dtype != torch.float32:
        net = deepcopy(net).to(dtype)
    layers: list[LayerCosts] = []
    features: dict[Stream, Mapping[str, Tensor]] = {}
    pixels = maps = towers = 0
    for stream, tower in zip(STREAMS, (appearance, motion), strict=True):
        if (taps := net.needs.get(stream)) is None:
            continue
        if tower is None:  # it is inside the net
            given = _pixels(net.own_towers[stream], clips, snippets)
            features[stream] = dict.fromkeys(taps, given)
            pixels += given.untyped_storage().nbytes()
            continue
        below = run(tower, stream, taps, clips=clips, snippets=snippets, dtype=dtype)
        features[stream] = below.features
        layers += below.layers
        pixels += below.pixels
        towers = max(towers, maps + below.most)
        maps += below.maps
    handed = [one for by_layer in features.values() for one in by_layer.values()]
    label = torch.zeros(clips, dtype=torch.int64, device=handed[0].device)
    net_layers = list(net.layers(snippets))
    rows: dict[str, Key] = {one.path: (one.part, one.name) for one in net_layers}
    memory = MemoryMeter([*handed, label, *net.parameters(), *net.buffers()])
    with _mode(net, train=True), SameLayout(), Meter(net, _owner(rows), outside=handed) as meter, memory:
        net.loss(features, label)
    testing = MemoryMeter([*handed, *net.parameters(), *net.buffers()])
    with _mode(net, train=False), torch.no_grad(), SameLayout(), testing:
        predictions = tuple(logits.shape[2] for logits in net.heads(features))
    layers += _layers(net, rows, meter, clips, {one.path: one.text for one in net_layers if one.text is not None})
    return Costs(tuple(layers), snippets, predictions, pixels, maps, towers, memory.most, testing.most)


def shaped(shape: tuple[int, ...]) -> str:
    """D×T×H×W"""
    return "×".join(map(str, shape))


def _layers(
    module: nn.Module, rows: Mapping[str, Key], meter: Meter, clips: int, texts: Mapping[str, str] | None = None
) -> list[LayerCosts]:
    """The layers in the order in which they ran."""
    order = {key: place for place, key in enumerate(meter.seen)}
    costs = []
    for path, key in sorted(rows.items(), key=lambda row: order.get(row[1], len(order))):
        layer, seen = module.get_submodule(path), meter.seen.get(key)
        numbers = sum(p.numel() for p in _own(layer, path, rows))
        if seen is None:
            assert not numbers, f"{path} has parameters and does not run"
            continue
        shape = _of_a_clip(seen.shape, clips)
        what = (texts or {}).get(path) or layer_text(layer)
        costs.append(LayerCosts(*key, what, shape, numbers, seen.macs // clips, seen.kept, keeps_shape(layer)))
    return costs


def _own(layer: nn.Module, path: str, rows: Mapping[str, Key]) -> Iterator[nn.Parameter]:
    """A layer's parameters, without those of rows inside it."""
    for name, parameter in layer.named_parameters():
        if _row(f"{path}.{name}", rows) == path:
            yield parameter


def _of_a_clip(shape: tuple[int, ...], clips: int) -> tuple[int, ...]:
    """(N·T, D, H, W) or (N, D, T, H, W) -> (D, T, H, W)"""
    if len(shape) == 5:
        return shape[1:]
    frames, channels, height, width = shape
    return (channels, frames // clips, height, width)


def _row(path: str, rows: Mapping[str, Key]) -> str | None:
    """The layer that a path lies in, the innermost."""
    while path and path not in rows:
        path = path.rpartition(".")[0]
    return path or None


def _owner(rows: Mapping[str, Key]) -> Callable[[str], Key | None]:
    def owner(path: str) -> Key | None:
        row = _row(path, rows)
        return None if row is None else rows[row]

    return owner


def _pixels(tower: Tower, clips: int, snippets: int) -> Tensor:
    shape = (clips, tower.in_channels, snippets, tower.size, tower.size)
    return torch.zeros(shape, dtype=torch.uint8, device=next(tower.parameters()).device)


@contextmanager
def _mode(module: nn.Module, train: bool) -> Iterator[None]:
    """Set training or evaluation mode, and restore the previous mode afterwards."""
    before = {part: part.training for part in module.modules()}
    module.train(train)
    try:
        yield
    finally:
        for part, mode in before.items():
            part.training = mode
