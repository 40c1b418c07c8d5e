"""backprop=all in a plan: a cohort of one, its control, its name; and what it costs."""

import pytest

from fusionlab.errors import UserError
from fusionlab.planning.grid import plan_study
from fusionlab.pricing.clip_counts import Clips
from fusionlab.pricing.job_work import work_of
from fusionlab.sizes.sizing import PROCESS, Sizes, state_bytes, trunk_runs
from fusionlab.study.plan import Arm, Plan

RATES = ("optim.fusion.lr=0.1,0.2", "select=optim.fusion.lr")


def plan(*words: str) -> Plan:
    return plan_study([*words]).plan


def of_kind(kind: str, made: Plan) -> list[Arm]:
    return [arm for arm in made.arms if arm.kind == kind]


def test_each_arm_is_a_cohort_of_one_and_shares_the_streams() -> None:
    usual, made = plan("fusion=conv,sum", "seed=0,1"), plan("fusion=conv,sum", "backprop=all", "seed=0,1")
    whole = [*of_kind("fused", made), *of_kind("control", made)]
    assert len({arm.job for arm in whole}) == len(whole) == 6
    assert all(len(made.job(arm.job).arms) == 1 for arm in whole)
    assert {arm.job for arm in of_kind("stream", made)} == {arm.job for arm in of_kind("stream", usual)}
    for arm in whole:
        assert arm.config["stage_one"] in [one.config["stage_one"] for one in usual.arms if one.kind == "fused"]
    both = plan("fusion=conv,sum", "backprop=above,all", "seed=0,1")
    assert {arm.signature for arm in both.arms} == {arm.signature for made in (usual, made) for arm in made.arms}
    jobs = [len({arm.job for arm in of_kind("fused", one)}) for one in (usual, made, both)]
    assert jobs == [2, 4, 2 + 4], "those above frozen towers stay together"


def test_rates_that_a_table_selects_from_are_trained_apart() -> None:
    assert len({arm.job for arm in of_kind("fused", plan("fusion=sum", *RATES))}) == 1
    assert len({arm.job for arm in of_kind("fused", plan("fusion=sum", "backprop=all", *RATES))}) == 2


def test_the_control_is_trained_in_the_same_way() -> None:
    made = plan("fusion=conv,sum", "layer=relu5,fc8", "backprop=above,all")
    kinds = {arm.signature: arm for arm in made.arms}
    controls = {arm.name: kinds[str(arm.control)].name for arm in of_kind("fused", made)}
    for fusion in ("conv", "sum"):
        expected = {
            ("relu5", "above"): "fusion=control,layer=relu5,temporal=pool2d,seed=0",
            ("fc8", "above"): "fusion=late,layer=softmax,seed=0",
            ("relu5", "all"): "fusion=control,layer=fc7,temporal=pool2d,backprop=all,seed=0",
            ("fc8", "all"): "fusion=control,layer=fc7,temporal=pool2d,backprop=all,seed=0",
        }
        for (layer, backprop), name in expected.items():
            assert controls[f"fusion={fusion},layer={layer},temporal=pool2d,backprop={backprop},seed=0"] == name
    (typed,) = of_kind("control", plan("fusion=control", "layer=relu4,relu5", "backprop=all"))
    assert typed.signature == of_kind("control", plan("fusion=conv", "backprop=all"))[0].signature


@pytest.mark.parametrize(
    ("words", "layers"),
    [
        (["temporal=pool2d"], {"fc7"}),
        (["temporal=pool3d"], {"relu3", "relu5"}),  # where the head stands
        (["temporal=pool2d", "above=fresh"], {"relu3", "relu5"}),  # where the new layers begin
    ],
)
def test_layers_share_a_control_whose_towers_are_trained_whole(words: list[str], layers: set[str]) -> None:
    made = plan("fusion=sum,conv", "layer=relu3,relu5,relu3+relu5", "backprop=all", *words)
    controls = {arm.signature: arm for arm in of_kind("control", made)}
    assert {arm.config["layer"] for arm in controls.values()} == layers and len(controls) == len(layers)
    assert {arm.control for arm in of_kind("fused", made)} == controls.keys()


def test_late_fusion_and_streams_do_not_know_of_it() -> None:
    usual, made = (plan("fusion=sum", word) for word in ("backprop=above", "backprop=all"))
    for kind in ("late", "stream"):
        assert [arm.signature for arm in of_kind(kind, usual)] == [arm.signature for arm in of_kind(kind, made)]
    assert usual.signature == plan("fusion=sum").signature
    with pytest.raises(UserError, match="backprop has no effect: late fusion"):
        plan("fusion=late", "backprop=all")
    with pytest.raises(UserError, match="unknown end of back-propagation"):
        plan("fusion=sum", "backprop=pixels")


def test_costs_count_the_way_back_through_both_towers() -> None:
    sizes, clips = Sizes(), Clips(train=64, validation=8, test=10, size=(48, 64), frames=None)
    ((usual,), (whole,)) = (of_kind("fused", plan("fusion=conv", f"backprop={how}")) for how in ("above", "all"))
    below, own = sizes.of(usual), sizes.of(whole)
    assert own.costs.macs == below.costs.macs and own.size.parameters == below.size.parameters
    assert own.size.trained_parameters == own.size.parameters > below.size.trained_parameters
    towers = sum(layer.macs for part in ("appearance", "motion") for layer in below.costs.of(part))
    assert towers == sum(layer.macs for part in ("own_appearance", "own_motion") for layer in own.costs.of(part)) > 0
    frozen, trained = (work_of([one], sizes, clips) for one in (below, own))
    assert frozen is not None and trained is not None
    assert frozen.trunk_macs == frozen.batch * towers and trained.trunk_macs == 0
    assert trained.step_macs == frozen.step_macs + 2 * trained.batch * towers, "a backward pass is two forward passes"
    assert (trained.view_macs, trained.test_macs) == (frozen.view_macs, frozen.test_macs)
    assert trunk_runs([own]) == [] and len(trunk_runs([below])) == 2
    memory = own.memory
    assert (memory.frozen, memory.maps, memory.towers) == (0, 0, 0)
    assert memory.gradients == 4 * own.size.parameters and memory.states == 2 * memory.gradients
    assert memory.together > below.memory.together
    on_gpu, on_cpu = (sizes.cohort_memory([whole], on_gpu=gpu) for gpu in (True, False))
    streams = sum(state_bytes(tower) for tower in own.towers.values())
    assert on_cpu - on_gpu == PROCESS + state_bytes(own.net) + streams, "there the trained streams stay in memory too"
