"""`backbone=` sets the towers of both streams, `appearance=` and `motion=` one; `weights=` and `seed=` stand for
several leaves likewise.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from terminal import FAST, Done, Lab

from fusionlab.cli import groups_text
from fusionlab.config import catalogue
from fusionlab.config.compose import tree
from fusionlab.config.shorthand import SHORTHAND
from fusionlab.planning.grid import plan_study
from fusionlab.records.signature import flatten
from fusionlab.study.plan import Plan

Say = Callable[..., Done]
DATA = "data=ucf101"


def planned(*words: str) -> Plan:
    return plan_study(list(words)).plan


def towers(plan: Plan) -> list[tuple[str, str]]:
    """What is fused in each arm: the names of the towers' classes."""
    backbones = [arm.config["backbone"] for arm in plan.arms if arm.kind == "fused"]
    return [
        tuple(one[stream]["_target_"].rpartition(".")[2] for stream in ("appearance", "motion")) for one in backbones
    ]  # type: ignore[misc]


@pytest.mark.parametrize(
    "words, expected",
    [
        ([], [("Tiny", "Tiny")]),
        (["backbone=vgg_m"], [("VggM", "VggM")]),
        (["backbone=VGG-M"], [("VggM", "VggM")]),
        (["backbone=CNN-M-2048"], [("VggM", "VggM")]),
        (["appearance=vgg16", "motion=vgg_m", "fusion=sum"], [("Vgg16", "VggM")]),
        (["appearance=vgg16", "backbone=vgg_m", "fusion=sum"], [("Vgg16", "VggM")]),
        (["backbone=vgg_m", "appearance=vgg16", "fusion=sum"], [("Vgg16", "VggM")]),
        (["motion=Vgg-16", "appearance=vgg_m"], [("VggM", "Vgg16")]),
        (["backbone=vgg_m,vgg16"], [("VggM", "VggM"), ("Vgg16", "Vgg16")]),
        (["backbone=vgg_m", "motion=vgg16,vgg_m"], [("VggM", "Vgg16"), ("VggM", "VggM")]),
        (["backbone=vgg_m,vgg16", "motion=vgg_m"], [("VggM", "VggM"), ("Vgg16", "VggM")]),
        pytest.param(
            ["backbone=resnet18,resnet50", "layer=layer3"],
            [("ResNet18", "ResNet18"), ("ResNet50", "ResNet50")],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["appearance=resnet50", "motion=resnet18", "layer=layer3", "fusion=bilinear"],
            [("ResNet50", "ResNet18")],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_who_sees_what(words: list[str], expected: list[tuple[str, str]]) -> None:
    assert towers(planned(*words, *([DATA] if words else []))) == expected


def test_one_word_is_the_two_words() -> None:
    one, two = planned("backbone=vgg_m", DATA), planned("appearance=vgg_m", "motion=vgg_m", DATA)
    assert one.signature == two.signature
    assert flatten(one.arms[-1].config) == flatten(two.arms[-1].config)


def test_the_places_of_the_tree_are_those_of_the_conf() -> None:
    plain = tree({})
    assert plain.choices["appearance"] == plain.choices["motion"] == "tiny"
    assert "backbone" not in plain.choices
    assert set(plain.get("backbone")) == set(SHORTHAND["backbone"])
    assert set(catalogue.PLACES) == {*SHORTHAND["backbone"], "flow"}
    assert plain.choices["flow"] == "dis" and plain.get("data.store.flow")
    assert SHORTHAND["seed"] == tuple(f"seed.{name}" for name in plain.get("seed"))
    assert set(SHORTHAND["weights"]) == {f"weights.{name}" for name in plain.get("weights")} - {
        "weights.head", "weights.other_split"
    }  # fmt: skip


def test_an_axis_of_towers_names_its_arms_and_their_baselines() -> None:
    names = [arm.name for arm in planned("appearance=vgg_m,vgg16", "motion=vgg_m", "fusion=sum", DATA).arms]
    assert names == [
        "streams=appearance,appearance=vgg_m,seed=0", "streams=motion,appearance=vgg_m,seed=0",
        "fusion=late,layer=softmax,appearance=vgg_m,seed=0", "streams=appearance,appearance=vgg16,seed=0",
        "streams=motion,appearance=vgg16,seed=0",  # the recipe is appearance's
        "fusion=late,layer=softmax,appearance=vgg16,seed=0",
        "fusion=control,layer=relu5,temporal=pool2d,appearance=vgg_m,seed=0",
        "fusion=control,layer=relu5_3,temporal=pool2d,appearance=vgg16,seed=0",
        "fusion=sum,layer=relu5,temporal=pool2d,appearance=vgg_m,seed=0",
        "fusion=sum,layer=relu5_3,temporal=pool2d,appearance=vgg16,seed=0",
    ]  # fmt: skip


def test_a_tower_of_the_user_s_is_a_choice_of_all_three_words(say: Say, tmp_path: Path) -> None:
    own = tmp_path / "conf" / "backbone"
    own.mkdir(parents=True)
    text = "_target_: fusionlab.backbones.tiny.Tiny\n_partial_: true\nwidth: 8\ndropout: 0.0\n"
    (own / "mine.yaml").write_text(text, encoding="utf-8")
    for words in (["backbone=mine"], ["appearance=mine", "motion=mine"]):
        assert say("plan", *words).status == 0
    assert say("plan", "appearance=mine", "fusion=bilinear").status == 0
    assert ", mine, " in say("plan", "motion=min").err
    assert ", mine, " in groups_text(), "in the folder of the last command"


def experiment(folder: Path, text: str) -> None:
    own = folder / "conf" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("# @package _global_\n" + text, encoding="utf-8")


def test_an_experiment_names_places_and_what_is_typed_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    experiment(
        tmp_path,
        "defaults:\n  - override /backbone@backbone.appearance: vgg16\n  - override /backbone@backbone.motion: vgg_m\n"
        "  - override /data: ucf101\n  - override /fusion: sum\n",
    )
    assert towers(planned("experiment=mine")) == [("Vgg16", "VggM")]
    assert towers(planned("experiment=mine", "appearance=vgg_m")) == [("VggM", "VggM")]
    assert towers(planned("experiment=mine", "backbone=vgg16")) == [("Vgg16", "Vgg16")]


def test_an_experiment_turns_what_the_config_says_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    experiment(
        tmp_path,
        "layer: relu4\nsplit: 2\nweights: {motion: a.pt}\nrun:\n  retries: 3\n  exclude: [{fusion: max}]\n"
        "  grid: {fusion: [sum, max]}\n",
    )
    plan = planned("experiment=mine")
    (arm,) = (arm for arm in plan.arms if arm.kind == "fused")
    assert (arm.axes["fusion"], arm.config["layer"], arm.config["split"]) == ("sum", "relu4", 2)
    assert arm.config["weights"] == {"appearance": None, "motion": "a.pt", "head": "keep", "other_split": "refuse"}
    assert plan.jobs[0].config["run"]["retries"] == 3
    assert planned("experiment=mine", "split=3").arms[-1].config["split"] == 3


@pytest.mark.parametrize(
    "axis, typed, expected",
    [
        ("backbone: [vgg_m, vgg16]", [], [("VggM", "VggM"), ("Vgg16", "Vgg16")]),
        ("backbone: [vgg_m, vgg16]", ["backbone=vgg_m"], [("VggM", "VggM")]),
        pytest.param(
            "backbone: [vgg_m, vgg16]",
            ["motion=vgg_m"],
            [("VggM", "VggM"), ("Vgg16", "VggM")],
            marks=pytest.mark.slow,
        ),
        ("backbone: [vgg_m, vgg16]", ["motion=vgg_m", "appearance=vgg_m"], [("VggM", "VggM")]),
        ("appearance: [vgg_m, vgg16]", ["backbone=vgg_m"], [("VggM", "VggM")]),
        pytest.param(
            "appearance: [vgg_m, vgg16]",
            ["backbone=vgg16,vgg_m"],
            [("Vgg16", "Vgg16"), ("VggM", "VggM")],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_experiment_s_axis_gives_way_to_what_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, axis: str, typed: list[str], expected: list[tuple[str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment(
        tmp_path, f"defaults:\n  - override /data: ucf101\n  - override /fusion: sum\nrun:\n  grid:\n    {axis}\n"
    )
    assert towers(planned("experiment=mine", *typed)) == expected


# --- first weights ---


def weights(plan: Plan) -> dict[str, Any]:
    return {
        arm.config["stream"]: (arm.config["weights"]["source"], arm.config["weights"]["head"])
        for arm in plan.arms
        if arm.kind == "stream"
    }


@pytest.mark.parametrize(
    "words, appearance, motion",
    [
        ([], (None, "keep"), (None, "keep")),
        (["weights=imagenet"], ("imagenet", "keep"), ("imagenet", "keep")),
        (["weights=a.mat", "weights.head=fresh"], ("a.mat", "fresh"), ("a.mat", "fresh")),
        (["weights.motion=b.pt", "weights=a.mat"], ("a.mat", "keep"), ("b.pt", "keep")),
        (["weights=a.mat", "weights.motion=null", "weights.head=fresh"], ("a.mat", "fresh"), (None, "keep")),
    ],
)
def test_what_the_towers_start_from(words: list[str], appearance: Any, motion: Any) -> None:
    assert weights(planned(*words)) == {"appearance": appearance, "motion": motion}


def test_a_stream_without_weights_is_the_one_that_is_trained_already() -> None:
    plain, loaded = planned(), planned("weights.appearance=a.mat", "weights.head=fresh")
    assert plain.arm("streams=motion,seed=0").signature == loaded.arm("streams=motion,seed=0").signature
    assert plain.arm("streams=appearance,seed=0").signature != loaded.arm("streams=appearance,seed=0").signature


def test_an_axis_of_weights() -> None:
    plan = planned("weights=null,sub/a.mat", "fusion=sum")
    assert [arm.name for arm in plan.arms if "seed" in arm.name and arm.kind != "stream"] == [
        "fusion=late,layer=softmax,weights=null,seed=0", "fusion=late,layer=softmax,weights=sub|a.mat,seed=0",
        "fusion=control,layer=relu5,temporal=pool2d,weights=null,seed=0",
        "fusion=control,layer=relu5,temporal=pool2d,weights=sub|a.mat,seed=0",
        "fusion=sum,layer=relu5,temporal=pool2d,weights=null,seed=0",
        "fusion=sum,layer=relu5,temporal=pool2d,weights=sub|a.mat,seed=0",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_stream_that_starts_from_another_s_weights_for_real(fresh: Lab) -> None:
    (trained,) = (fresh.home / "runs" / "streams").glob("*/published/streams=appearance*/weights.pt")
    (fresh.home / "files").mkdir()
    shutil.copy(trained, fresh.home / "files" / "mine.pt")
    done = fresh.run("sweep", "fusion=sum", "weights.appearance=mine.pt", "run.weights=files", FAST)
    assert done.status == 0, done.err
    records = [
        json.loads(place.read_text(encoding="utf-8"))
        for place in (fresh.home / "runs" / "streams").glob("*/published/*/run.json")
    ]
    started = [record for record in records if record["result"].get("initial_weights")]
    assert len(records) == 3 and len(started) == 1, "motion is the one that was there"
    (of,) = (record["result"]["initial_weights"] for record in started)
    assert of["sha256"] == hashlib.sha256(trained.read_bytes()).hexdigest()
    assert started[0]["config"]["weights"] == {"source": "mine.pt", "head": "keep", "other_split": "refuse"}
    (fresh.home / "files" / "mine.pt").unlink()
    again = fresh.run("sweep", "fusion=max", "weights.appearance=mine.pt", "run.weights=files", FAST)
    assert again.status == 0, "a stream that is trained needs its first weights no more"


def test_the_seed_is_said_wide_and_narrow() -> None:
    arm = planned("seed.init=3", "seed=1").arms[-1]
    assert arm.config["seed"] == {"init": 3, "data": 1, "dropout": 1}
    assert planned("seed={init: 3}").arms[-1].config["seed"] == {"init": 3, "data": 0, "dropout": 0}
