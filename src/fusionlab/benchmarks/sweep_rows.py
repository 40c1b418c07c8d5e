"""Rows on whole sweeps: planning at size, and a cohort against a loop that trains one cell a process.

Every figure is of fresh processes. Planning is measured as CPU time, which other work on the machine changes little.
The loop is measured as wall time, in turns with the sweep, and needs two idle cores.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from fusionlab.benchmarks.measure import BenchRow
from fusionlab.benchmarks.side_by_side import side_by_side
from fusionlab.records.files import parse_json

# 3 fusions × 3 layers × 37 rates: 333 contents, each with all seeds
FUSIONS, LAYERS, RATES, SEEDS = ("sum", "max", "conv"), ("relu3", "relu4", "relu5"), 37, 30
HEADS = ("pool2d", "pool3d", "conv3d")
OF_THE_LOOP = ("sum", "max", "cat", "conv")  # with the heads: twelve arms of one cohort
SMALL = ("data.dataset.what=4", "data.dataset.binding=1")  # so that streams are trained in seconds
PLANNING = """
import json, sys, time
from fusionlab.planning.grid import plan_study
from fusionlab.records.environment import peak_memory
begun = time.process_time()
study = plan_study(sys.argv[1:])
ended = time.process_time()
report = {"arms": len(study.plan.arms), "seconds": ended - begun, "with start": ended, "peak": peak_memory()}
json.dump(report, sys.stdout)
"""


def rows() -> Iterator[BenchRow]:
    with tempfile.TemporaryDirectory() as folder:
        yield from _planning(folder, FUSIONS, LAYERS, RATES, SEEDS)
        yield _loop(Path(folder))


def _planning(folder: str, fusions: Sequence[str], layers: Sequence[str], rates: int, seeds: int) -> Iterator[BenchRow]:
    contents = len(fusions) * len(layers) * rates
    axes = [
        f"fusion={','.join(fusions)}", f"layer={','.join(layers)}",
        f"optim.fusion.lr={','.join(f'{0.001 + 0.0001 * number:.4f}' for number in range(rates))}",
    ]  # fmt: skip
    one, all_ = (
        planned([*axes, f"seed={','.join(map(str, range(count)))}", f"run.root={folder}", f"run.data={folder}"])
        for count in (1, seeds)
    )
    assert min(one["arms"], all_["arms"] / seeds) > contents, "a plan has all contents, and the baselines"
    what = f"plan of {contents} contents × {seeds} seeds, CPU time"
    yield BenchRow(f"{what}, with the start of its process", all_["with start"], "s", 15.0)
    yield BenchRow(f"{what}: peak memory", all_["peak"] / 2**30, "GiB", 1.0)
    yield BenchRow(f"{what}: a content with its first seed", 1000 * one["seconds"] / contents, "ms", 15.0)
    further = 1000 * (all_["seconds"] - one["seconds"]) / (contents * (seeds - 1))
    yield BenchRow(f"{what}: a further seed of a content", further, "ms", 0.5)


def planned(words: Sequence[str]) -> dict[str, float]:
    """Plan in a fresh process: its arms, CPU seconds and peak memory."""
    done = subprocess.run([sys.executable, "-c", PLANNING, *words], check=True, stdout=subprocess.PIPE)
    return dict(parse_json(done.stdout, "what planning printed"))


def _loop(folder: Path) -> BenchRow:
    """One cell a process, two at a time, as one would type it in a loop; with streams that are trained already."""
    cells = list(itertools.product(OF_THE_LOOP, HEADS))
    what = f"{len(cells)} arms, stage two: `train` cell by cell, two at a time, relative to one sweep"
    if len(os.sched_getaffinity(0)) < 2:
        return BenchRow(what, None, "×", missing="this is one core", least=5.5)
    sweeps = Sweeps(folder, SMALL)
    turn = itertools.cycle(cells[at : at + 2] for at in range(0, len(cells), 2))

    def two_cells() -> None:
        sweeps.run(*[("train", f"fusion={fusion}", f"temporal={head}") for fusion, head in next(turn)])

    def sweep() -> None:
        sweeps.run(("sweep", f"fusion={','.join(OF_THE_LOOP)}", f"temporal={','.join(HEADS)}"))

    ratio = side_by_side(two_cells, sweep, 0.0, untimed=1, least=len(cells) // 2)
    turns = len(cells) // 2
    figures = [turns * one for one in (ratio.median, *ratio.interval)]
    what += f": wall time, {ratio.pairs} pairs of two cells and a sweep"
    return BenchRow(what, figures[0], "×", None, (figures[1], figures[2]), least=5.5)


class Sweeps:
    """Commands on one data set and its trained streams; each begins anew."""

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self.root = folder / "runs"
        self.options = [*options, f"run.root={self.root}", f"run.data={folder / 'data'}"]
        self.run(("train", "fusion=product"))  # the streams, and the store

    def run(self, *commands: Sequence[str]) -> None:
        """All at the same time."""
        for study in self.root.glob("*"):
            if study.name != "streams":
                shutil.rmtree(study)
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", f"fusionlab.{verb}", *words, *self.options],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for verb, *words in commands
        ]
        for process in processes:
            _, message = process.communicate()
            assert process.returncode == 0, message
