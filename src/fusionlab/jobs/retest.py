"""Trained arms evaluated again from their weights: the proof that a record and its weights belong together.

Equal bits are asked for where they are promised. Where the record was made with other arithmetic (another device, CPU,
instruction set or torch, or an older record does not say), scores, which lie in 0 … 1, must agree within `TOLERANCE`
instead. Of the same weights, on one CPU held to SSE4.1, AVX2 and AVX-512, they were 1.4e-6 apart at most; of weights
that were trained anew, 0.08 at least (DETERMINISM.md).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.backbones.tower import Tower
from fusionlab.config import build
from fusionlab.config.instantiate import refuse_foreign_plan
from fusionlab.data.processes import keep_memory
from fusionlab.errors import UserError, one_line, show, unknown
from fusionlab.jobs.job_data import Data, open_data
from fusionlab.jobs.recorder import WEIGHTS
from fusionlab.jobs.stages import trained_streams
from fusionlab.records.environment import changed_arithmetic, describe_environment
from fusionlab.records.files import read_whole
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import Predictions, read_predictions
from fusionlab.records.record import readable_records
from fusionlab.records.signature import value
from fusionlab.study import plan as plans
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import Arm, Plan
from fusionlab.study.recipes import data_recipe
from fusionlab.training.evaluate import evaluate
from fusionlab.training.recipe import configure_torch
from fusionlab.training.weights import fingerprint, read_weights
from fusionlab.two_stream.net import StreamNet
from fusionlab.two_stream.trunk import Trunk

TOLERANCE = 1e-4


def retest(folder: str, names: Sequence[str]) -> int:
    """A line per arm; 0 where all predictions are those of the records, 1 where some are not."""
    study = Path(folder)
    plan = plans.read(study)
    refuse_foreign_plan(plan)
    plans.expect_own_folders(plan, study)
    for name in names:
        if name not in [arm.name for arm in plan.arms]:
            raise unknown("arm", name, [arm.name for arm in plan.arms])
    status = 0
    for arm in plan.arms:
        if names and arm.name not in names:
            continue
        try:
            said = _one(plan, study, arm)
        except UserError as error:  # of this arm, and no reason to leave out the others
            said = f"{error.what} ({error.got})"
        status |= not said.startswith("the same")
        show(one_line(f"{arm.name}: {said}"))
    return status


@dataclass(frozen=True)
class Opened:
    """A trained arm with its record, and all that it takes to let it look again."""

    arm: Arm
    record: dict[str, Any]
    data: Data
    trunk: Trunk
    net: Any
    run: dict[str, Any]
    place: Path


def opened(plan: Plan, study: Path, arm: Arm) -> Opened | str:
    """An arm from its weights; or why there are none."""
    job = plan.job(arm.job)
    published = job.path(study) / "published"
    records, damaged = readable_records(published) if published.is_dir() else ({}, {})
    own = arm.find(records)
    if own is None:
        if failed := Ledger(study, plan).state(arm.job).failed.get(arm.name):
            return f"failed: {failed.reason}"
        return arm.damage(damaged, [one.name for one in plan.arms]) or "no record of it (yet)"
    path, record = own
    if record["status"] != "done":
        return f"{record['status']}: {record['reason']}"
    run = job.config["run"]
    configure_torch(arm.config["trainer"])
    keep_memory()
    data = open_data(data_recipe(arm.config), run, quarantine=value(arm.config, "data.quarantine"))
    return Opened(arm, record, data, *_built(plan, study, arm, data, path.parent), run, path.parent)


def look_again(of: Opened, split: int) -> Predictions:
    """Its predictions on a split's test list."""
    config = {**of.arm.config, "split": split}
    size = (config["optim"] if of.arm.kind == "stream" else config["optim"]["fusion"])["batch_size"]
    test = of.data.module(
        config, streams=config["stream"] if of.arm.kind == "stream" else "both",
        snippets=config["data"]["sampling"]["snippets"], batch_size=size,
    )  # fmt: skip
    loader, name = test.test_dataloader(), of.arm.name
    scores = evaluate(of.trunk, {name: of.net}, loader, device=build.device(of.run))
    videos = [video for video, _ in test.entries["test"]]
    return Predictions.of(
        of.data.dataset.classes, [videos[i] for i in scores.index], scores.label, scores.of[name].tolist()
    )


def _one(plan: Plan, study: Path, arm: Arm) -> str:
    of = opened(plan, study, arm)
    if isinstance(of, str):
        return of
    found = look_again(of, arm.config["split"])
    same, accuracy = f"the same {len(found.videos)} predictions", f"accuracy {found.correct / len(found.videos):.4f}"
    if _digest(found.to_csv().encode("utf-8")) == of.record["result"].get("predictions"):
        return f"{same}, {accuracy}"
    here = {**describe_environment(), "device": build.device_name(of.run)}
    changed = changed_arithmetic(of.record["circumstances"], here)
    if changed and (most := _apart(of, found)) <= TOLERANCE:
        return f"{same} within {TOLERANCE:g} (at most {most:.1e} apart), {accuracy}; no equal bits: {changed}"
    return f"other predictions: {accuracy}, recorded {of.record['result'].get('accuracy', math.nan):.4f}"


def _apart(of: Opened, found: Predictions) -> float:
    """How far scores are from those of the record; infinite where its predictions or weights are not beside it."""
    place, result = of.place / PREDICTIONS, of.record["result"]
    if not place.is_file() or _digest(read_whole(place)) != result.get("predictions"):
        return math.inf
    if fingerprint(read_weights(of.place / WEIGHTS)) != result.get("weights"):
        return math.inf
    return found.largest_difference(read_predictions(place))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _built(plan: Plan, study: Path, arm: Arm, data: Data, place: Path) -> tuple[Trunk, Any]:
    classes = len(data.dataset.classes)
    weights = read_weights(place / WEIGHTS)
    if arm.kind == "stream":
        tower: Tower = build.tower(arm.config["tower"], arm.config["stream"], arm.config["data"], classes)
        stream = StreamNet(tower, arm.config["stream"])
        stream.load_state_dict(weights)
        return Trunk(), stream
    content = data.content(arm.config)
    appearance, motion = trained_streams(plan, study, plan.job(arm.job), arm.config, classes, content)
    net = build.net(arm.config, appearance, motion)
    net.load_state_dict(weights)
    return Trunk(appearance, motion), net
