"""The means of each head that a test keeps: of softmax and of logits, over views and predictions."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import Tensor
from two_stream_fakes import FUSIONS, TRUNK, A, B, C, T, fused

from fusionlab.fusion.bilinear import Bilinear
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.training.evaluate import evaluate, part_name
from fusionlab.two_stream.control import ControlNet
from fusionlab.two_stream.net import LateNet, Net, StreamNet
from fusionlab.two_stream.trunk import Trunk
from fusionlab.two_stream.whole import WholeNet

VIDEOS, VIEWS = 5, 3
NETS: dict[str, tuple[tuple[str, ...], Callable[[], Net]]] = {
    "late": ((), LateNet),
    "control": (("appearance", "motion"), lambda: ControlNet(A, B, Pool2d, "relu5")),
    "conv": (("fused",), lambda: fused(FUSIONS["conv"])),
    "two losses": (("fused", "motion"), lambda: fused(FUSIONS["sum"], keep=True, tower_weight=0.3)),
    "other way": (("fused", "appearance"), lambda: fused(FUSIONS["sum"], keep=True, into="motion")),
    "at fc8 too": (("fused", "motion"), lambda: fused(FUSIONS["sum"], layer="relu5+fc8")),
    "one prediction": (("fused",), lambda: fused(FUSIONS["max"], consensus="logits")),
    "whole": (("appearance", "motion"), lambda: whole(ControlNet(A, B, Pool2d, "relu5"))),
    "svm": (("fused",), lambda: fused(partial(Bilinear, classifier="svm"))),
    "softmax": (("fused",), lambda: fused(partial(Bilinear, classifier="softmax"))),
}


def whole(net: Net) -> Net:
    return WholeNet.copied(net, {"appearance": A, "motion": B})


def batches(rows: int = 4) -> list[dict[str, Tensor]]:
    """Views of videos in an order that tears them apart."""
    keys = [(video, view) for view in range(VIEWS) for video in reversed(range(VIDEOS))]
    return [stacked(keys[first : first + rows]) for first in range(0, len(keys), rows)]


def stacked(keys: list[tuple[int, int]]) -> dict[str, Tensor]:
    clips = {"appearance": (3, T, 32, 32), "motion": (4, T, 32, 32)}
    made = {}
    for stream, shape in clips.items():
        draws = [torch.Generator().manual_seed(10 * video + view) for video, view in keys]
        made[stream] = torch.stack([torch.randint(0, 256, shape, generator=d, dtype=torch.uint8) for d in draws])
    index = torch.tensor([video for video, _ in keys])
    return {**made, "index": index, "label": index % C}


def trunk_of(net: Net) -> Trunk:
    return Trunk() if all(layers == ("input",) for layers in net.needs.values()) else TRUNK


@pytest.mark.parametrize("name", NETS)
def test_they_are_means_over_views_and_predictions(name: str) -> None:
    names, make = NETS[name]
    net = make()
    seen = evaluate(trunk_of(net), {"arm": net}, batches())
    assert net.head_names == names == tuple(seen.heads["arm"])
    net.eval()
    for video in range(VIDEOS):
        softmax, logits = torch.zeros(2, len(names), C, dtype=torch.float64)
        for view in range(VIEWS):
            with torch.no_grad():
                heads = net.heads(trunk_of(net).features(stacked([(video, view)]), net.needs))
            for k, one in enumerate(heads[: len(names)]):
                for t in range(one.shape[2]):
                    softmax[k] += one[0, :, t].double().softmax(0) / (one.shape[2] * VIEWS)
                    logits[k] += one[0, :, t].double() / (one.shape[2] * VIEWS)
        for k, head in enumerate(names):
            own = seen.heads["arm"][head]
            torch.testing.assert_close(torch.from_numpy(own.softmax[video]).double(), softmax[k], rtol=1e-4, atol=1e-6)
            if name == "svm":
                assert own.logits is None  # margins
            else:
                assert own.logits is not None and own.logits.dtype == "float32"
                torch.testing.assert_close(
                    torch.from_numpy(own.logits[video]).double(), logits[k], rtol=1e-4, atol=1e-4
                )


def test_the_scores_of_a_net_are_the_same_bits_as_from_its_forward_pass() -> None:
    """Summed as they always were: float64, in the order of the views."""
    nets = {name: make() for name, (_, make) in NETS.items() if trunk_of(make()) is TRUNK}
    seen = evaluate(TRUNK, nets, batches())
    for name, net in nets.items():
        sums = [[0.0] * C for _ in range(VIDEOS)]
        net.eval()
        for batch in batches():
            with torch.no_grad():
                rows = net(TRUNK.features(batch, net.needs)).float().softmax(dim=1).mean(dim=2)
            for video, row in zip(batch["index"].tolist(), rows.tolist(), strict=True):
                sums[video] = [a + b for a, b in zip(sums[video], row, strict=True)]
        assert torch.equal(seen.of[name], torch.tensor([[one / VIEWS for one in row] for row in sums])), name


def test_a_net_of_one_head_has_its_scores_and_a_tower_apart_those_of_its_head() -> None:
    stream = StreamNet(deepcopy(A), "appearance")  # it is set to train, and A is part of what all tests share
    assert stream.head_names == ("appearance",)
    alone = evaluate(Trunk(), {"stream": stream}, batches())
    assert torch.equal(alone.of["stream"], torch.from_numpy(alone.heads["stream"]["appearance"].softmax))

    control = ControlNet(A, B, Pool2d, "relu5")
    seen = evaluate(TRUNK, {"c": control, "late": LateNet()}, batches())
    apart = evaluate(TRUNK, dict(control.apart), batches())
    assert set(seen.of) == {"c", part_name("c", "appearance"), part_name("c", "motion"), "late"}
    for tower in ("appearance", "motion"):
        assert torch.equal(seen.of[part_name("c", tower)], apart.of[tower])


def test_means_are_the_same_whatever_the_number_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    net = fused(FUSIONS["conv"])
    plain = evaluate(TRUNK, {"arm": net}, batches())
    monkeypatch.setattr("fusionlab.training.evaluate.BLOCK", 2)
    small = evaluate(TRUNK, {"arm": net}, batches())
    assert torch.equal(plain.of["arm"], small.of["arm"])
    assert (plain.heads["arm"]["fused"].logits == small.heads["arm"]["fused"].logits).all()  # type: ignore[union-attr]
