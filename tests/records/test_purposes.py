"""The words of the draws: every seed of the package recomputed from the words that are written here.

A renamed word would draw other numbers for every study that was ever recorded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training_fakes import cohort

from fusionlab.backbones.initialise import initialise
from fusionlab.data.brush.labels import LABELS, PLACES
from fusionlab.data.brush.motions import MOTIONS
from fusionlab.data.brush.scene import compose
from fusionlab.data.pairs import derangement
from fusionlab.data.sampler import order
from fusionlab.data.validation import cut
from fusionlab.data.views import Sampling, training_view
from fusionlab.data.views import testing_view as view_of_test
from fusionlab.two_stream.net import Net

SEEDS = (0, 3)


def seed_of(*words: str | int) -> int:
    """The first 63 bits of sha256 of the words as JSON without spaces."""
    digest = hashlib.sha256(json.dumps(words, separators=(",", ":")).encode()).digest()
    return int.from_bytes(digest[:8], "big") // 2


def draw_of(*words: str | int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed_of(*words)))


@pytest.mark.parametrize("seed", SEEDS)
def test_init_and_the_name_of_a_parameter(seed: int) -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 1))
    initialise(net, seed, prefix="motion.")
    generator = torch.Generator().manual_seed(seed_of("init", seed, "motion.0.weight"))
    drawn = torch.empty(3, 2, 1, 1).normal_(0.0, 1.0, generator=generator)  # √(2 / fan in) = 1
    torch.testing.assert_close(net[0].weight.detach(), drawn)


@pytest.mark.parametrize("seed", SEEDS)
def test_order_and_the_epoch(seed: int) -> None:
    assert order(30, seed, 2) == draw_of("order", seed, 2).permutation(30).tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_sample_the_epoch_and_the_index(seed: int) -> None:
    """τ, the start, y, x, the mirror, and up or down, in this order; 50 frames, of which 46 can be a centre."""
    how = Sampling(snippets=3, fields=4, stride=(2, 6), crop=24, apart=5)
    for index in range(5):
        draw = draw_of("sample", seed, 4, index)
        tau = int(draw.integers(2, 7))
        first = 2 + int(draw.random() * (46 - 2 * tau))
        y, x, flip, up = (int(draw.integers(options)) for options in (17, 37, 2, 2))
        view = training_view(50, 40, 60, how, seed, 4, index)
        assert view.centres.tolist() == [first, first + tau, first + 2 * tau]
        assert (view.crop.y, view.crop.x, view.crop.flip, view.down) == (y, x, bool(flip), -5 if up else 5)


def test_apart_and_the_name_of_a_video() -> None:
    how = Sampling(apart=5)
    for name in map(str, range(10)):
        down = view_of_test(50, 60, 60, how, 0, name).down
        assert down == (-5 if seed_of("apart", name) % 2 else 5)


@pytest.mark.parametrize("seed", SEEDS)
def test_validation_and_the_group(seed: int) -> None:
    """Of twelve equal groups of one class, the three whose numbers are the smallest."""
    train = [(f"g{group}/{clip}", 0) for group in range(12) for clip in range(2)]
    _, held_out = cut(train, lambda name: name.partition("/")[0], seed, fraction=0.25)
    first = sorted((f"g{group}" for group in range(12)), key=lambda name: seed_of("validation", seed, name))[:3]
    assert {name.partition("/")[0] for name, _ in held_out} == set(first)


class Drawing(Net):
    """Notes what torch draws in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.needs = {"appearance": ("relu",)}
        self.weight = nn.Parameter(torch.zeros(()))
        self.drawn: list[float] = []

    def forward(self, features: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        self.drawn.append(float(torch.rand(())))
        return features["appearance"]["relu"].mean((3, 4)) * self.weight


@pytest.mark.parametrize("seed", SEEDS)
def test_dropout_and_the_step(seed: int) -> None:
    net: Any = Drawing()
    made = cohort({"drawing": net}, seed=seed)
    made.steps_per_epoch = 10
    batch = {"appearance": torch.zeros(2, 3, 2, 6, 6), "label": torch.tensor([0, 1])}
    for made.step in (0, 7):
        made.training_step(batch, 0)
    expected = [
        float(torch.rand((), generator=torch.Generator().manual_seed(seed_of("dropout", seed, step))))
        for step in (0, 7)
    ]
    assert net.drawn == expected


@pytest.mark.parametrize("epoch", [0, 7, "validation"])
@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_the_epoch_and_the_class(seed: int, epoch: int | str) -> None:
    for label in range(5):
        draw = draw_of("pairs", seed, epoch, label)
        orders = (draw.permutation(4).tolist() for _ in range(1000))
        wanted = next(one for one in orders if all(place != number for number, place in enumerate(one)))
        assert derangement(4, seed, epoch, label) == wanted


@pytest.mark.parametrize("seed", SEEDS)
def test_brush_with_the_name_of_a_clip_and_its_ground_with_the_group(seed: int) -> None:
    """Of a clip that asks for the place: first the decoy's place is drawn, then the hand's motion and the decoy's."""
    label = next(one for one in LABELS if one.kind == "what")
    for name in map(str, range(5)):
        scene, draw = compose(seed, name, 4, label, frames=6, shake=0.0), draw_of("brush", seed, name)
        decoy, hand, apart = (
            int(draw.integers(options)) for options in (len(PLACES) - 1, len(MOTIONS), len(MOTIONS) - 1)
        )
        assert scene.place_hues == (label.place, (int(label.place or 0) + 1 + decoy) % len(PLACES))
        assert scene.motions == (hand, (hand + 1 + apart) % len(MOTIONS))
        assert scene.ground_seed == seed_of("brush ground", seed, 4)
