"""Test of trained arms from their weights: it proves that a record and its weights belong together.

Predictions must be equal bit for bit where that is promised. If the record was made on another device, CPU or
instruction set, or by another torch, or is too old to name them, scores (0 … 1) must agree within `TOLERANCE`. With the
same weights, on one CPU limited to SSE4.1, AVX2 and AVX-512, they differed by 1.4e-6 at most; with weights that were
trained again, by 0.08 at least (DETERMINISM.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fusionlab.config import build
from fusionlab.config.instantiate import refuse_foreign_plan
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig, StreamConfig, config_of
from fusionlab.data.processes import keep_memory
from fusionlab.errors import UserError, one_line, show, unknown
from fusionlab.jobs.job_data import Data, open_data
from fusionlab.jobs.stages import trained_streams
from fusionlab.jobs.test_results import OneTest
from fusionlab.records.environment import changed_arithmetic, describe_environment
from fusionlab.records.files import read_whole
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import Predictions, read_predictions, tower_file
from fusionlab.records.record import WEIGHTS, readable_records
from fusionlab.results import head_scores
from fusionlab.results.head_scores import FILE as HEADS
from fusionlab.results.head_scores import LARGEST, Heads, digest, largest_difference, read_heads
from fusionlab.study import plan as plans
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import Arm, Plan
from fusionlab.training.evaluate import evaluate
from fusionlab.training.recipe import configure_torch
from fusionlab.training.weights import fingerprint, read_weights
from fusionlab.two_stream.net import StreamNet
from fusionlab.two_stream.trunk import Trunk

TOLERANCE = 1e-4


def retest(folder: str, names: Sequence[str]) -> int:
    """One line for each arm. Returns 0 if all predictions are those of the records, else 1."""
    study = Path(folder)
    plan, arms = read_study(study, names)
    status = 0
    for arm in arms:
        try:
            message = _one(plan, study, arm)
        except UserError as error:  # of this arm: the others are tested all the same
            message = error.brief
        status |= not message.startswith("the same")
        show(one_line(f"{arm.name}: {message}"))
    return status


def read_study(study: Path, names: Sequence[str]) -> tuple[Plan, list[Arm]]:
    """The plan of a study that is one's own, and its arms of these names; without names, all that have a row."""
    plan = plans.read(study)
    refuse_foreign_plan(plan)
    plans.expect_own_folders(plan, study)
    for name in names:
        if name not in [arm.name for arm in plan.arms]:
            raise unknown("arm", name, [arm.name for arm in plan.arms])
    return plan, [arm for arm in plan.arms if (arm.name in names if names else arm.has_row)]


@dataclass(frozen=True)
class TrainedArm:
    """A trained arm with its record, and all that its test needs."""

    arm: Arm
    config: ArmConfig | StreamConfig
    record: dict[str, Any]
    data: Data
    trunk: Trunk
    net: Any
    run: RunConfig
    place: Path


def record_of(plan: Plan, study: Path, arm: Arm) -> tuple[Path, dict[str, Any]] | str:
    """The folder and the record of an arm that is done, or the reason why there is none."""
    published = plan.job(arm.job).published(study)
    records, damaged = readable_records(published) if published.is_dir() else ({}, {})
    own = arm.find(records)
    if own is None:
        if failed := Ledger(study, plan).state(arm.job).failed.get(arm.name):
            return f"failed: {failed.reason}"
        return arm.damage(damaged, {one.name for one in plan.arms}) or "no record of it (yet)"
    path, record = own
    return (path.parent, record) if record["status"] == "done" else f"{record['status']}: {record['reason']}"


def open_arm(plan: Plan, study: Path, arm: Arm, beside: TrainedArm | None = None) -> TrainedArm | str:
    """An arm with its weights, or the reason why they are missing. `beside`: another arm of its job, opened before."""
    found = record_of(plan, study, arm)
    if isinstance(found, str):
        return found
    place, record = found
    run, config = RunConfig.of(plan.job(arm.job).config), config_of(arm)
    if not (place / WEIGHTS).is_file():
        return f"its weights were not kept; to test it, remove {place} and train it again with run.keep=best"
    configure_torch(config.trainer.precision, config.trainer.threads)
    keep_memory()
    data = beside.data if beside else open_data(config.data, run)
    built = _built(plan, study, arm, config, data, place, beside.trunk if beside else None)
    return TrainedArm(arm, config, record, data, *built, run, place)


def look_again(of: TrainedArm, split: int) -> Predictions:
    """The arm's predictions on a split's test list."""
    return _test_again(of, split)[0][PREDICTIONS]


def _test_again(of: TrainedArm, split: int) -> tuple[dict[str, Predictions], dict[str, Heads]]:
    """By their files: the arm's predictions, and those of its towers that are tested by themselves. And its heads."""
    test = of.data.module(replace(of.config, split=split))
    name = of.arm.name
    scores = evaluate(of.trunk, {name: of.net}, test.test_dataloader(), device=build.device(of.run))
    tested = OneTest.of(of.data.dataset, [video for video, _ in test.entries["test"]], scores, name)
    towers = {tower_file(tower): own for tower, own in tested.towers.items()}
    return {PREDICTIONS: tested.predictions, **towers}, scores.heads[name]


def _one(plan: Plan, study: Path, arm: Arm) -> str:
    of = open_arm(plan, study, arm)
    if isinstance(of, str):
        return of
    (files, heads), result = _test_again(of, of.config.split), of.record["result"]
    recorded = {tower_file(tower): own.get("predictions") for tower, own in result.get("towers", {}).items()}
    recorded[PREDICTIONS] = result.get("predictions")
    predictions = files[PREDICTIONS]
    count = len(predictions.videos)
    same, accuracy = f"the same {count} predictions", f"accuracy {predictions.correct / count:.4f}"
    other = [name for name, now in files.items() if recorded.get(name) not in _digests(now)]
    recorded[HEADS] = result.get("heads")  # None in older records, which have no heads
    if recorded[HEADS] is not None and recorded[HEADS] != digest(head_scores.to_bytes(heads)):
        other.append(HEADS)
    if not other:
        return f"{same}, {accuracy}"
    here = {**describe_environment(), "device": build.device_name(of.run)}
    changed = changed_arithmetic(of.record["circumstances"], here)
    now = files | {HEADS: heads}
    if changed and (most := max(_apart(of, name, now[name], recorded.get(name)) for name in other)) <= TOLERANCE:
        return f"{same} within {TOLERANCE:g} (at most {most:.1e} apart), {accuracy}; no equal bits: {changed}"
    if other == [HEADS]:
        return f"other scores of heads: {accuracy}"
    whose = "" if PREDICTIONS in other else " of a tower by itself"
    return f"other predictions{whose}: {accuracy}, recorded {result.get('accuracy', math.nan):.4f}"


def _apart(of: TrainedArm, name: str, now: Predictions | dict[str, Heads], recorded: str | None) -> float:
    """The largest difference to the scores in a file of the record; infinite if it or the weights are missing."""
    place = of.place / name
    if not place.is_file() or digest(read_whole(place, LARGEST)) != recorded:
        return math.inf
    if fingerprint(read_weights(of.place / WEIGHTS)) != of.record["result"].get("weights"):
        return math.inf
    if isinstance(now, Predictions):
        return now.largest_difference(read_predictions(place))
    videos, classes = next(iter(now.values())).softmax.shape
    return largest_difference(now, read_heads(place, videos=videos, classes=classes))


def _digests(predictions: Predictions) -> list[str]:
    """Those of the file of today, and of an older one, without groups."""
    forms = (predictions, replace(predictions, groups=None))
    return [digest(form.to_csv().encode("utf-8")) for form in forms]


def _built(
    plan: Plan,
    study: Path,
    arm: Arm,
    config: ArmConfig | StreamConfig,
    data: Data,
    place: Path,
    trunk: Trunk | None,
) -> tuple[Trunk, Any]:
    """The frozen towers and the net above them. `trunk`: that of another arm of the job, with the same towers."""
    classes = len(data.dataset.classes)
    weights = read_weights(place / WEIGHTS)
    if isinstance(config, StreamConfig):
        name: Any = config.stream
        consensus: Any = config.consensus
        stream = StreamNet(build.tower(config.tower, name, config.data, classes), name, consensus=consensus)
        stream.load_state_dict(weights)
        return Trunk(), stream
    if trunk is None or trunk.appearance is None or trunk.motion is None:
        content = data.content(config.data)
        towers = trained_streams(plan, study, plan.job(arm.job), config, classes, content)
    else:
        towers = trunk.appearance, trunk.motion
    net = build.net(config, *towers)
    net.load_state_dict(weights)
    return build.trunk(net, *towers), net
