"""The recipes of the 2014 and 2016 papers: samples seen, rates, and which one a backbone takes."""

from __future__ import annotations

from typing import Any

import pytest

from fusionlab.config.compose import tree
from fusionlab.config.schema import ArmConfig
from fusionlab.config.stage import OptimConfig, StageConfig
from fusionlab.errors import UserError
from fusionlab.records.signature import signature
from fusionlab.study.recipes import STREAMS, arm_recipe, stream_recipe

VIDEOS = 9537  # UCF101, split 1


def optim(name: str, **choices: str) -> OptimConfig:
    return OptimConfig.of(tree({"optim": name, **choices}).with_leaves({})["optim"])


def steps(stage: StageConfig, videos: int = VIDEOS) -> int:
    return stage.recipe.total_steps(stage.steps_per_epoch(videos))


def rates(stage: StageConfig, *at: int) -> list[float]:
    epoch = stage.steps_per_epoch(VIDEOS)
    return [round(stage.recipe.rate(step, epoch, ()), 12) for step in at]


def test_the_2014_paper() -> None:
    """80,000 and 20,000 steps of 256 videos, whatever the list; drawn over the classes."""
    pair, scratch, tuned = (optim(f"simonyan2014{end}").streams for end in ("", "_scratch", "_finetune"))
    assert (pair["appearance"], pair["motion"]) == (tuned["motion"], scratch["appearance"])
    for stage, samples in ((scratch["motion"], 80_000 * 256), (tuned["motion"], 20_000 * 256)):
        assert {steps(stage, videos) * stage.batch_size for videos in (VIDEOS, 3570)} == {samples}
        assert stage.draws == "classes" and stage.recipe.own == {"momentum": 0.9} and stage.recipe.weights == "last"
    assert rates(scratch["motion"], 0, 49_999, 50_000, 69_999, 70_000, 79_999) == [
        0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001
    ]  # fmt: skip
    assert rates(tuned["motion"], 0, 13_999, 14_000, 19_999) == [0.01, 0.01, 0.001, 0.001]


def test_the_2016_paper_as_printed() -> None:
    made = optim("feichtenhofer2016")
    assert [made.streams[one].batch_size for one in STREAMS] == [256, 256] and made.fusion.batch_size == 96
    assert made.streams["motion"].recipe.lr == 0.01 and made.fusion.recipe.lr == 0.001
    for stage in (*made.streams.values(), made.fusion):
        assert stage.recipe.until == "converged"
        falling = stage.recipe.schedule(0, 1, [1.0, 1.0, 1.0], 1)
        assert falling == pytest.approx(0.1), "after two validations without a gain"
    deep, mixed = optim("feichtenhofer2016_vgg16"), optim("feichtenhofer2016_vgg16_vgg_m")
    assert deep.fusion == mixed.fusion and deep.fusion.recipe.lr == 5e-4
    assert [one.batch_size for one in deep.streams.values()] == [128, 128]
    assert [deep.streams[one].recipe.lr for one in STREAMS] == [1e-3, 5e-4]
    assert mixed.streams == {"appearance": deep.streams["appearance"], "motion": made.streams["motion"]}


def test_the_released_code() -> None:
    made = optim("feichtenhofer2016_released")
    fusion, spatial = made.fusion, made.streams["appearance"]
    assert fusion.steps_per_epoch(VIDEOS) == 993 and steps(fusion) == 5 * 993
    assert rates(fusion, 0, 1985, 1986, 2979, 3972, 4964) == [1e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-6]
    assert steps(spatial) == 11 * 372 and spatial.batch_size == 256
    assert rates(spatial, 0, 5 * 372, 8 * 372, 11 * 372 - 1) == [1e-2, 1e-3, 1e-4, 1e-4]
    assert (spatial.recipe.first.from_layer, spatial.recipe.first.epochs) == ("fc6", 2)
    deep = optim("feichtenhofer2016_released_vgg16").streams
    assert [deep[one].batch_size for one in STREAMS] == [128, 128]
    epoch = VIDEOS * 10 // 128
    assert rates(deep["appearance"], 0, 3 * epoch, 8 * epoch, 10 * epoch, 12 * epoch - 1) == [
        1e-3, 5e-4, 5e-5, 5e-6, 5e-6
    ]  # fmt: skip
    assert (deep["appearance"].recipe.first.from_layer, deep["appearance"].recipe.first.epochs) == ("fc8", 3)
    epoch = VIDEOS * 100 // 128
    assert steps(deep["motion"]) == 16 * epoch and deep["motion"].recipe.first.epochs == 0
    assert rates(deep["motion"], 0, 10 * epoch, 15 * epoch) == [5e-4, 5e-5, 5e-6]
    for stage in (fusion, spatial, *deep.values()):
        recipe = stage.recipe
        assert (recipe.bias_rate, recipe.bias_decay, recipe.weight_decay, recipe.own) == (2, 0, 5e-4, {"momentum": 0.9})
        assert (recipe.until, recipe.weights) == ("budget", "last")


@pytest.mark.parametrize(
    ("choices", "name"),
    [
        ({}, "adam"), ({"backbone": "tiny"}, "adam"), ({"backbone": "vgg_m"}, "feichtenhofer2016"),
        ({"backbone": "vgg16"}, "feichtenhofer2016_vgg16"), ({"backbone": "vgg_m", "optim": "adam"}, "adam"),
        ({"appearance": "vgg16", "motion": "vgg_m"}, "feichtenhofer2016_vgg16"),
        ({"appearance": "tiny", "motion": "vgg_m"}, "adam"),
        ({"backbone": "vgg_m", "experiment": "tsn"}, "sgd"),  # which has a choice of its own
        ({"backbone": "vgg_m", "debug": "fast"}, "feichtenhofer2016"),
    ],
)  # fmt: skip
def test_a_backbone_names_its_recipe_and_a_choice_wins(choices: dict[str, str], name: str) -> None:
    made, chosen = tree(choices), tree({**choices, "optim": name})
    assert made.choices["optim"] == name and made.with_leaves({}) == chosen.with_leaves({})
    assert all("recipe" not in one for one in made.with_leaves({})["backbone"].values())


@pytest.mark.parametrize(
    ("choices", "name"),
    [
        ({}, "cut"), ({"backbone": "vgg_m"}, "cut"), ({"optim": "simonyan2014"}, "none"),
        ({"optim": "simonyan2014_finetune"}, "none"), ({"optim": "feichtenhofer2016_released_vgg16"}, "none"),
        ({"optim": "feichtenhofer2016_released", "val": "cut"}, "cut"), ({"optim": "sgd", "val": "none"}, "none"),
    ],
)  # fmt: skip
def test_a_recipe_of_fixed_length_trains_on_the_whole_list(choices: dict[str, str], name: str) -> None:
    made = tree(choices)
    assert made.choices["val"] == made.with_leaves({})["val"]["list"] == name
    assert "val" not in made.with_leaves({})["optim"]


@pytest.mark.parametrize(
    "name",
    ["adam", "sgd", "simonyan2014", "simonyan2014_scratch", "feichtenhofer2016", "feichtenhofer2016_released",
     "feichtenhofer2016_released_vgg16"],
)  # fmt: skip
def test_debug_fast_is_two_epochs_of_each_stage(name: str) -> None:
    made = optim(name, debug="fast")
    for stage in (*made.streams.values(), made.fusion):
        assert (stage.recipe.epochs, stage.recipe.steps, stage.passes) == (2, None, 1)
        assert stage.recipe.first.epochs == 0


def test_what_is_written_for_one_stream_trains_that_one_alone_anew() -> None:
    made = tree({})
    both, one = made.with_leaves({}), made.with_leaves({"optim.streams.motion": {"lr": 0.5}})
    again = made.with_leaves({"optim.streams.motion": {}})
    assert signature(arm_recipe(both)) == signature(arm_recipe(again)) != signature(arm_recipe(one))
    changed = [signature(stream_recipe(both, s)) != signature(stream_recipe(one, s)) for s in STREAMS]
    assert changed == [False, True]
    streams = ArmConfig.of(one).optim.streams
    assert (streams["appearance"].recipe.lr, streams["motion"].recipe.lr) == (3e-3, 0.5)


def test_an_option_of_one_stream_may_be_typed_by_itself() -> None:
    made = tree({})
    whole, leaf = (
        made.with_leaves(one) for one in ({"optim.streams.motion": {"lr": 0.5}}, {"optim.streams.motion.lr": 0.5})
    )
    assert leaf == whole
    finetuned = tree({"optim": "simonyan2014"}).with_leaves({"optim.streams.appearance.lr": 0.5})
    own = ArmConfig.of(finetuned).optim.streams
    assert {s: (own[s].recipe.lr, own[s].recipe.steps) for s in STREAMS} == {
        "appearance": (0.5, 20_000), "motion": (1e-2, 80_000),
    }  # fmt: skip


def test_what_a_recipe_sets_may_be_null() -> None:
    epochs = {"optim.streams.steps": None, "optim.streams.epochs": 3}
    assert (
        ArmConfig.of(tree({"optim": "simonyan2014_scratch"}).with_leaves(epochs)).optim.streams["motion"].recipe.epochs
        == 3
    )
    no_phase = {"optim.streams.first.from_layer": None, "optim.streams.first.epochs": 0}
    made = ArmConfig.of(tree({"optim": "feichtenhofer2016_released"}).with_leaves(no_phase))
    assert made.optim.streams["motion"].recipe.first.epochs == 0


def test_what_is_typed_wins_over_a_recipe_s_own_also_over_that_for_one_stream() -> None:
    made = tree({"optim": "simonyan2014"})

    def steps_of(**typed: Any) -> list[int | None]:
        streams = OptimConfig.of(made.with_leaves({f"optim.streams.{k}": one for k, one in typed.items()})["optim"])
        return [streams.streams[one].recipe.steps for one in STREAMS]

    assert steps_of() == [20_000, 80_000] and steps_of(steps=100) == [100, 100]
    assert steps_of(steps=None, epochs=3) == [None, None]
    assert steps_of(steps=100, appearance={"steps": 50}) == [50, 100]
    assert steps_of(steps=100, **{"appearance.lr": 0.5}) == [100, 100]
    fusion = {"epochs": 2, "steps": None, "micro_batch": None, "schedule.at": [1], "schedule.factors": [0.5]}
    stage = OptimConfig.of(made.with_leaves({f"optim.fusion.{k}": one for k, one in fusion.items()})["optim"]).fusion
    assert steps(stage) == 2 * 37 and rates(stage, 0, 1) == [0.01, 0.005]
    with pytest.raises(UserError, match=r"optim\.fusion\.schedule\.at is a list of numbers"):
        made.with_leaves({"optim.fusion.schedule.at": 5})
    last = made.with_leaves({"optim.streams.steps": 100})["optim"]["streams"]["appearance"]
    assert list(last) == ["schedule"], "what else is other for it stays"


def test_colour_is_no_part_of_a_motion_stream() -> None:
    plain, jitter = (tree({}).with_leaves({"data.sampling.colour": one}) for one in ("plain", "jitter"))
    changed = [signature(stream_recipe(plain, s)) != signature(stream_recipe(jitter, s)) for s in STREAMS]
    assert changed == [True, False]


@pytest.mark.parametrize(
    ("leaves", "message"),
    [
        ({"optim.streams.steps": 70}, "a number of epochs, or a number of steps"),
        ({"optim.streams.passes": 0}, "optim.streams.passes is a whole number"),
        ({"optim.fusion.micro_batch": 33}, "micro_batch has no effect"),
        ({"optim.streams.first.epochs": None}, "optim.streams.first.epochs is a whole number"),
        ({"optim.streams.motion.lr": "high"}, "optim.streams.motion.lr is a number"),
        ({"optim.streams.motion.lrr": 0.5}, "did you mean optim.streams.motion.lr=0.5"),
        ({"optim.streams.motion.motion": 3}, "unknown option"),
        ({"optim.fusion.draws": "class"}, "did you mean optim.fusion.draws=classes"),
        ({"optim.streams.motion": {"rate": 1}}, "unknown number of the optimiser adam"),
        ({"optim.streams.motion": {"motion": {}}}, "unknown number of the optimiser adam"),
    ],
)
def test_wrong_options_are_answered(leaves: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ArmConfig.of(tree({}).with_leaves(leaves))
