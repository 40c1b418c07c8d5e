"""Every knob turns something: outside `run` it changes what an arm is; and somebody reads each."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import fusionlab
from fusionlab.config.build import Blueprint
from fusionlab.config.catalogue import groups
from fusionlab.config.compose import tree
from fusionlab.errors import UserError
from fusionlab.planning.check_config import examine
from fusionlab.planning.grid import plan_study
from fusionlab.records.signature import flatten, signature
from fusionlab.study.plan import Plan
from fusionlab.study.recipes import data_recipe

CONFIG = tree({"temporal": "conv3d"}).with_leaves({})
LEAVES = flatten(CONFIG)
TURNED = [
    leaf for leaf in LEAVES
    if not leaf.startswith("run.") and "._" not in leaf and "betas[" not in leaf
    and leaf not in ("data.dataset.version", "optim.streams.name", "optim.fusion.name")
]  # fmt: skip
TURNED.remove("callbacks")  # a group without a choice but none; tests/jobs/test_callbacks.py has some
TURNED += ["optim.streams.betas", "optim.fusion.betas"]
# What a leaf is turned to; a number that is not here is halved or counted up.
OTHER: dict[str, Any] = {
    "streams": "motion", "layer": "relu4", "above": "fresh", "fusion.init": "gaussian", "temporal.extent": 2,
    "optim.streams.betas": "[0.8,0.99]", "optim.fusion.betas": "[0.8,0.99]", "data.store.size": 40,
    "optim.streams.schedule.name": "constant", "optim.fusion.schedule.name": "constant",
    "trainer.precision": "bf16-mixed", "data.dataset.shake": 0.5, "data.sampling.crop": 40,
    "into": "motion", "keep_motion": "true", "weights.appearance": "a.pt", "weights.motion": "imagenet",
    "weights.head": "fresh", "weights.other_split": "allow", "temporal.side": 3,
    "data.store.backward": "true", "data.store.rule": "field", "data.store.reader": "pyav",
    "data.store.codec.frames": "jpeg", "data.store.codec.flow": "lz4", "data.quarantine": "[a.avi]",
    "data.sampling.crops": "jitter", "data.sampling.stacking": "trajectory", "data.sampling.subtract_mean": "true",
    "data.sampling.test": "frame", "data.dataset.vocabulary": "brush2",
    "data.dataset.exchange": "true",
}  # fmt: skip
# Conv fusion needs equal widths: turned together.
WITH = {
    "backbone.appearance.width": ["backbone.motion.width"],
    "backbone.motion.width": ["backbone.appearance.width"],
}
# What turns something only beside another option: in both of the plans that are compared.
BESIDE = {
    "tower_weight": "keep_motion=true",
    "weights.head": "weights.appearance=a.pt",
    "weights.other_split": "weights.appearance=a.pt",
    "temporal.stride": "temporal.extent=3",
    "data.dataset.order": "data.sampling.stride=14",
    "data.store.codec.quality": "data.store.codec.frames=jpeg",
    "temporal.weight_a": "fusion=cat",
    "temporal.weight_b": "fusion=cat",
}


@pytest.fixture(scope="module")
def plain() -> Plan:
    return planned()


def planned(*words: str) -> Plan:
    return plan_study(["temporal=conv3d", *words]).plan


def other(leaf: str) -> Any:
    value = OTHER.get(leaf, LEAVES.get(leaf))
    if leaf in OTHER:
        return value
    if isinstance(value, int):
        return value + 1
    assert isinstance(value, float), f"say in OTHER to what {leaf} can be turned"
    return value / 2 or 0.01


def signatures(plan: Plan, kind: str) -> list[str]:
    return [arm.signature for arm in plan.arms if arm.kind == kind]


@pytest.mark.parametrize("leaf", TURNED)
def test_a_leaf_outside_run_changes_the_arm_and_what_stands_on_it(plain: Plan, leaf: str) -> None:
    beside = [BESIDE[leaf]] if leaf in BESIDE else []
    plain = planned(*beside) if beside else plain
    turned = planned(*beside, *(f"{name}={other(leaf)}" for name in (leaf, *WITH.get(leaf, []))))
    assert signatures(turned, "fused") != signatures(plain, "fused")
    room, _, rest = leaf.partition(".")
    below = room in ("data", "split", "trainer", "seed", "backbone", "weights") or leaf.startswith("optim.streams.")
    assert (signatures(turned, "stream") != signatures(plain, "stream")) == below, (
        "a stream is trained again only for its own knobs"
    )
    made = rest.startswith(("dataset.", "store."))
    assert (turned.jobs[0].id != plain.jobs[0].id) == made, "data are prepared again only for their own knobs"


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ("ucf101", "data.dataset.name=x"), ("ucf101", "data.dataset.counts=false"),
        ("hmdb51", "data.dataset.name=x"), ("hmdb51", "data.dataset.counts=false"),
        ("kinetics", "data.dataset.classes=600"), ("something", "data.dataset.name=x"),
        ("folder", "data.dataset.group=x"), ("folder", "data.dataset.test=0.2"),
    ],
)  # fmt: skip
def test_a_knob_of_another_data_set_changes_all_that_is_made_of_it(data: str, word: str) -> None:
    classes = ["data.dataset.classes=7"] if data == "folder" else []
    words = [f"data={data}", "backbone=vgg_m", *classes]
    usual, turned = planned(*words), planned(*words, word)
    assert turned.jobs[0].id != usual.jobs[0].id
    for kind in ("stream", "fused"):
        assert signatures(turned, kind) != signatures(usual, kind)


def test_a_set_from_before_its_counts_were_checked_is_the_same_set() -> None:
    config = tree({"data": "ucf101"}).with_leaves({})
    assert config["data"]["dataset"]["counts"] is True
    now, recipe = signature(config), signature(data_recipe(config))
    del config["data"]["dataset"]["counts"]
    assert (signature(config), signature(data_recipe(config))) == (now, recipe)


def test_another_optimiser_is_another_arm(plain: Plan) -> None:
    assert signatures(planned("optim=sgd"), "fused") != signatures(plain, "fused")


@pytest.mark.parametrize(
    "word",
    [
        "run.root=elsewhere", "run.folder=elsewhere", "run.data=elsewhere", "run.weights=elsewhere",
        "run.flow=elsewhere",
        "run.device=cpu", "run.workers=3", "run.loaders=2",
        "run.checkpoint_every=7", "run.retries=2", "run.timeout=60", "run.table.caption=other", "run.logger.name=wandb",
        "table=how", "logger=wandb",
    ],
)  # fmt: skip
def test_a_leaf_of_run_changes_no_signature(plain: Plan, word: str) -> None:
    turned = planned(word)
    assert turned.signature == plain.signature
    assert [arm.signature for arm in turned.arms] == [arm.signature for arm in plain.arms]
    assert [job.id for job in turned.jobs] == [job.id for job in plain.jobs]


def test_the_leaves_of_run_are_all_tried_above() -> None:
    tried = {
        "root", "folder", "data", "weights", "flow", "device", "workers", "loaders", "checkpoint_every", "retries",
        "timeout", "table", "logger",
    }  # fmt: skip
    assert set(CONFIG["run"]) - tried == {"grid", "exclude"}, "which make a study, and are no part of an arm"


# --- a leaf that nobody reads ---

# Handed over whole to what refuses a leaf that it does not know; each is tried with one below.
WHOLE = ("fusion", "temporal", "backbone.appearance", "backbone.motion", "data.dataset", "data.store.flow",
         "optim.streams", "optim.fusion", "optim.streams.schedule", "optim.fusion.schedule",
         "run.table")  # fmt: skip


@pytest.mark.parametrize("part", WHOLE)
def test_a_part_refuses_a_leaf_that_it_does_not_read(part: str) -> None:
    config = tree({"temporal": "conv3d"}).with_leaves({})
    place = config
    for word in part.split("."):
        place = place[word]
    place["nobody_reads_this"] = 1

    def build() -> None:
        examine(config)
        Blueprint().describe(config)

    with pytest.raises(UserError) as refused:
        build()
    assert "nobody_reads_this" in str(refused.value)


PARTS = [
    (group, name) for group in ("backbone", "fusion", "temporal") for name in groups()[group] if name != "late"
]  # fmt: skip


@pytest.mark.parametrize(("group", "name"), PARTS, ids=[f"{group}={name}" for group, name in PARTS])
def test_each_part_of_the_catalogue_refuses_a_leaf_that_it_does_not_read(group: str, name: str) -> None:
    layer = "layer3" if name.startswith("resnet") else "relu5"
    wide = {"data": "ucf101"} if group == "backbone" else {}
    config = tree({**wide, group: name}).with_leaves({"layer": layer})
    Blueprint().describe(config)
    part = config[group]["motion"] if group == "backbone" else config[group]
    part["nobody_reads_this"] = 1
    with pytest.raises(UserError) as refused:
        Blueprint().describe(config)
    assert "nobody_reads_this" in str(refused.value)


def constants(node: ast.AST) -> Iterator[str]:
    """Every text by which something is looked up: x["name"], x.get("name"), for name in ("name", …)."""
    for one in ast.walk(node):
        if isinstance(one, ast.Subscript | ast.Call | ast.For | ast.comprehension):
            yield from (
                part.value for part in ast.walk(one) if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )


READERS = ("benchmarks", "config", "health", "jobs", "planning", "study", "summaries")


def looked_up() -> set[str]:
    folder = Path(fusionlab.__file__).parent
    files = [file for name in READERS for file in (folder / name).glob("*.py")]
    return {text for file in files for text in constants(ast.parse(file.read_text(encoding="utf-8")))}


def test_every_other_leaf_is_looked_up_by_name() -> None:
    names = looked_up()
    unread = [
        leaf for leaf in LEAVES
        if not leaf.startswith(tuple(f"{part}." for part in WHOLE))
        and leaf.partition("[")[0].rpartition(".")[2] not in names
    ]  # fmt: skip
    assert not unread
    assert "nobody_reads_this" not in names


# --- and for real: what the jobs of a study read ---


class Read(Mapping[str, Any]):
    """A config that notes which of its leaves are read, and who hands it over whole."""

    def __init__(self, content: Mapping[str, Any], at: str, seen: set[str]) -> None:
        self._content, self._at, self._seen = content, at, seen

    def __getitem__(self, name: str) -> Any:
        path, value = f"{self._at}{name}", self._content[name]
        if isinstance(value, Mapping):
            return Read(value, f"{path}.", self._seen)
        self._seen.add(path)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)


def test_the_recording_config_finds_a_leaf_that_nobody_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Data, loaders and nets are asked for as the jobs ask, from a config with some leaves too many."""
    from fusionlab.config import build
    from fusionlab.data.brush.brush import Brush
    from fusionlab.jobs import job_data
    from fusionlab.training.recipe import parse_recipe

    config = {**tree({}).with_leaves({"run.data": str(tmp_path)})}
    for room in ("sampling", "store"):
        config["data"][room]["nobody_reads_this"] = 1
    for room in ("trainer", "seed"):
        config[room]["nobody_reads_this"] = 1
    seen: set[str] = set()
    whole = Read(config, "", seen)
    monkeypatch.setattr(Brush, "make", lambda *_, **__: None)
    monkeypatch.setattr(job_data, "prepare", lambda *_, **__: tmp_path)

    opened = job_data.open_data({"dataset": whole["data"]["dataset"], "store": whole["data"]["store"]}, whole["run"])
    seen -= {leaf for leaf in seen if leaf.startswith("data.store.nobody")}  # hashed, as all of the store is
    opened.module(whole, streams="both", snippets=whole["data"]["sampling"]["snippets"], batch_size=1)
    towers = build.towers(whole, 24)
    build.net(whole, *towers)
    for stage in ("streams", "fusion"):
        parse_recipe({name: whole["optim"][stage][name] for name in config["optim"][stage]})

    unread = {
        leaf
        for leaf in flatten({name: part for name, part in config.items() if name != "run"})
        if leaf.partition("[")[0] not in seen
    }
    assert {leaf for leaf in unread if leaf.endswith("nobody_reads_this")} == {
        f"{room}.nobody_reads_this" for room in ("data.sampling", "data.store", "trainer", "seed")
    }  # fmt: skip
    # The rest is read outside: by the planner, by the job's own process, in the cohort.
    rest = {leaf for leaf in unread if not leaf.endswith("nobody_reads_this") and not leaf.startswith("optim.")}
    assert rest == {
        "streams",
        "callbacks",
        "trainer.precision",
        "trainer.threads",
        "seed.dropout",
        "data.sampling.stream_snippets",
        "weights.appearance",
        "weights.motion",
        "weights.head",
        "weights.other_split",
    }
    assert rest <= {leaf for leaf in LEAVES if leaf.rpartition(".")[2] in looked_up()}
    assert data_recipe(config)["store"]["nobody_reads_this"] == 1
