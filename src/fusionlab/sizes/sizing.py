"""The sizes of arms, without data and without weights: all of it runs on the meta device, which has only shapes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from fusionlab.backbones.tower import Tower
from fusionlab.config import build
from fusionlab.config.schema import DataConfig, Part, SamplingConfig, StreamConfig, build_dataset, config_of
from fusionlab.errors import UserError, one_line
from fusionlab.sizes.costs import Costs, TowerRun, measure, run_tower
from fusionlab.study.plan import Arm
from fusionlab.study.recipes import STREAMS
from fusionlab.training.phases import freeze, layers_below
from fusionlab.training.recipe import BF16, Recipe, make_optimiser
from fusionlab.two_stream.describe import Description, describe
from fusionlab.two_stream.net import Net, StreamNet, union

SEEDS = ("seed", "stage_one", "chosen_by")  # parts of an arm's config that differ between its seeds
PROCESS = 480 << 20  # bytes of a process with torch and Lightning before it makes anything, without mapped files
_STATES: dict[tuple[str, str], int] = {}
FLOAT = 4  # bytes: weights, gradients and the optimiser's numbers are float32 in either precision


@dataclass(frozen=True)
class Memory:
    """Bytes in the forward pass of a training step, or of each micro-batch in it."""

    frozen: int  # the weights of the towers below
    weights: int  # the net's own, and their copies in bfloat16
    gradients: int
    states: int  # the optimiser's
    pixels: int  # of the whole batch
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
    """An arm's sizes. `costs` are of a clip in testing, `trained` of the `batch` of a forward pass in training."""

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
            pixels=self.trained.pixels * config_of(self.arm).stage.batch_size // self.batch,
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
    """Builds and measures arms. Arms of one `_shape_key` are measured once, and so is each tower."""

    def __init__(self) -> None:
        self._towers: dict[str, Tower] = {}
        self._runs: dict[tuple[Any, ...], TowerRun] = {}
        self._known: dict[str, Sized] = {}
        self._failed: dict[str, UserError] = {}

    def of(self, arm: Arm) -> Sized:
        """A `UserError` if a part cannot run without numbers; such a part may be the user's."""
        key = _shape_key(arm)
        if key in self._failed:
            raise self._failed[key]
        if key not in self._known:
            try:
                self._known[key] = self._measure(arm)
            except UserError as error:
                self._failed[key] = error
                raise
            except Exception as error:
                got = one_line(f"{type(error).__name__}: {error}")
                self._failed[key] = UserError("an arm cannot be measured on shapes alone", got=got)
                raise self._failed[key] from error
        return replace(self._known[key], arm=arm)

    def failure(self, arms: Sequence[Arm]) -> str | None:
        """The first of these arms that could not be measured, and why, on one line."""
        for arm in arms:
            if (error := self._failed.get(_shape_key(arm))) is not None:
                return one_line(f"{error.brief}: {arm.name}")
        return None

    def _measure(self, arm: Arm) -> Sized:
        config = config_of(arm)
        sampling, precision, batch = config.data.sampling, config.trainer.precision, config.stage.clips
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
                own = towers[stream]
                if (layer := config.stage.recipe.from_layer) is not None:
                    freeze(layers_below(own := deepcopy(own), layer))  # other arms have this tower too
                net, below = StreamNet(own, stream, consensus=consensus), {}
            else:
                net = build.net(config, towers["appearance"], towers["motion"])
                below = {} if net.own_towers else towers
            pair = (below.get("appearance"), below.get("motion"))
            rows = batch * config.tasks
            trained = measure(net, *pair, clips=rows, snippets=snippets, dtype=dtype_of(precision), run=self._run)
            costs = trained
            if snippets != sampling.snippets:
                costs = measure(net, *pair, snippets=sampling.snippets, dtype=dtype_of(precision), run=self._run)
        heads = net.reach(sampling.snippets)
        seen = {t for prediction in heads[0] for t in prediction}
        return Sized(
            arm, net, towers, describe(net, *pair), costs, trained, batch, precision, config.stage.recipe.name,
            tuple(max(map(len, head)) for head in heads), [t + 1 for t in range(sampling.snippets) if t not in seen],
        )  # fmt: skip

    def _run(self, tower: Tower, stream: Any, taps: Sequence[str], **how: Any) -> TowerRun:
        """`run_tower`, once for all nets above a tower."""
        key = (id(tower), stream, tuple(taps), *sorted(how.items(), key=lambda one: one[0]))
        if key not in self._runs:
            self._runs[key] = run_tower(tower, stream, taps, **how)
        return self._runs[key]

    def _tower(self, recipe: Part, stream: Any, data: DataConfig) -> Tower:
        label = repr((recipe, stream, data))
        if label not in self._towers:
            with torch.device("meta"):
                classes = build_dataset(data).class_count
                self._towers[label] = build.tower(recipe, stream, data, classes)
        return self._towers[label]

    def cohort_memory(self, arms: Sequence[Arm], *, on_gpu: bool = False) -> int:
        """`cohort_memory` of arms with one cohort recipe, or of a stream alone."""
        sized = [self.of(arm) for arm in arms]
        return cohort_memory(sized, on_gpu=on_gpu, run=self._run)

    def trunk_macs(self, sized: Sequence[Sized]) -> int:
        """Multiply-adds of a clip in the frozen towers below these arms."""
        return sum(layer.macs for done in trunk_runs(sized, self._run) for layer in done.layers)


def content_key(arm: Arm) -> str:
    """Equal for arms that differ in their seeds only, and so have one size and one price."""
    return arm.kind + json.dumps({part: one for part, one in arm.config.items() if part not in SEEDS}, sort_keys=True)


def _shape_key(arm: Arm) -> str:
    """Equal for arms that differ in seeds or in their optimisers' numbers only: their nets and batches are equal."""
    optim = arm.config["optim"] if arm.kind == "stream" else arm.config["optim"]["fusion"]
    own = {name: optim.get(name) for name in ("name", "batch_size", "micro_batch", "from_layer")}
    return content_key(replace(arm, config={**arm.config, "optim": own}))


def dtype_of(precision: str) -> torch.dtype:
    """The type of what is computed."""
    return torch.bfloat16 if precision == BF16 else torch.float32


def cohort_memory(
    sized: Sequence[Sized],
    *,
    on_gpu: bool = False,
    run: Callable[..., TowerRun] = run_tower,
) -> int:
    """Peak bytes of a job that trains these arms together, as `Memory` counts them for one arm.

        whole frozen towers + 2 batches + Σ (weights, gradients, states, best weights) + the largest of
        the towers' own peak; their maps, what earlier arms keep, and the peak of one arm; a batch of the test, which
        may see larger frames and longer clips

    Maps of one layer are shared. A second batch is read before a step ends, since loaders have no length. On a GPU the
    best weights lie in the memory of the host, which is not counted there; elsewhere the memory of the process itself
    is (`PROCESS`). A checkpoint is written without a copy; one that is read has the room of gradients and best weights.
    """
    memories = [one.memory for one in sized]
    first = sized[0]
    maps = towers = 0
    for done in trunk_runs(sized, run):
        towers = max(towers, maps + done.most)
        maps += done.maps
    kept = nets = 0
    for one, memory in zip(sized, memories, strict=True):
        nets = max(nets, maps + kept + one.trained.forward)
        kept += memory.kept
    # those of which an arm trains copies stay in the memory of the host
    below = () if first.arm.kind == "stream" or (first.net.own_towers and on_gpu) else first.towers.values()
    always = sum(map(state_bytes, below)) + 2 * max(memory.pixels for memory in memories)
    always += sum(memory.weights + memory.gradients + memory.states for memory in memories)
    test = _test_peak(sized, maps, towers) - 2 * max(memory.pixels for memory in memories)
    if on_gpu:
        return always + max(towers, nets, test)
    best = sum(state_bytes(one.net) for one in sized)
    return PROCESS + always + best + max(towers, nets, test)


def _test_peak(sized: Sequence[Sized], maps: int, towers: int) -> int:
    """Peak bytes of a batch in the test, with its pixels: in float32, nothing is kept, one arm after the other."""
    first = sized[0]
    clips = 1 if first.costs is first.trained else first.batch  # costs of other snippets are those of one clip
    grows = pixels_of_test(first) * (2 if first.precision == BF16 else 1)
    peak = max(towers, maps + clips * max(one.costs.tested for one in sized))
    return round(grows * peak + pixels_of_test(first) * clips * max(one.costs.pixels for one in sized))


def pixels_of_test(one: Sized) -> float:
    """Pixels of a test view over those of a training clip; whole frames are taken as 4:3."""
    config = config_of(one.arm)
    how, short = config.data.sampling, config.data.store.size
    return (short or how.crop) ** 2 * 4 / 3 / how.crop**2 if how.whole else 1.0


def trunk_runs(sized: Sequence[Sized], run: Callable[..., TowerRun] = run_tower) -> list[TowerRun]:
    """One pass of a batch through the frozen towers, up to all that these arms need; none where nets have their own."""
    first = sized[0]
    if first.net.own_towers:
        return []
    how = {"clips": first.batch, "snippets": first.trained.snippets, "dtype": dtype_of(first.precision)}
    needs = union(one.net.needs for one in sized)
    return [run(first.towers[stream], stream, taps, **how) for stream, taps in needs.items()]


def checkpoint_bytes(sized: Sequence[Sized]) -> int:
    """Bytes of a checkpoint: of each arm its weights, its best weights, and the optimiser's states."""
    return sum(2 * state_bytes(one.net) + one.memory.states for one in sized)


def state_bytes(module: nn.Module) -> int:
    """Bytes of a module's weights and buffers, which a file of its weights holds."""
    return sum(one.numel() * one.element_size() for one in module.state_dict().values())


def states(recipe: Recipe) -> int:
    """The numbers that an optimiser keeps for each parameter, counted after one step."""
    key = recipe.name, repr(recipe.own)
    if key not in _STATES:
        one = nn.Parameter(torch.zeros(8))
        one.grad = torch.zeros(8)
        group = {"params": [one], "lr": recipe.lr, "weight_decay": recipe.weight_decay, **recipe.own}
        made = make_optimiser(recipe.name, [group])
        made.step()
        _STATES[key] = sum(x.shape == one.shape for x in made.state[one].values() if isinstance(x, torch.Tensor))
    return _STATES[key]
