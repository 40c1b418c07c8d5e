"""Doubled budgets, and rates that a table selects: which arms a plan has, and how they are packed into jobs."""

from __future__ import annotations

import pytest

from fusionlab.completion import complete
from fusionlab.errors import UserError
from fusionlab.planning.grid import plan_study
from fusionlab.study.plan import Arm, Plan

RATES = ["fusion=sum,conv", "layer=relu5", "optim.fusion.lr=0.001,0.003", "seed=0,1"]
SELECT = "select=optim.fusion.lr"


def planned(*words: str) -> Plan:
    return plan_study(list(words)).plan


def above(plan: Plan) -> list[Arm]:
    return [arm for arm in plan.arms if arm.kind != "stream"]


def trained(plan: Plan) -> list[Arm]:
    return [arm for arm in above(plan) if arm.kind != "late"]


# -- selection


def test_rates_that_are_selected_from_share_a_cohort() -> None:
    apart, together = planned(*RATES), planned(*RATES, SELECT)
    assert [(arm.name, arm.signature, arm.config) for arm in apart.arms] == [
        (arm.name, arm.signature, arm.config) for arm in together.arms
    ], "packing only: each arm is the arm that it was"
    assert apart.signature == together.signature
    places = {(arm.axes["optim.fusion.lr"], arm.axes["seed"]): arm.job for arm in trained(apart)}
    assert len(set(places.values())) == 4, "a rate and a seed each"
    assert {arm.axes["seed"]: arm.job for arm in above(together)}.keys() == {0, 1}
    assert len({arm.job for arm in above(together)}) == 2, "a seed each"
    assert {arm.config["optim"]["fusion"]["lr"] for arm in trained(together)} == {0.001, 0.003}


def test_other_options_of_the_optimiser_still_divide_cohorts() -> None:
    plan = planned("fusion=sum", "optim.fusion.lr=0.001,0.003", "optim.fusion.clip=0,1", SELECT)
    assert {arm.job: arm.axes["optim.fusion.clip"] for arm in trained(plan)} == dict(
        zip(dict.fromkeys(arm.job for arm in trained(plan)), (0, 1), strict=True)
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([SELECT], "an axis, and this option has one value"),
        ([SELECT, "optim.fusion.lr=0.003"], "an axis, and this option has one value"),
        (["select=fusion", "fusion=sum,conv"], "a selection is over the learning rates"),
        (["select=optim.streams.lr", "optim.streams.lr=0.1,0.2"], "a selection is over the learning rates"),
        (["select=data.sampling.apart", "data.sampling.apart=0,2"], "what it is trained on or how it is tested"),
        (["select=data.sampling.test", "data.sampling.test=middle,frame"], "a protocol is no axis"),
        (["select=optim.fusion.lr,fusion"], "select does not change the result, so it cannot be an axis"),
        ([SELECT, "run.table.select=optim.fusion.lr"], "select= has no effect: run.table.select is set"),
    ],
)
def test_any_other_selection_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        planned(*words)
    assert error.value.hint


def test_select_is_completed() -> None:
    assert complete("python -m fusionlab.sweep sel") == ["select="]


# -- doubled budgets


def test_the_first_seed_is_trained_with_a_double_budget_too() -> None:
    words = ["fusion=sum,conv", "layer=relu4,relu5", "seed=3,4"]
    plain, plan = planned(*words), planned(*words, "run.double=true")
    names = {arm.name: arm for arm in plan.arms}
    more = [arm for arm in plan.arms if arm.name not in {one.name for one in plain.arms}]
    assert [arm for arm in plan.arms if arm not in more] == list(plain.arms)
    once = [arm for arm in plain.arms if arm.kind in ("fused", "control") and arm.axes["seed"] == 3]
    assert len(once) == 4 + 2 and {arm.name for arm in more} == {
        arm.name.replace(",seed=3", ",optim.fusion.budget=2,seed=3") for arm in once
    }
    for arm in more:
        assert arm.axes["optim.fusion.budget"] == arm.config["optim"]["fusion"]["budget"] == 2
        same = names[arm.name.replace(",optim.fusion.budget=2", "")]
        optim = {**arm.config["optim"], "fusion": {**arm.config["optim"]["fusion"], "budget": 1}}
        assert {**arm.config, "optim": optim} == same.config
    by_signature = {arm.signature: arm for arm in plan.arms}
    for arm in (one for one in more if one.kind == "fused"):
        control = by_signature[arm.control or ""]
        assert control in more and control.axes["layer"] == arm.axes["layer"]


def test_a_doubled_fusion_of_scores_is_compared_with_late_fusion_as_it_is() -> None:
    plan = planned("fusion=conv", "layer=fc8", "run.double=true")
    (late,) = (arm for arm in plan.arms if arm.kind == "late")
    assert [arm.control for arm in plan.arms if arm.kind == "fused"] == [late.signature] * 2


def test_a_double_budget_is_what_would_be_typed() -> None:
    doubled = {arm.signature for arm in planned("fusion=sum", "run.double=true").arms}
    typed = {arm.signature for arm in planned("fusion=sum", "optim.fusion.budget=2").arms if arm.kind == "fused"}
    assert typed and typed < doubled


def test_nothing_is_doubled_that_is_trained_until_it_has_converged() -> None:
    with pytest.raises(UserError, match="no budget to double"):
        planned("fusion=sum", "optim=sgd", "run.double=true")
