"""Which arm is whose control: the same for all fusions of a layer and a head, late fusion at the class scores."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fusionlab.config import build
from fusionlab.errors import UserError
from fusionlab.planning.grid import PlannedStudy, plan_study
from fusionlab.study.plan import Arm, Plan, read


def plan(*words: str) -> Plan:
    return plan_study([*words]).plan


def of_kind(kind: str, made: Plan) -> list[Arm]:
    return [arm for arm in made.arms if arm.kind == kind]


def pairs(made: Plan) -> dict[str, str]:
    """The name of a fused arm -> that of its control."""
    names = {arm.signature: arm.name for arm in made.arms}
    return {arm.name: names[str(arm.control)] for arm in of_kind("fused", made)}


def test_fusions_of_one_layer_share_their_control_in_their_cohort() -> None:
    made = plan("fusion=conv,sum,bilinear,joint", "layer=relu4,relu5", "seed=0,1")
    controls = of_kind("control", made)
    assert [arm.axes for arm in controls] == [
        {"streams": "both", "fusion": "control", "layer": layer, "temporal": "pool2d", "seed": seed}
        for layer in ("relu4", "relu5")
        for seed in (0, 1)
    ]
    by_signature = {arm.signature: arm for arm in controls}
    fused = of_kind("fused", made)
    assert len(fused) == 16
    for arm in fused:
        control = by_signature[str(arm.control)]
        assert [control.axes[one] for one in ("layer", "seed")] == [arm.axes[one] for one in ("layer", "seed")]
        assert control.job == arm.job
    assert all(arm.control is None for arm in made.arms if arm.kind != "fused")


def test_options_of_the_fusion_are_not_the_control_s() -> None:
    (control,) = of_kind("control", plan("fusion=conv"))
    for words in (
        ["fusion=conv", "into=motion"],
        ["fusion=conv", "above=motion"],
        ["fusion=conv", "keep_motion=true", "tower_weight=0.3"],
        ["fusion=conv", "fusion.init=gaussian,identity"],
        ["fusion=bilinear", "fusion.classifier=softmax"],
        ["fusion=cat", "layer=relu5+fc6"],
        ["fusion=conv", "layer=relu5+fc8"],
        ["fusion=control"],
        ["fusion=joint"],
    ):
        assert of_kind("control", plan(*words)) == [replace(control)], words
    for words in (["layer=relu4"], ["temporal=pool3d"], ["above=fresh"], ["seed=1"], ["optim.fusion.lr=0.1"]):
        (other,) = of_kind("control", plan("fusion=conv", *words))
        assert other.signature != control.signature, words
    assert of_kind("control", plan("fusion=conv", "above=fresh"))[0].name.endswith("temporal=pool2d,above=fresh,seed=0")


def test_at_class_scores_late_fusion_is_the_control() -> None:
    made = plan("fusion=sum", "layer=fc7,fc8,softmax")
    late = "fusion=late,layer=softmax,seed=0"
    assert list(pairs(made).values()) == ["fusion=control,layer=fc7,temporal=pool2d,seed=0", late, late]
    assert len(of_kind("control", made)) == 1


def test_numbers_of_the_head_are_the_control_s() -> None:
    made = plan("fusion=conv,sum", "temporal=pool3d", "temporal.extent=2,3")
    assert [arm.axes["temporal.extent"] for arm in of_kind("control", made)] == [2, 3]
    assert {(arm.axes["temporal.extent"], arm.control) for arm in of_kind("fused", made)} == {
        (arm.axes["temporal.extent"], arm.signature) for arm in of_kind("control", made)
    }


def test_a_head_above_the_lowest_meeting_stands_there_in_the_control_too() -> None:
    made = plan("fusion=sum", "layer=relu3+relu5", "temporal=pool2d,conv3d")
    assert list(pairs(made).values()) == [
        "fusion=control,layer=relu3,temporal=pool2d,seed=0",
        "fusion=control,layer=relu3+relu5,temporal=conv3d,seed=0",
    ]


@pytest.mark.parametrize("words", [["fusion=late"], ["streams=appearance"], ["streams=motion,appearance"]])
def test_without_a_fusion_there_is_no_control(words: list[str]) -> None:
    assert not of_kind("control", plan(*words))


def test_a_typed_control_stands_alone_and_beside_a_fusion_goes_without_saying() -> None:
    study = plan_study(["fusion=control", "layer=relu5,relu4"])
    assert [arm.axes["layer"] for arm in study.asked()] == ["relu5", "relu4"]
    assert not of_kind("fused", study.plan)
    beside = plan_study(["fusion=conv,control,late"])
    assert beside.plan.signature == plan("fusion=conv").signature
    assert [arm.kind for arm in beside.asked()] == ["fused"]
    assert of_kind("control", plan("fusion=control,late"))


@pytest.mark.parametrize(
    "words, message",
    [
        (["layer=fc8"], "no layers that could be trained on stand above class scores"),
        (["into=motion"], "into has no effect"),
        (["above=motion"], "above has no effect"),
        (["keep_motion=true"], "keep_motion has no effect"),
        (["align=pool"], "align has no effect"),
        (["layer=relu3+relu5"], "towers that are not fused have one layer"),
        (["fusion.init=he"], "unknown option"),
    ],
)
def test_a_typed_control_refuses_what_it_does_not_have(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan("fusion=control", *words)


def test_a_control_that_cannot_be_built_is_refused_and_its_fusions_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one whose other tower has no place for the temporal head."""

    def fails(*_: object, **__: object) -> None:
        raise UserError("no place for this head", got="layer=relu5")

    monkeypatch.setattr(build, "ControlNet", fails)
    study = plan_study(["fusion=conv,sum", "seed=0,1"])
    assert [arm.control for arm in of_kind("fused", study.plan)] == [None] * 4 and not of_kind("control", study.plan)
    assert [(one.name, one.kind, one.reason) for one in study.plan.refused] == [
        (f"fusion=control,layer=relu5,temporal=pool2d,seed={seed}", "control", "no place for this head")
        for seed in (0, 1)
    ]


def test_plan_json_keeps_who_is_whose_control(tmp_path: Path) -> None:
    made = plan("fusion=conv", "layer=relu5,fc8")
    made.write(tmp_path)
    assert read(tmp_path).arms == made.arms
    content = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert [arm.get("control") for arm in content["arms"]] == [arm.control for arm in made.arms]
    for arm in content["arms"]:
        arm.pop("control", None)
    (tmp_path / "plan.json").write_text(json.dumps(content), encoding="utf-8")
    assert [arm.control for arm in read(tmp_path).arms] == [None] * len(made.arms), "as older versions wrote it"
    content["arms"][0]["control"] = 3
    (tmp_path / "plan.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"arms\[0\].control is text"):
        read(tmp_path)


def test_a_study_without_controls_is_continued_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older version had no controls, so its folder is named after another signature."""
    monkeypatch.chdir(tmp_path)

    def planned() -> PlannedStudy:
        return plan_study(["fusion=conv,sum"])

    study = planned()
    own = [replace(arm, control=None) for arm in study.plan.arms if arm.kind != "control"]
    names = {arm.name for arm in own}
    jobs = [replace(job, arms=tuple(name for name in job.arms if name in names)) for job in study.plan.jobs]
    old = Plan.of(study.plan.command, jobs, own)
    folder = study.folder.with_name(study.folder.name.replace(study.plan.signature[:8], old.signature[:8]))
    assert folder != study.folder
    folder.mkdir(parents=True)
    old.write(folder)
    assert planned().folder == folder
    merged, new = planned().plan.write(folder)
    assert not new and merged.arms == study.plan.arms
    study.folder.mkdir()
    assert planned().folder == study.folder
