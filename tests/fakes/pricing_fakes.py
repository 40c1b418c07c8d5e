"""Small studies that are planned, and records of jobs with known times."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fusionlab.planning.grid import PlannedStudy, plan_study
from fusionlab.records.environment import machine
from fusionlab.records.record import new_record, write_record
from fusionlab.study.plan import Arm, Job

SMALL = ("debug=fast", "backbone.appearance.width=8", "backbone.motion.width=8", "run.device=cpu")
Plan = Callable[..., PlannedStudy]


def planned(folder: Path, *words: str) -> PlannedStudy:
    """A small study below a folder."""
    small = [word for word in SMALL if word.partition("=")[0] not in {own.partition("=")[0] for own in words}]
    return plan_study([*small, f"run.root={folder / 'runs'}", f"run.data={folder / 'data'}", *words])


def circumstances(**changes: Any) -> dict[str, Any]:
    """Of a record of this machine."""
    around = {"machine": machine(), "packages": {"torch": version("torch")}, "device": "cpu", "seconds": 100.0}
    return {**around, **changes}


def cost(arms: int, steps: int, **changes: Any) -> dict[str, Any]:
    """What `circumstances["job"]` holds: 10 s of start, 0.5 s a step, 20 s and 10 s of views, 4 s of recording."""
    parts = {"setup_s": 10.0, "train_s": 0.5 * steps, "validate_s": 20.0, "test_s": 10.0, "record_s": 4.0}
    return {"id": "x", "arms": arms, "steps": steps, "batch": 32, **parts, "step_s": 0.5, "peak": 2**30, **changes}


def publish(
    study: PlannedStudy, of: Job, /, steps: int, result: dict[str, Any] | None = None, **around: Any
) -> list[Path]:
    """Write the records of a job's arms as if it had run. `around`: circumstances; `job` is what it cost."""
    arms = [arm for arm in study.plan.arms if arm.name in of.arms]
    content = {"job": cost(len(arms), steps), **around}
    return [_record(of.published(study.folder), arm, steps, result or {}, content) for arm in arms]


def _record(folder: Path, arm: Arm, steps: int, result: dict[str, Any], around: dict[str, Any]) -> Path:
    record = new_record(
        name=arm.name, kind=arm.kind, axes=arm.axes, signature=arm.signature, config=arm.config,
        result={"steps": steps, **result}, stage_one=arm.config.get("stage_one", {}),
        circumstances={name: one for name, one in circumstances(**around).items() if one is not None},
    )  # fmt: skip
    write_record(folder / arm.name, record)
    return folder / arm.name / "run.json"
