"""Rows on reports: what a table of many records, of many predictions, and of many rows costs.

Records are synthetic: those of a small plan, with a rate of learning for each further row, and results that are drawn.
Each report is made in a process of its own, and measured as CPU time, which other work on the machine changes little.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from fusionlab.benchmarks.measure import BenchRow
from fusionlab.planning.grid import plan_study
from fusionlab.records.environment import describe_environment
from fusionlab.records.files import parse_json
from fusionlab.records.predictions import Predictions
from fusionlab.records.record import new_record, write_record
from fusionlab.records.signature import signature
from fusionlab.study.plan import Arm

WORDS = ("fusion=sum,conv", "layer=relu4,relu5")  # of the plan: four fused arms a seed and rate, with their controls
SEEDS = 5
RATE = "optim.fusion.lr"
VIDEOS, CLASSES = 3783, 101  # of a test list of UCF101
GROUPS = 707
FEW, MANY = 300, 3000  # rows
REPORT = """
import json, sys, time
from fusionlab.records.environment import peak_memory
from fusionlab.report import main
import fusionlab.planning.report_study
begun = time.process_time()
main(sys.argv[1:2], pairs="pairs" in sys.argv)
ended = time.process_time()
json.dump({"seconds": ended, "without start": ended - begun, "peak": peak_memory()}, sys.stderr)
"""


def rows() -> Iterator[BenchRow]:
    with tempfile.TemporaryDirectory() as folder:
        yield from _records(Path(folder), 10_000)
        yield _growth(Path(folder))
        yield _page(Path(folder))
        yield from _predictions(Path(folder), 45)  # of more than 50 rows there is no matrix


def _records(folder: Path, count: int) -> Iterator[BenchRow]:
    made = write_study(folder / "records", count, SEEDS)
    figures = report(folder / "records")
    what = f"report of {made} records without predictions"
    yield BenchRow(f"{what}: CPU time of its process", figures["seconds"], "s", 10.0)
    yield BenchRow(f"{what}: peak memory", figures["peak"] / 2**30, "GiB", 1.0)


def _page(folder: Path) -> BenchRow:
    """A whole page: table, figures, curves and mistakes."""
    made = write_study(folder / "page", 200, SEEDS, predicted=True)
    what = f"report of {made} records, from predictions of {VIDEOS} videos of {CLASSES} classes, with page and figures"
    return BenchRow(f"{what}: CPU time of its process", report(folder / "page")["seconds"], "s", 10.0)


def _growth(folder: Path) -> BenchRow:
    """One seed, so each record is a row."""
    costs = []
    for count in (FEW, MANY):
        made = write_study(folder / f"rows{count}", count, 1)
        costs.append(report(folder / f"rows{count}")["without start"] / made)
    what = f"report: CPU time of a row, of {MANY} rows relative to {FEW}"
    return BenchRow(what, costs[1] / costs[0], "×", 1.5)


def _predictions(folder: Path, table_rows: int) -> Iterator[BenchRow]:
    study = folder / "predictions"
    made = write_study(study, table_rows * SEEDS, SEEDS, predicted=True)
    figures = report(study, "pairs")
    what = f"report of {made} records, {SEEDS} seeds a row, with intervals and the matrix of all pairs"
    what += f", from predictions of {VIDEOS} videos of {CLASSES} classes"
    yield BenchRow(f"{what}: CPU time of its process", figures["seconds"], "s", 60.0)
    yield BenchRow(f"{what}: peak memory", figures["peak"] / 2**30, "GiB", 2.0)


def report(study: Path, *words: str) -> dict[str, float]:
    """Make a report in a fresh process: its CPU seconds and peak memory."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT, str(study), *words],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    return dict(parse_json(done.stderr, "what the report measured"))


def write_study(folder: Path, count: int, seeds: int, *, predicted: bool = False) -> int:
    """Write about `count` records into a folder, without a plan; returns how many."""
    made = arms(count, seeds)
    answers = Answers() if predicted else None
    around = describe_environment()
    for arm in made:
        write_arm(folder, arm, around, answers)
    return len(made)


def arms(count: int, seeds: int) -> list[Arm]:
    """The arms of a plan, and as many rates of its arms of stage two as make `count` arms."""
    plan = _plan(seeds)
    shared = [arm for arm in plan if arm.kind in ("stream", "late")]
    trained = [arm for arm in plan if arm.kind not in ("stream", "late")]
    made = list(shared)
    for number in range(max(1, round((count - len(shared)) / len(trained)))):
        rate = float(f"{0.001 + 0.00001 * number:.5f}")
        moved = [_with_rate(arm, rate) for arm in trained]
        # A control has the rate of those that are held against it.
        now = {old.signature: new.signature for old, new in zip(trained, moved, strict=True)}
        made += [replace(arm, control=now.get(str(arm.control), arm.control)) for arm in moved]
    return made


@cache
def _plan(seeds: int) -> Sequence[Arm]:
    return plan_study([*WORDS, f"seed={','.join(map(str, range(seeds)))}"]).plan.arms


def _with_rate(arm: Arm, rate: float) -> Arm:
    optim = arm.config["optim"]
    config = {**arm.config, "optim": {**optim, "fusion": {**optim["fusion"], "lr": rate}}}
    axes = {**arm.axes, RATE: rate}
    name = ",".join(f"{axis}={value}" for axis, value in axes.items())
    return replace(arm, name=f"{arm.kind},{name}", axes=axes, config=config, signature=signature(config))


def write_arm(folder: Path, arm: Arm, around: Mapping[str, Any], answers: Answers | None) -> None:
    """Write the record of a trained arm whose result is drawn, and its predictions if there are `answers`."""
    draw = random.Random(arm.signature)
    share = 0.6 + 0.02 * draw.random()
    right, total = round(share * VIDEOS), VIDEOS
    predictions = towers = None
    if answers is not None:
        predictions = answers.draw(draw, share)
        right = predictions.correct
    counts = {"correct": right, "total": total}
    result: dict[str, Any] = {
        "accuracy": right / total, **counts, "kinds": {"action": counts}, "classes": dict.fromkeys(NAMES, "action"),
        "val_loss": draw.random(), "best_step": 900, "steps": 1000, "parameters": 212_345, "layers": 13,
        "trained_parameters": 100_000, "data": "d" * 64, "decoder": "pyav", "flow": {"method": "dis", "bound": 20.0},
        "curves": [{"epoch": n, "step": 50 * n, "loss": draw.random(), "val_loss": draw.random()} for n in range(20)],
    }  # fmt: skip
    if arm.kind == "control":
        towers = {stream: {"accuracy": right / total, **counts, "kinds": {"action": counts}} for stream in STREAMS}
        result["towers"] = towers
    record = new_record(
        name=arm.name, kind=arm.kind, axes=arm.axes, signature=arm.signature, config=arm.config, result=result,
        stage_one=arm.config.get("stage_one", {}), circumstances={**around, "seconds": 60.0}, control=arm.control,
    )  # fmt: skip
    write_record(folder / arm.signature, record, predictions, sync=False)


NAMES = tuple(f"Class{number:03d}" for number in range(CLASSES))
STREAMS = ("appearance", "motion")


class Answers:
    """Predictions of one test list; an arm is right on a share of its videos."""

    def __init__(self) -> None:
        draw = random.Random(0)
        self.labels = [number % CLASSES for number in range(VIDEOS)]
        self.groups = [f"{NAMES[label]}/g{draw.randrange(GROUPS // CLASSES)}" for label in self.labels]
        self.videos = [f"{group}_c{number:04d}.avi" for number, group in enumerate(self.groups)]
        self.scores = [tuple(draw.random() / CLASSES for _ in NAMES) for _ in range(50)]

    def draw(self, draw: random.Random, share: float) -> Predictions:
        guesses = [label if draw.random() < share else draw.randrange(CLASSES) for label in self.labels]
        scores = []
        for guess in guesses:
            row = list(self.scores[draw.randrange(50)])
            row[guess] = 0.5 + draw.random() / 2
            scores.append(row)
        return Predictions.of(NAMES, self.videos, self.labels, scores, self.groups)
