"""Sizes by content, and the memory of arms that are trained together, against what lies in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from test_costs import most_for_real

from fusionlab.config import build
from fusionlab.config.schema import ArmConfig, config_of
from fusionlab.planning.grid import plan_study
from fusionlab.sizes import sizing
from fusionlab.sizes.sizing import PROCESS, Sizes, checkpoint_bytes, cohort_memory, content_key
from fusionlab.study.plan import Arm
from fusionlab.training.cohort import Cohort

WORDS = (
    "data.sampling.crop=48",
    "optim.fusion.batch_size=24",
    "backbone.appearance.width=8",
    "backbone.motion.width=8",
)


def arms(*words: str) -> list[Arm]:
    return [arm for arm in plan_study([*WORDS, *words]).plan.arms if arm.kind == "fused"]


def test_arms_that_differ_in_numbers_of_their_optimisers_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And have the sizes that they have when each is measured by itself."""
    names = ("lr=0.1,0.2", "weight_decay=0,1")
    numbers = [f"optim.{stage}.{name}" for stage in ("streams", "fusion") for name in names]
    one = plan_study(["debug=fast", "fusion=sum", *numbers]).plan.arms
    other = plan_study(["debug=fast", "fusion=sum", "optim=sgd"]).plan.arms
    three = [f"optim.{stage}.batch_size=3" for stage in ("streams", "fusion")]
    batch = plan_study(["debug=fast", "fusion=sum", *three]).plan.arms
    sizes, measured = Sizes(), []
    own = Sizes._measure
    monkeypatch.setattr(Sizes, "_measure", lambda self, arm: measured.append(arm) or own(self, arm))
    found = [(sizes.of(arm).memory, sizes.cohort_memory([arm]), sizes.of(arm).batch) for arm in (*one, *other, *batch)]
    assert len(one) > 30 and len(measured) == 15, "two streams, late, control and fused; of each optimiser and batch"
    for arm, numbers_of_arm in list(zip((*one, *other, *batch), found, strict=True))[::5]:
        alone = Sizes()
        assert numbers_of_arm == (alone.of(arm).memory, alone.cohort_memory([arm]), alone.of(arm).batch)


def test_arms_that_differ_in_their_seeds_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Any] = []
    real: Callable[..., Any] = sizing.measure
    monkeypatch.setattr(sizing, "measure", lambda *a, **k: measured.append(a) or real(*a, **k))
    sizes, seeds = Sizes(), arms("fusion=sum,conv", "layer=relu5", "seed=0,1,2")
    sized = [sizes.of(arm) for arm in seeds]
    assert [one.arm for one in sized] == seeds
    assert len({content_key(arm) for arm in seeds}) == len(measured) == 2
    assert all(one.costs == Sizes().of(one.arm).costs for one in sized), "as if each was measured alone"


def real_cohort(chosen: Sequence[Arm]) -> tuple[Cohort, dict[str, torch.Tensor]]:
    """The arms as a job builds them, and a batch."""
    config = config_of(chosen[0])
    assert isinstance(config, ArmConfig)
    towers = build.towers(config.backbone, config.data, 8)
    nets = {arm.name: build.net(config_of(arm), *towers) for arm in chosen}  # type: ignore[arg-type]
    how, clips = config.data.sampling, config.stage.batch_size
    batch = {
        stream: torch.zeros(clips, tower.in_channels, how.snippets, tower.size, tower.size, dtype=torch.uint8)
        for stream, tower in zip(("appearance", "motion"), towers, strict=True)
    }
    below = build.trunk(next(iter(nets.values())), *towers)
    return Cohort(below, nets, config.stage.recipe, seed=0), {
        **batch,
        "label": torch.zeros(clips, dtype=torch.int64),
    }


@pytest.mark.parametrize(
    "words",
    [
        ("fusion=conv", "layer=relu5"),
        ("fusion=sum,conv,cat", "layer=relu5"),
        ("fusion=sum,max", "layer=relu2,relu5"),
        ("fusion=conv", "layer=relu5", "backprop=all"),
    ],
)
def test_a_step_of_a_cohort_allocates_what_is_said(words: Sequence[str]) -> None:
    """Forward pass of all arms: beyond weights and pixels, within 3 %."""
    chosen, sizes = arms(*words), Sizes()
    cohort, batch = real_cohort(chosen)
    most = most_for_real(lambda: cohort.training_step(batch, 0))
    sized = [sizes.of(arm) for arm in chosen]
    said = sizes.cohort_memory(chosen, on_gpu=True)
    always = sum(p.nbytes for p in cohort.trunk.parameters()) + 2 * sum(x.nbytes for x in batch.values())
    always += sum(one.memory.weights + one.memory.gradients + one.memory.states for one in sized)
    assert said - always == pytest.approx(most, rel=0.03)
    assert said == cohort_memory(sized, on_gpu=True), "the same with and without what was measured before"


@pytest.mark.parametrize("fusion", ["sum", "conv"])
def test_a_batch_of_the_test_allocates_what_is_said(fusion: str) -> None:
    """The net alone, without gradients: within 3 %."""
    chosen, sizes = arms(f"fusion={fusion}", "layer=relu5"), Sizes()
    cohort, batch = real_cohort(chosen)
    (arm,) = cohort.arms.values()
    cohort.eval()
    features = cohort.trunk_features(batch, [arm])
    with torch.no_grad():
        most = most_for_real(lambda: arm.net.heads(features))
    assert sizes.of(chosen[0]).costs.tested == pytest.approx(most, rel=0.03)


def test_larger_frames_and_longer_clips_of_a_test_count() -> None:
    """A stream that is trained on single frames, and tested on five, or on whole frames of twice the pixels."""

    def memory(*words: str) -> int:
        (stream, *_) = plan_study([*WORDS, "optim.streams.batch_size=256", *words, "fusion=sum"]).plan.arms
        return Sizes().cohort_memory([stream], on_gpu=True)

    assert memory("data.sampling.snippets=3") < memory("data.sampling.snippets=9")
    assert memory() < memory("data.sampling.test=frame", "data.store.size=96")


def test_company_shares_the_trunk_and_its_maps() -> None:
    """A second arm adds its own numbers and what it keeps, and no tower, pixels or maps."""
    chosen, sizes = arms("fusion=sum,conv,cat", "layer=relu5"), Sizes()
    one, two, three = (sizes.cohort_memory(chosen[:count], on_gpu=True) for count in (1, 2, 3))
    alone = [sizes.cohort_memory([arm], on_gpu=True) for arm in chosen]
    assert one < two < three < sum(alone)
    memory = sizes.of(chosen[1]).memory
    assert two - one <= memory.weights + memory.gradients + memory.states + memory.kept + memory.net


def test_on_a_cpu_the_process_and_the_best_weights_count() -> None:
    chosen, sizes = arms("fusion=conv", "layer=relu5"), Sizes()
    (sized,) = [sizes.of(arm) for arm in chosen]
    weights = sizing.state_bytes(sized.net)
    assert checkpoint_bytes([sized]) == 2 * weights + sized.memory.states
    least = sizes.cohort_memory(chosen, on_gpu=True) + PROCESS + weights
    assert sizes.cohort_memory(chosen) == least


@pytest.mark.slow
def test_a_process_takes_what_is_said_before_it_makes_anything() -> None:
    code = "import fusionlab.jobs.stages as _; from fusionlab.records.environment import peak_memory as f; print(f())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(child.stdout) == pytest.approx(PROCESS, rel=0.35)
