"""A test of trained arms on the test list of another split, which needs --other-split if they saw it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import config_of
from fusionlab.data.dataset import Dataset
from fusionlab.data.split_checks import without_quarantined
from fusionlab.errors import UserError, one_line, show
from fusionlab.jobs import provenance
from fusionlab.jobs.job_data import make_dataset
from fusionlab.jobs.retest import look_again, open_arm, read_study
from fusionlab.records.record import read_records
from fusionlab.study.plan import Arm, Plan


def test_on(folder: str, names: Sequence[str], typed: Sequence[str], *, allowed: bool) -> int:
    """Test arms on the test list of a split: one line for each arm. Nothing is stored."""
    if len(typed) != 1 or not typed[0].isdecimal():
        raise UserError("one split at a time, by its number", got=" ".join(f"split={s}" for s in typed), hint="split=2")
    study, split = Path(folder), int(typed[0])
    plan, arms = read_study(study, names)
    seen = _seen(plan, study, arms, split)
    if not allowed:
        _refuse(arms, seen, split)
    for arm in arms:
        net = open_arm(plan, study, arm)
        if isinstance(net, str):
            show(one_line(f"{arm.name}: {net}"))
            continue
        predictions = look_again(net, split)
        known, count = sum(name in seen[arm.name] for name in predictions.videos), len(predictions.videos)
        accuracy = f"accuracy {predictions.correct / count:.4f} on the {count} test videos of split {split}"
        show(f"{one_line(arm.name)}: {accuracy}; {known} of them belong to groups in its training list")
    return 0


def _seen(plan: Plan, study: Path, arms: Sequence[Arm], split: int) -> dict[str, frozenset[str]]:
    """Arm -> the test videos whose groups were in the training of the arm, or of its initial weights."""
    sets: dict[str, Dataset] = {}
    seen = {}
    for arm in arms:
        config = config_of(arm)
        key = repr(config.data.dataset)
        sets[key] = sets.get(key) or make_dataset(config.data, RunConfig.of(plan.job(arm.job).config))
        whole = provenance.seen(sets[key], _trained(plan, study, arm), split)
        kept = without_quarantined([(name, 0) for name in whole], config.data.quarantine)
        seen[arm.name] = frozenset(name for name, _ in kept)
    return seen


def _trained(plan: Plan, study: Path, arm: Arm) -> set[int]:
    """The splits of an arm's training: its own, and those of the initial weights of its streams."""
    config = config_of(arm)
    splits: set[int] = {config.split}
    for job in (arm.job, *plan.job(arm.job).needs):
        place = plan.job(job).path(study) / "published"
        for record in read_records(place) if place.is_dir() and plan.job(job).kind == "stream" else []:
            initial: dict[str, Any] = (record.get("result") or {}).get("initial_weights", {})
            splits |= provenance.splits(initial.get("trained_on"), config.data.dataset)
    return splits


def _refuse(arms: Sequence[Arm], seen: dict[str, frozenset[str]], split: int) -> None:
    having = [arm for arm in arms if seen[arm.name]]
    if not having:
        return
    trained = sorted({config_of(arm).split for arm in having})
    most = max(len(seen[arm.name]) for arm in having)
    raise UserError(
        f"{len(having)} of {len(arms)} arms were trained on another split, and so on groups of this one's test list",
        got=f"split={split}, trained on split {', '.join(map(str, trained))}, with groups of {most} of its test videos",
        hint="--other-split, if it is meant; or the names of arms that were trained on this split",
    )
