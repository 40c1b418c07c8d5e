"""What nets cost: multiply-adds, parameters and memory, against the paper's arithmetic, torch's own counter, and what
really lies in memory.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial
from math import log2
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from two_stream_fakes import A, B, N, T, features, fused

from fusionlab.backbones.resnet import ResNet18
from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.vgg16 import Vgg16
from fusionlab.backbones.vgg_m import VggM
from fusionlab.fusion.bilinear import Bilinear
from fusionlab.fusion.cat import Cat
from fusionlab.fusion.compact import Compact
from fusionlab.fusion.conv import Conv
from fusionlab.fusion.sum import Sum
from fusionlab.sizes.costs import Costs, measure
from fusionlab.sizes.memory_meter import MemoryMeter
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.temporal.pool3d import Pool3d
from fusionlab.two_stream.describe import describe
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import LateNet, Net, StreamNet

CLIPS, SNIPPETS = 2, 5
# layer: parameters of the appearance tower and of the motion tower, multiply-adds of a frame of each
VGG_M = {
    "conv1": (14_208, 94_176, 167_664_672, 1_117_764_480),
    "conv2": (614_656, 614_656, 415_334_400, 415_334_400),
    "conv3": (1_180_160, 1_180_160, 199_360_512, 199_360_512),
    "conv4": (2_359_808, 2_359_808, 398_721_024, 398_721_024),
    "conv5": (2_359_808, 2_359_808, 398_721_024, 398_721_024),
    "fc6": (75_501_568, 75_501_568, 75_497_472, 75_497_472),
    "fc7": (8_390_656, 8_390_656, 8_388_608, 8_388_608),
    "fc8": (206_949, 206_949, 206_848, 206_848),
}
SIDES = {"conv1": 109, "pool1": 54, "conv2": 26, "pool2": 13, "conv3": 13, "conv5": 13, "pool5": 6, "fc6": 1}


def reach(net: Net) -> tuple[int, ...]:
    """Snippets that a prediction of each head sees, at most."""
    return tuple(max(map(len, head)) for head in net.reach(SNIPPETS))


@cache
def towers(a: str, b: str) -> tuple[Tower, Tower]:
    make: dict[str, Callable[[int], Tower]] = {
        "tiny": lambda channels: Tiny(channels, 24),
        "vgg_m": lambda channels: VggM(channels, 101),
        "vgg16": lambda channels: Vgg16(channels, 101),
        "resnet18": lambda channels: ResNet18(channels, 101, 224, partial_bn=True),
    }
    with torch.device("meta"):
        return make[a](3), make[b](20)


def net(a: str, b: str, fusion: Any, temporal: Any = Pool2d, layer: str = "relu5", **options: Any) -> FusedNet:
    with torch.device("meta"):
        return FusedNet(*towers(a, b), fusion, temporal, layer, **options)


NETS: dict[str, tuple[str, str, Callable[[], Net]]] = {
    "conv": ("vgg_m", "vgg_m", lambda: net("vgg_m", "vgg_m", Conv)),
    "conv3d, kept": ("vgg16", "vgg_m", lambda: net("vgg16", "vgg_m", Cat, Conv3d, keep=True)),
    "several": ("vgg_m", "vgg_m", lambda: net("vgg_m", "vgg_m", Conv, Pool3d, "relu3+relu5+fc6")),
    "logits averaged": ("tiny", "tiny", lambda: net("tiny", "tiny", Conv, Pool2d, "relu5+fc8")),
    "into motion": ("vgg16", "vgg_m", lambda: net("vgg16", "vgg_m", Sum, Pool3d, into="motion", above="motion")),
    "bilinear": ("vgg_m", "vgg_m", lambda: net("vgg_m", "vgg_m", Bilinear)),
    "residual": ("resnet18", "resnet18", lambda: net("resnet18", "resnet18", Conv, Pool2d, "layer3")),
    "class scores": ("tiny", "tiny", lambda: net("tiny", "tiny", Conv, Pool2d, "softmax")),
    "late": ("vgg_m", "vgg_m", LateNet),
}


def measured(name: str, **options: Any) -> tuple[Net, tuple[Tower, Tower], Costs]:
    a, b, make = NETS[name]
    made = make()
    return made, towers(a, b), measure(made, *towers(a, b), **{"snippets": SNIPPETS, **options})


# -- against the paper


@pytest.mark.parametrize("stream, macs", [("appearance", 1_663_894_560), ("motion", 2_613_994_368)])
def test_vgg_m_layer_by_layer(stream: Any, macs: int) -> None:
    place = ("appearance", "motion").index(stream)
    tower = towers("vgg_m", "vgg_m")[place]
    costs = measure(StreamNet(tower, stream), snippets=1)
    assert (costs.macs, costs.parameters) == (macs, (90_627_813, 90_707_781)[place])
    by_name = {layer.name: layer for layer in costs.of("tower")}
    for name, row in VGG_M.items():
        assert (by_name[name].parameters, by_name[name].macs) == (row[place], row[2 + place]), name
    assert {name: by_name[name].shape[-1] for name in SIDES} == SIDES
    assert {layer.macs for name, layer in by_name.items() if name not in VGG_M} == {0}


def test_the_papers_fusions() -> None:
    _, _, conv = measured("conv")
    (fusion,) = conv.of("fusion")
    assert (fusion.macs, fusion.shape) == (SNIPPETS * 169 * 1024 * 512, (512, SNIPPETS, 13, 13))
    assert fusion.parameters == 1024 * 512 + 512
    _, _, final = measured("conv3d, kept")
    filters, pool = final.of("temporal")
    assert (filters.name, filters.parameters) == ("conv3d", 14_156_288)
    assert filters.macs == 27 * 1024 * 512 * 14 * 14 * SNIPPETS
    assert (pool.name, pool.kind, pool.shape) == ("pool5", "pool3d 5×2×2/2", (512, 1, 7, 7))
    assert final.of("beside")[0].kind == "pool3d 5×3×3/2"
    assert final.parameters == 239_538_410


# -- against torch's counter, and by themselves


@pytest.mark.parametrize("name", NETS)
def test_totals_and_parts(name: str) -> None:
    made, (a, b), costs = measured(name)
    size = describe(made, a, b)
    assert costs.parameters == size.parameters + size.svm_parameters
    assert sum(layer.parameters for part in costs.parts for layer in costs.of(part)) == costs.parameters
    assert sum(layer.macs for part in costs.parts for layer in costs.of(part)) == costs.macs
    maps: dict[str, dict[str, Tensor]] = {}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for stream, tower in (("appearance", a), ("motion", b)):
            x = torch.empty(1, tower.in_channels, SNIPPETS, tower.size, tower.size, device="meta")
            maps[stream] = tower.collect(x, made.needs[stream])  # type: ignore[index]
        heads = made.eval().heads(maps)  # type: ignore[arg-type]
    assert counter.get_total_flops() == 2 * costs.macs
    assert costs.predictions == tuple(logits.shape[2] for logits in heads)


@pytest.mark.parametrize("name", NETS)
def test_a_clip_costs_what_it_costs_in_any_batch(name: str) -> None:
    one, three = measured(name)[2], measured(name, clips=3)[2]
    alike = [(x.part, x.name, x.kind, x.shape, x.parameters, x.macs) for x in one.layers]
    assert alike == [(x.part, x.name, x.kind, x.shape, x.parameters, x.macs) for x in three.layers]
    assert (three.pixels, three.maps) == (3 * one.pixels, 3 * one.maps)
    assert three.kept == pytest.approx(3 * one.kept, rel=0.02)  # one clip needs a copy less here and there


def test_measuring_leaves_the_net_as_it_was() -> None:
    made, (a, b) = fused(Conv, Conv3d), (A, B)
    made.eval()
    before = deepcopy((made.state_dict(), a.state_dict()))
    measure(made, a, b, snippets=T)
    assert not made.training and not any(module.training for module in (*made.modules(), *a.modules()))
    assert all(p.grad is None for p in made.parameters())
    for then, now in zip(before, (made.state_dict(), a.state_dict()), strict=True):
        assert all(torch.equal(then[name], now[name]) for name in now)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in made.modules())


def test_transforms_are_counted_by_their_formula() -> None:
    """2 × 36 + 1 transforms of length K a frame; torch's counter sees none of them."""
    with torch.device("meta"):
        fusion = Compact(512, 512, dimension=1024)
        pairs, fourier = fusion.macs_pairs(36), partial(Compact, dimension=1024)
        fusion.fourier = True
    counted = []
    for way in (True, False):
        made = net("tiny", "tiny", fourier, Pool2d, "relu5")
        made.fusion.fourier = way  # type: ignore[assignment]
        (layer,) = measure(made, *towers("tiny", "tiny"), snippets=SNIPPETS).of("fusion")
        counted.append(layer.macs)
    assert pairs == 512 * 512 * 36
    assert counted == [round(SNIPPETS * (2 * 144 + 1) * 1.25 * 1024 * log2(1024)), SNIPPETS * 32 * 32 * 144]


# -- against what lies in memory


def kept_for_real(made: Net, maps: Any) -> int:
    """Bytes that autograd keeps in a training step, each piece once; parameters and the given maps apart."""
    pieces: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        pieces[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        loss = made.train().loss(maps, torch.zeros(N, dtype=torch.int64))
    assert loss.isfinite()
    there = [*made.parameters(), *made.buffers(), *(x for found in maps.values() for x in found.values())]
    return sum(size for place, size in pieces.items() if place not in {x.untyped_storage().data_ptr() for x in there})


@pytest.mark.parametrize(
    "fusion, temporal, layer, options",
    [
        (Conv, Pool2d, "relu5", {}),
        (Cat, Conv3d, "relu5", {"keep": True}),
        (Sum, Pool3d, "relu3", {}),
        (Conv, Pool2d, "relu3+relu5+fc6", {}),
        (Bilinear, Pool2d, "relu5", {}),
    ],
)  # fmt: skip
def test_kept_is_what_autograd_keeps(fusion: Any, temporal: Any, layer: str, options: Any) -> None:
    """On paper and on the CPU, within 2 %: kernels differ in whether they want a copy."""
    first = layer.partition("+")[0]
    made = fused(fusion, temporal, layer, **options)
    real = kept_for_real(made, features(first))
    a, b = deepcopy(A).to("meta"), deepcopy(B).to("meta")
    with torch.device("meta"):
        paper = FusedNet(a, b, fusion, temporal, layer, **options)
    costs = measure(paper, a, b, clips=N, snippets=T)
    assert real > 0
    assert costs.kept == pytest.approx(real, rel=0.02)
    assert all(layer.kept == 0 for stream in ("appearance", "motion") for layer in costs.of(stream))


def most_for_real(run: Callable[[], object]) -> int:
    """The most bytes that the allocator had given away at a time, of those that it gave while this ran."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        result = run()
    assert result is not None
    events = [one for one in seen.profiler.kineto_results.events() if one.name() == "[memory]"]  # type: ignore[union-attr]
    now = most = 0
    for one in sorted(events, key=lambda one: one.start_ns()):
        now += one.nbytes()
        most = max(most, now)
    return most


@pytest.mark.parametrize("fusion, temporal", [(Conv, Pool2d), (Cat, Conv3d), (Sum, Pool3d)])
def test_memory_on_the_way_forward_is_what_is_allocated(fusion: Any, temporal: Any) -> None:
    """Within 2 %: besides the tensors, a convolution on the CPU lays out its filters anew."""
    made, clips = fused(fusion, temporal).train(), 64
    pixels = {
        stream: torch.zeros(clips, tower.in_channels, T, tower.size, tower.size, dtype=torch.uint8)
        for stream, tower in (("appearance", A), ("motion", B))
    }
    maps: dict[str, dict[str, Tensor]] = {}

    def towers_run() -> object:
        with torch.no_grad():
            for stream, tower in (("appearance", A), ("motion", B)):
                maps[stream] = tower.collect(pixels[stream], ("relu5",))
        return maps

    label = torch.zeros(clips, dtype=torch.int64)
    costs = measure(made, A, B, clips=clips, snippets=T)
    assert costs.towers == pytest.approx(most_for_real(towers_run), rel=0.02)
    assert costs.maps == sum(x.nbytes for found in maps.values() for x in found.values())
    assert costs.pixels == sum(x.nbytes for x in pixels.values())
    assert costs.forward == pytest.approx(most_for_real(lambda: made.loss(maps, label)), rel=0.02)  # type: ignore[arg-type]
    assert costs.kept < costs.forward


def test_memory_is_let_go() -> None:
    """1000 numbers made of 1000; then the first are dropped, and a view takes nothing."""
    with MemoryMeter() as held:
        x = torch.zeros(1000, device="meta")
        y = x + 1
        assert (held.now, held.most) == (8000, 8000)
        view = y.reshape(10, 100)
        del x, y
        assert (held.now, held.most) == (4000, 8000)
        del view
    assert (held.now, held.most) == (0, 8000)


def test_half_the_precision_takes_half_the_memory() -> None:
    full, half = measured("conv")[2], measured("conv", dtype=torch.bfloat16)[2]
    assert half.macs == full.macs and half.parameters == full.parameters
    assert 2 * half.maps == full.maps and half.pixels == full.pixels
    assert 0.5 < half.kept / full.kept < 0.7  # the places of maxima are 8 bytes in either


# -- time


def influence(made: FusedNet, head: int) -> list[set[int]]:
    """For each prediction the snippets that it changes with, tried out by turning one after the other up."""
    made = made.eval()
    draw = torch.Generator().manual_seed(1)
    for parameter in made.parameters():
        nn.init.normal_(parameter, 0.1, 0.5, generator=draw)
    maps = {stream: {name: x.repeat(1, 1, 2, 1, 1)[:, :, :SNIPPETS] for name, x in found.items()}
            for stream, found in features("relu5").items()}  # fmt: skip
    with torch.no_grad():
        before = made.heads(maps)[head]
        seen: list[set[int]] = [set() for _ in range(before.shape[2])]
        for snippet in range(SNIPPETS):
            louder = deepcopy(maps)
            for found in louder.values():
                found["relu5"][:, :, snippet] += 100
            after = made.heads(louder)[head]
            for step in range(before.shape[2]):
                if not torch.equal(before[:, :, step], after[:, :, step]):
                    seen[step].add(snippet)
    return seen


@pytest.mark.parametrize(
    "temporal, expected",
    [
        (Pool2d, (1, 1)),
        (Pool3d, (5, 5)),
        (partial(Pool3d, extent=3), (3, 3)),
        (partial(Pool3d, extent=9), (5, 5)),
        (partial(Conv3d, extent=1), (3, 1)),
        (partial(Conv3d, extent=2, stride=1), (4, 2)),
        (partial(Conv3d, extent=3, stride=1), (5, 3)),
    ],
)
def test_how_far_a_prediction_sees(temporal: Any, expected: tuple[int, int]) -> None:
    made = fused(Sum, temporal, keep=True)
    assert reach(made) == expected
    for head, snippets in enumerate(expected):
        seen = influence(made, head)
        assert max(map(len, seen)) == snippets
        assert all(max(one) - min(one) + 1 == len(one) for one in seen)


def test_streams_see_a_snippet_at_a_time() -> None:
    assert reach(LateNet()) == reach(StreamNet(A, "appearance")) == (1,)
