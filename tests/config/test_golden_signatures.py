"""Signatures of grids as they were when the first records were made. A change here disowns every record.

Knobs that were born since stand at their neutral values in them. `golden_signatures.json` was written before there was
any such knob, and of the first version of brush's drawing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from old_plans import old_plan

from fusionlab.config.build import fuses_scores
from fusionlab.config.instantiate import part, refuse_foreign
from fusionlab.config.schema import ArmConfig, StreamConfig
from fusionlab.errors import UserError
from fusionlab.planning.grid import plan_study
from fusionlab.records.record import find_records, read_record
from fusionlab.records.signature import BORN, moved, signature
from fusionlab.study.plan import Plan

GOLDEN: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("golden_signatures.json").read_text(encoding="utf-8")
)
RECORDS = Path(__file__).parents[2] / "experiments" / "delay" / "records"


# Defaults of conf that are newer than the first records.
NEUTRAL_RECIPE = {"weights": "best", "validations": 0, "measure": "loss", "until": "budget"}
AS_BEFORE = [
    "data.dataset.grounds=group",
    *(f"optim.{stage}.{leaf}={one}" for stage in ("streams", "fusion") for leaf, one in NEUTRAL_RECIPE.items()),
]


def signatures(plan: Plan) -> dict[str, str]:
    """Arm -> its signature, without the controls, which are newer.

    A bilinear arm's classifier is the paper's SVM since, with a regulariser in its loss; it was a softmax.
    """
    found = {}
    for arm in plan.arms:
        if arm.kind == "control":
            continue
        config = arm.config
        if "classifier" in config.get("fusion", {}):
            config = {**config, "fusion": {**config["fusion"], "classifier": "softmax", "regulariser": None}}
        found[arm.name] = signature(config)
    return found


@pytest.fixture
def as_drawn_first(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that say so, and a brush that takes them."""
    monkeypatch.setattr("fusionlab.data.brush.brush.VERSION", 1)
    return ["data.dataset.version=1", *AS_BEFORE]


@pytest.mark.parametrize("line", GOLDEN)
def test_an_old_grid_has_its_old_signatures(line: str, as_drawn_first: list[str]) -> None:
    plan = plan_study([*line.split(), *as_drawn_first]).plan
    assert signatures(plan) == GOLDEN[line]["arms"]
    assert [job.id for job in plan.jobs] == GOLDEN[line]["jobs"]


def test_the_record_of_an_arm_is_that_of_the_same_line_today() -> None:
    """Those of an experiment that was run before there were controls and recipes of newer defaults."""
    plan = plan_study(["experiment=dose_delay", *AS_BEFORE]).plan
    today = {arm.name: arm.signature for arm in plan.arms if arm.kind != "control"}
    assert len(today) < len(plan.arms)
    kept = {record["name"]: record for record in map(read_record, find_records(RECORDS))}
    assert set(kept) == set(today)
    assert {name: record["signature"] for name, record in kept.items()} == today
    assert {name: signature(record["config"]) for name, record in kept.items()} == today


EVERY_RECORD = sorted(find_records(RECORDS.parents[1]))


def test_every_record_keeps_its_signature_and_loads_as_a_typed_config() -> None:
    records = [read_record(place) for place in EVERY_RECORD]
    assert len(records) > 200
    for record in records:
        assert signature(record["config"]) == record["signature"], record["name"]
        typed = (StreamConfig if record["kind"] == "stream" else ArmConfig).of(record["config"])
        assert typed.seed.init == record["config"]["seed"]["init"]


NOW, OLD = "fusionlab.fusion.sum.Sum", "fusionlab.fuse.adding.Plus"


def test_a_class_that_moves_keeps_its_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan_study(["fusion=sum"]).plan
    old = json.loads(json.dumps(old_plan(before)).replace(NOW, OLD))
    (arm,) = (arm for arm in old["arms"] if arm["kind"] == "fused")
    with pytest.raises(UserError, match="cannot be built"):
        part(arm["config"]["fusion"], "fusion")
    of_old = signature(arm["config"])
    monkeypatch.setitem(BORN, NOW, OLD)
    made = part(arm["config"]["fusion"], "fusion")
    assert f"{made.func.__module__}.{made.func.__qualname__}" == NOW, "an old plan builds the class where it is now"
    assert fuses_scores(ArmConfig.of(arm["config"])) is False
    refuse_foreign(moved(old["arms"]), "")
    now = {**arm["config"], "fusion": {**arm["config"]["fusion"], "_target_": NOW}}
    assert signature(now) == signature(arm["config"]) == of_old != before.arm(arm["name"]).signature
    assert plan_study(["fusion=sum"]).plan.arm(arm["name"]).signature == of_old


def test_bilinear_with_an_svm_is_another_arm(as_drawn_first: list[str]) -> None:
    (old,) = (name for name in GOLDEN["fusion=bilinear"]["arms"] if "bilinear" in name)
    plain, soft = (
        plan_study(["fusion=bilinear", "fusion.regulariser=null", *as_drawn_first, *more]).plan
        for more in ([], ["fusion.classifier=softmax"])
    )
    assert soft.arm(old).signature == GOLDEN["fusion=bilinear"]["arms"][old]
    assert plain.arm(old).signature != soft.arm(old).signature
