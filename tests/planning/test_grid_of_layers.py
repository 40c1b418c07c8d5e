"""Several layers, pairs of layers, and what stands above them: spelled, named and told apart, on paper and for real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import FAST, Done, Lab

from fusionlab.planning.grid import plan_study
from fusionlab.study.plan import Arm, Plan

Say = Callable[..., Done]
DATA = "data=ucf101"


def planned(*words: str) -> Plan:
    return plan_study(list(words)).plan


def fused(plan: Plan) -> list[Arm]:
    return [arm for arm in plan.arms if arm.kind == "fused"]


def layers(*words: str) -> list[str]:
    return [arm.config["layer"] for arm in fused(planned(*words))]


@pytest.mark.parametrize(
    "words, expected",
    [
        (["layer=relu5+fc8,relu3+relu5+fc6"], ["relu5+fc8", "relu3+relu5+fc6"]),
        (["layer=FC8+ReLU_5,fc6+relu3+relu5"], ["relu5+fc8", "relu3+relu5+fc6"]),
        (["layer=relu5:relu4,relu4:relu5"], ["relu5:relu4", "relu4:relu5"]),
        (["layer=ReLU5:relu_5"], ["relu5"]),
        (["layer=relu3:relu2+relu5"], ["relu3:relu2+relu5"]),
        (["layer=relu5,relu5+fc8", "exclude=[{layer:fc8+relu5}]"], ["relu5"]),
        (["layer=relu5:relu4,relu3", "exclude=[{layer:ReLU5:relu4}]"], ["relu3"]),
        (["layer=relu5", "backbone=vgg_m,vgg16", DATA], ["relu5", "relu5_3"]),
        (["layer=relu5", "backbone=vgg16,vgg_m", DATA], ["relu5_3", "relu5"]),
        (["layer=relu5", "appearance=vgg16", "motion=vgg_m", DATA], ["relu5_3"]),
        (["layer=relu5+fc8,relu3", "backbone=vgg_m,vgg16", DATA], ["relu5+fc8", "relu5_3+fc8", "relu3", "relu3_3"]),
        (
            ["layer=relu5,relu4", "backbone=vgg_m,vgg16", "exclude=[{layer:relu5_3,backbone:vgg16}]", DATA],
            ["relu5", "relu4", "relu4_3"],
        ),
        (["layer=relu5,relu4", "backbone=vgg_m,vgg16", "exclude=[{layer:RELU4}]", DATA], ["relu5", "relu5_3"]),
        (
            [
                "backbone=vgg_m,resnet18", "layer=relu5,layer4", DATA,
                "exclude=[{backbone:vgg_m,layer:layer4},{backbone:resnet18,layer:ReLU5}]",
            ],
            ["relu5", "layer4"],
        ),
        (["backbone=tiny,vgg_m", "layer=relu5", "data.sampling.crop=64"], ["relu5", "relu5"]),
    ],
)  # fmt: skip
def test_each_point_has_its_own_towers_spelling(words: list[str], expected: list[str]) -> None:
    assert layers(*words) == expected


def test_a_layer_s_name_is_fit_for_a_folder_and_the_axes_keep_it() -> None:
    study = plan_study(["layer=relu5:relu4,relu5+fc8", "fusion=sum"])
    pair, several = fused(study.plan)
    assert pair.name == "fusion=sum,layer=relu5-relu4,temporal=pool2d,seed=0"
    assert pair.axes["layer"] == "relu5:relu4"
    assert several.name == "fusion=sum,layer=relu5+fc8,temporal=pool2d,seed=0"
    assert study.folder.name.startswith("layer=relu5-relu4+relu5+fc8,fusion=sum-")
    assert study.plan.command == "python -m fusionlab.sweep layer=relu5:relu4,relu5+fc8 fusion=sum"


def test_the_layers_above_start_from_the_tower_that_goes_on() -> None:
    assert fused(planned())[0].config["above"] == "appearance"
    assert fused(planned("into=motion"))[0].config["above"] == "motion"
    assert fused(planned("into=motion", "above=appearance"))[0].config["above"] == "appearance"
    assert fused(planned("above=motion"))[0].config["into"] == "appearance"


def test_an_arm_s_name_says_what_is_not_as_usual_whether_it_varies_or_not() -> None:
    (arm,) = fused(planned("keep_motion=true", "tower_weight=0.3", "into=motion", "above=fresh"))
    assert arm.name == (
        "fusion=conv,layer=relu5,temporal=pool2d,into=motion,keep_motion=true,tower_weight=0.3,above=fresh,seed=0"
    )
    names = [arm.name for arm in fused(planned("keep_motion=true,false"))]
    assert names == [
        "fusion=conv,layer=relu5,temporal=pool2d,keep_motion=true,seed=0",
        "fusion=conv,layer=relu5,temporal=pool2d,keep_motion=false,seed=0",
    ]


def test_whole_numbers_of_a_weight_are_no_other_net() -> None:
    one, two = (fused(planned("keep_motion=true", f"tower_weight={weight}"))[0] for weight in ("1", "1.0"))
    assert one.signature == two.signature


def test_arms_that_differ_above_the_streams_are_one_cohort_above_the_same_baselines() -> None:
    words = ["into=motion,appearance", "keep_motion=true,false", "layer=relu5+relu4,relu5"]
    plan, plain = planned(*words), planned()
    assert len(fused(plan)) == 8 and len({arm.signature for arm in fused(plan)}) == 8
    assert {arm.job for arm in fused(plan)} == {fused(plain)[0].job}
    baselines, usual = ([arm for arm in one.arms if arm.kind != "fused"] for one in (plan, plain))
    lower = [arm for arm in baselines if arm not in usual]
    assert [arm.axes["layer"] for arm in lower] == ["relu4"], "the control of relu5+relu4"
    assert [arm for arm in baselines if arm not in lower] == usual


@pytest.mark.parametrize(
    "turned", ["keep_motion: true\ntower_weight: 0.3\ninto: motion", "into: motion", "layer: relu3"]
)
def test_the_baselines_are_the_same_whatever_an_experiment_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turned: str
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "conf" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(f"# @package _global_\n{turned}\n", encoding="utf-8")
    mine, plain = planned("experiment=mine"), planned()
    kinds = ("stream", "late", *(["control"] if "layer" not in turned else []))
    signatures = [[arm.signature for arm in plan.arms if arm.kind in kinds] for plan in (mine, plain)]
    assert signatures[0] == signatures[1] and len(signatures[0]) == len(kinds) + 1
    assert fused(mine)[0].signature != fused(plain)[0].signature


def test_an_arm_says_all_that_varies(say: Say) -> None:
    out = say("plan", "keep_motion=true,false", "fusion=sum").out
    assert [line.split()[-1] for line in out.splitlines()[-2:]] == [
        f"fusion=sum,layer=relu5,temporal=pool2d,keep_motion={kept},seed=0" for kept in ("true", "false")
    ]


@pytest.mark.slow
def test_two_towers_several_layers_and_a_pair_for_real(fresh: Lab, say: Say) -> None:
    """From the line to the table and back from the weights: every way to fuse, above the same two streams."""
    words = ["fusion=conv", "layer=relu5+fc8,relu3+relu5+fc6,relu5:relu4", "into=motion,appearance"]
    done = fresh.run("sweep", *words, FAST, "table=where")
    assert done.status == 0, done.err
    records = fresh.records()
    layered = {
        (record["axes"]["layer"], record["axes"]["into"]): record["result"]["layers"]
        for record, _ in records.values()
        if record["kind"] == "fused"
    }
    # 8 layers a tower, 5 of them convolutions, and one a fusion; what is averaged at fc8 adds none.
    assert layered == {
        ("relu5+fc8", "appearance"): 17, ("relu5+fc8", "motion"): 17,
        ("relu3+relu5+fc6", "appearance"): 17, ("relu3+relu5+fc6", "motion"): 17,
        ("relu5:relu4", "appearance"): 13, ("relu5:relu4", "motion"): 14,
    }  # fmt: skip
    assert "relu3+relu5+fc6" in done.table and "relu5:relu4" in done.table and "86.04" in done.table
    again = fresh.run("test", str(fresh.study))
    assert again.status == 0, again.out
    assert again.out.count(": the same 120 predictions") == len(records) == 3 + 3 + len(layered), (
        "a control for each lowest meeting"
    )


@pytest.mark.slow
def test_a_tower_that_is_kept_for_real(fresh: Lab, say: Say) -> None:
    words = ["fusion=conv", "temporal=pool3d", "keep_motion=true", "tower_weight=0,0.3,1"]
    done = fresh.run("sweep", *words, FAST, "table=when")
    assert done.status == 0, done.err
    of = {
        record["axes"]["tower_weight"]: (record, predictions)
        for record, predictions in fresh.records().values()
        if record["kind"] == "fused"
    }
    assert set(of) == {0, 0.3, 1}
    assert all(record["result"]["layers"] == 17 for record, _ in of.values())
    assert len({predictions for _, predictions in of.values()}) == 3, "the weight is used"
    again = fresh.run("test", str(fresh.study))
    assert (again.status, again.out.count("the same")) == (0, 3 + 1 + 3), again.out
