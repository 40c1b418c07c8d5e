"""Nets on whole frames: larger than what their towers expect, and not square."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fusionlab.backbones.initialise import initialise
from fusionlab.config.build import Blueprint, towers
from fusionlab.config.build import net as built
from fusionlab.config.compose import tree
from fusionlab.config.schema import ArmConfig
from fusionlab.errors import UserError
from fusionlab.training.evaluate import evaluate
from fusionlab.two_stream.trunk import Trunk

UCF = {"data": "ucf101", "fusion": "sum"}


def config(choices: dict[str, str], **leaves: Any) -> ArmConfig:
    return ArmConfig.of(tree(choices).with_leaves({leaf.replace("__", "."): one for leaf, one in leaves.items()}))


def tried(choices: dict[str, str], size: tuple[int, int], **leaves: Any) -> None:
    made = config(choices, **leaves)
    Blueprint().expect_views(made, [(made.data.sampling.snippets, *size)])


@pytest.mark.parametrize(
    ("choices", "layer"),
    [
        ({"backbone": "vgg_m"}, "relu5"),
        ({"backbone": "vgg_m"}, "fc6"),
        ({"backbone": "vgg_m", "fusion": "bilinear"}, "relu5"),
        ({"backbone": "vgg_m", "fusion": "cat", "temporal": "conv3d_paper"}, "relu5"),
        ({"backbone": "vgg_m"}, "relu3+relu5+fc8"),
        ({"appearance": "vgg16", "motion": "vgg_m"}, "relu5"),
        ({"appearance": "vgg16", "motion": "vgg_m", "fusion": "late"}, "relu5"),
        ({"backbone": "resnet18"}, "layer4"),
    ],
)
def test_the_papers_nets_take_frames_of_any_size(choices: dict[str, str], layer: str) -> None:
    for size in ((256, 342), (454, 256), (256, 252)):
        tried({**UCF, **choices}, size, layer=layer)


@pytest.mark.parametrize("layer", ["fc6", "fc8"])
def test_unlike_towers_without_maps_do_not_fit_at_every_size(layer: str) -> None:
    unlike = {**UCF, "appearance": "vgg16", "motion": "vgg_m"}
    tried(unlike, (256, 342), layer=layer)
    tried(unlike, (224, 224), layer=layer)
    with pytest.raises(UserError, match="views of this shape") as refused:
        tried(unlike, (256, 252), layer=layer)
    message = str(refused.value)
    assert f"layer={layer}, 5 frames of 252×256: (1, " in message and "data.sampling.test=middle" in message


@pytest.mark.parametrize(
    ("choices", "crop", "size", "map_of"),
    [
        ({}, 48, (64, 112), None),
        ({"backbone": "vgg_m"}, 64, (80, 112), None),
        ({"fusion": "bilinear"}, 48, (64, 112), 3),  # one descriptor a frame, of all its places
        ({"fusion": "late"}, 48, (64, 112), None),
        ({"temporal": "pool3d"}, 48, (64, 112), None),
    ],
)
def test_scores_are_means_over_views_times_and_places(
    choices: dict[str, str], crop: int, size: tuple[int, int], map_of: int | None
) -> None:
    how = config({"fusion": "sum", **choices}, data__sampling__crop=crop, layer="relu5")
    appearance, motion = towers(how.backbone, how.data, 3)
    for stream, tower in (("appearance", appearance), ("motion", motion)):
        initialise(tower, 0, prefix=f"{stream}.")
    net, trunk = built(how, appearance, motion).eval(), Trunk(appearance, motion)
    draw = torch.Generator().manual_seed(0)
    batches = []
    for index, (height, width) in enumerate((size, size[::-1])):  # a batch of its own for each size
        shapes = {"appearance": (2, 3, 3, height, width), "motion": (2, 12, 3, height, width)}
        pixels = {s: torch.randint(256, shape, generator=draw, dtype=torch.uint8) for s, shape in shapes.items()}
        batches.append({**pixels, "label": torch.tensor([1, 1]), "index": torch.tensor([index, index])})
    found = evaluate(trunk, {"arm": net}, batches).of["arm"]
    for row, batch in zip(found, batches, strict=True):
        each = []
        for view in range(2):
            with torch.no_grad():
                alone = {stream: batch[stream][view : view + 1] for stream in ("appearance", "motion")}
                logits = net(trunk.features(alone, net.needs))[0].double()
            assert logits.shape[1] == map_of or (map_of is None and logits.shape[1] in range(6, 100, 3))
            each.append(torch.stack([one.softmax(0) for one in logits.T]).mean(0))
        assert torch.allclose(row.double(), torch.stack(each).mean(0), atol=1e-5)
        assert not torch.allclose(each[0], each[1], atol=1e-7), "two views, two opinions"
