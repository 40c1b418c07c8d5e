"""Twelve arms above two frozen streams on a small set of brush, and their training steps, for the rows on training.

A step here is a cohort's own (`training_step`, the backward pass, `on_before_optimizer_step`, the optimiser's step), by
the calls that Lightning makes, in its order. A test compares it with Lightning's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from torch.utils.data import DataLoader

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.tower import Tower
from fusionlab.config import build
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig, StreamConfig
from fusionlab.data.module import TwoStreamData
from fusionlab.jobs.job_data import Data, open_data
from fusionlab.planning.grid import PlannedStudy, plan_study
from fusionlab.study.plan import Arm
from fusionlab.training.cohort import Batch, Cohort
from fusionlab.two_stream.net import STREAMS, Features, Needs, Net, Stream, union
from fusionlab.two_stream.trunk import Trunk

GRID = ("fusion=sum,max,cat,conv", "temporal=pool2d,pool3d,conv3d")  # twelve arms of one cohort
SMALL = ("data.dataset.what=4", "data.dataset.binding=1")  # so that the set is made in seconds
STEPS_PER_EPOCH = 1000


class CohortCase:
    """The arms of a grid, their data, and two towers whose weights are drawn instead of trained."""

    def __init__(self, folder: Path, options: Sequence[str] = (*GRID, *SMALL)) -> None:
        self.folder, self.options = folder, options
        self.study: PlannedStudy = plan_study([*options, f"run.root={folder}", f"run.data={folder}"])
        self.arms: dict[str, Arm] = {arm.name: arm for arm in self.study.plan.arms if arm.kind == "fused"}
        self.configs = {name: ArmConfig.of(arm.config) for name, arm in self.arms.items()}
        self.config = next(iter(self.configs.values()))  # for what all of them share
        self.run = RunConfig.of(self.study.config)

    @cached_property
    def data(self) -> Data:
        return open_data(self.config.data, self.run, lambda _: None)

    def module(self) -> TwoStreamData:
        return self.data.module(self.config)

    @cached_property
    def towers(self) -> tuple[Tower, Tower]:
        towers = build.towers(self.config.backbone, self.config.data, len(self.data.dataset.classes))
        for stream, tower in zip(STREAMS, towers, strict=True):
            initialise(tower, 0, prefix=f"{stream}.")
        return towers

    def trunk(self) -> Trunk:
        return Trunk(*self.towers)

    def cohort(self, names: Sequence[str] | None = None, trunk: nn.Module | None = None) -> Cohort:
        """New nets of these arms, as a cohort."""
        chosen = list(self.arms) if names is None else names
        nets: dict[str, Net] = {name: build.net(self.configs[name], *self.towers) for name in chosen}
        recipes = {name: self.configs[name].stage.recipe for name in chosen}
        return Cohort(trunk or self.trunk(), nets, recipes, seed=self.config.seed.dropout)

    def stream(self, stream: Stream) -> StreamConfig:
        """The config of stage one."""
        return next(
            StreamConfig.of(arm.config)
            for arm in self.study.plan.arms
            if arm.kind == "stream" and arm.axes["streams"] == stream
        )

    def batches(self) -> Iterator[Batch]:
        """Batches of the training list without an end."""
        while True:
            yield from self.module().train_dataloader()


class GivenMaps(nn.Module):
    """A trunk that is there already: the maps of one batch."""

    def __init__(self, maps: Features) -> None:
        super().__init__()
        self.maps = maps

    def features(self, batch: Batch, needs: Needs) -> Features:
        return self.maps


def needs_of(cohort: Cohort) -> Needs:
    return union(arm.needs for arm in cohort.arms.values())


def stepper(cohort: Cohort, batches: Iterator[Batch]) -> Callable[[], None]:
    """A function that trains the cohort for one more step."""
    optimiser: Any = cohort.configure_optimizers()
    cohort.train()
    cohort.steps_per_epoch = cohort.steps_per_epoch or STEPS_PER_EPOCH

    def step() -> None:
        batch = next(batches)

        def closure() -> Tensor:
            loss = cohort.training_step(batch, 0)
            optimiser.zero_grad()
            cohort.backward(loss)
            cohort.on_before_optimizer_step(optimiser)
            return loss

        cohort.optimizer_step(0, 0, optimiser, closure)

    return step


class BatchesInMemory:
    """Data for `fit`: a list of batches as the epoch, another for its validation."""

    def __init__(self, train: Sequence[Batch], validation: Sequence[Batch]) -> None:
        self.train, self.validation, self.start_step = train, validation, 0

    def prepare_data(self) -> None: ...

    def setup(self, stage: str) -> None: ...

    def train_dataloader(self) -> Sequence[Batch]:
        return self.train[self.start_step % len(self.train) :]

    def val_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(cast(Any, self.validation), batch_size=None)  # Lightning takes a list for several loaders
