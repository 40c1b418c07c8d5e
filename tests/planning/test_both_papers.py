"""The tables of 2014 and 2016 as experiments: each plans without any data, and with debug=tiny on brush."""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from result_fakes import table_spec

from fusionlab.config.schema import ArmConfig, StreamConfig, config_of
from fusionlab.planning.grid import PlannedStudy, plan_study
from fusionlab.records.signature import canonical, flatten
from fusionlab.results.load import Entry
from fusionlab.results.rows import make_rows
from fusionlab.results.spec import Spec
from fusionlab.study.plan import Arm

CONF = Path(__file__).parents[2] / "conf"
NOWHERE = "run.data=nowhere"
HEAD = re.compile(r"# @package _global_\n((?:# .*\n)+)defaults:")
ASKED = ("Paper: ", "Question: ", "Claim: ", "Cost, an estimate: ")
# experiment -> the paper's cells among its arms: rows of its table that are trained or combined here, on each data set
FUSED = {
    "feichtenhofer2016_table1": 5, "feichtenhofer2016_table2": 6, "feichtenhofer2016_table3": 0,
    "feichtenhofer2016_table4": 6, "feichtenhofer2016_table5": 18, "feichtenhofer2016_table6": 12,
    "feichtenhofer2016_text": 11, "simonyan2014_table1a": 0, "simonyan2014_table1b": 0, "simonyan2014_table2": 0,
    "simonyan2014_table3": 0, "simonyan2014_table4": 0,
}  # fmt: skip
LATE = {
    "feichtenhofer2016_table3": 4, "feichtenhofer2016_table4": 2, "feichtenhofer2016_table5": 12,
    "feichtenhofer2016_table6": 12, "simonyan2014_table3": 3, "simonyan2014_table4": 6,
}  # fmt: skip
# Those whose plan of many VGG-16 takes long are planned among the slow tests.
LONG = ("feichtenhofer2016_table4", "feichtenhofer2016_table5", "feichtenhofer2016_table6", "feichtenhofer2016_text")
EACH = [pytest.param(one, marks=pytest.mark.slow if one in LONG else ()) for one in FUSED]


@functools.cache
def planned(*words: str) -> PlannedStudy:
    """With a short table in place of the experiment's: composing a long one takes half of the time."""
    return plan_study([*words, "table=all", NOWHERE])


def chain(arms: list[Arm], then: str) -> list[Arm]:
    return [arm for arm in arms if arm.axes.get("val.then", then) == then]


def test_each_table_has_an_experiment_and_a_table() -> None:
    for group in ("experiment", "table"):
        there = {file.stem for file in (CONF / group).glob("*.yaml")}
        assert {one for one in there if one.startswith(("feichtenhofer2016", "simonyan2014"))} == set(FUSED)


@pytest.mark.parametrize("experiment", FUSED)
def test_an_experiment_begins_with_what_a_reader_asks(experiment: str) -> None:
    text = (CONF / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8")
    found = HEAD.match(text)
    assert found
    assert all(found[1].count(f"# {start}") == 1 for start in ASKED)
    assert "GPU-hours" in found[1] and "GiB" in found[1]
    command = found[1].rstrip("\n").rpartition("\n")[2]
    assert re.fullmatch(rf"# python -m fusionlab\.sweep experiment={experiment}( data=\w+)?", command)
    assert f"override /table: {experiment}\n" in text


@pytest.mark.parametrize("experiment", EACH)
def test_an_experiment_plans_its_cells_without_data(experiment: str) -> None:
    study = planned(f"experiment={experiment}")
    assert not study.plan.refused
    last = chain(list(study.plan.arms), "retrain")  # of two chains the second, whose rates are chosen; else all
    kinds = Counter(arm.kind for arm in last)
    assert kinds["fused"] == FUSED[experiment]
    assert kinds["late"] == LATE.get(experiment, 1 if FUSED[experiment] else 0)
    for arm in study.plan.arms:
        assert "brush" not in canonical(arm.config), arm.name


@pytest.mark.parametrize("experiment", EACH)
def test_each_figure_of_the_paper_finds_its_cell(experiment: str) -> None:
    """Those that are cited find none; a way to combine scores is no arm of a plan, but an axis of its tests."""
    study = planned(f"experiment={experiment}")
    entries = [
        Entry(arm.name, arm.kind, "missing", None, None, {**arm.axes, **way}, {"config": arm.config})
        for arm in chain(list(study.plan.arms), "retrain")
        for way in [{"combine": one} for one in study.run.combine] or [{}]
    ]
    spec = Spec.of(table_spec(experiment))
    assert spec.paper is not None
    found = [row.paper for row in make_rows(entries, replace(spec, select=None)) if row.paper]
    wanted = [row for row in spec.paper.rows if not row.cited and "accuracy" in row.figures]
    absent = [dict(row.key) for row in wanted if row not in found]
    assert absent == ([{"fusion": "conv", "layer": ["relu5", "relu5_3"], "fusion.init": "gaussian"}] * (
        experiment == "feichtenhofer2016_table1") or [
        {"fusion": "conv", "layer": "fc8", "fusion.init": ["identity", None]}, {"fusion": "sum", "layer": "fc8"},
    ] * (experiment == "feichtenhofer2016_table2")), "these are of the text"  # fmt: skip
    assert not any(row.cited for row in found)


@pytest.mark.parametrize("experiment", EACH)
def test_with_debug_tiny_all_of_it_is_tiny_and_on_brush(experiment: str) -> None:
    study = planned(f"experiment={experiment}", "debug=tiny")
    assert study.plan.arms and not study.plan.refused
    targets = {one for arm in study.plan.arms for leaf, one in flatten(arm.config).items() if leaf.endswith("_target_")}
    assert not any("vgg" in one or "ucf101" in one or "hmdb51" in one for one in targets)
    for arm in study.plan.arms:
        config: Any = (StreamConfig if arm.kind == "stream" else ArmConfig).of(arm.config)
        assert config.data.sampling.crop == 48, arm.name
        assert config.data.sampling.snippets == 1 + ("2016" in experiment), arm.name
        stages = [config.optim] if arm.kind == "stream" else [*config.optim.streams.values(), config.optim.fusion]
        assert all((one.recipe.epochs or 0) <= 4 and (one.recipe.steps or 0) <= 8 for one in stages), arm.name


@pytest.mark.parametrize(
    ("experiment", "leaf"),
    [
        ("feichtenhofer2016_table3", "weights.motion"), ("simonyan2014_table4", "multitask.motion"),
        *(pytest.param(one, "weights.motion", marks=pytest.mark.slow) for one in LONG if one != LONG[-1]),
    ],
)  # fmt: skip
def test_a_table_of_both_sets_is_that_of_each_where_it_is_typed(experiment: str, leaf: str) -> None:
    """With what stands beside it: HMDB51's motion starts from UCF101's, or learns both."""
    whole = {arm.signature for arm in planned(f"experiment={experiment}").plan.arms}
    of_each = {}
    for data in ("ucf101", "hmdb51"):
        study = planned(f"experiment={experiment}", f"data={data}")
        assert not study.plan.refused and leaf in study.axes and "data" not in study.axes
        of_each[data] = {arm.signature for arm in study.plan.arms}
    assert of_each["ucf101"] | of_each["hmdb51"] == whole
    assert all(len(one) < len(whole) for one in of_each.values())


@pytest.mark.parametrize("experiment", EACH)
def test_each_table_is_tested_as_its_paper_tests(experiment: str) -> None:
    """2014: 25 frames, each seen ten times; 2016: T = 5 whole frames and their mirror images, in its last tables 20."""
    study = planned(f"experiment={experiment}")
    how: Any = ArmConfig.of(study.config).data.sampling
    final = experiment in ("feichtenhofer2016_table5", "feichtenhofer2016_table6")
    assert study.run.asked.tests == (("final",) if final else ())
    if "2016" in experiment:  # nets of two towers average their fc8 outputs, and so do late fusion and the control
        kept = any(getattr(config_of(arm), "keep_motion", False) for arm in study.plan.arms)
        assert study.run.asked.combine == (("logits",) if kept else ())
    own = (how.test, how.snippets, how.stream_snippets)
    assert own == (("simonyan", 1, 1) if "2014" in experiment else ("frame", 5, 1))


def test_recipes_of_2014_are_of_the_paper_s_length() -> None:
    steps = {
        (str(arm.axes["weights.appearance"]), arm.config["optim"]["from_layer"]): arm.config["optim"]["steps"]
        for arm in planned("experiment=simonyan2014_table1a").plan.arms
        if arm.axes["streams"] == "appearance"
    }
    assert steps == {("None", None): 80_000, ("imagenet", None): 20_000, ("imagenet", "fc8"): 20_000}


def test_a_net_of_ucf101_is_trained_from_scratch_before_it_is_tuned() -> None:
    arms = [arm for arm in planned("experiment=simonyan2014_table2").plan.arms if arm.axes["streams"] == "motion"]
    (source,) = [arm for arm in arms if "trained_on" in arm.axes]
    (tuned,) = [arm for arm in arms if arm.axes.get("weights.motion") == "from:ucf101"]
    assert (source.config["optim"]["steps"], tuned.config["optim"]["steps"]) == (80_000, 20_000)
    assert source.axes["optim"] == "simonyan2014_scratch" and tuned.axes["optim"] == "simonyan2014_finetune"
    assert tuned.config["weights"]["source"] == "from:ucf101" and source.config["weights"]["source"] is None
