"""A control's tower is what this stream is when it is trained on alone: bit for bit, after each step."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor
from training_fakes import block

from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.benchmarks.cohort_case import stepper
from fusionlab.fusion.conv import Conv
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.temporal.pool3d import Pool3d
from fusionlab.training.cohort import Cohort
from fusionlab.training.evaluate import evaluate_cohort, part_name
from fusionlab.training.recipe import parse_recipe
from fusionlab.two_stream.control import ControlNet, Top
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.fusion_point import Cut
from fusionlab.two_stream.net import LateNet, Net, Stream, StreamNet
from fusionlab.two_stream.trunk import Trunk

C, N, T, STEPS = 4, 6, 3, 4
RECIPES = {
    "adam": block(clip=0.3, schedule={"name": "cosine", "warmup": 2}),
    "sgd": {**{k: v for k, v in block(clip=0.3).items() if k != "betas"}, "name": "sgd", "momentum": 0.9},
}


def tower(channels: int, stream: Stream, *, size: int = 24, width: int = 8) -> Tower:
    made = Tiny(channels, C, size=size, width=width, dropout=0.5)
    StreamNet(made, stream, seed=0)
    torch.nn.init.normal_(made.fc8.weight, std=0.3, generator=torch.Generator().manual_seed(channels))  # type: ignore[arg-type,union-attr]
    return made


ALIKE = tower(3, "appearance"), tower(4, "motion")
UNLIKE = tower(3, "appearance"), tower(4, "motion", size=32, width=12)


def batches() -> Iterator[dict[str, Tensor]]:
    for step in range(STEPS):
        draw = torch.Generator().manual_seed(step)
        shapes = {"appearance": (N, 3, T, 24, 24), "motion": (N, 4, T, 24, 24)}
        made = {name: torch.randint(0, 256, one, generator=draw, dtype=torch.uint8) for name, one in shapes.items()}
        yield {**made, "label": torch.randint(0, C, (N,), generator=draw), "index": torch.arange(N)}


def of(towers: tuple[Tower, Tower]) -> Iterator[dict[str, Tensor]]:
    for one in batches():
        sizes = {name: own.size for name, own in zip(("appearance", "motion"), towers, strict=True)}
        yield {k: x.repeat(1, 1, 1, 2, 2)[..., : sizes[k], : sizes[k]] if k in sizes else x for k, x in one.items()}


def states(nets: dict[str, Net], recipe: str, towers: tuple[Tower, Tower], name: str) -> list[dict[str, Tensor]]:
    """The weights of one net after each step."""
    torch.manual_seed(len(nets))  # whatever state the generators are in
    cohort = Cohort(Trunk(*deepcopy(towers)), nets, parse_recipe(RECIPES[recipe]), seed=3)
    step, after = stepper(cohort, of(towers)), []
    for _ in range(STEPS):
        step()
        after.append({key: value.clone() for key, value in nets[name].state_dict().items()})
    return after


@pytest.mark.parametrize(
    "head, layer, towers, fresh, recipe",
    [
        (Pool2d, "relu5", ALIKE, False, "adam"),
        (Pool3d, "relu5", ALIKE, False, "sgd"),
        (Conv3d, "relu5", ALIKE, False, "adam"),
        (Conv3d, "relu3+relu5", ALIKE, True, "sgd"),
        (Pool2d, "fc6", ALIKE, False, "sgd"),
        (Pool2d, "fc6", ALIKE, True, "adam"),
        (Pool3d, "relu4:relu3", UNLIKE, False, "adam"),
        (Pool2d, "fc7", UNLIKE, True, "sgd"),
    ],
)
def test_each_tower_is_that_stream_alone(
    head: Any, layer: str, towers: tuple[Tower, Tower], fresh: bool, recipe: str
) -> None:
    torch.set_num_threads(1)

    def control() -> ControlNet:
        return ControlNet(*towers, head, layer, above="fresh" if fresh else "appearance", seed=5)

    apart = states({"control": control()}, recipe, towers, "control")
    words = layer.split("+")
    for place, stream in enumerate(("appearance", "motion")):
        cuts = [Cut.at(towers[place], pair[place % len(pair)]) for pair in (word.split(":") for word in words)]
        alone = Top(stream, cuts[0], cuts[-1], head, fresh=fresh, seed=5)  # type: ignore[arg-type]
        expected = states({"alone": alone}, recipe, towers, "alone")
        for own, both in zip(expected, apart, strict=True):
            mine = {name.removeprefix(f"{stream}."): x for name, x in both.items() if name.startswith(f"{stream}.")}
            assert mine.keys() == own.keys() and all(torch.equal(x, own[name]) for name, x in mine.items())
        changed = [not torch.equal(first, expected[-1][name]) for name, first in expected[0].items()]
        assert any(changed)
    if towers is ALIKE and "+" not in layer:
        others: dict[str, Net] = {
            "late": LateNet(),
            "conv": FusedNet(*towers, Conv, head, layer),
            "control": control(),
            "joint": ControlNet(*towers, head, layer, joint=True),
        }
        company = states(others, recipe, towers, "control")
        for one, other in zip(apart, company, strict=True):
            assert all(torch.equal(x, other[name]) for name, x in one.items())


def test_clipping_and_dropout_by_tower_matter() -> None:
    """The oracle would notice: clipped together, or with the draws that follow, the towers are others."""
    apart = states({"control": ControlNet(*ALIKE, Pool2d, "relu5")}, "sgd", ALIKE, "control")

    class Together(ControlNet):
        apart = property(lambda self: {})  # type: ignore[assignment]

    together = states({"control": Together(*ALIKE, Pool2d, "relu5")}, "sgd", ALIKE, "control")
    assert not all(torch.equal(x, together[0][name]) for name, x in apart[0].items())

    class Following(ControlNet):
        def heads(self, features: Any) -> Any:
            return self.appearance(features), self.motion(features)

    following = states({"control": Following(*ALIKE, Pool2d, "relu5")}, "sgd", ALIKE, "control")
    same = {name: torch.equal(x, following[0][name]) for name, x in apart[0].items()}
    assert all(equal for name, equal in same.items() if name.startswith("appearance."))
    assert not all(equal for name, equal in same.items() if name.startswith("motion."))


def test_norms_and_clipping_are_those_of_each_part() -> None:
    cohort = Cohort(
        Trunk(*ALIKE), {"control": ControlNet(*ALIKE, Pool2d, "relu5")}, parse_recipe(block(clip=2.0)), seed=0
    )
    arm = cohort.arms["control"]
    for number, part in enumerate(arm.net.apart.values(), start=1):
        for p in part.parameters():
            p.grad = torch.full_like(p, 10.0**-number)
    sizes = [sum(p.numel() for p in part.parameters()) for part in arm.net.apart.values()]
    norms = [float(one) for one in arm.gradient_norms()]
    assert norms == pytest.approx([0.1 * sizes[0] ** 0.5, 0.01 * sizes[1] ** 0.5], rel=1e-5)
    assert norms[0] > 2.0 > norms[1]
    arm.clip(*norms)
    assert [float(one) for one in arm.gradient_norms()] == pytest.approx([2.0, norms[1]], rel=1e-5)


def test_a_tower_without_numbers_ends_the_arm() -> None:
    net = ControlNet(*ALIKE, Pool2d, "relu5")
    with torch.no_grad():
        next(net.motion.parameters()).fill_(float("nan"))
    cohort = Cohort(Trunk(*ALIKE), {"control": net}, parse_recipe(block()), seed=0)
    step = stepper(cohort, of(ALIKE))
    step()
    assert cohort.arms["control"].reason == "diverged at step 1: loss nan"


def test_each_tower_is_tested_by_itself() -> None:
    net = ControlNet(*ALIKE, Pool2d, "relu5")
    cohort = Cohort(Trunk(*ALIKE), {"control": net, "late": LateNet()}, parse_recipe(block()), seed=0)
    for arm in cohort.arms.values():
        arm.finish()
    scores = evaluate_cohort(cohort, list(of(ALIKE))[:1])
    names = [part_name("control", stream) for stream in ("appearance", "motion")]
    assert set(scores.of) == {"control", "late", *names}
    torch.testing.assert_close(scores.of["control"], (scores.of[names[0]] + scores.of[names[1]]) / 2)
    assert not torch.allclose(scores.of[names[0]], scores.of[names[1]])

    def broken(*_: object) -> Tensor:
        raise ValueError("odd")

    net.motion.forward = broken  # type: ignore[method-assign]
    evaluate_cohort(cohort, list(of(ALIKE))[:1])
    assert cohort.arms["control"].status == "failed" and cohort.arms["late"].status == "done"
    assert str(cohort.arms["control"].reason).endswith("ValueError: odd")
