"""The work of jobs, and what sharing saves, against loops over cells, clips and layers."""

from __future__ import annotations

from typing import Any

import pytest
from pricing_fakes import Plan, publish

from fusionlab.config.schema import config_of
from fusionlab.data.brush.brush import Brush
from fusionlab.pricing.clip_counts import Clips, DataSets
from fusionlab.pricing.job_work import work_of
from fusionlab.pricing.speeds import Speed
from fusionlab.pricing.study_price import Pricing, StudyPrice
from fusionlab.records.other_tests import Asked
from fusionlab.sizes.sizing import Sized, Sizes
from fusionlab.study.plan import Arm

STREAMS = ("appearance", "motion")


def forward(one: Sized, testing: bool = False) -> tuple[int, int]:
    """Multiply-adds of a clip below the net, and in it, added layer by layer."""
    below = net = 0
    for layer in (one.costs if testing else one.trained).layers:
        if layer.part in STREAMS:
            below += layer.macs
        else:
            net += layer.macs
    return below, net


def alone(arm: Arm, clips: Clips) -> int:
    """The multiply-adds of an arm in a process of its own, step by step and view by view."""
    one = Sizes().of(arm)
    config = config_of(arm)
    total = 0
    below, net = forward(one)
    recipe, trained = config.stage.recipe, one.size.trained_parameters
    steps = recipe.budgets * recipe.epochs * (clips.train // config.stage.batch_size) if trained else 0
    for _ in range(steps):
        total += config.stage.batch_size * (below + 3 * net)
    for _ in range(min(steps, recipe.budgets * (recipe.validations or recipe.epochs)) if trained else 1):
        for _ in range(2 * clips.validation):
            total += below + net
    below, net = forward(one, testing=True)
    for _ in range(2 * clips.test):
        total += below + net
    return total


def priced(study: Any) -> StudyPrice:
    return Pricing(study.plan, study.folder, study.run, workers=2).price()


@pytest.fixture
def clips() -> Clips:
    """debug=fast's brush: one clip of each class and group; 2 of 16 groups are held out."""
    brush = Brush(what=1, binding=1)
    return Clips(14 * brush.class_count, 2 * brush.class_count, 8 * brush.class_count, 16.0, (50, 50))


def test_clips_are_those_that_the_job_will_have(plan: Plan, clips: Clips) -> None:
    study = plan("fusion=sum")
    assert DataSets(study.run).clips(config_of(study.plan.arms[0])) == clips


def test_a_lone_arm_works_as_a_loop_over_steps_and_views(plan: Plan, clips: Clips) -> None:
    for arm in plan("fusion=conv", "temporal=pool3d").plan.arms:
        sizes = Sizes()
        work = work_of([sizes.of(arm)], sizes, clips)
        assert work is not None and work.macs == alone(arm, clips)


def test_arms_of_one_job_share_the_towers_up_to_the_highest_layer(plan: Plan, clips: Clips) -> None:
    arms = [arm for arm in plan("fusion=sum,conv", "layer=relu2,relu4").plan.arms if arm.kind == "fused"]
    sizes = Sizes()
    work = work_of([sizes.of(arm) for arm in arms], sizes, clips)
    assert work is not None
    rows = [forward(Sizes().of(arm)) for arm in arms]
    highest = max(below for below, _ in rows)  # relu4's towers hold those of relu2
    batch = config_of(arms[0]).stage.batch_size
    assert work.step_macs == batch * (highest + 3 * sum(net for _, net in rows))
    assert work.view_macs == highest + sum(net for _, net in rows)


def test_what_sharing_saves_is_the_sum_over_cells(plan: Plan, clips: Clips) -> None:
    study = plan("fusion=sum,cat", "layer=relu3,relu5", "seed=0,1")
    price = priced(study)
    own = {(arm.axes["streams"], arm.axes["seed"]): arm for arm in study.plan.arms if arm.kind == "stream"}
    total = 0
    for arm in study.plan.arms:
        total += alone(arm, clips)
        if arm.kind != "stream":
            for stream in STREAMS:
                total += alone(own[stream, arm.axes["seed"]], clips)
    assert price.sharing is not None
    assert price.sharing.cells == len(study.plan.arms)
    assert price.sharing.macs == total
    assert price.sharing.shared_macs == sum(job.work.macs for job in price.jobs if job.work) < total / 2
    assert price.sharing.seconds is None


def test_with_known_rates_sharing_is_in_seconds_too(plan: Plan) -> None:
    first = plan("fusion=sum")
    for job in first.plan.jobs:
        if job.kind != "prepare":
            publish(first, job, 10)
    sharing = priced(plan("fusion=sum,conv", "seed=0,1")).sharing
    assert sharing is not None and sharing.seconds is not None and sharing.shared_seconds is not None
    assert sharing.seconds > 2 * sharing.shared_seconds


def test_whole_frames_cost_what_their_pixels_do(plan: Plan, clips: Clips) -> None:
    """Brush's frames are 50×50, the towers see 48×48."""
    arm = plan("fusion=sum", "data.sampling.test=frame").plan.arms[-1]
    sizes = Sizes()
    work = work_of([sizes.of(arm)], sizes, clips)
    assert work is not None
    assert work.test_macs == round(sum(forward(Sizes().of(arm), testing=True)) * 50**2 / 48**2)


def test_other_tests_cost_their_views(plan: Plan, clips: Clips) -> None:
    """Views of 50×50 or 48×48, once as they are and once without motion; for the svm, also of the training list."""
    words = ["test=middle,frame,simonyan", "ablate=motion:mean", "combine=svm"]
    sizes = Sizes()
    for arm in plan("fusion=sum").plan.arms:
        one = sizes.of(arm)
        work = work_of([one], sizes, clips, Asked.typed(words)[0])
        plain = work_of([one], sizes, clips)
        assert work is not None and plain is not None
        macs, larger = sum(forward(one, testing=True)), 50**2 / 48**2
        views = {"middle": (2, macs), "frame": (2, round(macs * larger)), "simonyan": (250, macs)}
        total = 0
        for name, (number, of_view) in views.items():
            ways = (name != "middle") + (arm.axes["streams"] != "appearance")
            total += number * of_view * ways * clips.test
            if arm.kind in ("stream", "control"):  # the heads that are combined
                total += number * of_view * clips.train
        assert work.macs - plain.macs == total


def test_a_set_of_which_nothing_is_there_has_unknown_work(plan: Plan) -> None:
    study = plan("data=folder", "data.dataset.classes=5", "fusion=sum")
    price = priced(study)
    assert {job.work for job in price.jobs} == {None} and price.sharing is None
    assert all("the number of clips is not known" in job.source for job in price.jobs if job.kind != "prepare")
    assert all(job.memory for job in price.jobs if job.kind != "prepare"), "sizes are known"


def test_published_numbers_stand_for_lists_that_are_not_there(plan: Plan) -> None:
    study = plan("data=ucf101", "fusion=sum", "split=2")
    found = DataSets(study.run).clips(config_of(study.plan.arms[-1]))
    assert found == Clips(9586 - 959, 959, 3734, 2_483_295 / 13_320, (256, 342))


def test_clips_without_a_validation_with_the_test_list_and_of_both_chains(plan: Plan, clips: Clips) -> None:
    """Of chain B: the whole list, and as many steps as chain A may take."""
    whole = clips.train + clips.validation
    for words, expected in (
        (["val=none"], (whole, 0, clips.test)),
        (["val=test_as_released"], (whole, clips.test, clips.test)),
    ):
        study = plan("fusion=sum", *words)
        found = DataSets(study.run).clips(config_of(study.plan.arms[0]))
        assert found is not None and (found.train, found.validation, found.test) == expected
    study = plan("fusion=sum", "optim=sgd", "val.then=retrain")
    fused = {arm.axes["val.then"]: arm for arm in study.plan.arms if arm.kind == "fused"}
    sizes, data = Sizes(), DataSets(study.run)
    works = {then: work_of([sizes.of(arm)], sizes, data.clips(config_of(arm))) for then, arm in fused.items()}
    first, last = works["keep"], works["retrain"]
    assert first is not None and last is not None and last.validation_views == 0
    assert abs(first.steps - last.steps) <= first.steps * 0.05, "90 % of the list, where the groups give 14 of 16"


LOWEST: list[tuple[list[str], list[str]]] = [  # options -> the lowest trained layer in each of two epochs
    ([], ["conv1", "conv1"]),
    (["optim.streams.from_layer=fc8"], ["fc8", "fc8"]),
    (["optim.streams.first={from_layer: fc7, epochs: 1}"], ["fc7", "conv1"]),
    (["optim.streams.from_layer=fc6", "optim.streams.first={from_layer: fc8, epochs: 1}"], ["fc8", "fc6"]),
]


@pytest.mark.parametrize(("words", "lowest"), LOWEST)
def test_the_way_back_ends_at_the_lowest_trained_layer(
    plan: Plan, clips: Clips, words: list[str], lowest: list[str]
) -> None:
    sizes = Sizes()
    arm = next(arm for arm in plan("fusion=sum", *words).plan.arms if arm.kind == "stream")
    one, config = sizes.of(arm), config_of(arm)
    total = 0
    for layer in lowest:
        for _ in range(clips.train // config.stage.batch_size):
            back = False
            for row in one.trained.layers:
                back |= row.name == layer
                total += config.stage.batch_size * row.macs * (3 if back else 1)
    work = work_of([one], sizes, clips)
    assert work is not None and work.macs - work.evaluated == total
    speed = Speed("", step_rate=1.0, view_rate=1e18, start_s=0.0, record_s=0.0)
    assert speed.seconds(work) == pytest.approx(total)
    least = [row.parameters for row in one.trained.layers[[row.name for row in one.trained.layers].index(lowest[-1]) :]]
    assert one.size.trained_parameters == sum(least) and one.memory.gradients == 4 * sum(least)
