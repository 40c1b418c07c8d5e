"""Every knob turns something: outside `run` it changes what an arm is; and somebody reads each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import fusionlab
from fusionlab.config import run_config, schema
from fusionlab.config.build import Blueprint
from fusionlab.config.catalogue import GRID_WORDS, groups
from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig
from fusionlab.errors import UserError
from fusionlab.planning.grid import plan_study
from fusionlab.records.signature import flatten, signature
from fusionlab.results.spec import Spec
from fusionlab.study.plan import Plan
from fusionlab.study.recipes import PAIRS, STREAMS, arm_recipe, data_recipe, stream_recipe
from fusionlab.video.store import Coding

COMPOSED = tree({"temporal": "conv3d"})
CONFIG = COMPOSED.with_leaves({})
LEAVES = flatten(CONFIG)
TURNED = [
    leaf for leaf in LEAVES
    if not leaf.startswith("run.") and "._" not in leaf and "betas[" not in leaf
    and leaf not in ("data.dataset.version", "optim.streams.name", "optim.fusion.name", "streams")
]  # fmt: skip
TURNED.remove("callbacks")  # a group without a choice but none; tests/jobs/test_callbacks.py has some
TURNED += ["optim.streams.betas", "optim.fusion.betas"]
# What a leaf is turned to; a number that is not here is halved or counted up.
OTHER: dict[str, Any] = {
    "layer": "relu4", "above": "fresh", "fusion.init": "gaussian", "temporal.extent": 2,
    "optim.streams.betas": [0.8, 0.99], "optim.fusion.betas": [0.8, 0.99], "data.store.size": 40,
    "optim.streams.schedule.name": "constant", "optim.fusion.schedule.name": "constant",
    **{
        f"optim.{stage}.{leaf}": word
        for stage in ("streams", "fusion")
        for leaf, word in (
            ("measure", "loss"), ("until", "converged"), ("weights", "best"), ("class_weights", "balanced"),
            ("measure", "loss"), ("until", "converged"), ("weights", "best"), ("steps", 70), ("micro_batch", 4),
            ("draws", "classes"), ("from_layer", "fc7"), ("first.from_layer", "fc8"),
        )
    },
    "trainer.precision": "bf16-mixed", "data.dataset.shake": 0.5, "data.sampling.crop": 40,
    "align": "pool", "into": "motion", "keep_motion": True, "backprop": "all",
    "weights.appearance": "a.pt", "weights.motion": "imagenet",
    "multitask.appearance": "brush2", "multitask.motion": "brush_order",
    "weights.head": "fresh", "weights.other_split": "allow", "temporal.side": 3,
    "data.store.backward": True, "data.store.rule": "field", "data.store.reader": "pyav",
    "data.store.codec.frames": "jpeg", "data.store.codec.flow": "lz4", "data.quarantine": ["a.avi"],
    "data.sampling.crops": "jitter", "data.sampling.stacking": "trajectory", "data.sampling.subtract_mean": True,
    "data.sampling.test": "frame", "data.sampling.times": "segments", "consensus": "logits",
    "temporal.channels": 7, "temporal.init": "gaussian", "data.dataset.vocabulary": "brush2",
    "optim.streams.appearance": {"lr": 0.1}, "optim.streams.motion": {"epochs": 3},
    "data.sampling.colour": "jitter",
    "data.dataset.exchange": True, "data.dataset.grounds": "group", "data.sampling.pairs": "class",
    "val.list": "none", "val.then": "retrain",
}  # fmt: skip
# What turns something only beside another option: in both of the configs that are compared.
BESIDE: dict[str, dict[str, Any]] = {
    "weights.head": {"weights.appearance": "a.pt"},
    "weights.other_split": {"weights.appearance": "a.pt"},
}


def other(leaf: str) -> Any:
    value = OTHER.get(leaf, LEAVES.get(leaf))
    if leaf in OTHER:
        return value
    if isinstance(value, int):
        return value + 1
    assert isinstance(value, float), f"say in OTHER to what {leaf} can be turned"
    return value / 2 or 0.01


@pytest.mark.parametrize("leaf", TURNED)
def test_a_leaf_outside_run_changes_the_arm_and_what_stands_on_it(leaf: str) -> None:
    beside = BESIDE.get(leaf, {})
    plain, turned = (COMPOSED.with_leaves(leaves) for leaves in (beside, {**beside, leaf: other(leaf)}))
    assert signature(arm_recipe(turned)) != signature(arm_recipe(plain))
    place, _, rest = leaf.partition(".")
    own = ("data", "split", "trainer", "seed", "backbone", "weights", "multitask", "consensus", "val")
    below = place in own or leaf.startswith("optim.streams.")
    below &= leaf != PAIRS  # which are of both streams
    changed = [signature(stream_recipe(plain, one)) != signature(stream_recipe(turned, one)) for one in STREAMS]
    assert any(changed) == below, "a stream is trained again only for its own knobs"
    made = rest.startswith(("dataset.", "store."))
    assert (signature(data_recipe(plain)) != signature(data_recipe(turned))) == made, (
        "data are prepared again only for their own knobs"
    )


def planned(*words: str) -> Plan:
    return plan_study(list(words)).plan


def signatures(plan: Plan, kind: str) -> list[str]:
    return [arm.signature for arm in plan.arms if arm.kind == kind]


@pytest.mark.parametrize("word", ["temporal.weight_a=0.3 fusion=cat", "keep_motion=true tower_weight=0.25", "seed=4"])
def test_a_typed_option_goes_the_same_way(word: str) -> None:
    assert signatures(planned("temporal=conv3d", *word.split()), "fused") != signatures(
        planned("temporal=conv3d"), "fused"
    )


@pytest.mark.parametrize(
    ("data", "leaf", "value"),
    [
        ("ucf101", "data.dataset.name", "x"), ("ucf101", "data.dataset.counts", False),
        ("hmdb51", "data.dataset.name", "x"), ("hmdb51", "data.dataset.counts", False),
        ("kinetics", "data.dataset.classes", 600), ("something", "data.dataset.name", "x"),
        ("folder", "data.dataset.group", "x"), ("folder", "data.dataset.test", 0.2),
    ],
)  # fmt: skip
def test_a_knob_of_another_data_set_changes_all_that_is_made_of_it(data: str, leaf: str, value: Any) -> None:
    composed = tree({"data": data})
    usual, turned = composed.with_leaves({}), composed.with_leaves({leaf: value})
    for recipe in (data_recipe, arm_recipe, lambda config: stream_recipe(config, "motion")):
        assert signature(recipe(usual)) != signature(recipe(turned))


def test_a_set_from_before_its_counts_were_checked_is_the_same_set() -> None:
    config = tree({"data": "ucf101"}).with_leaves({})
    assert config["data"]["dataset"]["counts"] is True
    now, recipe = signature(config), signature(data_recipe(config))
    del config["data"]["dataset"]["counts"]
    assert (signature(config), signature(data_recipe(config))) == (now, recipe)


def test_another_optimiser_is_another_arm() -> None:
    sgd, adam = (tree({"optim": name}).with_leaves({}) for name in ("sgd", "adam"))
    assert signature(arm_recipe(sgd)) != signature(arm_recipe(adam))


TRIED_OF_RUN = {
    "root": "elsewhere", "folder": "elsewhere", "data": "elsewhere", "weights": "elsewhere", "flow": "elsewhere",
    "device": "cpu", "workers": 3, "loaders": 2, "checkpoint_every": 7, "retries": 2, "timeout": 60, "memory": 1.5,
    "keep": "none",
    "table.caption": "other", "logger.name": "wandb", "launcher.name": "slurm",
    "per_device": 2, "group": "lab", "double": True, "claim": {"row": {"fusion": "conv"}},
    "tests": ["frame"], "combine": ["logits"], "ablate": ["motion:mean"],
}  # fmt: skip


@pytest.mark.parametrize("leaf", TRIED_OF_RUN)
def test_a_leaf_of_run_changes_no_signature(leaf: str) -> None:
    turned = COMPOSED.with_leaves({f"run.{leaf}": TRIED_OF_RUN[leaf]})
    assert turned["run"] != CONFIG["run"]
    assert signature(arm_recipe(turned)) == signature(arm_recipe(CONFIG)) == signature({**turned, **arm_recipe(CONFIG)})


def test_the_leaves_of_run_are_all_tried_above() -> None:
    tried = {leaf.partition(".")[0] for leaf in TRIED_OF_RUN}
    assert set(CONFIG["run"]) - tried == {"grid", *GRID_WORDS, "max_arms"}, (
        "which make a study, and are no part of an arm"
    )


# --- a leaf that nobody reads ---

# Handed over whole to what refuses a leaf that it does not know; each is tried with one below.
WHOLE = ("fusion", "temporal", "backbone.appearance", "backbone.motion", "data.dataset", "data.store.flow",
         "optim.streams", "optim.fusion", "optim.streams.schedule", "optim.fusion.schedule", "run.table")  # fmt: skip
GROUPS = ("data", "data.store", "data.store.codec", "data.sampling", "trainer", "seed", "weights", "optim", "backbone")


def checked(config: dict[str, Any]) -> None:
    """As a plan checks a config."""
    made = ArmConfig.of(config)
    Spec.of(RunConfig.of(config).table)
    Blueprint().describe(made)


@pytest.mark.parametrize("place", [*WHOLE, *GROUPS, ""])
def test_a_leaf_that_nobody_reads_is_refused(place: str) -> None:
    config = deepcopy(CONFIG)
    checked(config)
    node = config
    for word in filter(None, place.split(".")):
        node = node[word]
    node["nobody_reads_this"] = 1
    with pytest.raises(UserError, match="nobody_reads_this"):
        checked(config)


PARTS = [(group, name) for group in ("backbone", "fusion", "temporal") for name in groups()[group]]


@pytest.mark.parametrize(("group", "name"), PARTS, ids=[f"{group}={name}" for group, name in PARTS])
def test_each_part_of_the_catalogue_refuses_a_leaf_that_it_does_not_read(group: str, name: str) -> None:
    config = tree({group: name}).with_leaves({"layer": "relu5"})
    part = config[group]["appearance"] if group == "backbone" else config[group]
    part["nobody_reads_this"] = 1
    with pytest.raises(UserError, match="nobody_reads_this"):
        Blueprint().describe(ArmConfig.of(config))


def untyped(plain: Any, typed: Any, at: str = "") -> Iterator[str]:
    """Leaves of a composed tree that are no field of its dataclass; a part has its own numbers."""
    for name, one in plain.items():
        path = f"{at}{name}"
        if path in WHOLE:
            continue
        if not is_dataclass(typed) or name not in [own.name for own in fields(typed)]:
            yield path
        elif isinstance(one, dict) and path not in ("run.grid",):
            yield from untyped(one, getattr(typed, name), f"{path}.")


def test_every_leaf_is_a_field() -> None:
    typed, run = ArmConfig.of(CONFIG), RunConfig.of(CONFIG)
    plain = {name: one for name, one in CONFIG.items() if name != "run"}
    assert not list(untyped(plain, typed)) + list(untyped(CONFIG["run"], run, "run."))
    made_up = {**plain, "seed": {**plain["seed"], "nobody": 1}}
    assert list(untyped(made_up, typed)) == ["seed.nobody"], "this test can fail"


def read_below_config() -> set[str]:
    """Every attribute that is read below the configs: `config.data`, or by a name in `getattr`."""
    folder = Path(fusionlab.__file__).parent
    files = [file for file in folder.rglob("*.py") if file.relative_to(folder).parts[0] != "testing"]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}


def test_every_field_is_read() -> None:
    kinds = [one for module in (schema, run_config) for one in vars(module).values()
             if isinstance(one, type) and is_dataclass(one) and one.__module__ == module.__name__]  # fmt: skip
    assert len(kinds) > 10
    names, read = {own.name for kind in (*kinds, Coding) for own in fields(kind)}, read_below_config()
    assert not names - read
    assert "nobody_reads_this" not in read
