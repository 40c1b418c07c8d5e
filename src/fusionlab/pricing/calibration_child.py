"""A job on synthetic batches, as a program of its own: a task on stdin, its seconds and memory on stdout, as JSON.

    {"arms": [{"kind": …, "config": …}, …], "device": "cpu", "seconds": 10}
    ->  {"step_s": …, "trunk_s": …, "view_s": …, "setup_s": …, "peak": …}  or  {"reason": "…"}, in the last line

The networks, the optimiser and the loop are those of a job. Weights are drawn, clips are noise, and the learning rate
is so small that nothing diverges: none of this changes the time of a step. No data set is needed.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from fusionlab.backbones.tower import Tower
from fusionlab.config import build
from fusionlab.config.schema import ArmConfig, StreamConfig, build_dataset
from fusionlab.data.batches import SECOND
from fusionlab.data.processes import keep_memory
from fusionlab.errors import UserError, one_line, show
from fusionlab.jobs.job_cost import EndAfter, JobCost
from fusionlab.records.files import parse_json
from fusionlab.training.cohort import Batch, Cohort
from fusionlab.training.fit import fit
from fusionlab.training.recipe import FirstPhase, configure_torch
from fusionlab.training.schedules import Constant
from fusionlab.two_stream.net import Net, union
from fusionlab.two_stream.trunk import Trunk

STEPS = (2, 200)  # at least, whatever they take, so that one is not the first; at most
VALIDATED = 2  # batches
RATE = 1e-9
TIMES = 5  # of the frozen towers alone


@dataclass
class Batches:
    """A loader: the batches in turns, `count` in all."""

    batches: Sequence[Batch]
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        return (self.batches[step % len(self.batches)] for step in range(self.count))


@dataclass
class Noise:
    """Clips of noise in place of a job's data."""

    batches: Sequence[Batch]
    views: int  # that a validation looks at together
    start_step: int = 0

    def prepare_data(self) -> None:
        """There is nothing to prepare."""

    def setup(self, stage: str) -> None:
        """There is nothing to set up."""

    def train_dataloader(self) -> Batches:
        return Batches(self.batches, STEPS[1])

    def val_dataloader(self) -> Batches:
        return Batches([{name: x[: self.views] for name, x in one.items()} for one in self.batches], VALIDATED)


def measure(arms: Sequence[tuple[str, dict[str, Any]]], device: str, seconds: float) -> dict[str, Any]:
    """Train arms of one job for some seconds. `arms`: the kind and config of each."""
    kind, first = arms[0]
    config = StreamConfig.of(first) if kind == "stream" else ArmConfig.of(first)
    threads, batch_size = config.trainer.threads, config.stage.batch_size
    cost = JobCost("calibration", batch=batch_size, threads=threads)
    configure_torch(config.trainer.precision, threads)
    keep_memory()
    classes = build_dataset(config.data).class_count
    if isinstance(config, StreamConfig):
        towers, trunk, nets = _stream(config, classes)
    else:
        towers, trunk, nets = _cohort(config, [ArmConfig.of(own) for _, own in arms], classes)
    snippets = config.data.sampling.stream_snippets if kind == "stream" else config.data.sampling.snippets
    batches = [_noise(towers, batch_size, snippets, classes, seed) for seed in range(2)]
    if isinstance(config, StreamConfig) and config.multitask is not None:
        second = [_noise(towers, batch_size, snippets, 2, seed) for seed in (2, 3)]  # any data set has two classes
        batches = [
            {**a, **{f"{SECOND}{name}": one for name, one in b.items()}} for a, b in zip(batches, second, strict=True)
        ]
    recipe = replace(
        config.stage.recipe, lr=RATE, epochs=1, steps=None, schedule=Constant(), validations=0, until="budget",
        patience=0, first=FirstPhase(), class_weights="none",
    )  # fmt: skip
    cohort, clock = Cohort(trunk, nets, recipe, seed=config.seed.dropout), {"clock": EndAfter(seconds, STEPS[0])}
    views = config.stage.clips
    fit(
        cohort,
        Noise(batches, views),
        device=device,
        precision=config.trainer.precision,
        callbacks=clock,
        observers=[cost],
    )
    for arm in cohort.arms.values():
        if arm.reason is not None:
            raise UserError("an arm cannot be trained", got=arm.reason)
    took = cost.to_dict(device)
    return {
        "step_s": took["step_s"] or 0.0,  # late fusion alone has no steps
        "trunk_s": _trunk_seconds(cohort, batches[0], device),
        "view_s": cost.seconds["validate"] / (VALIDATED * views),
        "setup_s": took["setup_s"],
        "peak": cost.peak(device),
    }


def _stream(config: StreamConfig, classes: int) -> tuple[dict[str, Tower], nn.Module, dict[str, Net]]:
    net = build.stream_net(config, classes)
    return {config.stream: net.tower}, Trunk(), {config.stream: net}


def _cohort(
    config: ArmConfig, arms: Sequence[ArmConfig], classes: int
) -> tuple[dict[str, Tower], nn.Module, dict[str, Net]]:
    appearance, motion = build.towers(config.backbone, config.data, classes)
    nets: dict[str, Net] = {str(place): build.net(own, appearance, motion) for place, own in enumerate(arms)}
    below = build.trunk(next(iter(nets.values())), appearance, motion)
    return {"appearance": appearance, "motion": motion}, below, nets


def _noise(towers: dict[str, Tower], clips: int, snippets: int, classes: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    batch = {
        stream: torch.randint(
            256, (clips, tower.in_channels, snippets, tower.size, tower.size), dtype=torch.uint8, generator=generator
        )
        for stream, tower in towers.items()
    }
    return {
        **batch,
        "label": torch.randint(classes, (clips,), generator=generator),
        "index": torch.arange(clips),
    }


def _trunk_seconds(cohort: Cohort, batch: Batch, device: str) -> float:
    """The median seconds of the frozen towers for a batch."""
    arms = [arm for arm in cohort.arms.values() if arm.trained]
    if not arms or not list(cohort.trunk.children()):
        return 0.0
    where = torch.device(device)
    cohort.to(where)
    moved = {name: one.to(where) for name, one in batch.items()}
    seconds = []
    for _ in range(TIMES):
        begun = time.monotonic()
        with torch.no_grad():
            cohort.trunk.features(moved, union(arm.needs for arm in arms))  # type: ignore[operator]
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        seconds.append(time.monotonic() - begun)
    return median(seconds)


def main() -> int:
    """The task on stdin."""
    task = parse_json(sys.stdin.buffer.read(), "the task of a calibration")
    try:
        found = measure([(arm["kind"], arm["config"]) for arm in task["arms"]], task["device"], task["seconds"])
    except UserError as error:
        found = {"reason": one_line(error.brief)}
    except Exception as error:
        traceback.print_exc()
        found = {"reason": one_line(f"{type(error).__name__}: {error}")[:500]}
    show(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
