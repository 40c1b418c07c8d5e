"""Streams that start from those of another data set, and second tasks: what the plan makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusionlab.errors import UserError
from fusionlab.planning.grid import plan_study
from fusionlab.results.load import load
from fusionlab.study.plan import Arm, Plan
from fusionlab.study.recipes import source_of

BASE = ["fusion=sum", "layer=relu5"]
RATES = "optim.fusion.lr=0.001,0.002"


def planned(*words: str) -> Plan:
    return plan_study([*BASE, *words]).plan


def streams(plan: Plan, stream: str) -> list[Arm]:
    return [arm for arm in plan.arms if arm.kind == "stream" and arm.axes["streams"] == stream]


@pytest.mark.parametrize(
    "words",
    [
        [], ["seed=3"], ["split=2"], ["data.sampling.fields=4"], ["optim.streams.lr=0.01"], ["flow=farneback"],
        ["backbone=tiny", "backbone.motion.width=8", "backbone.appearance.width=8"], ["debug=fast"],
        ["data.sampling.stacking=bidirectional", "data.store.backward=true"], ["trainer=bf16"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_stream_starts_from_the_one_that_the_same_command_trains_on_the_other_data(words: list[str]) -> None:
    plan = planned("data=brush2", "weights.motion=from:brush", *words)
    source, own = streams(plan, "motion")
    (there,) = streams(planned("data=brush", *words), "motion")
    assert (source.signature, source.config) == (there.signature, there.config)
    assert source_of(own.config) == source.signature and source_of(source.config) is None
    assert source.axes["trained_on"] == "brush" and own.axes == {**there.axes}
    (above,) = (arm for arm in plan.arms if arm.kind == "fused")
    assert above.config["stage_one"]["motion"] == own.signature


def test_the_job_of_a_stream_needs_that_of_its_source_and_both_their_stores() -> None:
    plan = planned("data=brush2", "weights.motion=from:brush")
    source, own = (plan.job(arm.job) for arm in streams(plan, "motion"))
    assert own.needs[1] == source.id and source.id not in own.needs[0]
    assert [need.partition("-")[0] for need in own.needs] == ["prepare", "motion"]
    assert source.folder.startswith("../streams/") and own.folder.startswith("../streams/")
    order = [job.id for job in plan.jobs]
    assert all(order.index(need) < order.index(job.id) for job in plan.jobs for need in job.needs)
    part = plan.part(own.id)
    assert {job.id for job in part.jobs} == {own.id, *own.needs, *source.needs}


def test_the_source_s_source_is_named_behind_it() -> None:
    plan = planned("data=brush2", "weights.motion=from:brush:from:brush_order")
    first, second, own = streams(plan, "motion")
    there = streams(planned("data=brush", "weights.motion=from:brush_order"), "motion")
    assert [first.signature, second.signature] == [arm.signature for arm in there]
    assert [source_of(arm.config) for arm in (first, second, own)] == [None, first.signature, second.signature]
    assert [arm.axes.get("trained_on") for arm in (first, second, own)] == ["brush_order", "brush", None]


def test_the_weights_behind_the_name_are_the_source_s_own() -> None:
    plan = planned("data=brush2", "weights.appearance=from:brush:a.pt", "weights.head=fresh")
    source, own = streams(plan, "appearance")
    assert source.config["weights"] == {"source": "a.pt", "head": "fresh", "other_split": "refuse"}
    assert own.config["weights"] == {"source": "from:brush:a.pt", "head": "fresh", "other_split": "refuse"}
    drawn, _ = streams(planned("data=brush2", "weights.appearance=from:brush", "weights.head=fresh"), "appearance")
    assert drawn.config["weights"] == {"source": None, "head": "keep", "other_split": "refuse"}


def test_each_seed_starts_from_the_source_of_its_seed_and_other_axes_have_their_own() -> None:
    plan = planned("data=brush2", "weights.motion=from:brush", "seed=0,1", "data.sampling.crop=40,48", RATES)
    own = [arm for arm in streams(plan, "motion") if "trained_on" not in arm.axes]
    sources = {arm.signature: arm for arm in streams(plan, "motion") if "trained_on" in arm.axes}
    assert len(own) == len(sources) == 4, "fusions share them"
    for arm in own:
        below = sources[str(source_of(arm.config))]
        assert below.config["seed"] == arm.config["seed"]
        assert below.config["data"]["sampling"] == arm.config["data"]["sampling"]
        assert below.axes == {**arm.axes, "trained_on": "brush"}


def test_a_recipe_of_fine_tuning_names_that_of_its_source() -> None:
    """As in 2014: UCF101's net from scratch, and HMDB51's from it with fewer steps."""
    words = ["data=brush2", "optim=simonyan2014_finetune", "val=none"]
    source, own = streams(planned(*words, "weights.motion=from:brush"), "motion")
    (there,) = streams(planned("data=brush", "optim=simonyan2014_scratch", "val=none"), "motion")
    assert source.signature == there.signature and (source.config["optim"]["steps"], own.config["optim"]["steps"]) == (
        80_000, 20_000,
    )  # fmt: skip
    loaded, _ = streams(planned(*words, "weights.motion=from:brush:a.pt"), "motion")
    assert loaded.config["optim"] == own.config["optim"], "with weights it is fine-tuned itself"


def test_a_source_that_starts_from_nothing_is_trained_whole() -> None:
    """The last layer alone is for a stream that has learnt the others."""
    plain, _ = streams(planned("data=brush2", "weights.motion=from:brush"), "motion")
    words = ["data=brush2", "weights.head=fresh", "optim.streams.from_layer=fc8"]
    source, own = streams(planned(*words, "weights.motion=from:brush"), "motion")
    assert (source.signature, own.config["optim"]["from_layer"]) == (plain.signature, "fc8")
    loaded, _ = streams(planned(*words, "weights.motion=from:brush:a.pt"), "motion")
    assert loaded.config["optim"]["from_layer"] == "fc8"
    plan = planned(*words[:2], "weights.motion=from:brush", "optim.streams.from_layer=null,fc8")
    (name,) = [arm.name for arm in streams(plan, "motion") if "trained_on" in arm.axes]
    assert name == plain.name


def test_options_of_the_main_videos_are_not_the_source_s() -> None:
    words = ["data=brush2", "weights.motion=from:brush"]
    usual, other = (streams(planned(*words, *more), "motion") for more in ([], ["data.dataset.what=20"]))
    assert usual[0].signature == other[0].signature and usual[1].signature != other[1].signature


def test_another_spelling_is_the_same_stream() -> None:
    (_, a), (_, b) = (
        streams(planned("data=brush2", f"weights.motion=from:{name}"), "motion") for name in ("brush", "Brush")
    )
    assert a.signature == b.signature


def test_a_source_that_is_an_arm_of_the_grid_is_there_once() -> None:
    plan = planned("grids=[{data:[brush],weights.motion:[null]},{data:[brush2],weights.motion:['from:brush']}]")
    names = [arm.name for arm in streams(plan, "motion")]
    assert names == [
        "streams=motion,data=brush,weights.motion=null,seed=0",
        "streams=motion,data=brush2,weights.motion=from-brush,seed=0",
    ]


def test_a_study_of_one_stream_has_the_sources_of_both() -> None:
    plan = plan_study(["data=brush2", "weights=from:brush", "streams=motion"]).plan
    for stream in ("appearance", "motion"):
        source, own = streams(plan, stream)
        assert source_of(own.config) == source.signature


def test_a_source_is_not_among_the_arms_that_were_asked_for() -> None:
    study = plan_study(["data=brush2", "weights.motion=from:brush", "streams=motion"])
    assert [arm.name for arm in study.asked()] == ["streams=motion,seed=0"]


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        (["weights.motion=from:brush3"], "unknown data set", "weights.motion=from:brush"),
        (["weights=from:brush"], "this is the main data set", None),
        (["weights.appearance=from:"], "unknown data set", None),
        (["multitask.motion=brush"], "this is the main data set", None),
        (["multitask.motion=brsh2"], "unknown data set", "multitask.motion=brush2"),
        (["weights.motion=from:ucf101"], "a stream starts from one whose weights have the same shapes", "fields=6"),
        (["data=brush2", "multitask.motion=brush", "data.dataset.vocabulary=brush"], "the second task has", None),
    ],
)  # fmt: skip
def test_what_cannot_be_started_from(words: list[str], what: str, hint: str | None) -> None:
    with pytest.raises(UserError) as error:
        planned(*words)
    assert error.value.what.startswith(what)
    assert hint is None or hint in str(error.value)


def test_one_cell_that_starts_from_itself_is_refused_by_itself() -> None:
    plan = planned("data=brush,brush2", "weights.motion=from:brush")
    assert [cell.axes["data"] for cell in plan.refused] == ["brush"]


def test_a_table_has_no_row_for_a_source(tmp_path: Path) -> None:
    plan = planned("data=brush2", "weights.motion=from:brush")
    (tmp_path / "study").mkdir()
    plan.write(tmp_path / "study")
    names = {entry.name for entry in load(tmp_path / "study")}
    assert names == {arm.name for arm in plan.arms if "trained_on" not in arm.axes} and len(names) == 5


# -- a second task


def test_a_second_task_is_part_of_its_stream_alone() -> None:
    plan, usual = planned("multitask.motion=brush2"), planned()
    (a,), (b,) = (streams(one, "appearance") for one in (plan, usual))
    assert a.signature == b.signature
    (motion,), (alone,) = (streams(one, "motion") for one in (plan, usual))
    assert motion.signature != alone.signature
    other = planned("data=brush2").arms[0].config["data"]
    assert motion.config["multitask"] == {part: other[part] for part in ("dataset", "store")}
    assert {name: one for name, one in motion.config.items() if name != "multitask"} == alone.config
    for arm in plan.arms:
        if arm.kind != "stream":
            assert arm.config["multitask"] == {"appearance": None, "motion": motion.config["multitask"]}


def test_a_second_task_s_store_is_made_first() -> None:
    plan = planned("multitask.motion=brush2")
    needs = plan.job(streams(plan, "motion")[0].job).needs
    kinds = [plan.job(need).config["dataset"]["vocabulary"] for need in needs]
    assert kinds == ["brush", "brush2"] and plan.job(needs[1]).kind == "prepare"
    assert needs[1] == planned("data=brush2").jobs[0].id, "as that of its own study"
    assert len(plan.job(streams(plan, "appearance")[0].job).needs) == 1


def test_a_video_that_the_main_list_leaves_out_is_packed_where_it_is_the_second_list_s(tmp_path: Path) -> None:
    left_out = tmp_path / "out.txt"
    left_out.write_text("a.avi\n")
    plan = planned("grids=[{data:[brush]},{data:[brush2],multitask.motion:[brush]}]", f"data.quarantine={left_out}")
    stores = [job for job in plan.jobs if job.kind == "prepare"]
    assert len(stores) == 2
    assert {job.config["dataset"]["vocabulary"]: "quarantine" in job.config["run"] for job in stores} == {
        "brush": False, "brush2": True,
    }  # fmt: skip
