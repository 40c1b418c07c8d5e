"""Trained arms on the test list of another split: refused where they have seen it, unless it is meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusionlab.config.instantiate import refuse_foreign_plan
from fusionlab.data.dataset import Dataset
from fusionlab.data.split_checks import without_quarantined
from fusionlab.errors import UserError, one_line, show, unknown
from fusionlab.jobs import provenance
from fusionlab.jobs.job_data import listed
from fusionlab.jobs.retest import look_again, opened
from fusionlab.records.record import read_records
from fusionlab.records.signature import value
from fusionlab.study import plan as plans
from fusionlab.study.plan import Arm, Plan
from fusionlab.study.recipes import data_recipe


def test_on(folder: str, names: Sequence[str], typed: Sequence[str], *, allowed: bool) -> int:
    """Arms on the test list of a split: a line for each. Nothing is kept."""
    if len(typed) != 1 or not typed[0].isdecimal():
        raise UserError("one split at a time, by its number", got=" ".join(f"split={s}" for s in typed), hint="split=2")
    study, split = Path(folder), int(typed[0])
    plan = plans.read(study)
    refuse_foreign_plan(plan)
    plans.expect_own_folders(plan, study)
    for name in names:
        if name not in [arm.name for arm in plan.arms]:
            raise unknown("arm", name, [arm.name for arm in plan.arms])
    arms = [arm for arm in plan.arms if not names or arm.name in names]
    seen = _seen(plan, study, arms, split)
    if not allowed:
        _refuse(arms, seen, split)
    for arm in arms:
        found = opened(plan, study, arm)
        if isinstance(found, str):
            show(one_line(f"{arm.name}: {found}"))
            continue
        said = look_again(found, split)
        known = sum(name in seen[arm.name] for name in said.videos)
        share = said.correct / len(said.videos)
        told = f"accuracy {share:.4f} on the {len(said.videos)} test videos of split {split}"
        show(f"{one_line(arm.name)}: {told}; {known} of them belong to groups in its training list")
    return 0


def _seen(plan: Plan, study: Path, arms: Sequence[Arm], split: int) -> dict[str, frozenset[str]]:
    """Arm -> the test videos that are of groups that it, or what it started from, was trained on."""
    sets: dict[str, Dataset] = {}
    seen = {}
    for arm in arms:
        recipe = data_recipe(arm.config)
        key = repr(recipe["dataset"])
        sets[key] = sets.get(key) or listed(recipe, plan.job(arm.job).config["run"])
        whole = provenance.seen(sets[key], _trained(plan, study, arm), split)
        kept = without_quarantined([(name, 0) for name in whole], value(arm.config, "data.quarantine"))
        seen[arm.name] = frozenset(name for name, _ in kept)
    return seen


def _trained(plan: Plan, study: Path, arm: Arm) -> set[int]:
    """Its own split, and those of the weights that its streams had started from."""
    found: set[int] = {arm.config["split"]}
    for job in (arm.job, *plan.job(arm.job).needs):
        place = plan.job(job).path(study) / "published"
        for record in read_records(place) if place.is_dir() and plan.job(job).kind == "stream" else []:
            initial: dict[str, Any] = (record.get("result") or {}).get("initial_weights", {})
            found |= provenance.splits(initial.get("trained_on"), arm.config["data"]["dataset"])
    return found


def _refuse(arms: Sequence[Arm], seen: dict[str, frozenset[str]], split: int) -> None:
    having = [arm for arm in arms if seen[arm.name]]
    if not having:
        return
    trained = sorted({arm.config["split"] for arm in having})
    most = max(len(seen[arm.name]) for arm in having)
    raise UserError(
        f"{len(having)} of {len(arms)} arms were trained on another split, and so on groups of this one's test list",
        got=f"split={split}, trained on split {', '.join(map(str, trained))}, with groups of {most} of its test videos",
        hint="--other-split, if it is meant; or the names of arms that were trained on this split",
    )
