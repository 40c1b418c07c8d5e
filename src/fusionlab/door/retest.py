"""Trained arms evaluated again from their weights: the proof that a record and its weights belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fusionlab.backbones.tower import Tower
from fusionlab.door import build
from fusionlab.door.data import Data, open_data
from fusionlab.door.recording import WEIGHTS
from fusionlab.door.stages import trained_streams
from fusionlab.errors import unknown
from fusionlab.records.predictions import Predictions
from fusionlab.records.record import find_records, read_record
from fusionlab.records.signature import value
from fusionlab.study import plan as plans
from fusionlab.study.plan import Arm, Plan
from fusionlab.study.recipes import data_recipe
from fusionlab.training.evaluate import evaluate
from fusionlab.training.weights import read_weights
from fusionlab.two_stream.stream import StreamNet
from fusionlab.two_stream.trunk import Trunk


def retest(folder: str, names: Sequence[str]) -> int:
    """A line per arm; 0 where all predictions are those of the records, 1 where some are not."""
    study = Path(folder)
    plan = plans.read(study)
    for name in names:
        if name not in [arm.name for arm in plan.arms]:
            raise unknown("arm", name, [arm.name for arm in plan.arms])
    status = 0
    for arm in plan.arms:
        if names and arm.name not in names:
            continue
        said = _one(plan, study, arm)
        status |= not said.startswith("the same")
        print(f"{arm.name}: {said}", flush=True)
    return status


def _one(plan: Plan, study: Path, arm: Arm) -> str:
    job = plan.job(arm.job)
    published = job.path(study) / "published"
    places = [
        p
        for p in (find_records(published) if published.is_dir() else [])
        if read_record(p)["signature"] == arm.signature
    ]
    if not places:
        return "no record of it (yet)"
    record = read_record(places[0])
    if record["status"] != "done":
        return f"{record['status']}: {record['reason']}"
    run = job.config["run"]
    torch.set_num_threads(arm.config["trainer"]["threads"])
    data = open_data(data_recipe(arm.config), run, quarantine=value(arm.config, "data.quarantine"))
    optim = arm.config["optim"]
    size = (optim if arm.kind == "stream" else optim["fusion"])["batch_size"]
    test = data.module(
        arm.config, streams=arm.config["stream"] if arm.kind == "stream" else "both",
        snippets=arm.config["data"]["sampling"]["snippets"], batch_size=size,
    )  # fmt: skip
    trunk, net = _built(plan, study, arm, data, places[0].parent)
    loader = test.test_dataloader()
    scores = evaluate(trunk, {arm.name: net}, loader, device=build.device(run))
    videos = [name for name, _ in test.entries["test"]]
    found = Predictions.of(
        data.dataset.classes, [videos[i] for i in scores.index], scores.label, scores.of[arm.name].tolist()
    )
    digest = hashlib.sha256(found.to_csv().encode("utf-8")).hexdigest()
    if digest == record["result"]["predictions"]:
        return f"the same {len(found.videos)} predictions, accuracy {found.correct / len(found.videos):.4f}"
    recorded = record["result"]["accuracy"]
    return f"other predictions: accuracy {found.correct / len(found.videos):.4f}, recorded {recorded:.4f}"


def _built(plan: Plan, study: Path, arm: Arm, data: Data, place: Path) -> tuple[Trunk, Any]:
    classes = len(data.dataset.classes)
    weights = read_weights(place / WEIGHTS)
    if arm.kind == "stream":
        tower: Tower = build.tower(arm.config["tower"], arm.config["stream"], arm.config["data"], classes)
        stream = StreamNet(tower, arm.config["stream"])
        stream.load_state_dict(weights)
        return Trunk(), stream
    appearance, motion = trained_streams(plan, study, plan.job(arm.job), arm.config, classes, data.store.hash)
    net = build.net(arm.config, appearance, motion)
    net.load_state_dict(weights)
    return Trunk(appearance, motion), net
