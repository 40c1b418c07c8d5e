"""Grids against a model by brute force: products, zips, unions, exclusions, equal cells, and what is refused."""

from __future__ import annotations

import itertools
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fusionlab.config import build
from fusionlab.config.compose import tree
from fusionlab.config.overrides import parse_overrides
from fusionlab.config.schema import ArmConfig
from fusionlab.errors import UserError
from fusionlab.planning.axes import Grid
from fusionlab.planning.grid import plan_study
from fusionlab.study.plan import Refused

NAMES = ("a", "b", "c", "d")
VALUES = st.lists(st.sampled_from([0, 1, 2, 1.5, "x", "y", True, None]), min_size=1, max_size=3, unique_by=repr)
PARTS = st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1, max_size=4), min_size=1, max_size=3)
EXCLUDE = st.lists(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0, 1, "x"]), min_size=1, max_size=2), max_size=2
)


def alike(a: object, b: object) -> bool:
    return a == b and (a is True) == (b is True)


def model(
    parts: list[dict[str, list[Any]]], zipped: list[list[str]], exclude: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Every assignment of every part, one loop after the other; a zip keeps those whose values have one place."""
    cells: list[dict[str, Any]] = []
    for part in parts:
        for places in itertools.product(*(range(len(values)) for values in part.values())):
            at = dict(zip(part, places, strict=True))
            if any(len({at[axis] for axis in group if axis in at}) > 1 for group in zipped):
                continue
            cell = {axis: part[axis][place] for axis, place in at.items()}
            if not any(repr(sorted(cell.items())) == repr(sorted(other.items())) for other in cells):
                cells.append(cell)
    return [
        cell
        for cell in cells
        if not any(all(axis in cell and alike(cell[axis], one) for axis, one in entry.items()) for entry in exclude)
    ]


def listed(cells: list[dict[str, Any]]) -> list[str]:
    return sorted(repr(sorted(cell.items())) for cell in cells)


@settings(max_examples=300)
@given(PARTS, EXCLUDE)
def test_unions_and_exclusions_are_those_of_the_model(
    parts: list[dict[str, list[Any]]], exclude: list[dict[str, Any]]
) -> None:
    grid = Grid(parts, exclude=[(entry, [entry]) for entry in exclude])
    expected, whole = model(parts, [], exclude), model(parts, [], [])
    useless = any(len(model(parts, [], [entry])) == len(whole) for entry in exclude)
    unknown = any(axis not in grid.axes for entry in exclude for axis in entry)
    if useless or unknown or not expected:
        with pytest.raises(UserError):
            grid.cells()
    else:
        assert listed(grid.cells()) == listed(expected)


@settings(max_examples=200)
@given(st.lists(VALUES, min_size=4, max_size=4), st.integers(1, 3))
def test_zips_are_those_of_the_model(values: list[list[Any]], length: int) -> None:
    axes = dict(zip(NAMES, values, strict=True))
    axes["b"], axes["d"] = [f"b{at % 2}" for at in range(length)], list(range(length))  # b has values twice
    for order in (NAMES, ("d", "a", "c", "b")):
        part = {axis: axes[axis] for axis in order}
        cells = Grid([part], [["b", "d"]]).cells()
        assert listed(cells) == listed(model([part], [["b", "d"]], []))
        assert all(next(iter(cell)) == order[0] for cell in cells)


@settings(max_examples=100)
@given(PARTS)
def test_the_number_of_cells_is_bounded_before_they_are_made(parts: list[dict[str, list[Any]]]) -> None:
    count = sum(len(model([part], [], [])) for part in parts)
    assert len(Grid(parts, most=count).cells()) <= count
    if count > 1:
        with pytest.raises(UserError, match="the grid has more than"):
            Grid(parts, most=count - 1).cells()


def test_ten_to_the_nineteen_cells_are_refused_at_once() -> None:
    with pytest.raises(UserError, match="more than 100,000 cells"):
        Grid([{f"axis{n}": list(range(100)) for n in range(10)}]).cells()


# -- grids of arms

FUSIONS = st.lists(st.sampled_from(["sum", "conv", "max", "bilinear"]), min_size=1, max_size=3, unique=True)
LAYERS = st.lists(st.sampled_from(["relu4", "ReLU4", "relu5", "fc6", "fc7"]), min_size=1, max_size=3, unique=True)
HEADS = st.lists(st.sampled_from(["pool2d", "pool3d"]), min_size=1, max_size=2, unique=True)
UNION = st.lists(st.fixed_dictionaries({"fusion": FUSIONS, "layer": LAYERS, "temporal": HEADS}), min_size=1, max_size=3)


def impossible(fusion: str, layer: str, temporal: str) -> bool:
    """pool3d needs a map, which no fc layer has and bilinear fusion does not leave."""
    return temporal == "pool3d" and (layer.startswith("fc") or fusion == "bilinear")


@settings(max_examples=5, phases=[Phase.generate])
@given(UNION, st.lists(st.integers(0, 3), min_size=1, max_size=2, unique=True))
def test_each_cell_of_a_union_is_one_arm_or_is_refused(union: list[dict[str, list[str]]], seeds: list[int]) -> None:
    union = [{axis: part[axis] for axis in ("fusion", "layer", "temporal")} for part in union]
    typed_cells = {cell for part in union for cell in itertools.product(*part.values(), seeds)}
    cells = {(fusion, layer.lower(), temporal, seed) for fusion, layer, temporal, seed in typed_cells}
    grids = ",".join(
        "{" + ",".join(f"{axis}:[{','.join(values)}]" for axis, values in one.items()) + "}" for one in union
    )
    typed = [f"grids=[{grids}]", f"seed={','.join(map(str, seeds))}"]
    refused = {cell for cell in cells if impossible(*cell[:3])}
    if refused == cells:
        with pytest.raises(UserError):
            plan_study(typed)
        return
    study = plan_study(typed)

    def place(axes: dict[str, Any]) -> tuple[Any, ...]:
        return axes["fusion"], axes["layer"].lower(), axes["temporal"], axes["seed"]

    assert {place(arm.axes) for arm in study.plan.arms if arm.kind == "fused"} == cells - refused
    assert {place(cell.axes) for cell in study.plan.refused} == refused
    names = [arm.name for arm in study.plan.arms]
    assert len(names) == len(set(names)) and len({arm.signature for arm in study.plan.arms}) == len(names)
    trained = [cell for cell in typed_cells if not impossible(*cell[:3])]
    assert study.equal == len(trained) - len(cells - refused)


def test_a_union_with_an_option_of_one_part_only_has_one_name_for_each_arm() -> None:
    study = plan_study(["grids=[{fusion:[conv,sum],optim.fusion.lr:[0.002,0.01]},{fusion:conv,layer:[relu4,relu5]}]"])
    fused = {arm.name: arm.config for arm in study.plan.arms if arm.kind == "fused"}
    places = {(one["fusion"]["_target_"][-4:], one["layer"], one["optim"]["fusion"]["lr"]) for one in fused.values()}
    assert len(fused) == len(places) == 5 and study.equal == 1, "conv at relu5 and the usual rate is in both parts"
    assert all("optim.fusion.lr=" in name for name in fused)


@pytest.mark.parametrize("first", ["seed:[0,1]", "seed:range(2)", "seed.init:[0,1]"])
def test_seeds_of_one_part_of_a_union_are_the_usual_ones_in_the_others(first: str) -> None:
    for grids in (
        f"{{fusion:[conv,sum],{first}}},{{fusion:[conv,max]}}",
        f"{{fusion:[conv,max]}},{{fusion:[conv,sum],{first}}}",
    ):
        study = plan_study([f"grids=[{grids}]"])
        found = sorted(
            (arm.axes["fusion"], arm.config["seed"]["init"]) for arm in study.plan.arms if arm.kind == "fused"
        )
        assert found == [("conv", 0), ("conv", 1), ("max", 0), ("sum", 0), ("sum", 1)] and study.equal == 1
        assert "seed" in study.folder.name and "fusion=" in study.folder.name


def test_two_spellings_of_a_number_are_one_arm() -> None:
    study = plan_study(["tower_weight=1,1.0", "keep_motion=true"])
    assert study.equal == 1 and len([arm for arm in study.plan.arms if arm.kind == "fused"]) == 1


def test_what_is_typed_replaces_the_axes_of_an_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    for name, grid in {
        "zipped": "{grid: {fusion: [conv, sum], layer: [relu4, relu5]}, zip: [[fusion, layer]]}",
        "union": "{grids: [{fusion: [conv, sum]}, {fusion: max, layer: [relu3, relu4]}]}",
    }.items():
        (folder / f"{name}.yaml").write_text(f"# @package _global_\nrun: {grid}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def places(*typed: str) -> list[tuple[str, str]]:
        arms = plan_study(typed).plan.arms
        return sorted((str(arm.axes["fusion"]), str(arm.axes["layer"])) for arm in arms if arm.kind == "fused")

    assert places("experiment=zipped") == [("conv", "relu4"), ("sum", "relu5")]
    assert places("experiment=zipped", "fusion=sum") == [("sum", "relu5")], "what the zip has beside it"
    assert places("experiment=zipped", "fusion=sum,conv") == [("conv", "relu4"), ("sum", "relu5")]
    assert places("experiment=zipped", "fusion=sum", "layer=relu4") == [("sum", "relu4")]
    assert places("experiment=zipped", "layer=relu5") == [("conv", "relu5"), ("sum", "relu5")], "the first axis leads"
    assert places("experiment=zipped", "fusion=max") == [("max", "relu4"), ("max", "relu5")]
    assert len(places("experiment=zipped", "zip=[]")) == 4
    assert places("experiment=union") == [("conv", "relu5"), ("max", "relu3"), ("max", "relu4"), ("sum", "relu5")]
    assert places("experiment=union", "fusion=cat") == [("cat", "relu3"), ("cat", "relu4"), ("cat", "relu5")]
    assert places("experiment=union", "grids=[]", "fusion=cat") == [("cat", "relu5")]


def test_a_zip_pairs_a_seed_with_what_it_stands_beside() -> None:
    study = plan_study(["seed=0,1,2", "data.dataset.seed=5,6,7", "zip=[[seed,data.dataset.seed]]"])
    found = {(arm.axes["seed"], arm.config["data"]["dataset"]["seed"]) for arm in study.plan.arms}
    assert found == {(0, 5), (1, 6), (2, 7)}


def test_what_is_refused_has_a_reason_and_does_not_change_the_signature() -> None:
    study = plan_study(["fusion=conv,bilinear", "temporal=pool2d,pool3d", "layer=relu5,fc7"])
    alone = plan_study(
        ["fusion=conv,bilinear", "temporal=pool2d,pool3d", "layer=relu5,fc7",
         "exclude=[{temporal:pool3d,layer:fc7},{temporal:pool3d,fusion:bilinear}]"]
    )  # fmt: skip
    assert study.plan.signature == alone.plan.signature and not alone.plan.refused
    assert sorted(cell.reason for cell in study.plan.refused) == [
        "pool3d needs a layer with a map, and bilinear fusion leaves none",
        "pool3d needs a layer with a map, and bilinear fusion leaves none",
        "pool3d needs a layer with a map: relu1 … relu5",
    ]  # fmt: skip
    assert {cell.kind for cell in study.plan.refused} == {"fused"}


def test_a_cell_that_names_an_option_of_another_part_is_refused() -> None:
    study = plan_study(["fusion=sum,conv", "fusion.init=gaussian"])
    assert [(cell.axes["fusion"], cell.reason) for cell in study.plan.refused] == [
        ("sum", "unknown option: fusion.init")
    ]
    assert [arm.axes["fusion"] for arm in study.plan.arms if arm.kind == "fused"] == ["conv"]


@pytest.mark.parametrize(
    "typed, got",
    [
        ("layer=relu5,relu9", "relu9"),
        ("optim.fusion.lrr=1,2", "optim.fusion.lrr"),
        ("grids=[{fusion:[conv,sum]},{layr:relu4}]", "layr"),
        ("fusion=conv,sum layer=relu5,pool9 temporal=pool2d,pool3d", "layer=pool9"),
    ],
)
def test_a_mistyped_name_is_an_error_and_no_refused_cell(typed: str, got: str) -> None:
    with pytest.raises(UserError, match="unknown") as caught:
        plan_study(typed.split())
    assert caught.value.got == got


PARTS_OF_CELLS = {
    "fusion": ["sum", "max", "cat", "conv", "bilinear", "compact", "product"],
    "into": ["appearance", "motion"],
}
HEADS_OF_CELLS = ["pool2d", "pool3d", "conv3d", "pool3d_paper", "conv3d_paper"]


def runs(typed: list[str]) -> bool:
    """Whether the net of one cell can be built and run on the meta device, without any check of the planning."""
    words = parse_overrides(typed)
    config = ArmConfig.of(tree(words.groups).with_leaves(words.leaves))
    try:
        with torch.device("meta"):
            appearance, motion = build.towers(config.backbone, config.data, 15)
            net = build.net(config, appearance, motion)
            features: Any = {}
            for stream, tower in (("appearance", appearance), ("motion", motion)):
                frames = torch.zeros((2, tower.in_channels, config.data.sampling.snippets, tower.size, tower.size))
                features[stream] = tower.collect(frames.to(torch.uint8), net.needs[stream])
            net.loss(features, torch.zeros(2, dtype=torch.int64))
    except UserError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize(
    "typed",
    [
        "backbone=tiny layer=relu1,relu3,relu5,fc6,fc8,softmax",
        "backbone=vgg_m data.sampling.crop=224 layer=conv2,relu5,fc7",
        "appearance=vgg_m motion=vgg16 data.sampling.crop=224 layer=relu4,relu5:relu5_3,fc6",
        "backbone=resnet18 layer=layer2,layer4,layer1:layer2",
    ],
)
def test_what_is_refused_cannot_be_built_or_has_an_option_without_effect(typed: str) -> None:
    axes = [f"{axis}={','.join(values)}" for axis, values in PARTS_OF_CELLS.items()]
    words = [*typed.split(), *axes, f"temporal={','.join(HEADS_OF_CELLS)}"]
    study = plan_study(words)
    fixed = [word for word in typed.split() if not word.startswith("layer=")]
    tried = {"refused": 0, "trained": 0}
    for cell in (*study.plan.refused, *(arm for arm in study.plan.arms if arm.kind == "fused")):
        own = {"into": "appearance", **cell.axes}
        one = [*fixed, *(f"{axis}={own[axis]}" for axis in ("fusion", "layer", "temporal", "into"))]
        refused = isinstance(cell, Refused)
        tried["refused" if refused else "trained"] += 1
        assert runs(one) != refused or (refused and "has no effect" in cell.reason), f"{one}: {refused}"
    cells = prod(
        len(word.partition("=")[2].split(",")) for word in words if word.partition("=")[0] != "data.sampling.crop"
    )
    assert sum(tried.values()) + study.equal == cells and all(tried.values())
