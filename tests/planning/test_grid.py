"""Late fusion as an arm of its own, with its weight; the consensus of predictions and strides of segments, in plans."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from slow_tower import write_conf

from fusionlab.config.build import Blueprint
from fusionlab.config.schema import ArmConfig
from fusionlab.errors import UserError
from fusionlab.planning.grid import plan_study
from fusionlab.study.plan import Arm, Plan


def planned(*words: str) -> Plan:
    return plan_study(list(words)).plan


def late(*words: str) -> list[Arm]:
    return [arm for arm in planned(*words).arms if arm.kind == "late"]


def weights(arms: list[Arm]) -> list[float]:
    return [Blueprint().net(ArmConfig.of(arm.config)).weight for arm in arms]  # type: ignore[misc]


def test_a_typed_late_fusion_has_its_own_weight() -> None:
    (usual,), (half,), (own,) = late("fusion=late"), late("fusion=late", "fusion.weight=0.5"), late(
        "fusion=late", "fusion.weight=0.4"
    )  # fmt: skip
    assert weights([usual, half, own]) == [0.5, 0.5, 0.4]
    assert usual.signature == half.signature != own.signature
    streams = [[arm.signature for arm in planned("fusion=late", word).arms if arm.kind == "stream"]
               for word in ("fusion.weight=0.5", "fusion.weight=0.4")]  # fmt: skip
    assert streams[0] == streams[1], "a weight of late fusion trains no stream again"


def test_weights_can_be_an_axis() -> None:
    plan = planned("fusion=late", "fusion.weight=0.25,0.4,0.5")
    arms = [arm for arm in plan.arms if arm.kind == "late"]
    assert weights(arms) == [0.25, 0.4, 0.5] and len(plan.arms) == 2 + 3
    assert [arm.name for arm in arms] == [
        f"fusion=late,layer=softmax,fusion.weight={w},seed=0" for w in (0.25, 0.4, 0.5)
    ]
    assert [arm.name for arm in plan.arms if arm.kind == "stream"] == [
        "streams=appearance,seed=0", "streams=motion,seed=0",
    ]  # fmt: skip


def test_beside_a_fusion_late_is_the_plain_mean() -> None:
    assert weights(late("fusion=sum")) == weights(late("fusion=sum,late")) == [0.5]
    (kept,) = late("fusion=sum", "keep_motion=true", "tower_weight=0.3")
    assert weights([kept]) == [0.5]


@pytest.mark.parametrize("wrong", [0, 1, -0.5, 1.5])
def test_a_weight_leaves_both_streams_a_share(wrong: Any) -> None:
    with pytest.raises(UserError, match=r"fusion\.weight=0\.5"):
        planned("fusion=late", f"fusion.weight={wrong}")


def test_a_stride_of_snippets_in_segments_is_refused() -> None:
    segments = "data.sampling.times=segments"
    for stride in ("data.sampling.stride=2", "data.sampling.stride=2,3"):
        with pytest.raises(UserError, match=r"data\.sampling\.stride has no effect"):
            planned("fusion=sum", segments, stride)
        planned("fusion=sum", segments, stride, "data.sampling.test=video")
    planned("fusion=sum", segments)


def test_a_consensus_is_that_of_streams_and_arms() -> None:
    usual, logits = planned("fusion=sum"), planned("fusion=sum", "consensus=logits")
    assert not {arm.signature for arm in usual.arms} & {arm.signature for arm in logits.arms}
    for arm in logits.arms:
        assert arm.config["consensus"] == "logits"
        assert arm.kind == "stream" or Blueprint().net(ArmConfig.of(arm.config)).consensus == "logits"
    with pytest.raises(UserError, match="did you mean consensus=logits"):
        planned("consensus=logit")
    with pytest.raises(UserError, match="one prediction"):
        planned("consensus=logits", "data.sampling.snippets=1")
    for enough in ("data.sampling.stream_snippets=3", "data.sampling.test=video", "data.sampling.test=frame"):
        planned("consensus=logits", "data.sampling.snippets=1", enough)


CLIPS = ("data.sampling.fields=1", "data.sampling.snippets={0}", "data.sampling.stream_snippets={0}")


def clips(frames: int, *words: str) -> list[str]:
    return [*words, *(word.format(frames) for word in CLIPS)]


NARROW = ("backbone.appearance.width=0.125", "backbone.motion.width=0.125")
NONE = "consensus has no effect: a clip has one prediction"


@pytest.mark.parametrize("words", [("fusion=sum", "layer=layer3"), ("streams=motion",)])
def test_a_consensus_without_effect_is_refused_where_a_tower_pools_all_frames(words: tuple[str, ...]) -> None:
    """R(2+1)D leaves one prediction, however long a clip is; of larger frames it leaves several."""
    usual = clips(8, "backbone=r2plus1d", *words, *NARROW, "consensus=logits")
    for test in ("middle", "video"):
        with pytest.raises(UserError, match=NONE):
            planned(*usual, f"data.sampling.test={test}")
    planned(*usual, "data.sampling.test=frame")


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_conf(tmp_path)


@pytest.mark.usefixtures("slow")
def test_a_consensus_has_an_effect_in_the_stream_that_has_several_predictions() -> None:
    one = clips(16, "backbone=slow", "backbone.appearance.mean=4", "consensus=logits")
    planned(*one, "fusion=late")
    planned(*one, "streams=motion")
    with pytest.raises(UserError, match=NONE):
        planned(*one, "streams=appearance")


@pytest.mark.usefixtures("slow")
def test_a_consensus_has_an_effect_where_a_box_or_a_long_video_leaves_several_predictions() -> None:
    """The mean takes four steps, which the tower has of 16 frames."""
    words = clips(16, "backbone=slow", "backbone.appearance.mean=4", "backbone.motion.mean=4", "consensus=logits")
    fused = ("fusion=sum", "layer=relu2", "temporal=pool3d")
    for alone in (fused, ("streams=motion",), ("fusion=late",)):
        with pytest.raises(UserError, match=NONE):
            planned(*words, *alone)
    planned(*words, *fused, "temporal.extent=1", "temporal.stride=1")
    planned(*words, "streams=motion", "data.sampling.test=video")
    planned(*words[:-1], "data.sampling.stream_snippets=24", "streams=motion")


@pytest.mark.usefixtures("slow")
def test_what_is_advised_for_unlike_steps_is_not_refused() -> None:
    """Towers of two paddings with equal strides in time: unlike steps of 13 frames, equal ones of 16."""
    words = ("backbone=slow", "backbone.motion.padding=0", "fusion=sum", "layer=relu2")
    with pytest.raises(UserError, match="differ in time steps") as told:
        planned(*clips(13, *words))
    assert "align=pool" in str(told.value.hint)
    planned(*clips(13, *words, "align=pool"))
    with pytest.raises(UserError, match="align has no effect: both maps have as many steps"):
        planned(*clips(16, *words, "align=pool"))
    planned(*clips(16, *words, "align=pool", "data.sampling.test=video"))
    with pytest.raises(UserError, match="align has no effect"):
        planned(*clips(16, words[0], *words[2:], "align=pool", "data.sampling.test=video"))


def test_the_command_of_a_plan_can_be_pasted_into_a_shell() -> None:
    words = ["fusion=conv", 'run.root="it\'s a #1"', "exclude=[{layer:fc8}]", "layer=relu5,fc8"]
    command = planned(*words).command
    assert shlex.split(command) == ["python", "-m", "fusionlab.sweep", *words]
    assert "sweep fusion=conv 'run" in command and command.endswith("'exclude=[{layer:fc8}]' layer=relu5,fc8")
