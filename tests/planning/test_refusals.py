"""Studies that are refused when they are planned; tests/commands tries the same as they are typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fusionlab.data.brush.brush import Brush
from fusionlab.errors import UserError
from fusionlab.planning.grid import PlannedStudy, plan_study
from fusionlab.planning.preflight import check_files
from fusionlab.planning.price_plan import price_of


@pytest.mark.parametrize(
    ("typed", "what"),
    [
        ("tower_weight=0.3", "tower_weight has no effect"),
        ("streams=motion data.sampling.pairs=class", "pairs has no effect: one stream alone makes no pairs"),
        ("data.sampling.pairs=classes", "unknown way to pair frames and flow"),
        ("layer=relu5,relu5", "an axis has a value twice"),
        ("data.sampling.stacking=bidirectional", "bidirectional stacking needs backward flow"),
        ("backbone=resnet18 layer=layer3 backbone.appearance.partial_bn=true", "and none are loaded"),
    ],
)
def test_a_study_that_would_mislead_is_refused(typed: str, what: str) -> None:
    with pytest.raises(UserError, match=what):
        plan_study(typed.split())


IN_CLIPS = "data.sampling.fields=1 data.sampling.stride=1 data.sampling.snippets=8"


@pytest.mark.parametrize(
    "typed, what",
    [
        (f"backbone=i3d layer=mixed_3c {IN_CLIPS}", "leaves a time step every 8 frames, and these clips are shorter"),
        (f"backbone=r2d layer=layer2 {IN_CLIPS} data.sampling.stream_snippets=12", "a multiple of 8"),
        (("appearance=i3d motion=torchvision fusion.init=gaussian layer=mixed_3b:layer2 data.sampling.snippets=8 "
         "data.sampling.stream_snippets=8"), "differ in time stride"),
        ("backbone=timm backbone.motion.name=resnet19 layer=layer2", "unknown network of timm"),
        ("backbone=torchvision layer=layer1_0_conv1", "nothing can be fused at layer1_0_conv1"),
        ("backbone=inception layer=mixed_3c backbone.motion.partial_bn=true", "none are loaded"),
        ("align=pool", "align has no effect"),
        ("align=nearest", "unknown way to align"),
    ],
)  # fmt: skip
def test_towers_of_clips_and_of_libraries_are_refused_in_words(typed: str, what: str) -> None:
    with pytest.raises(UserError, match=what):
        plan_study(typed.split())


@pytest.mark.parametrize("check", [price_of, check_files])
def test_a_class_with_one_training_clip_makes_no_pairs(
    check: Callable[[PlannedStudy], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is made or trained; the clip is the one that is neither quarantined nor for the validation."""
    monkeypatch.chdir(tmp_path)
    brush = Brush(what=1, binding=1)
    train = [name for name, label in brush.planned_lists(1)[0] if label == 2]
    words = ["fusion=sum", "data.dataset.what=1", "data.dataset.binding=1", "data.quarantine=few.txt"]
    Path("few.txt").write_text("\n".join(train[2:]))
    check(plan_study([*words, "data.sampling.pairs=class"]))
    Path("few.txt").write_text("\n".join(train[1:]))
    check(plan_study(words))
    with pytest.raises(UserError, match="need two training clips of each class") as error:
        check(plan_study([*words, "data.sampling.pairs=class"]))
    assert brush.classes[2] in error.value.got


@pytest.mark.parametrize("option", ["multitask.motion=ucf101", "weights.motion=from:ucf101"])
def test_classes_of_another_data_set_are_not_set_by_the_options_of_the_main_one(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = tmp_path / "data" / "videos" / "ucf101"
    lists.mkdir(parents=True)
    for name, line in {
        "classInd": "1 Archery",
        "trainlist01": "Archery/v_Archery_g08_c01.avi 1",
        "testlist01": "",
    }.items():
        (lists / f"{name}.txt").write_text(f"{line}\n", encoding="utf-8")
    monkeypatch.setenv("FUSIONLAB_DATA", str(tmp_path / "data"))
    study = plan_study(["debug=fast", "fusion=sum", option, "data.sampling.fields=10", "data.sampling.crop=224"])
    with pytest.raises(UserError, match="not the number of classes") as error:
        check_files(study)
    assert error.value.hint is not None and error.value.hint.startswith("its yaml in conf/data")
