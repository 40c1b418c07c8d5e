"""What debug=tiny puts in the place of other choices: typed ones, those of experiments, and axes."""

from __future__ import annotations

from typing import Any

import pytest

from fusionlab.config.compose import tree
from fusionlab.config.instead import Instead
from fusionlab.config.overrides import parse_overrides
from fusionlab.errors import UserError

TINY = Instead.of("tiny")
PAPER = {"experiment": "feichtenhofer2016_table4", "debug": "tiny"}


def test_it_takes_other_choices_values_and_names() -> None:
    one = Instead({"data": {"ucf101": "brush"}, "backbone": {"vgg16": "tiny"}}, {"weights": {"imagenet": None}},
                  {"a.b": "a", "a.c": None})  # fmt: skip
    options = {"data": "ucf101", "motion": "vgg16", "weights": "imagenet", "split": 2, "a.b": 1, "a.c": 2}
    assert one.options(options) == {"data": "brush", "motion": "tiny", "weights": None, "split": 2, "a": 1}
    assert one.chosen({"data": "ucf101", "backbone@backbone.motion": "vgg16", "optim": "sgd", "debug": None}) == {
        "data": "brush", "backbone@backbone.motion": "tiny",
    }  # fmt: skip
    assert one.zips([["a.b", "a.c"], ["data", "weights"]]) == [["data", "weights"]]


def test_equal_values_of_an_axis_are_one_unless_it_is_zipped() -> None:
    one = Instead({"backbone": {"vgg_m": "tiny", "vgg16": "tiny"}})
    axes = {"backbone": ["vgg_m", "vgg16"], "seed": [0, 1]}
    assert one.axes(axes, []) == {"backbone": ["tiny"], "seed": [0, 1]}
    assert one.axes(axes, [["backbone", "seed"]]) == {"backbone": ["tiny", "tiny"], "seed": [0, 1]}
    twice: dict[str, Any] = {"seed": [0, 0]}
    assert one.axes(twice, []) == twice, "a value that was typed twice stays an error"


def test_another_debug_changes_nothing() -> None:
    assert Instead.of("fast") == Instead.of(None) == Instead()
    assert tree({"data": "ucf101", "debug": "fast"}).choices["data"] == "ucf101"


def test_it_holds_for_what_an_experiment_chooses() -> None:
    made = tree(PAPER)
    chosen = {option: made.choices[option] for option in ("data", "appearance", "motion", "flow", "optim")}
    assert chosen == {
        "data": "brush", "appearance": "tiny", "motion": "tiny", "flow": "dis", "optim": "debug/plateau",
    }  # fmt: skip
    plain = made.with_leaves({})
    assert "instead" not in plain
    assert plain["weights"] == {
        "appearance": "from:brush_still", "motion": "from:brush_still", "head": "fresh", "other_split": "refuse",
    }  # fmt: skip
    assert plain["run"]["grid"] == {"data": ["brush", "brush2"], "weights.motion": ["from:brush_still", "from:brush"]}
    assert plain["run"]["zip"] == [["data", "weights.motion"]]
    assert plain["data"]["sampling"]["crop"] == 48 and plain["data"]["dataset"]["what"] == 1
    assert plain["optim"]["streams"]["schedule"]["name"] == "plateau", "a recipe of the same kind"
    assert "the numbers mean nothing" in plain["run"]["table"]["caption"], "no caption of the paper's networks"


def test_it_holds_for_what_is_typed() -> None:
    words = parse_overrides([
        "data=ucf101", "backbone=vgg16,vgg_m", "weights.motion=from:ucf101", "debug=tiny", "exclude=[{backbone:vgg16}]",
    ])  # fmt: skip
    assert words.groups == {"data": "brush", "debug": "tiny"}
    assert words.axes == {"backbone": ["tiny"]} and words.leaves == {"weights.motion": "from:brush"}
    assert [dict(one) for one in words.exclude] == [{"backbone": "tiny"}]


def test_a_share_of_two_layers_is_one_of_tiny() -> None:
    plain = tree({"experiment": "simonyan2014_table1a", "debug": "tiny"}).with_leaves({})
    assert plain["run"]["grid"] == {"backbone.appearance.dropout": [0.5, 0.9]} and plain["run"]["zip"] == []
    plain = tree({"experiment": "simonyan2014_table1b", "debug": "tiny"}).with_leaves({})
    assert plain["backbone"]["motion"]["dropout"] == 0.9 and plain["backbone"]["appearance"]["dropout"] == 0.1


def test_recipes_of_debug_are_not_offered() -> None:
    with pytest.raises(UserError) as caught:
        parse_overrides(["optim=debug/none"])
    assert "simonyan2014" in str(caught.value) and "debug/steps" not in str(caught.value)
    assert parse_overrides(["optim=debug/steps"]).groups == {"optim": "debug/steps"}
