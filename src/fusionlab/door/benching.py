"""What `bench` measures: how quickly a command answers, and what sharing (streams, reads, processes) saves."""

from __future__ import annotations

import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionlab.records.circumstances import circumstances

VERBS = (
    "sweep",
    "train",
    "test",
    "plan",
    "work",
    "status",
    "report",
    "prepare",
    "diff",
    "signature",
    "summary",
    "cancel",
    "bench",
)
ARMS = 6


@dataclass(frozen=True)
class Row:
    """One figure; `most` is what it should not exceed."""

    what: str
    figure: float
    unit: str
    most: float | None = None

    @property
    def within(self) -> bool:
        return self.most is None or self.figure <= self.most


def bench() -> list[Row]:
    """All rows, on one thread a process."""
    bare = _command("-c", "pass")
    rows = [Row("`import fusionlab`, beyond a bare interpreter", _command("-c", "import fusionlab") - bare, "s", 0.2)]
    slowest = max(VERBS, key=lambda verb: _command("-m", f"fusionlab.{verb}", "--help", times=1))
    rows.append(
        Row(f"`--help` of the slowest verb ({slowest})", _command("-m", f"fusionlab.{slowest}", "--help"), "s", 1.5)
    )
    with tempfile.TemporaryDirectory() as folder:
        return rows + _training(Path(folder))


def _command(*words: str, times: int = 5) -> float:
    """Seconds that a fresh Python takes, the median of some."""

    def once() -> None:
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)

    return _median(once, times)


def _median(action: Callable[[], object], times: int) -> float:
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def _training(folder: Path) -> list[Row]:
    """A store, its loader, and a cohort's step against its arms' steps alone, on a small brush."""
    import torch

    from fusionlab.door import build
    from fusionlab.door.compose import tree
    from fusionlab.door.data import open_data
    from fusionlab.study.recipes import data_recipe
    from fusionlab.two_stream.trunk import Trunk

    torch.set_num_threads(1)
    config = tree({"fusion": "conv"}).with_leaves(
        {"data.dataset.what": 4, "data.dataset.binding": 1, "run.data": str(folder)}
    )
    begun = time.perf_counter()
    data = open_data(data_recipe(config), config["run"], lambda _: None)
    made = time.perf_counter() - begun
    batch_size = config["optim"]["fusion"]["batch_size"]
    module = data.module(config, streams="both", snippets=config["data"]["sampling"]["snippets"], batch_size=batch_size)
    batches = list(module.train_dataloader())[:4]
    load = _median(lambda: next(iter(module.train_dataloader())), 9)
    appearance, motion = build.towers(config, len(data.dataset.classes))
    trunk = Trunk(appearance, motion)
    nets = [build.net({**config, "seed": {**config["seed"], "init": seed}}, appearance, motion) for seed in range(ARMS)]

    def step(some: Sequence[torch.nn.Module]) -> None:
        batch = batches[0]
        features = trunk.features(batch, nets[0].needs)
        loss = sum(torch.nn.functional.cross_entropy(net(features).mean(2), batch["label"]) for net in some)
        loss.backward()  # type: ignore[union-attr]

    alone, together = _median(lambda: step(nets[:1]), 9), _median(lambda: step(nets), 9)
    cores = len(os.sched_getaffinity(0))
    videos = len(data.store.videos)
    return [
        Row(f"making brush: draw, encode, decode, flow, pack ({cores} processes)", 1000 * made / videos, "ms a clip"),
        Row(f"reading a batch of {batch_size} clips, of a training step", load / together, "×", 0.2),
        Row(f"{ARMS} arms in one cohort, of {ARMS} arms each alone", together / (ARMS * alone), "×", 0.6),
    ]


def page(rows: list[Row], command: str) -> str:
    """The rows as Markdown, with the command, the class of machine and the day."""
    here = circumstances()
    machine = here["machine"]
    where = f"{machine['cores']} cores of {machine['cpu']}, torch {here['packages'].get('torch')}"
    lines = [
        f"`{command}`, {datetime.datetime.now(datetime.UTC).date()}, {where}",
        "",
        "| what | figure | at most | |",
        "|---|---:|---:|---|",
    ]
    for row in rows:
        most = "" if row.most is None else f"{row.most:g} {row.unit}"
        lines.append(f"| {row.what} | {row.figure:.2f} {row.unit} | {most} | {'' if row.within else 'beyond'} |")
    return "\n".join(lines) + "\n"
