"""What a stage follows from, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from fusionlab.config.compose import tree
from fusionlab.planning.grid import plan_study
from fusionlab.records.signature import signature
from fusionlab.study.recipes import IGNORED, PAIRS, STREAMS, arm_recipe, stream_recipe


def config(**leaves: Any) -> dict[str, Any]:
    return tree({"fusion": "sum"}).with_leaves(leaves)


TURNED = {"data.sampling.subtract_mean": True}  # leaf -> a value that turns it; of the others 4


@pytest.mark.parametrize(("stream", "other"), [STREAMS, STREAMS[::-1]])
def test_what_moves_the_other_stream_is_nothing_to_this_one(stream: str, other: str) -> None:
    assert set(IGNORED[stream]) & set(IGNORED[other]) == {PAIRS}
    for leaf in set(IGNORED[stream]) - {PAIRS}:
        value = TURNED.get(leaf, 4)
        plain, moved = config(), config(**{leaf: value})
        assert signature(stream_recipe(plain, stream)) == signature(stream_recipe(moved, stream))
        assert signature(stream_recipe(plain, other)) != signature(stream_recipe(moved, other))
        assert signature(arm_recipe(plain)) != signature(arm_recipe(moved))
        assert moved["data"]["sampling"][leaf.rpartition(".")[2]] == value, "the config is left as it is"


def test_pairs_of_clips_are_nothing_to_a_stream_alone() -> None:
    plain, paired = config(), config(**{PAIRS: "class"})
    for stream in STREAMS:
        assert stream_recipe(paired, stream) == stream_recipe(plain, stream)
    assert signature(arm_recipe(plain)) != signature(arm_recipe(paired))
    plan = plan_study(["fusion=sum", f"{PAIRS}=own,class"]).plan
    assert sum(job.kind == "stream" for job in plan.jobs) == 2, "all pairs share one training of each stream"
    assert sum(arm.kind == "fused" for arm in plan.arms) == 2


def test_appearance_is_trained_once_whatever_flow_becomes() -> None:
    """Not for each number of fields, which also places the frames."""
    flows = ["data.sampling.stacking=plain,trajectory", "data.sampling.subtract_mean=false,true"]
    plan = plan_study(["fusion=sum", "data.sampling.fields=4,6", *flows]).plan
    streams = [arm.axes["streams"] for arm in plan.arms if arm.kind == "stream"]
    assert (streams.count("appearance"), streams.count("motion")) == (2, 8)


@pytest.mark.parametrize("axis", [f"{PAIRS}=own,class", "optim.fusion.lr=0.001,0.003", "optim.fusion.epochs=2,4"])
def test_what_late_fusion_cannot_see_makes_no_second_one(axis: str) -> None:
    """It is not trained, so it is the arm of the study without this axis, and that arm's streams."""
    (late,) = (arm for arm in plan_study(["fusion=sum"]).plan.arms if arm.kind == "late")
    plan = plan_study(["fusion=sum", axis]).plan
    assert [arm for arm in plan.arms if arm.kind == "late"] == [late]
    assert [arm.axes.keys() for arm in plan.arms if arm.kind == "stream"] == [{"streams", "seed"}] * 2
    fused = [arm for arm in plan.arms if arm.kind == "fused"]
    assert len(fused) == 2 and all(arm.config["stage_one"] == late.config["stage_one"] for arm in fused)


def test_late_fusion_has_its_own_pairs_and_the_typed_rate() -> None:
    """A rate that is the same for all arms was always part of its signature, and pairs never are."""
    (late, paired, rated) = (
        next(arm for arm in plan_study(["fusion=sum", *word]).plan.arms if arm.kind == "late")
        for word in ([], [f"{PAIRS}=class"], ["optim.fusion.lr=0.003"])
    )
    assert paired == late
    assert rated.signature != late.signature and rated.config["optim"]["fusion"]["lr"] == 0.003


def test_a_dose_s_grid_trains_it_once_and_names_it_without_the_dose() -> None:
    plan = plan_study(["fusion=sum", "data.sampling.apart=0,2,4"]).plan
    streams = [arm.name for arm in plan.arms if arm.kind == "stream"]
    assert streams == ["streams=appearance,seed=0"] + [
        f"streams=motion,data.sampling.apart={n},seed=0" for n in (0, 2, 4)
    ]
    assert sum(job.id.startswith("appearance-") for job in plan.jobs) == 1
    late = [arm for arm in plan.arms if arm.kind == "late"]
    assert len({arm.config["stage_one"]["appearance"] for arm in late}) == 1
    assert len({arm.config["stage_one"]["motion"] for arm in late}) == len(late) == 3


def test_the_options_of_weights_are_those_of_streams_that_load_some() -> None:
    config = tree({"fusion": "sum"}).with_leaves(
        {"weights.motion": "a.pt", "weights.head": "fresh", "weights.other_split": "allow"}
    )
    loaded, drawn = (stream_recipe(config, stream)["weights"] for stream in ("motion", "appearance"))
    assert loaded == {"source": "a.pt", "head": "fresh", "other_split": "allow"}
    assert drawn == {"source": None, "head": "keep", "other_split": "refuse"}


@pytest.mark.parametrize("leaf, other", [("split", 2), ("trainer.precision", "bf16"), ("seed.init", 7)])
def test_what_both_streams_follow_from(leaf: str, other: object) -> None:
    for stream in STREAMS:
        assert signature(stream_recipe(config(), stream)) != signature(stream_recipe(config(**{leaf: other}), stream))


def test_a_late_fusion_is_of_both_streams() -> None:
    plan = plan_study(["fusion=sum", "layer=relu4,relu5"]).plan
    assert [arm.config["streams"] for arm in plan.arms if arm.kind == "late"] == ["both"]
