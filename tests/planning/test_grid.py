"""Late fusion as an arm of its own, with its weight; the consensus of predictions and strides of segments, in plans."""

from __future__ import annotations

from typing import Any

import pytest

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
        with pytest.raises(UserError, match="data.sampling.stride has no effect"):
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
