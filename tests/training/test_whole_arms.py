"""Arms that train their towers too: what moves, what does not, alone and in parts, interrupted, and with a bad rate."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from training_fakes import block, interrupted

from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.benchmarks.cohort_case import BatchesInMemory, stepper
from fusionlab.fusion.conv import Conv
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.training import checkpoint
from fusionlab.training.cohort import Cohort
from fusionlab.training.evaluate import evaluate_cohort
from fusionlab.training.fit import Outcome, fit
from fusionlab.training.recipe import parse_recipe
from fusionlab.two_stream.control import ControlNet, Top
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.fusion_point import Cut
from fusionlab.two_stream.net import Net, Stream, StreamNet
from fusionlab.two_stream.trunk import Trunk
from fusionlab.two_stream.whole import WholeNet

C, N, T, STEPS = 4, 6, 2, 5


def tower(channels: int, stream: Stream) -> Tower:
    made = Tiny(channels, C, size=24, width=8, dropout=0.5)
    StreamNet(made, stream, seed=0)
    return made


A, B = tower(3, "appearance"), tower(4, "motion")
TOWERS: Any = {"appearance": A, "motion": B}


def batches(first: int = 0) -> list[dict[str, Tensor]]:
    made = []
    for step in range(first, first + STEPS):
        draw = torch.Generator().manual_seed(step)
        shapes = {"appearance": (N, 3, T, 24, 24), "motion": (N, 4, T, 24, 24)}
        clips = {name: torch.randint(0, 256, one, generator=draw, dtype=torch.uint8) for name, one in shapes.items()}
        made.append({**clips, "label": torch.randint(0, C, (N,), generator=draw), "index": step * N + torch.arange(N)})
    return made


def conv(layer: str = "relu5") -> WholeNet:
    return WholeNet.copied(FusedNet(A, B, Conv, Pool2d, layer), TOWERS)


def cohort(net: Net, trunk: Trunk | None = None, **recipe: Any) -> Cohort:
    return Cohort(trunk or Trunk(), {"arm": net}, parse_recipe(block(**recipe)), seed=3)


def trained(net: Net, steps: int = 3, trunk: Trunk | None = None, **recipe: Any) -> dict[str, Tensor]:
    """The weights after so many steps; the generators stand anywhere before."""
    torch.manual_seed(steps)
    given: Iterator[Any] = iter(batches())
    step = stepper(cohort(net, trunk, **recipe), given)
    for _ in range(steps):
        step()
    return {name: one.clone() for name, one in net.state_dict().items()}


def test_all_of_it_moves_and_by_default_nothing_below() -> None:
    net = conv()
    before = deepcopy(net.state_dict())
    after = trained(net)
    parameters = {name for name, _ in net.named_parameters()}
    assert {name for name, one in after.items() if not torch.equal(one, before[name])} == parameters
    trunk = Trunk(deepcopy(A), deepcopy(B))
    usual = trained(FusedNet(A, B, Conv, Pool2d, "relu5"), trunk=trunk)
    assert any(name.startswith("fusion") for name in usual)
    for own, stream in ((trunk.appearance, A), (trunk.motion, B)):
        assert own is not None
        assert all(torch.equal(one, stream.state_dict()[name]) for name, one in own.state_dict().items())


def test_with_a_vanishing_rate_it_is_the_net_above_frozen_towers() -> None:
    one = cohort(conv(), lr=1e-12, weight_decay=0.0)
    step = stepper(one, iter(batches()))
    for _ in range(3):
        step()
    frozen = Cohort(Trunk(A, B), {"arm": FusedNet(A, B, Conv, Pool2d, "relu5")}, parse_recipe(block()), seed=0)
    for arm in (one.arms["arm"], frozen.arms["arm"]):
        arm.finish()
    own, usual = (evaluate_cohort(these, batches()).of["arm"] for these in (one, frozen))
    torch.testing.assert_close(own, usual, rtol=0, atol=1e-6)


@pytest.mark.parametrize("layer", ["relu5", "fc7"])
def test_each_tower_of_a_control_is_that_stream_trained_alone(layer: str) -> None:
    """With dropout below the cut too, and clipped by its own norm."""
    apart = trained(WholeNet.copied(ControlNet(A, B, Pool2d, layer, seed=5), TOWERS), clip=0.3)
    for stream, own in TOWERS.items():
        cut = Cut.at(own, layer)
        alone = trained(WholeNet.copied(Top(stream, cut, cut, Pool2d, seed=5), TOWERS), clip=0.3)
        assert {name.split(".")[0] for name in alone} == {"top", "towers"}
        for name, one in alone.items():
            assert torch.equal(one, apart[name.replace("top.", f"top.{stream}.")]), name


def test_where_a_control_of_whole_towers_is_cut_makes_no_difference() -> None:
    """Without a head that needs a map: all layers are trained, with the same draws of dropout."""
    low, high = (trained(WholeNet.copied(ControlNet(A, B, Pool2d, layer), TOWERS)) for layer in ("relu3", "fc7"))
    by_layer = [{tuple(name.split(".")[-2:]): [] for name in state} for state in (low, high)]
    for found, state in zip(by_layer, (low, high), strict=True):
        for name, one in state.items():
            found[tuple(name.split(".")[-2:])].append((float(one.double().sum()), float(one.double().square().sum())))
    assert {key: sorted(x) for key, x in by_layer[0].items()} == {key: sorted(x) for key, x in by_layer[1].items()}


def data() -> BatchesInMemory:
    return BatchesInMemory(batches(), batches(100)[:2])


@pytest.fixture(scope="module")
def undisturbed() -> Outcome:
    torch.set_num_threads(1)
    return fit(cohort(conv("fc7")), data())["arm"]


@pytest.mark.parametrize("at", [1, 5, 8])
def test_interrupted_it_is_the_undisturbed_one(undisturbed: Outcome, tmp_path: Path, at: int) -> None:
    with interrupted(at):
        fit(cohort(conv("fc7")), data(), folder=tmp_path, checkpoint_every=1)
    ((_, last),) = checkpoint.choose_checkpoints({"arm": [tmp_path]})
    if last is not None:
        held = checkpoint.read(last)["arms"]["arm"]["net"]
        assert held.keys() == conv("fc7").state_dict().keys() and any(name.startswith("towers.") for name in held)
    ended = fit(cohort(conv("fc7")), data(), resume_from=last)["arm"]
    assert (ended.weights, ended.val_loss, ended.curve) == (
        undisturbed.weights, undisturbed.val_loss, undisturbed.curve,
    )  # fmt: skip


@pytest.mark.parametrize("make", [conv, lambda: WholeNet.copied(ControlNet(A, B, Pool2d, "relu5"), TOWERS)])
def test_a_rate_that_is_far_too_high_ends_it_with_a_reason(make: Any) -> None:
    one = fit(cohort(make(), lr=1e30, clip=0.0), data())["arm"]
    assert one.status == "failed" and one.state is None
    assert one.reason is not None and one.reason.startswith("diverged at step 2: loss ")


@pytest.mark.parametrize("make", [conv, lambda: WholeNet.copied(ControlNet(A, B, Pool2d, "relu5"), TOWERS)])
def test_in_bfloat16_weights_and_tests_are_float32(make: Any) -> None:
    net = make()
    one = cohort(net)
    ended = fit(one, data(), precision="bf16-mixed")["arm"]
    assert ended.status == "done" and ended.state is not None
    assert {x.dtype for x in ended.state.values()} == {torch.float32}
    assert ended.weights != fit(cohort(make()), data())["arm"].weights, "its products are others"
    scores = evaluate_cohort(one, batches())
    assert scores.of["arm"].dtype == torch.float32 and scores.of["arm"].isfinite().all()
    from_state = make()
    from_state.load_state_dict(ended.state)
    again = cohort(from_state)
    again.arms["arm"].finish()
    assert torch.equal(evaluate_cohort(again, batches()).of["arm"], scores.of["arm"])
