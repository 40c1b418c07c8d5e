"""The plan of `val.then=retrain`: chain A is the usual study, chain B stands on its own streams and needs A's arms."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusionlab.errors import UserError
from fusionlab.planning.grid import plan_study
from fusionlab.planning.pack_study import packed
from fusionlab.planning.packing import Cohort, Pieces
from fusionlab.study.plan import Arm, Plan, chosen_from

BEST = ["optim=sgd"]  # whose validation chooses drops, end and weights
GRID = ["data=brush", "fusion=conv,sum", "layer=relu4,relu5"]
RATES = ["optim.fusion.lr=1e-3,3e-3", "run.table.select=optim.fusion.lr"]


def planned(*words: str) -> Plan:
    return plan_study([*GRID, *words]).plan


def chain(plan: Plan, then: str) -> list[Arm]:
    return [arm for arm in plan.arms if arm.axes.get("val.then") == then]


def cohorts(plan: Plan, then: str) -> set[str]:
    return {arm.job for arm in chain(plan, then) if arm.kind != "stream"}


@pytest.mark.parametrize("more", [[], ["seed=0,1"], RATES, ["run.double=true", "optim.fusion.until=budget"]])
def test_chain_a_is_the_study_without_a_second_chain(more: list[str]) -> None:
    both, usual = planned(*BEST, *more, "val.then=retrain"), planned(*BEST, *more)
    first = chain(both, "keep")
    key = lambda arm: (arm.kind, arm.signature, arm.control)  # noqa: E731
    assert sorted(map(key, first), key=str) == sorted(map(key, usual.arms), key=str)
    assert cohorts(both, "keep") == {arm.job for arm in usual.arms if arm.kind != "stream"}
    assert len(first) + len(chain(both, "retrain")) == len(both.arms)


def test_chain_b_repeats_each_arm_on_streams_of_its_own() -> None:
    plan = planned(*BEST, "seed=0,1", "val.then=retrain")
    first, last = chain(plan, "keep"), chain(plan, "retrain")
    assert not {arm.signature for arm in first} & {arm.signature for arm in last}
    key = lambda arm: (arm.kind, str({**arm.axes, "val.then": None}))  # noqa: E731
    of = {key(arm): arm for arm in first}
    assert of.keys() == {key(arm) for arm in last}
    streams = {arm.signature for arm in last if arm.kind == "stream"}
    for arm in last:
        same = of[key(arm)]
        assert chosen_from(arm.config) == (() if arm.kind == "late" else (same.signature,))
        assert arm.config["val"] == {"list": "cut", "then": "retrain"}
        assert arm.config["seed"] == same.config["seed"]
        assert set(arm.config.get("stage_one", {}).values()) <= streams
        assert {one.signature: one for one in plan.arms}.get(arm.control or "", arm).axes["val.then"] == "retrain"


def test_chain_b_needs_what_it_repeats() -> None:
    plan = planned(*BEST, "seed=0,1", "val.then=retrain")
    for arm in chain(plan, "retrain"):
        needs = plan.job(arm.job).needs
        jobs = {one.signature: one.job for one in plan.arms}
        assert {jobs[one] for one in chosen_from(arm.config)} <= set(needs)
        if arm.kind != "stream":
            assert [need for need in needs if plan.job(need).kind == "cohort"] == list(
                dict.fromkeys(
                    jobs[one] for name in plan.job(arm.job).arms for one in chosen_from(plan.arm(name).config)
                )
            )
    for arm in chain(plan, "keep"):
        assert all(plan.job(need).kind != "cohort" for need in plan.job(arm.job).needs)


def test_where_a_table_selects_the_rate_chain_b_has_one_arm_for_all_rates_of_a_seed() -> None:
    plan = planned(*BEST, *RATES, "seed=0,1", "val.then=retrain")
    by_signature = {arm.signature: arm for arm in plan.arms}
    last = [arm for arm in chain(plan, "retrain") if arm.kind in ("fused", "control")]
    assert len(last) * 2 == len([arm for arm in chain(plan, "keep") if arm.kind in ("fused", "control")])
    for arm in last:
        named = {rate: by_signature[one] for rate, one in arm.config["chosen_by"].items()}
        assert {rate: one.axes["optim.fusion.lr"] for rate, one in named.items()} == {"0.001": 0.001, "0.003": 0.003}
        assert {(one.kind, one.axes.get("layer"), one.axes["fusion"], one.axes["seed"]) for one in named.values()} == {
            (arm.kind, arm.axes.get("layer"), arm.axes["fusion"], arm.axes["seed"])
        }
        assert arm.config["optim"]["fusion"]["lr"] is None


def test_without_a_selection_each_rate_is_a_row_of_its_own() -> None:
    plan = planned(*BEST, RATES[0], "val.then=retrain")
    rates = [arm.config["optim"]["fusion"]["lr"] for arm in chain(plan, "retrain") if arm.kind == "fused"]
    assert sorted(rates) == [0.001] * 4 + [0.003] * 4
    assert all(len(arm.config["chosen_by"]) == 1 for arm in chain(plan, "retrain") if arm.kind == "fused")


def test_more_seeds_or_fusions_change_no_arm_of_chain_b() -> None:
    few, many = (planned(*BEST, *RATES, seeds, "val.then=retrain") for seeds in ("seed=0", "seed=0,1,2"))
    assert {arm.signature for arm in few.arms} <= {arm.signature for arm in many.arms}


def one_by_one(whole: list[Cohort]) -> list[Pieces]:
    return [[[arm] for arm in arms] for arms in whole]


def test_packed_into_other_jobs_chain_b_needs_those_of_its_own_arms(tmp_path: Path) -> None:
    plan = planned(*BEST, *RATES, "val.then=retrain")
    pieces = packed(plan, tmp_path, one_by_one, {})  # type: ignore[arg-type]
    jobs = {arm.signature: arm.job for arm in pieces.arms}
    assert len({arm.job for arm in pieces.arms if arm.kind != "stream"}) == len(
        [arm for arm in pieces.arms if arm.kind != "stream"]
    )
    for arm in pieces.arms:
        needed = [need for need in pieces.job(arm.job).needs if pieces.job(need).kind == "cohort"]
        assert needed == ([] if arm.kind == "stream" else [jobs[one] for one in chosen_from(arm.config)])


def test_a_study_that_goes_on_keeps_the_needs_of_begun_jobs(tmp_path: Path) -> None:
    plan = planned(*BEST, "val.then=retrain")
    pieces = packed(plan, tmp_path, one_by_one, {})  # type: ignore[arg-type]
    pieces.write(tmp_path)
    begun = [arm for arm in chain(pieces, "keep") if arm.kind == "fused"][:1]
    for arm in begun:
        (pieces.job(arm.job).path(tmp_path) / "claims").mkdir(parents=True)
    again, is_new = planned(*BEST, "val.then=retrain", "seed=0,1").write(tmp_path)
    assert not is_new and again.job(begun[0].job).arms == (begun[0].name,)
    jobs = {arm.signature: arm.job for arm in again.arms}
    for arm in chain(again, "retrain"):
        assert {jobs[one] for one in chosen_from(arm.config)} <= set(again.job(arm.job).needs)


def test_a_study_of_one_chain_goes_on_with_two(tmp_path: Path) -> None:
    planned(*BEST).write(tmp_path)
    again, is_new = planned(*BEST, "val.then=retrain").write(tmp_path)
    assert not is_new and len(chain(again, "keep")) == len(chain(again, "retrain"))


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        (["optim=sgd", "val=none"], "without a validation", "optim.streams.weights=last optim.streams.until=budget"),
        (["val=none", "val.then=retrain"], "no part is held out", "val=cut val.then=retrain, or val.then=keep"),
        (["val=test_as_released", "val.then=retrain"], "no part is held out", "val=cut"),
        (["val.then=retrain"], "nothing is chosen on the validation part", "val=none"),
        (["val.then=keep,retrain"], "val.then has one value in a study", "val.then=retrain"),
        (["optim.fusion.weights=best", "val.then=retrain"], "a schedule of known length", "optim.fusion.weights=last"),
        (["val=none", *RATES], "a selection is by the validation loss", "val=cut"),
        (["optim.fusion.lr=null"], "optim.fusion.lr is a number", ""),
        (
            ["val=none", "run.combine=[weighted]"],
            "this combination chooses its weight on the validation part",
            "val=cut",
        ),
        (["val=test_as_released", "run.combine=[svm,weighted]"], "this combination chooses its weight", "combine=svm"),
        ([*BEST, "val.then=retrain", "run.combine=[weighted]"], "this combination chooses", "val=cut val.then=keep"),
        (["val.list=some"], "unknown value of val.list", ""),
    ],
)
def test_what_cannot_be_chosen_is_refused_with_what_to_type(words: list[str], what: str, hint: str) -> None:
    with pytest.raises(UserError) as error:
        planned(*words)
    assert what in error.value.what and hint in (error.value.hint or "")


def test_where_only_the_rate_is_chosen_a_cosine_is_repeated_as_it_is() -> None:
    plan = planned(*RATES, "val.then=retrain")
    assert len(chain(plan, "retrain")) == 2 + 1 + 2 + 4


def test_the_hint_for_a_training_without_validation_works() -> None:
    with pytest.raises(UserError) as error:
        planned("optim=sgd", "val=none")
    assert error.value.hint is not None
    words = [word.strip("'") for word in error.value.hint.replace("{name: constant}", "{name:constant}").split()]
    assert planned("optim=sgd", "val=none", *words).arms


def test_the_hint_for_a_selection_without_validation_works() -> None:
    experiment = ["experiment=feichtenhofer2016_table1", "debug=tiny", "optim=feichtenhofer2016_released"]
    with pytest.raises(UserError) as error:
        plan_study([*experiment, "val.then=keep"])
    assert error.value.hint == "select=null with it, or val=cut"
    plan = plan_study([*experiment, "val.then=keep", "select=null", "optim.fusion.lr=1e-3"]).plan
    assert len([arm for arm in plan.arms if arm.kind == "fused"]) == 5
