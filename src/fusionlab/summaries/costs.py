"""What a net costs, layer by layer: parameters, multiply-adds, memory. Towers and net may be on the meta device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fusionlab.backbones.tower import Tower
from fusionlab.summaries.layer_text import elementwise, kind
from fusionlab.summaries.memory_meter import Held, SameLayout
from fusionlab.summaries.op_meter import Key, Meter
from fusionlab.summaries.reach import box
from fusionlab.temporal.pool3d import Pool3d
from fusionlab.temporal.temporal import Temporal
from fusionlab.two_stream.column import Column
from fusionlab.two_stream.cut import name_of
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import STREAMS, Net, Stream

PARTS = ("appearance", "motion", "tower", "fusion", "temporal", "above", "beside", "svm")


@dataclass(frozen=True)
class Layer:
    """`part`: appearance or motion (the frozen towers below), or a part of the net: fusion, temporal, above, beside,
    svm, tower. `shape`: (D, T, H, W) of its output for one clip; `macs` of one clip; `kept`: bytes of the whole batch.
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

    layers: tuple[Layer, ...]
    snippets: int  # T
    predictions: tuple[int, ...]  # T' of each head
    pixels: int
    maps: int  # what the frozen towers hand over
    towers: int  # the most that they hold while they run, the maps that they have handed over too
    forward: int  # the most that the net holds on its way forward, `kept` among it; the maps not

    @property
    def parts(self) -> tuple[str, ...]:
        """From below."""
        found = dict.fromkeys(layer.part for layer in self.layers)
        return tuple(sorted(found, key=lambda part: PARTS.index(part) if part in PARTS else len(PARTS)))

    def of(self, part: str) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if layer.part == part)

    @property
    def parameters(self) -> int:
        """All of them, an SVM's too."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def kept(self) -> int:
        return sum(layer.kept for layer in self.layers)


def measure(
    net: Net,
    appearance: Tower | None = None,
    motion: Tower | None = None,
    *,
    clips: int = 1,
    snippets: int,
    dtype: torch.dtype = torch.float32,
) -> Costs:
    """The way forward of one training step: `clips` clips of T = `snippets`, of the size that the towers are made for.

    `appearance` and `motion`: the towers whose maps the net takes, as for `describe`. `dtype`: of all that is computed;
    autocast leaves a little in float32, which is then counted half.
    """
    if dtype != torch.float32:
        net = deepcopy(net).to(dtype)
        appearance, motion = (None if one is None else deepcopy(one).to(dtype) for one in (appearance, motion))
    layers: list[Layer] = []
    features: dict[Stream, dict[str, Tensor]] = {}
    pixels: list[Tensor] = []
    maps = towers = 0
    for stream, tower in zip(STREAMS, (appearance, motion), strict=True):
        if (taps := net.needs.get(stream)) is None:
            continue
        pixels.append(_pixels(tower or net.get_submodule("tower"), clips, snippets))
        if tower is None:  # it is inside the net
            features[stream] = dict.fromkeys(taps, pixels[-1])
            continue
        rows: dict[str, Key] = {name: (stream, name) for name in tower.below(taps)}
        held = Held([pixels[-1], *tower.parameters(), *tower.buffers()])
        with _mode(tower, train=False), torch.no_grad(), SameLayout(), Meter(tower, _owner(rows)) as meter, held:
            features[stream] = tower.collect(pixels[-1], taps)
        layers += _layers(tower, rows, meter, clips)
        towers = max(towers, maps + held.most)
        maps += held.now
    handed = [one for found in features.values() for one in found.values()]
    label = torch.zeros(clips, dtype=torch.int64, device=handed[0].device)
    rows = _rows(net)
    held = Held([*handed, label, *net.parameters(), *net.buffers()])
    with _mode(net, train=True), SameLayout(), Meter(net, _owner(rows), outside=handed) as meter, held:
        net.loss(features, label)
    with _mode(net, train=False), torch.no_grad():
        predictions = tuple(logits.shape[2] for logits in net.heads(features))
    layers += _layers(net, rows, meter, clips, _kinds(net, snippets))
    batch = sum(one.untyped_storage().nbytes() for one in pixels)
    return Costs(tuple(layers), snippets, predictions, batch, maps, towers, held.most)


def shaped(shape: tuple[int, ...]) -> str:
    """D×T×H×W"""
    return "×".join(map(str, shape))


def _layers(
    module: nn.Module, rows: Mapping[str, Key], meter: Meter, clips: int, kinds: Mapping[str, str] | None = None
) -> list[Layer]:
    """In the order in which they ran."""
    order = {key: place for place, key in enumerate(meter.seen)}
    found = []
    for path, key in sorted(rows.items(), key=lambda row: order.get(row[1], len(order))):
        layer, seen = module.get_submodule(path), meter.seen.get(key)
        numbers = sum(p.numel() for p in _own(layer, path, rows))
        if seen is None:
            assert not numbers, f"{path} has parameters and does not run"
            continue
        shape = _of_a_clip(seen.shape, clips)
        what = (kinds or {}).get(path) or kind(layer)
        found.append(Layer(*key, what, shape, numbers, seen.macs // clips, seen.kept, elementwise(layer)))
    return found


def _own(layer: nn.Module, path: str, rows: Mapping[str, Key]) -> Iterator[nn.Parameter]:
    """A layer's parameters, but for those of rows inside it."""
    for name, parameter in layer.named_parameters():
        if _row(f"{path}.{name}", rows) == path:
            yield parameter


def _of_a_clip(shape: tuple[int, ...], clips: int) -> tuple[int, ...]:
    """(N·T, D, H, W) or (N, D, T, H, W) -> (D, T, H, W)"""
    if len(shape) == 5:
        return shape[1:]
    frames, channels, height, width = shape
    return (channels, frames // clips, height, width)


def _rows(net: Net) -> dict[str, Key]:
    """The layers of a net: path -> (part, name). What is no container of layers is one layer."""
    rows: dict[str, Key] = {}
    for child, part in net.named_children():
        if isinstance(part, Tower | nn.ModuleDict | Temporal):
            if any(True for _ in part.parameters(recurse=False)):
                rows[child] = (SAME_PART.get(child, child), "")
            for name, _ in part.named_children():
                rows[f"{child}.{name}"] = (SAME_PART.get(child, child), name)
        else:
            rows[child] = (child, "")
    if isinstance(net, FusedNet):  # by the place where they stand
        rows["fusion"] = ("fusion", net.names[0])
        if net.svm is not None:
            rows["svm"] = ("svm", "svm" if net.fusion.classifier == "svm" else "classifier")
        for child, head, column in _heads(net):
            own = [name for name, _ in head.named_children() if name != "pool"]
            if len(own) == 1:
                rows[f"{child}.{own[0]}"] = (SAME_PART.get(child, child), name_of(head))
            if head.pool is not None and column.replaced is not None:
                rows[f"{child}.pool"] = (SAME_PART.get(child, child), column.replaced)
    return rows


def _heads(net: Net) -> Iterator[tuple[str, Temporal, Column]]:
    """The temporal heads, and the columns that they stand in."""
    if isinstance(net, FusedNet):
        yield "temporal", net.temporal, net.above
        if net.beside_head is not None and net.beside is not None:
            yield "beside_head", net.beside_head, net.beside


def _kinds(net: Net, snippets: int) -> dict[str, str]:
    """What a temporal head makes of the pooling that it takes the place of."""
    found = {}
    for child, head, _ in _heads(net):
        if head.pool is not None:
            window = kind(head.pool).split()[-1]
            deep = isinstance(head, Pool3d)
            found[f"{child}.pool"] = f"pool3d {box(head, snippets)}×{window}" if deep else f"{name_of(head)} {window}"
    return found


# A net's children that are one part under two names: fusions at several layers, a tower and its own temporal head.
SAME_PART = {"further": "fusion", "beside_head": "beside"}


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


def _pixels(tower: nn.Module, clips: int, snippets: int) -> Tensor:
    assert isinstance(tower, Tower)
    shape = (clips, tower.in_channels, snippets, tower.size, tower.size)
    return torch.zeros(shape, dtype=torch.uint8, device=next(tower.parameters()).device)


@contextmanager
def _mode(module: nn.Module, train: bool) -> Iterator[None]:
    """In training or in evaluation, and afterwards as before."""
    before = {part: part.training for part in module.modules()}
    module.train(train)
    try:
        yield
    finally:
        for part, mode in before.items():
            part.training = mode
