"""Studies that are packed for a machine: what becomes of their plans, new and begun."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fusionlab.errors import UserError
from fusionlab.planning import pack_study as module
from fusionlab.planning.grid import PlannedStudy, plan_study
from fusionlab.planning.pack_study import CohortCosts, pack_study, packed
from fusionlab.pricing.past_jobs import PastJob
from fusionlab.sizes.sizing import Sizes, content_key
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Arm, Job, Plan, read
from fusionlab.study.process_id import ProcessId

TWELVE = ["fusion=conv,sum,max,cat", "layer=relu3,relu4,relu5", "run.device=cpu", "run.root=nowhere"]
MIB = 2**20


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PlannedStudy]:
    """A study of twelve arms and late fusion, not packed, on a machine whose memory is unknown."""
    monkeypatch.setattr(
        module, "memory_bound", lambda run, _: None if run.memory == "auto" else int(run.memory * 2**30)
    )
    return unpacked


@cache
def unpacked(*words: str) -> PlannedStudy:
    return plan_study([*TWELVE, *words])


def cohorts(plan: Plan) -> list[Job]:
    return [job for job in plan.jobs if job.kind == "cohort"]


def halves(some: Sequence[Sequence[Arm]]) -> list[list[list[Arm]]]:
    return [[list(arms[::2]), list(arms[1::2])] if len(arms) > 1 else [list(arms)] for arms in some]


def wholes(some: Sequence[Sequence[Arm]]) -> list[list[list[Arm]]]:
    return [[list(arms)] for arms in some]


def expect_same_arms(one: Plan, other: Plan) -> None:
    """Only jobs differ."""
    assert one.signature == other.signature
    assert [replace(arm, job="") for arm in one.arms] == [replace(arm, job="") for arm in other.arms]
    assert [job for job in one.jobs if job.kind != "cohort"] == [job for job in other.jobs if job.kind != "cohort"]
    assert Counter(name for job in cohorts(one) for name in job.arms) == Counter(
        arm.name for arm in other.arms if arm.kind != "stream"
    )


def begin(plan: Plan, study: Path, job_id: str, **claim: Any) -> None:
    """An attempt at a job that has ended, unless a claim is given."""
    attempt = Attempt(plan.job(job_id).path(study), 1)
    attempt.claim_file.parent.mkdir(parents=True)
    attempt.claim_file.write_text(json.dumps({**ProcessId.here().to_dict(), **claim}))
    if not claim:
        attempt.open()
        attempt.end("interrupted", "enough")


def test_a_lone_cohort_becomes_two_halves_on_two_workers(planned: Callable[..., PlannedStudy]) -> None:
    whole = planned("run.workers=2")
    plan = pack_study(whole).plan
    expect_same_arms(plan, whole.plan)
    (job,), pieces = cohorts(whole.plan), cohorts(plan)
    assert [piece.id for piece in pieces] == [f"{job.id}-1of2", f"{job.id}-2of2"]
    assert [piece.folder for piece in pieces] == [f"jobs/{job.id}-1of2", f"jobs/{job.id}-2of2"]
    assert all((piece.needs, piece.config) == (job.needs, job.config) for piece in pieces)
    assert [len(piece.arms) for piece in pieces] == [8, 8], "late fusion and the controls of three layers among them"
    costs = CohortCosts(whole.run, whole.threads, None)
    loads = [sum(costs.weight(plan.arm(name)) for name in piece.arms) for piece in pieces]
    assert max(loads) < 1.1 * min(loads)
    assert plan == pack_study(whole).plan


@pytest.mark.parametrize("words", [["run.workers=1"], ["run.workers=2", "debug=fast"], ["run.workers=2", "seed=0,1"]])
def test_a_study_is_not_divided_where_that_saves_nothing(
    planned: Callable[..., PlannedStudy], words: list[str]
) -> None:
    whole = planned(*words)
    assert pack_study(whole).plan is whole.plan


def test_cohorts_stay_whole_if_they_cannot_be_measured(
    planned: Callable[..., PlannedStudy], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user's part may raise, or end the process that measures it."""

    def fails(_: Any) -> None:
        raise UserError("this cannot be computed beforehand", got="ValueError: no")

    monkeypatch.setattr(module, "in_fork", fails)
    whole = planned("run.workers=2")
    assert pack_study(whole).plan is whole.plan
    assert capsys.readouterr().out == "cohorts are not divided: this cannot be computed beforehand (ValueError: no)\n"
    assert len(cohorts(pack_study(whole, Sizes()).plan)) == 2, "for a price it is done here"


def test_a_cohort_that_cannot_be_measured_stays_whole_and_others_are_divided(
    planned: Callable[..., PlannedStudy], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as a user's fusion that reads a number, which has no value on the meta device."""
    measure = Sizes._measure
    whole = planned("run.workers=1", "optim.fusion.batch_size=4,8", "run.memory=0.1")

    def part(self: Sizes, arm: Arm) -> Any:
        if arm.axes.get("fusion") == "conv" and arm.config["optim"]["fusion"]["batch_size"] == 4:
            raise RuntimeError("no numbers")
        return measure(self, arm)

    monkeypatch.setattr(Sizes, "_measure", part)
    plan = pack_study(whole).plan
    batches = Counter(plan.arm(job.arms[0]).config["optim"]["fusion"]["batch_size"] for job in cohorts(plan))
    assert batches[4] == 1 < batches[8]
    first, second = capsys.readouterr().out.splitlines()
    failed = next(arm.name for arm in whole.plan.arms if arm.axes.get("fusion") == "conv")
    why = f"an arm cannot be measured on shapes alone (RuntimeError: no numbers): {failed}"
    assert first == f"a cohort is not divided: {why}"
    assert "and may use 102.4 MiB each: type run.memory=" in second
    sizes = Sizes()
    assert pack_study(whole, sizes).plan == plan
    assert sizes.failure(whole.plan.arms) == why and capsys.readouterr().out == ""


# -- jobs at a time


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, planned: Callable[..., PlannedStudy]) -> Callable[[float], None]:
    """Four cores, and memory for so many of the largest jobs that cannot be divided."""
    study = planned()
    costs = CohortCosts(study.run, study.threads, 1 << 60)
    monkeypatch.setattr(module, "past_jobs", lambda *_: [])
    largest = max(costs.memory([arm]) for arm in study.plan.arms)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})

    def has(jobs: float) -> None:
        monkeypatch.setattr(
            module, "memory_bound",
            lambda run, workers: int(jobs * largest) // workers if run.memory == "auto" else int(run.memory * 2**30),
        )  # fmt: skip

    return has


@pytest.mark.parametrize(("jobs", "workers"), [(100, 4), (4, 4), (3.99, 3), (2.5, 2), (1.99, 1), (0.5, 1)])
def test_no_more_jobs_run_at_a_time_than_have_the_memory_for_an_arm(
    planned: Callable[..., PlannedStudy], machine: Callable[[float], None],
    capsys: pytest.CaptureFixture[str], jobs: float, workers: int,
) -> None:  # fmt: skip
    machine(jobs)
    study, sizes = planned(), Sizes()
    own = pack_study(study, sizes)
    assert own.workers == workers and own.bound == module.memory_bound(study.run, workers)
    assert (own.too_large is None) == (jobs >= 1)
    if jobs >= 1:
        costs = CohortCosts(study.run, study.threads, own.bound, sizes)
        assert all(costs.memory([own.plan.arm(name) for name in job.arms]) <= own.bound for job in own.plan.jobs
                   if job.kind != "prepare")  # fmt: skip
    assert capsys.readouterr().out == "", "a price says it"
    assert pack_study(study) == own
    assert capsys.readouterr().out.strip() == (own.too_large or "")


@pytest.mark.parametrize(("word", "workers", "hint"), [
    ("run.workers=2", 2, "type run.workers=1"), ("run.memory=0.1", 4, "type run.memory="),
])  # fmt: skip
def test_numbers_that_were_typed_are_kept_and_what_does_not_fit_is_said(
    planned: Callable[..., PlannedStudy], machine: Callable[[float], None], word: str, workers: int, hint: str
) -> None:
    machine(1.5)
    own = pack_study(planned(word), Sizes())
    assert own.workers == workers and own.too_large is not None and hint in own.too_large
    typed = own.too_large.partition(": type ")[2].partition(",")[0]
    assert pack_study(planned(typed), Sizes()).too_large is None


def test_jobs_that_are_done_or_cannot_be_measured_limit_nothing(
    planned: Callable[..., PlannedStudy], machine: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    machine(0.9)
    study = replace(planned(), folder=tmp_path / "study")
    assert pack_study(study, Sizes()).workers == 1
    with monkeypatch.context() as change:
        change.setattr(Sizes, "_measure", lambda *_: 1 / 0)
        assert (pack_study(study, Sizes()).workers, pack_study(study, Sizes()).too_large) == (4, None)
    for job in study.plan.jobs:
        for name in job.arms:
            (job.published(study.folder) / name).mkdir(parents=True)
    own = pack_study(study, Sizes())
    assert (own.workers, own.too_large) == (4, None)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the number of visible GPUs, each with so many bytes for jobs."""

    def some(count: int, size: int | None = None) -> None:
        monkeypatch.setattr("fusionlab.config.run_config.RunConfig.on_gpu", True)
        monkeypatch.setattr("fusionlab.config.run_config.visible_devices", lambda: tuple(map(str, range(count))))
        if size is not None:
            monkeypatch.setattr(module, "memory_bound", lambda _, at_once: size // -(-at_once // count))

    return some


def test_one_gpu_has_no_idle_workers(planned: Callable[..., PlannedStudy], gpus: Callable[..., None]) -> None:
    gpus(1)
    whole = planned("run.workers=2")
    assert pack_study(whole).plan is whole.plan


def test_each_gpu_has_a_worker(planned: Callable[..., PlannedStudy], gpus: Callable[..., None]) -> None:
    for count in (1, 2, 8):
        gpus(count)
        assert pack_study(planned(), Sizes()).workers == count
        assert module.usual_workers(replace(planned().run, per_device=3), 1, 9) == 3 * count
        assert module.usual_workers(replace(planned().run, workers=5), 1, 9) == 5
    assert module.usual_workers(replace(planned().run, device="cuda:1"), 1, 9) == 1


def test_on_a_cluster_each_job_has_a_worker_unless_workers_are_typed(planned: Callable[..., PlannedStudy]) -> None:
    auto, typed = planned("launcher=slurm"), planned("launcher=slurm", "run.workers=2")
    found = pack_study(auto)
    assert found.plan is auto.plan and found.workers == len(auto.plan.jobs)
    assert pack_study(typed).workers == 2 and len(cohorts(pack_study(typed).plan)) == 2


@pytest.mark.parametrize(("fit", "workers"), [(0.5, 2), (1.1, 2), (2.1, 4), (9.0, 8)])
def test_jobs_on_a_gpu_are_as_many_as_its_memory_holds(
    planned: Callable[..., PlannedStudy], gpus: Callable[..., None], fit: float, workers: int
) -> None:
    """Two GPUs, at most four jobs on each."""
    gpus(2)
    study = planned("run.per_device=4")
    costs = CohortCosts(study.run, study.threads, 1)
    size = int(fit * max(costs.memory([arm]) for arm in study.plan.arms))
    gpus(2, size)
    found = pack_study(study, Sizes())
    assert (found.workers, found.bound) == (workers, size // (workers // 2))


def test_no_piece_needs_more_memory_than_a_job_may_use(planned: Callable[..., PlannedStudy]) -> None:
    whole, sizes = planned("run.workers=1"), Sizes()
    (job,) = cohorts(whole.plan)
    arms = [whole.plan.arm(name) for name in job.arms]
    estimates = [round(module.MARGIN * sizes.cohort_memory(some)) for some in (arms, arms[:1])]
    bound = (estimates[0] + 2 * estimates[1]) // 3 / 2**30
    bounded = planned("run.workers=1", f"run.memory={bound}")
    plan = pack_study(bounded).plan
    expect_same_arms(plan, bounded.plan)
    pieces = [[plan.arm(name) for name in piece.arms] for piece in cohorts(plan)]
    assert len(pieces) > 2 and all(sizes.cohort_memory(piece) <= int(bound * 2**30) for piece in pieces)


def test_arms_that_were_begun_keep_their_jobs(planned: Callable[..., PlannedStudy], tmp_path: Path) -> None:
    """Whatever the next command's workers and memory; the others are packed anew, into jobs with new names."""
    study, whole = tmp_path / "study", planned().plan
    first = packed(whole, study, halves)
    first.write(study)
    (job,), (begun, other) = cohorts(whole), cohorts(first)
    begin(first, study, begun.id)
    plan = packed(whole, study, wholes)
    expect_same_arms(plan, whole)
    assert [(one.id, one.arms) for one in cohorts(plan)] == [(begun.id, begun.arms), (job.id, other.arms)]
    again = packed(whole, study, halves)
    expect_same_arms(again, whole)
    names = [f"{job.id}-1of2", f"{job.id}-1of2-2", f"{job.id}-2of2"]
    assert [one.id for one in cohorts(again)] == names
    assert [one.arms for one in cohorts(again)] == [begun.arms, other.arms[::2], other.arms[1::2]]
    for later in (plan, again, plan):
        written, new = later.write(study)
        assert not new and {one.id: one.arms for one in cohorts(written)} == {
            one.id: one.arms for one in cohorts(later)
        }
        assert read(study) == written


def test_a_larger_grid_adds_jobs_beside_those_that_are_done(
    planned: Callable[..., PlannedStudy], tmp_path: Path
) -> None:
    study, small = tmp_path / "study", planned("exclude=[{fusion:conv}]").plan
    small.write(study)
    (job,) = cohorts(small)
    begin(small, study, job.id)
    whole = planned().plan
    plan = packed(whole, study, halves)
    new = [name for name in cohorts(whole)[0].arms if name not in job.arms]
    assert [(one.id, one.arms) for one in cohorts(plan)] == [
        (job.id, job.arms), (f"{job.id}-1of2", tuple(new[::2])), (f"{job.id}-2of2", tuple(new[1::2])),
    ]  # fmt: skip
    joined = packed(whole, study, wholes)
    assert {one.id for one in cohorts(joined)} == {job.id}, "a whole cohort is one job, as it always was"


@pytest.mark.parametrize("busy", [True, False])
def test_while_somebody_works_on_the_study_all_arms_keep_their_jobs(
    planned: Callable[..., PlannedStudy], tmp_path: Path, busy: bool
) -> None:
    study, whole = tmp_path / "study", planned().plan
    whole.write(study)
    stream = next(job for job in whole.jobs if job.kind == "prepare")
    begin(whole, study, stream.id, **({"session": "now"} if busy else {}))
    assert len(cohorts(packed(whole, study, halves))) == (1 if busy else 2)


def test_a_plan_of_another_study_is_left_to_its_own_error(planned: Callable[..., PlannedStudy], tmp_path: Path) -> None:
    study = tmp_path / "study"
    planned("seed=7").plan.write(study)
    whole = planned().plan
    assert packed(whole, study, wholes) is whole


# -- costs


def costs_of(study: PlannedStudy, bound: int) -> tuple[CohortCosts, list[Arm]]:
    (job,) = cohorts(study.plan)
    return CohortCosts(study.run, study.threads, bound), [study.plan.arm(name) for name in job.arms]


@pytest.mark.parametrize(
    ("peak", "arms", "times"), [(1.5, 3, 1.5), (0.5, 3, 1), (0.5, 16, 0.5), (9, 0, 1), (None, 3, 1)]
)
def test_estimates_of_memory_are_corrected_by_earlier_jobs_of_such_arms(
    planned: Callable[..., PlannedStudy], monkeypatch: pytest.MonkeyPatch, peak: float | None, arms: int, times: float
) -> None:
    """All 16: what they had. Some of them: nothing is less for it. No such arms, or an estimate far below: nothing."""
    study, sizes = planned(), Sizes()
    costs, own = costs_of(study, 1)
    other = [replace(own[0], config={**own[0].config, "layer": "fc6"})]
    done = own[:arms] or other
    measured = None if peak is None else round(peak * module.MARGIN * sizes.cohort_memory(done))
    monkeypatch.setattr(module, "past_jobs", lambda *_: [PastJob(tuple(done), (), 1, 1, peak=measured)])
    estimate = round(module.MARGIN * sizes.cohort_memory(own))
    assert costs.memory(own) == pytest.approx(times * estimate, rel=1e-6)
    costs, own = costs_of(study, 3 * estimate)
    monkeypatch.setattr(module, "past_jobs", lambda *_: pytest.fail("they are not needed"))
    assert costs.memory(own) == estimate or len(own) > module.TRIED


def test_of_a_large_cohort_that_surely_fits_few_arms_are_measured(
    planned: Callable[..., PlannedStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, measured = planned(), set()
    own = Sizes.of
    monkeypatch.setattr(Sizes, "of", lambda self, arm: measured.add(content_key(arm)) or own(self, arm))
    monkeypatch.setattr(module, "TRIED", 3)
    costs, arms = costs_of(study, 100 << 30)
    assert module.MARGIN * Sizes().cohort_memory(arms[:3]) < costs.memory(arms) <= 100 << 30
    measured.clear()
    costs, arms = costs_of(study, 100 << 30)
    costs.memory(arms)
    assert len(measured) == 3
    costs, arms = costs_of(study, 500 * MIB)
    monkeypatch.setattr(module, "past_jobs", lambda *_: [])
    assert costs.memory(arms) == round(module.MARGIN * Sizes().cohort_memory(arms)) and len(measured) == len(arms)


def test_the_time_of_a_job_is_that_of_its_multiply_adds(planned: Callable[..., PlannedStudy]) -> None:
    """Of two halves, both pay for the start and the frozen towers."""
    study = planned()
    costs, arms = costs_of(study, 1)
    fused = [arm for arm in arms if arm.kind == "fused"]
    whole, *parts = (costs.seconds(some) for some in (fused, fused[::2], fused[1::2]))
    assert 0.52 * whole < max(parts) < 0.75 * whole and sum(parts) > whole + module.START
    assert costs.seconds([arm for arm in arms if arm.kind == "late"]) < 0.2 * whole
    twice = CohortCosts(study.run, 2 * study.threads, 1)
    assert twice.seconds(fused) - module.START == pytest.approx((whole - module.START) / 2)
    fast, own = costs_of(planned("debug=fast"), 1)
    assert fast.seconds(own) < 10
