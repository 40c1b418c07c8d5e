"""Calibration: real steps of a job on noise; and a process that fails in every way is a reason in words."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fusionlab.planning.grid import PlannedStudy, plan_study
from fusionlab.pricing import calibrate as module
from fusionlab.pricing import calibration_child
from fusionlab.pricing.calibrate import FILE, MOST, Calibration, calibrate, key_of, read_calibration, sample
from fusionlab.pricing.calibration_child import RATE, STEPS, VALIDATED, measure
from fusionlab.study.plan import Arm
from fusionlab.training.cohort import Cohort

WORDS = ["fusion=conv,sum", "layer=relu5", "seed=0,1", "optim.streams.batch_size=3", "optim.fusion.batch_size=3",
         "run.device=cpu"]  # fmt: skip
GOOD = {"step_s": 0.5, "trunk_s": 0.25, "view_s": 0.125, "setup_s": 2, "peak": 2**30}


@pytest.fixture(scope="module")
def planned() -> PlannedStudy:
    return plan_study(WORDS)


@pytest.fixture
def study(planned: PlannedStudy, tmp_path: Path) -> PlannedStudy:
    return replace(planned, run=replace(planned.run, root=str(tmp_path / "runs")))


def program(text: str) -> list[str]:
    """A child that reads its task and then does this."""
    return [sys.executable, "-c", f"import json, os, sys, time\ntask = json.load(sys.stdin)\n{text}"]


def calibrated(study: PlannedStudy, text: str, lines: list[str], **how: Any) -> Calibration:
    return calibrate(study.plan, study.run, "class", say=lines.append, child=program(text), **how)


def arms_of(study: PlannedStudy, kind: str) -> list[Arm]:
    job = next(job for job in study.plan.jobs if job.kind == kind)
    return [study.plan.arm(name) for name in job.arms]


# -- the process that measures


def test_steps_are_those_after_the_first_phase_and_classes_may_be_weighted() -> None:
    phase = "optim.streams.first={from_layer: fc8, epochs: 1}"
    made = plan_study([*WORDS, phase, "optim.streams.class_weights=balanced"]).plan
    seen: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:
        own = Cohort.on_before_optimizer_step

        def step(self: Cohort, *given: Any) -> None:
            seen.extend(p.grad is not None for arm in self.arms.values() for p in arm.net.parameters())
            own(self, *given)

        patch.setattr(Cohort, "on_before_optimizer_step", step)
        patch.setattr(calibration_child, "STEPS", (1, 2))
        measure([("stream", made.arms[0].config)], "cpu", 60)
    assert seen and all(seen)


@pytest.mark.parametrize("kind", ["stream", "cohort"])
def test_the_steps_are_those_of_a_job(study: PlannedStudy, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts what a cohort really does: its own step, its optimiser's, its validation."""
    counts = dict.fromkeys(("training_step", "optimizer_step", "validation_step"), 0)
    seen: set[tuple[Any, ...]] = set()

    def counting(name: str) -> Callable[..., Any]:
        own = getattr(Cohort, name)

        def step(self: Cohort, *given: Any) -> Any:
            counts[name] += 1
            if name != "optimizer_step":
                seen.update((part, *given[0][part].shape) for part in ("appearance", "motion") if part in given[0])
            return own(self, *given)

        return step

    for name in counts:
        monkeypatch.setattr(Cohort, name, counting(name))
    monkeypatch.setattr(calibration_child, "STEPS", (4, 9))
    found = measure([(arm.kind, arm.config) for arm in arms_of(study, kind)], "cpu", 60)
    assert counts == {"training_step": 9, "optimizer_step": 9, "validation_step": VALIDATED}
    snippets = 1 if kind == "stream" else 3
    shapes = {("appearance", 3, 3, snippets, 48, 48), ("motion", 3, 12, snippets, 48, 48)}
    assert seen == (shapes if kind == "cohort" else {one for one in shapes if one[0] == "appearance"})
    assert all(math.isfinite(one) and one >= 0 for one in found.values())
    assert found["step_s"] > found["trunk_s"] and (found["trunk_s"] > 0) == (kind == "cohort")
    counts.update(dict.fromkeys(counts, 0))
    measure([(arm.kind, arm.config) for arm in arms_of(study, kind)], "cpu", 0)
    assert counts["training_step"] in range(4, 6), "when the time is over, the fewest steps, and one was read ahead"


def test_late_fusion_alone_has_no_steps(study: PlannedStudy) -> None:
    late = next(arm for arm in study.plan.arms if arm.kind == "late")
    found = measure([(late.kind, late.config)], "cpu", 60)
    assert (found["step_s"], found["trunk_s"]) == (0, 0) and found["view_s"] > 0


def test_the_time_of_a_step_is_that_of_a_step(study: PlannedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause in the step is a pause in what is measured, once a step."""
    own = Cohort.training_step

    def slow(self: Cohort, *given: Any) -> Any:
        calibration_child.time.sleep(0.1)
        return own(self, *given)

    monkeypatch.setattr(Cohort, "training_step", slow)
    monkeypatch.setattr(calibration_child, "STEPS", (4, 8))
    stream = arms_of(study, "stream")
    assert 0.1 < measure([(arm.kind, arm.config) for arm in stream], "cpu", 60)["step_s"] < 0.2
    assert RATE < 1e-6 and STEPS[0] >= 2


# -- what its end means


def test_each_job_is_measured_once_whatever_its_seeds(study: PlannedStudy) -> None:
    lines: list[str] = []
    found = calibrated(study, f"print({json.dumps(json.dumps(GOOD))})", lines)
    trained = [job for job in study.plan.jobs if job.kind != "prepare"]
    assert len(trained) == 6 and len(found.jobs) == 3 and not found.reasons
    for job in trained:
        one = found.of([study.plan.arm(name) for name in job.arms])
        assert one is not None and (one.step_s, one.trunk_s, one.view_s, one.setup_s, one.peak) == tuple(GOOD.values())
    assert (
        len(lines) == 3 and lines[0].startswith("calibrating 1 of 3: ") and lines[0].endswith("0.5 s a step, 1.00 GiB")
    )


def test_what_was_measured_is_kept_for_the_next_plan(study: PlannedStudy) -> None:
    lines: list[str] = []
    first = calibrated(study, f"print({json.dumps(json.dumps(GOOD))})", lines)
    again = calibrated(study, "os._exit(9)", lines)
    assert again == first and lines[3:] == [
        f"calibrated before, on {first.of(arms_of(study, 'stream')).date}: 3 of 3 jobs ({study.run.root}/{FILE})"  # type: ignore[union-attr]
    ]
    assert read_calibration(study.run.root, "another class") == Calibration()
    (Path(study.run.root) / FILE).write_text('{"jobs": [{"machine": "class"}]}')
    assert read_calibration(study.run.root, "class") == Calibration(), "a damaged file is no measurement"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("print(json.dumps({'reason': 'RuntimeError: no\\nway'}))", "it cannot be trained (RuntimeError: no way)"),
        ("os.kill(os.getpid(), 9)", "(killed by SIGKILL (often: out of memory))"),
        ("sys.exit('bad luck')", "(exit status 1: bad luck)"),
        ("print(json.dumps(GOOD)); sys.exit('too late')", "(exit status 1: too late)"),
        ("os._exit(0)", "its process ended without a result (exit status 0: no output)"),
        ("time.sleep(60)", "its process took too long (more than 0.5 s)"),
        ("print('nonsense')", "not a readable JSON file"),
        ("print('[1]')", "its process gave other numbers: it is a mapping"),
        ("print(json.dumps({**GOOD, 'step_s': -1}))", "step_s is seconds"),
        ("print(json.dumps({**GOOD, 'step_s': 'NaN'}))", "step_s is seconds"),
        ("print(json.dumps({**GOOD, 'peak': 1.5}))", "peak is bytes"),
        ("print('{\"step_s\": NaN}')", "not a readable JSON file"),
    ],
)
def test_a_process_without_a_result_is_a_reason_in_words(study: PlannedStudy, text: str, reason: str) -> None:
    lines: list[str] = []
    only = replace(study.plan, jobs=study.plan.jobs[:2], arms=study.plan.arms[:1])
    small = replace(study, plan=only)
    found = calibrated(small, f"GOOD = {GOOD}\n{text}", lines, longest=0.5 if "sleep" in text else 60)
    (why,) = found.reasons.values()
    assert reason in why and not found.jobs and "not measured: " in lines[-1]
    assert found.reason(arms_of(study, "stream")) == why
    assert not (Path(study.run.root) / FILE).exists()


def test_a_job_that_fails_stops_no_other(study: PlannedStudy) -> None:
    text = f"sys.exit('no') if task['arms'][0]['config'].get('stream') == 'motion' else print(json.dumps({GOOD}))"
    found = calibrated(study, text, [])
    assert (len(found.jobs), len(found.reasons)) == (2, 1)


@pytest.mark.parametrize(("bound", "tried"), [(None, 4), (4, 4), (3, 2), (1, 1), (0, 0)])
def test_as_many_arms_are_tried_as_fit(
    study: PlannedStudy, monkeypatch: pytest.MonkeyPatch, bound: int | None, tried: int
) -> None:
    monkeypatch.setattr(module, "memory_bound", lambda *_: bound)
    monkeypatch.setattr(module.Sizes, "cohort_memory", lambda _, arms, **__: len(arms))
    monkeypatch.setattr(module, "MOST", 4)
    arms = [
        replace(one, config={**one.config, "layer": f"l{n}"}) for n in range(9) for one in arms_of(study, "cohort")[:1]
    ]
    fitting = module._fitting(sample(arms, 4), bound, len)
    assert len(fitting) == tried
    if bound == 0:
        found = calibrated(study, "print(1)", [])
        assert set(found.reasons.values()) == {"it needs more memory than there is (run.memory: 0.0 GiB)"}


@pytest.mark.parametrize("count", [1, 5, MOST, MOST + 1, 333])
def test_a_sample_is_spread_over_all_arms(count: int) -> None:
    arms = [Arm(str(place), "fused", {}, "", {"layer": str(place)}, "") for place in range(count)]
    places = [int(arm.name) for arm in sample(arms)]
    assert len(places) == len(set(places)) == min(count, MOST) and places == sorted(places)
    gaps = [b - a for a, b in zip(places, [*places[1:], count], strict=True)]
    assert places[0] == 0 and max(gaps) - min(gaps) <= 1
    assert key_of(arms) == key_of(arms[::-1])


@pytest.mark.slow
def test_a_job_is_calibrated_by_a_real_process(study: PlannedStudy) -> None:
    lines: list[str] = []
    cohorts = replace(study.plan, jobs=tuple(job for job in study.plan.jobs if job.kind == "cohort"))
    found = calibrate(cohorts, study.run, "class", seconds=0.5, say=lines.append)
    assert len(found.jobs) == 1 and not found.reasons, lines
    cohort = found.of(arms_of(study, "cohort"))
    assert cohort is not None and cohort.trunk_s > 0 and cohort.step_s > 0 and 10**8 < (cohort.peak or 0) < 10**10


def test_an_arm_that_cannot_be_built_is_a_reason(study: PlannedStudy) -> None:
    def broken(arms: Sequence[Arm]) -> Sequence[Arm]:
        return [replace(arm, config={**arm.config, "tower": {**arm.config["tower"], "width": 0}}) for arm in arms]

    first = broken(arms_of(study, "stream"))
    plan = replace(study.plan, jobs=study.plan.jobs[:2], arms=tuple(first))
    found = calibrate(plan, study.run, "class", say=lambda _: None)
    (reason,) = found.reasons.values()
    assert reason == "width must be 2 or more (width=0)"
