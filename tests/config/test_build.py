"""Which system an arm belongs to: its ceilings follow from it."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from slow_tower import write_conf

from fusionlab.backbones.initialise import initialise
from fusionlab.config import build
from fusionlab.config.compose import tree
from fusionlab.config.schema import ArmConfig, StreamConfig, build_dataset
from fusionlab.errors import UserError
from fusionlab.fusion.sum import Sum
from fusionlab.planning.grid import plan_study
from fusionlab.study.recipes import stream_recipe
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.scores import scores
from fusionlab.two_stream.trunk import Trunk


def config(choices: dict[str, str], **leaves: Any) -> ArmConfig:
    leaves = {"backbone.appearance.width": 8, "backbone.motion.width": 8, "data.sampling.crop": 24, **leaves}
    return ArmConfig.of(tree({"fusion": "sum", **choices}).with_leaves(leaves))


SNIPPETS = "data.sampling.snippets"
SYSTEMS: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("late", {"fusion": "late"}, {"layer": "softmax"}),
    ("late", {}, {"layer": "softmax"}),
    ("late", {"fusion": "conv"}, {"layer": "fc8"}),
    ("fused", {}, {"layer": "relu5+fc8"}),
    ("fused", {}, {"layer": "fc7"}),
    ("fused", {"temporal": "pool2d"}, {SNIPPETS: 5}),
    ("fused", {"temporal": "pool3d"}, {SNIPPETS: 3}),
    ("fused", {"temporal": "pool3d"}, {SNIPPETS: 3, "temporal.extent": 3}),
    ("ordered", {"temporal": "pool3d"}, {SNIPPETS: 3, "temporal.extent": 2}),
    ("ordered", {"temporal": "pool3d"}, {SNIPPETS: 4, "temporal.extent": 3}),
    ("ordered", {"temporal": "conv3d"}, {SNIPPETS: 3}),
    ("ordered", {"temporal": "conv3d"}, {SNIPPETS: 2}),
    ("fused", {"temporal": "conv3d"}, {SNIPPETS: 1}),
]


@pytest.mark.parametrize(("system", "choices", "leaves"), SYSTEMS)
def test_a_system_is_ordered_if_another_order_of_snippets_gives_other_scores(
    system: str, choices: dict[str, str], leaves: dict[str, Any]
) -> None:
    """Tried on the net: the scores of a clip in each order of its snippets."""
    own = config(choices, **leaves)
    assert build.Blueprint().system(own) == system
    towers = build.towers(own.backbone, own.data, 5)
    for stream, tower in zip(("appearance", "motion"), towers, strict=True):
        initialise(tower, 0, prefix=f"{stream}.")
        classifier: Any = tower.get_submodule("fc8")
        torch.nn.init.normal_(classifier.weight, 0.0, 0.1, generator=torch.Generator().manual_seed(len(stream)))
    net, trunk = build.net(own, *towers).eval(), Trunk(*towers)
    if choices.get("temporal") == "conv3d":  # it starts from a bell, the same in both directions of time
        filters = net.get_parameter("temporal.filters.weight")
        torch.nn.init.normal_(filters, 0.0, 0.1, generator=torch.Generator().manual_seed(1))
    snippets, side = own.data.sampling.snippets, own.data.sampling.crop
    draw = torch.Generator().manual_seed(0)
    clip = {
        stream: torch.randint(256, (1, channels, snippets, side, side), generator=draw, dtype=torch.uint8)
        for stream, channels in (("appearance", 3), ("motion", 2 * own.data.sampling.fields))
    }
    found = []
    for order in list(permutations(range(snippets)))[:6]:
        shuffled = {stream: pixels[:, :, list(order)] for stream, pixels in clip.items()}
        with torch.no_grad():
            found.append(scores(net(trunk.features(shuffled, net.needs))))
    same = all(torch.allclose(one, found[0], atol=1e-6) for one in found)
    assert same == (system != "ordered")


@pytest.mark.parametrize(
    ("towers", "late", "fused"),
    [
        (("slow", "slow"), "ordered", "ordered"),
        (("tiny", "slow"), "late_clips", "ordered"),
        (("slow", "tiny"), "ordered", "ordered"),
        (("tiny", "tiny"), "late", "fused"),
    ],
)
def test_towers_of_clips_see_more_than_a_frame(
    towers: tuple[str, str], late: str, fused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of clips the appearance tower alone can see all that there is; a motion tower sees order."""
    monkeypatch.chdir(tmp_path)
    write_conf(tmp_path)
    choices = {"fusion": "sum", **dict(zip(("appearance", "motion"), towers, strict=True))}
    leaves = {SNIPPETS: 8, "data.sampling.stream_snippets": 8, "data.sampling.fields": 1, "align": "pool"}
    scores_alone, maps = (
        ArmConfig.of(tree({**choices, "fusion": fusion}).with_leaves({**leaves, "layer": layer}))
        for fusion, layer in (("late", "softmax"), ("sum", ":".join(LAYERS[name] for name in towers)))
    )
    assert build.Blueprint().system(maps) == fused
    assert build.Blueprint().system(scores_alone) == late
    for stream, name in zip(("appearance", "motion"), towers, strict=True):
        own = StreamConfig.of(stream_recipe(tree(choices).with_leaves(leaves), stream))
        assert build.Blueprint().system(own) == stream + ("_clips" if name == "slow" else "")


LAYERS = {"slow": "relu2", "tiny": "relu5"}

OPTIONS: list[dict[str, Any]] = [
    {"into": "motion", "above": "motion"},
    {"above": "motion"},
    {"above": "fresh"},
    {"above": "fresh", "seed.init": 4},
    {"keep_motion": True},
    {"keep_motion": True, "tower_weight": 0.2},
    {"layer": "relu3+relu5"},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_an_arm_has_the_net_of_its_options(options: dict[str, Any]) -> None:
    """The same as from the class itself, and another one than without them."""
    own, plain = (config({}, **{"layer": "relu5", "above": "appearance", **leaves}) for leaves in (options, {}))
    appearance, motion = build.towers(own.backbone, own.data, 5)
    for stream, tower in (("appearance", appearance), ("motion", motion)):
        initialise(tower, 0, prefix=f"{stream}.")
    names = {"keep_motion": "keep", "seed.init": "seed"}
    rest = {names.get(name, name): one for name, one in options.items() if name != "layer"}
    by_hand = FusedNet(appearance, motion, Sum, Pool2d, options.get("layer", "relu5"), **rest).eval()
    draw = torch.Generator().manual_seed(0)
    shape = (2, 8, 3, *[appearance.taps["relu5"].side] * 2)
    maps: Any = {
        stream: dict.fromkeys(("relu3", "relu5"), torch.rand(shape, generator=draw))
        for stream in ("appearance", "motion")
    }
    with torch.no_grad():
        made, other = build.net(own, appearance, motion).eval()(maps), build.net(plain, appearance, motion).eval()(maps)
        assert torch.equal(made, by_hand(maps)) and not (made.shape == other.shape and torch.equal(made, other))


def test_late_fusion_reads_the_logits_of_each_tower() -> None:
    """Towers may call them differently."""
    choices = {"fusion": "late", "appearance": "resnet18"}
    own = ArmConfig.of(tree(choices).with_leaves({"layer": "softmax", "data.sampling.crop": 64}))
    with torch.device("meta"):
        net = build.net(own, *build.towers(own.backbone, own.data, 5))
    assert net.needs == {"appearance": ("fc",), "motion": ("fc8",)}


def test_the_data_are_asked_for_the_snippets_of_both_stages() -> None:
    """Two snippets of a cycle of three segments do not show its order, also where a stream alone sees them."""
    good = tree({"data": "brush_order", "fusion": "sum"})
    build_dataset(ArmConfig.of(good.with_leaves({})).data)
    for leaf in ("data.sampling.snippets", "data.sampling.stream_snippets"):
        with pytest.raises(UserError, match="snippets must fall into neighbouring segments"):
            build_dataset(ArmConfig.of(good.with_leaves({leaf: 2})).data)


def test_towers_have_the_backbones_of_their_streams() -> None:
    own = ArmConfig.of(tree({"fusion": "sum", "appearance": "resnet18"}).with_leaves({"data.sampling.crop": 64}))
    with torch.device("meta"):
        appearance, motion = build.towers(own.backbone, own.data, 5)
    assert (appearance.classifier, motion.classifier) == ("fc", "fc8")
    assert (appearance.in_channels, motion.in_channels) == (3, 2 * own.data.sampling.fields)
    assert own.backbone.of_stream("appearance") is own.backbone.appearance != own.backbone.of_stream("motion")


def test_each_stream_starts_from_its_own_weights() -> None:
    own = ArmConfig.of(tree({"fusion": "sum"}).with_leaves({"weights.appearance": "a.pt", "weights.motion": "b.pt"}))
    assert [own.weights.of_stream(stream).source for stream in ("appearance", "motion")] == ["a.pt", "b.pt"]


@pytest.mark.parametrize(("name", "system"), [("fr2d", "appearance"), ("r2d", "appearance_clips")])
def test_a_mean_over_time_shows_no_order(name: str, system: str) -> None:
    """f-R2D sees each frame alone, and takes the mean; R2D stacks them."""
    clips = {SNIPPETS: 8, "data.sampling.stream_snippets": 8, "backbone.appearance.width": 0.125}
    made = tree({"fusion": "sum", "appearance": name}).with_leaves(clips)
    assert build.Blueprint().system(StreamConfig.of(stream_recipe(made, "appearance"))) == system


@pytest.mark.parametrize(
    ("temporal", "together", "appearance", "motion"),
    [
        ("pool2d", "late", "appearance", "motion"),
        ("pool3d", "fused", "fused", "motion"),  # frames as a set show motion, and not their order
        ("conv3d", "ordered", "appearance_clips", "motion_clips"),
    ],
)
def test_the_ceilings_of_towers_that_stay_apart(temporal: str, together: str, appearance: str, motion: str) -> None:
    (control,) = (arm for arm in plan_study(["fusion=sum", f"temporal={temporal}"]).plan.arms if arm.kind == "control")
    config, blueprint = ArmConfig.of(control.config), build.Blueprint()
    assert blueprint.system(config) == together
    assert [blueprint.system_of_tower(config, one) for one in ("appearance", "motion")] == [appearance, motion]
