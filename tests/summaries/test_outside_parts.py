"""Parts from outside the package, defined here: described by `summary`, and they keep the contracts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from terminal import Done
from torch import Tensor, nn
from torch.nn import functional as F
from two_stream_fakes import FUSIONS, HEADS, fused

from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError
from fusionlab.fusion.fusion import Fusion
from fusionlab.sizes.costs import measure
from fusionlab.summaries.drawing import draw
from fusionlab.temporal.pool2d import pool
from fusionlab.temporal.temporal import Spatial, Temporal
from fusionlab.testing import fusion_contract, temporal_contract, tower_contract
from fusionlab.two_stream.fused import FusedNet

Say = Callable[..., Done]


class MeanOverTime(Temporal):
    """The mean of all snippets, then the tower's own pooling."""

    def at_pool(self, x: Tensor) -> Tensor:
        assert self.pool is not None
        return pool(x.mean(dim=2, keepdim=True), self.pool)

    def beside(self, channels: int, pool: Spatial | None) -> MeanOverTime:
        return MeanOverTime(channels, channels, pool)


class EverySecond(Temporal):
    """Each snippet alone, and every second one is dropped."""

    def at_pool(self, x: Tensor) -> Tensor:
        assert self.pool is not None
        return pool(x[:, :, ::2], self.pool)

    def reach(self, snippets: int) -> Sequence[range]:
        return [range(t, t + 1) for t in range(0, snippets, 2)]

    def beside(self, channels: int, pool: Spatial | None) -> EverySecond:
        return EverySecond(channels, channels, pool)


class Gated(Fusion):
    """y = a · sigmoid(b); its author forgot `symmetric = False`."""

    def forward(self, x_a: Tensor, x_b: Tensor) -> Tensor:
        self.alike(x_a, x_b)
        return x_a * x_b.sigmoid()


class RightGated(Gated):
    symmetric = False


class Squares(nn.Module):
    """A pooling of one's own: the root of the mean square."""

    kernel_size, stride = 2, 2

    def forward(self, x: Tensor) -> Tensor:
        return F.lp_pool2d(x, 2.0, self.kernel_size, self.stride)


class Shifted(nn.Module):
    """An activation of one's own, with a name of its own in tables."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid() - 0.5

    def layer_text(self) -> str:
        return "shifted sigmoid"


class Outside(Tower):
    """Five convolutions with another activation; no layer has one of the papers' names."""

    def __init__(
        self, in_channels: int, classes: int, size: int = 32, *, act: Callable[[], nn.Module] = nn.GELU
    ) -> None:
        layers: dict[str, nn.Module] = {"stem": nn.Conv2d(in_channels, 6, 3, 2, 1), "act_a": act(), "pool_a": Squares()}
        for name in "bcd":
            layers |= {f"mix_{name}": nn.Conv2d(6, 6, 3, padding=1), f"act_{name}": act()}
        layers |= {"pool_e": nn.MaxPool2d(2), "full": nn.Conv2d(6, 12, size // 8), "act_e": act()}
        layers |= {"head": nn.Conv2d(12, classes, 1), "softmax": nn.Softmax(dim=1)}
        taps = {name: name for name in layers if name not in ("pool_a", "pool_e")}
        super().__init__(layers, taps, in_channels, size)


# -- temporal heads


@pytest.mark.parametrize("head", [MeanOverTime, EverySecond])
def test_heads_keep_the_contract(head: type[Temporal]) -> None:
    temporal_contract.check(head)


def test_a_head_with_a_wrong_reach_is_found() -> None:
    class Wrong(EverySecond):
        def reach(self, snippets: int) -> Sequence[range]:
            return [range(snippets)]

    with pytest.raises(AssertionError, match=r"predictions see .*\{2\}.* and reach\(4\) gives \[\{0, 1, 2, 3\}\]"):
        temporal_contract.check(Wrong)


def part(folder: Path, group: str, name: str, target: type) -> None:
    """`./conf/group/name.yaml`, for a class of this file."""
    file = folder / "conf" / group / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"_target_: {__name__}.{target.__name__}\n_partial_: true\n", encoding="utf-8")


def test_a_mean_over_all_snippets_is_described(say: Say, tmp_path: Path) -> None:
    part(tmp_path, "temporal", "mean_time", MeanOverTime)
    part(tmp_path, "temporal", "second", EverySecond)
    words = ("summary", "data=brush", "data.sampling.snippets=5", "fusion=sum", "layer=relu5")
    done = say(*words, "temporal=mean_time")
    assert done.status == 0, done.err
    assert "its prediction sees 5 snippets: 4 τ + L =" in done.out
    assert "no prediction of the fused tower sees" not in done.out
    assert "meanovertime for pool5  3×3/2" in done.out
    (time,) = [arm["time"] for arm in json.loads(say(*words, "temporal=mean_time", "--json").out)["arms"][-1:]]
    assert (time["reach_snippets"], time["predictions"]) == ([5], [1])
    done = say(*words, "temporal=second", "keep_motion=true")
    assert done.status == 0, done.err
    assert "each of its 3 predictions of the motion tower (their scores are averaged) sees 1 snippet" in done.out
    assert "no prediction of the fused tower sees snippet 2, 4, counted from 1" in done.out
    assert done.out.count("everysecond for pool5") == 2


# -- fusions


def test_a_gate_that_forgets_that_it_is_not_symmetric_is_told_what_to_type() -> None:
    with pytest.raises(AssertionError, match=r"add `symmetric = False` to the class Gated"):
        fusion_contract.check(Gated)
    fusion_contract.check(RightGated)


def test_a_gate_is_described() -> None:
    net = fused(RightGated, HEADS["pool3d"], "relu5")
    towers = Outside(3, 5), Outside(4, 5)
    with torch.device("meta"):
        made = FusedNet(*towers, RightGated, HEADS["pool3d"], "act_d")
    assert "rightgated fusion" in draw(made, measure(made, *towers, snippets=3), *towers)
    assert net.storeys()[0].title == "rightgated fusion"


# -- towers


@pytest.mark.parametrize("act", [nn.GELU, Shifted, nn.ReLU])
def test_a_tower_keeps_the_contract(act: Any) -> None:
    tower_contract.check(lambda in_channels, classes: Outside(in_channels, classes, act=act))


def fitting(act: Any) -> dict[str, set[str]]:
    """fusion -> the taps where it can stand in two towers with this activation."""
    towers = Outside(3, 5, act=act).eval(), Outside(4, 5, act=act).eval()
    taps: dict[str, set[str]] = {}
    for name, fusion in FUSIONS.items():
        for tap in towers[0].taps:
            try:
                net = FusedNet(*towers, fusion, HEADS["pool2d"], tap).eval()
            except UserError:
                continue
            maps = [tower.collect(torch.zeros(1, tower.in_channels, 2, 32, 32), (tap,)) for tower in towers]
            assert net({"appearance": maps[0], "motion": maps[1]}).shape == (1, 5, 2), (name, tap)
            taps.setdefault(name, set()).add(tap)
    return taps


def test_every_fusion_fits_a_tower_with_another_activation() -> None:
    everywhere = set(Outside(3, 5).taps)
    for act in (nn.GELU, Shifted):
        taps = fitting(act)
        assert taps == fitting(nn.ReLU)
        assert {name for name in taps if taps[name] == everywhere} >= {"sum", "max", "product", "conv"}
        assert taps["cat"] == everywhere - {"head", "softmax"}


def test_a_pooling_and_an_activation_of_ones_own_are_described() -> None:
    with torch.device("meta"):
        towers = Outside(3, 5, act=Shifted), Outside(4, 5, act=Shifted)
        net = FusedNet(*towers, FUSIONS["conv"], HEADS["pool3d"], "stem")
        costs = measure(net, *towers, snippets=3)
    kinds = {layer.name: layer.kind for layer in (*costs.of("above"), *costs.of("temporal"))}
    assert kinds["pool_a"] == "pool3d 3×2×2/2" and kinds["act_b"] == "shifted sigmoid"
    drawing = draw(net, costs, *towers)
    assert "pool3d for pool_a" in drawing and "act_b" not in drawing
    assert not any(tap.rectified for tap in towers[0].taps.values()) and net.rectified == [False]
