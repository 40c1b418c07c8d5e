"""The sizes of arms, without data and without weights: all of it runs on the meta device, which has only shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fusionlab.backbones.tower import Tower
from fusionlab.config import build
from fusionlab.config.schema import DataConfig, Part, SamplingConfig, StreamConfig, build_dataset, config_of
from fusionlab.sizes.costs import Costs, measure
from fusionlab.study.plan import Arm
from fusionlab.study.recipes import STREAMS
from fusionlab.training.recipe import Recipe, make_optimiser
from fusionlab.two_stream.describe import Description, describe
from fusionlab.two_stream.net import Net, StreamNet

FLOAT = 4  # bytes: weights, gradients and the optimiser's numbers are float32 in either precision


@dataclass(frozen=True)
class Memory:
    """Bytes in the forward pass of a training step."""

    frozen: int  # the weights of the towers below
    weights: int  # the net's own, and their copies in bfloat16
    gradients: int
    states: int  # the optimiser's
    pixels: int  # of the batch
    maps: int  # from the frozen towers to the net
    towers: int  # their peak while they run, with the maps
    net: int  # the peak of its forward pass, with the maps and `kept`
    kept: int  # for the backward pass

    @property
    def together(self) -> int:
        """The larger of two peaks: the towers' own maps are freed before the net's are made."""
        always = self.frozen + self.weights + self.gradients + self.states + self.pixels
        return always + max(self.towers, self.net)


@dataclass(frozen=True)
class Sized:
    """An arm's sizes. `costs` are of a clip in testing, `trained` of a batch in training."""

    arm: Arm
    net: Net
    towers: Mapping[str, Tower]  # a stream alone has one
    size: Description
    costs: Costs
    trained: Costs
    batch: int
    precision: str
    optimiser: str
    reach: tuple[int, ...]  # snippets that one prediction sees, of each head
    unseen: list[int]  # snippets, from 1, that no prediction of the fused tower sees

    @property
    def sampling(self) -> SamplingConfig:
        return config_of(self.arm).data.sampling

    @property
    def memory(self) -> Memory:
        learnt = sum(p.numel() for p in self.net.parameters() if p.requires_grad)
        own = sum(p.numel() for p in self.net.parameters())
        copies = 2 * learnt if self.precision == "bf16-mixed" else 0
        return Memory(
            frozen=FLOAT * sum(layer.parameters for stream in STREAMS for layer in self.costs.of(stream)),
            weights=FLOAT * own + copies,
            gradients=FLOAT * learnt,
            states=FLOAT * learnt * (states(self.recipe) if learnt else 0),
            pixels=self.trained.pixels,
            maps=self.trained.maps,
            towers=self.trained.towers,
            net=self.trained.maps + self.trained.forward,
            kept=self.trained.kept,
        )

    @property
    def recipe(self) -> Recipe:
        """The recipe of its training."""
        return config_of(self.arm).stage.recipe


class Sizes:
    """Builds and measures arms; a tower that several share is built once."""

    def __init__(self) -> None:
        self._towers: dict[str, Tower] = {}

    def of(self, arm: Arm) -> Sized:
        config = config_of(arm)
        sampling, precision, batch = config.data.sampling, config.trainer.precision, config.stage.batch_size
        if isinstance(config, StreamConfig):
            parts, snippets = {config.stream: config.tower}, sampling.stream_snippets
        else:
            parts, snippets = {stream: config.backbone.of_stream(stream) for stream in STREAMS}, sampling.snippets
        towers = {stream: self._tower(part, stream, config.data) for stream, part in parts.items()}
        with torch.device("meta"):
            net: Net
            if isinstance(config, StreamConfig):
                stream: Any = config.stream
                consensus: Any = config.consensus
                net, below = StreamNet(towers[stream], stream, consensus=consensus), {}
            else:
                net, below = build.net(config, towers["appearance"], towers["motion"]), towers
            dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
            pair = (below.get("appearance"), below.get("motion"))
            trained = measure(net, *pair, clips=batch, snippets=snippets, dtype=dtype)
            costs = trained
            if snippets != sampling.snippets:
                costs = measure(net, *pair, snippets=sampling.snippets, dtype=dtype)
        heads = net.reach(sampling.snippets)
        seen = {t for prediction in heads[0] for t in prediction}
        return Sized(
            arm, net, towers, describe(net, *pair), costs, trained, batch, precision, config.stage.recipe.name,
            tuple(max(map(len, head)) for head in heads), [t + 1 for t in range(sampling.snippets) if t not in seen],
        )  # fmt: skip

    def _tower(self, recipe: Part, stream: Any, data: DataConfig) -> Tower:
        label = repr((recipe, stream, data))
        if label not in self._towers:
            with torch.device("meta"):
                classes = build_dataset(data).class_count
                self._towers[label] = build.tower(recipe, stream, data, classes)
        return self._towers[label]


def states(recipe: Recipe) -> int:
    """The numbers that an optimiser keeps for each parameter, counted after one step."""
    one = nn.Parameter(torch.zeros(8))
    one.grad = torch.zeros(8)
    group = {"params": [one], "lr": recipe.lr, "weight_decay": recipe.weight_decay, **recipe.own}
    made = make_optimiser(recipe.name, [group])
    made.step()
    return sum(state.shape == one.shape for state in made.state[one].values() if isinstance(state, torch.Tensor))
