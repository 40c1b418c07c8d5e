"""Check that external files exist before a study starts: videos, weights, imported flow.

Weights are loaded once here, into a tower that is then deleted. torchvision's are downloaded once, not by each job.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from fusionlab.backbones.tower import Tower
from fusionlab.config import build
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import SourceConfig, StreamConfig, build_dataset, config_of
from fusionlab.data.dataset import Dataset
from fusionlab.errors import UserError, one_line
from fusionlab.jobs.job_data import expect_data
from fusionlab.jobs.provenance import refuse_other_split
from fusionlab.planning.grid import PlannedStudy
from fusionlab.planning.possible_tests import check_tests
from fusionlab.pricing.clip_counts import DataSets
from fusionlab.records.plan_file import TRAINED_ON
from fusionlab.records.record import read_records
from fusionlab.records.signature import NEUTRAL, value
from fusionlab.study.plan import Arm
from fusionlab.study.recipes import PAIRS, source_of


def check_files(study: PlannedStudy) -> None:
    """Raise a `UserError` for the first file that is missing or cannot be used.

    A stream that is already trained needs no weights; but if their file exists, it must be the one that
    it started from.
    """
    check_pairs(study)
    check_tests(study)
    datasets: dict[str, Dataset] = {}
    for arm in study.plan.arms:
        config = config_of(arm)
        key = repr((config.data, config.split))
        if key not in datasets:
            expect = _expect_other if TRAINED_ON in arm.axes else expect_data
            datasets[key] = expect(config.data, study.run, config.split)
        if isinstance(config, StreamConfig) and config.multitask is not None:
            _expect_other(config.multitask, study.run, config.split)
        if isinstance(config, StreamConfig) and config.weights.source is not None and source_of(arm.config) is None:
            published = _published(study, arm)
            if published.is_dir():
                _expect_same(config, config.weights.source, study.run, published)
            else:
                _load(config, config.weights.source, study.run, datasets[key])


def _expect_other(source: SourceConfig, run: RunConfig, split: int) -> Dataset:
    """`expect_data` of a second data set, or of one that a stream starts from: data.dataset=… is not about it."""
    try:
        return expect_data(source, run, split)
    except UserError as error:
        if "data.dataset." not in (error.hint or ""):
            raise
        hint = "its yaml in conf/data has its options; those that are typed are of the main data set"
        raise UserError(error.what, got=error.got, allowed=error.allowed, hint=hint) from None


def missing_weights(study: PlannedStudy) -> list[str]:
    """A line for each file of weights that is not there and that no command gets. Nothing is downloaded."""
    from fusionlab.backbones.pretrained import imagenet, locate

    lines: dict[str, None] = {}
    for arm in study.plan.arms:
        config = config_of(arm)
        if not isinstance(config, StreamConfig) or config.weights.source is None or source_of(arm.config) is not None:
            continue
        source, tower = config.weights.source, _tower(config)
        if (source == imagenet.NAME and imagenet.downloads(tower)) or _published(study, arm).is_dir():
            continue
        try:
            locate(source, tower, Path(study.run.weights), head=config.weights.head)
        except UserError as error:
            lines[one_line(error.brief + (f"; {error.hint}" if error.hint else ""))] = None
    return list(lines)


def check_pairs(study: PlannedStudy) -> None:
    """Raise a `UserError` for arms whose clips cannot be paired within their classes, where the lists are known."""
    data = DataSets(study.run)
    for arm in study.plan.arms:
        if value(arm.config, PAIRS) != NEUTRAL[PAIRS]:
            data.refuse_lone_clips(config_of(arm))


def _published(study: PlannedStudy, arm: Arm) -> Path:
    """The folder of a stream that is trained already."""
    return study.plan.job(arm.job).path(study.folder) / "published"


def _load(config: StreamConfig, source: str, run: RunConfig, dataset: Dataset) -> None:
    """Load the file as the job does."""
    from fusionlab.backbones.pretrained import load, locate

    tower, head = _tower(config), config.weights.head
    locate(source, tower, Path(run.weights), head=head)
    loaded = load(tower.to_empty(device="cpu"), source, head=head, folder=run.weights)
    refuse_other_split(loaded, config, dataset)


def _expect_same(config: StreamConfig, source: str, run: RunConfig, published: Path) -> None:
    """Check a file's content against the record: a run's signature has its name only."""
    from fusionlab.backbones.pretrained import locate

    if source == "imagenet":  # torchvision's are checked by the hash in their name
        return
    try:
        path = locate(source, _tower(config), Path(run.weights))
    except UserError:  # missing by now, and not needed
        return
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    for record in read_records(published):
        began = record["result"].get("initial_weights", {}).get("sha256", "") if record["status"] == "done" else sha256
        if began != sha256:
            raise UserError(
                f"the {config.stream} stream started from other weights than {path.name} holds now",
                got=f"sha256 {sha256[:16]}…",
                allowed=[f"{began[:16]}…"],
                hint=f"another name for the new file: weights.{config.stream}=…",
            )


def _tower(config: StreamConfig) -> Tower:
    """The tower on the meta device."""
    stream: Any = config.stream
    with torch.device("meta"):
        return build.tower(config.tower, stream, config.data, build_dataset(config.data).class_count)
