"""What is composed once for many points is what each point would be by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionlab.config.compose import tree
from fusionlab.errors import UserError
from fusionlab.planning.chains import shared_by_cohort
from fusionlab.planning.grid import plan_study
from fusionlab.records.signature import NEUTRAL, Signer, signature
from fusionlab.study.recipes import arm_recipe, stream_recipe

GRIDS = [
    ["fusion=sum,conv,late", "layer=relu4,relu5", "seed=0,1,2"],
    ["layer=relu4,relu5", "seed.init=0,1", "seed.data=3,4", "optim.fusion.lr=0.001,0.002"],  # late has none of these
    ["data=brush,brush_order", "backbone.appearance.width=16,24", "fusion.init=gaussian", "seed=0,1"],
    ["data.sampling.apart=0,1", "data.sampling.delay=0,1", "seed=0,1"],
    ["streams=appearance,both", "trainer.threads=1,2", "seed=0,1"],
    ["experiment=demo_order", "seed=0,1", "weights=null,a.pt"],
]


# arms: streams, late, controls, fused
COUNTS = [(6, 3, 6, 12), (8, 4, 16, 16), (12, 8, 8, 8), (8, 8, 8, 8), (8, 4, 4, 4), (8, 4, 12, 12)]


@pytest.mark.parametrize(("typed", "counts"), [*zip(GRIDS, COUNTS, strict=True)], ids=[*map(" ".join, GRIDS)])
def test_an_arm_of_a_grid_has_the_config_and_the_signature_that_it_has_alone(
    typed: list[str], counts: tuple[int, int, int, int]
) -> None:
    """The oracle composes with omegaconf and signs each config anew."""
    words = dict(word.split("=", 1) for word in typed)
    known = {"fusion", "data", "backbone", "experiment"}
    plan = plan_study(typed).plan
    kinds = ("stream", "late", "control", "fused")
    assert tuple(sum(arm.kind == kind for arm in plan.arms) for kind in kinds) == counts
    for arm in plan.arms:
        own = {**{name: text for name, text in words.items() if "," not in text}, **arm.axes}
        if arm.kind in ("stream", "late"):
            own.pop("layer", None)
        groups = {name: str(one) for name, one in own.items() if name in known | {"temporal"} and one != "late"}
        whole = tree({**groups, **({"fusion": "late", "temporal": "pool2d"} if arm.kind == "late" else {})})
        leaves = {name: _plain(one) for name, one in own.items() if name not in {*known, "temporal", "streams"}}
        if arm.kind in ("late", "control"):
            leaves = {leaf: one for leaf, one in leaves.items() if not leaf.startswith("fusion.")}
            leaves |= {leaf: NEUTRAL[leaf] for leaf in ("into", "keep_motion", "tower_weight", "align")}
            leaves |= {"layer": "softmax"} if arm.kind == "late" else {"above": "appearance"}
        composed = {**whole._set_in_content(leaves), "streams": "both"}
        composed["tower_weight"] = float(composed["tower_weight"])
        if arm.kind == "stream":
            assert arm.config == stream_recipe(composed, str(arm.axes["streams"]))
        else:
            assert arm.config == arm_recipe(composed)
            assert arm.job.startswith(f"cohort-{signature(shared_by_cohort(arm_recipe(composed), selects=False))}")
        assert arm.signature == signature(arm.config)


def _plain(value: Any) -> Any:
    try:
        return {"null": None}.get(value, int(value) if str(value).isdigit() else value)
    except TypeError:
        return value


LEAVES = [
    ({}, {"layer": "relu4", "seed": 3, "optim.fusion.lr": 0.1}),
    ({"experiment": "how"}, {"above": "motion", "into": "motion"}),
    ({"experiment": "how"}, {"into": "motion"}),
    ({}, {"backbone.appearance.width": 0.5}),
    ({}, {"data.sampling.strides": [1, 2]}),
    ({}, {"seed": {"init": 1, "data": 2, "dropout": 4}}),
    ({}, {"weights": "x.pt", "weights.motion": None}),
    ({"data": "ucf101"}, {"data.store.codec.frames": "jpeg"}),
    ({"experiment": "r2plus1d_table2"}, {"data.sampling.snippets": 4}),
    ({"experiment": "r2plus1d_table2"}, {"data.sampling.stream_snippets": 4}),
    ({}, {"fusion": {"_target_": "x", "_partial_": True}}),
    ({}, {"fusion": {"_target_": "x", "_partial_": True}, "temporal": {"side": 1}}),
    ({}, {"run": 3}),
    ({}, {"run.data": "/x", "run.grid": {"fusion": ["a"]}}),
    ({}, {"backbone": "tiny"}),
    ({}, {"data.sampling[0]": 1}),
]


@pytest.mark.parametrize("groups, leaves", LEAVES, ids=str)
def test_leaves_set_in_plain_data_are_as_omegaconf_sets_them(groups: dict[str, str], leaves: dict[str, Any]) -> None:
    composed = tree(groups)

    def tried(way: Any) -> Any:
        try:
            return way(leaves)
        except UserError as error:
            return str(error)

    plain, content = tried(composed._set_in_plain), tried(composed._set_in_content)
    assert plain is None or plain == content
    assert plain is not None or {"run", "data.sampling[0]"} & leaves.keys()


def test_a_change_of_what_was_composed_does_not_reach_the_next(tmp_path: Path) -> None:
    first = tree({}).with_leaves({})
    first["data"]["sampling"]["snippets"] = 99
    assert tree({}).with_leaves({})["data"]["sampling"]["snippets"] != 99


def test_a_seed_that_is_looked_up_elsewhere_is_composed_for_each_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text("# @package _global_\ndata: {dataset: {seed: '${seed.data}'}}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    plan = plan_study(["experiment=own", "seed=4,5"]).plan
    assert {(arm.axes["seed"], arm.config["data"]["dataset"]["seed"]) for arm in plan.arms} == {(4, 4), (5, 5)}


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False), st.text(max_size=3))
TREES = st.dictionaries(
    st.sampled_from(["fusion", "into", "run", "a.b", "callbacks", "weights", "appearance", "_target_", "é"]),
    st.recursive(VALUES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["weight", "source", "head", "x", "motion", "a.b"]), inner, max_size=3), max_leaves=6),
    max_size=6,
)  # fmt: skip


@settings(max_examples=50)
@given(st.lists(TREES, min_size=1, max_size=3))
def test_a_signer_signs_as_each_config_is_signed_alone(configs: list[dict[str, Any]]) -> None:
    signer = Signer()
    crossed = [{**one, **{name: other[name] for name in list(other)[:1]}} for one in configs for other in configs]
    for config in (*configs, *crossed, *configs):
        assert signer.signature(config) == signature(config)


@pytest.mark.parametrize("leaf", ["into", "fusion.weight", "callbacks", "weights.source", "data.sampling.delay"])
def test_a_signer_leaves_out_what_is_neutral(leaf: str) -> None:
    config: dict[str, Any] = {"layer": "relu5"}
    at, *rest = leaf.split(".")
    value = NEUTRAL[leaf]
    for name in reversed(rest):
        value = {name: value}
    assert Signer().signature({**config, at: value}) == Signer().signature(config) == signature(config)
