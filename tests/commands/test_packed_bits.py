"""Records bit for bit, however a study's arms are packed into jobs; and no job has more memory than it may use.

23 arms of two seeds and their controls, so that each fusion meets each layer, and each head that it can have: in one
cohort for each seed, in two halves, in pieces that a bound of memory makes, and each arm by itself.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from terminal import FAST, Lab

from fusionlab.jobs import stages
from fusionlab.planning.grid import PlannedStudy, plan_study
from fusionlab.planning.pack_study import CohortCosts, packed
from fusionlab.planning.packing import balanced
from fusionlab.records.record import read_record
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Arm, Plan

pytestmark = pytest.mark.slow

FUSIONS = ("conv", "sum", "max", "cat", "product", "bilinear", "compact")
LAYERS = ("relu3", "relu5", "fc6")
RUN = (FAST, "run.device=cpu")


def cells() -> list[dict[str, Any]]:
    """Descriptors and layers without a map have one head; the others get each of the three."""
    found = []
    for f, fusion in enumerate(FUSIONS):
        for place, layer in enumerate(LAYERS):
            without_map = layer == "fc6" or fusion in ("bilinear", "compact")
            head = "pool2d" if without_map else ("pool3d", "conv3d")[(f + place) % 2]
            found.append({"fusion": fusion, "layer": layer, "temporal": head, "seed": (f + place) % 2})
    return found


GRID = "grids=[" + ",".join("{" + ",".join(f"{k}:{v}" for k, v in cell.items()) + "}" for cell in cells()) + "]"


@pytest.fixture(scope="module")
def lab(study: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The data of the shared study."""
    return Lab(tmp_path_factory.mktemp("packed"), study.data)


@pytest.fixture
def plan_here(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Any:
    lab.home.mkdir(exist_ok=True)
    monkeypatch.chdir(lab.home)
    monkeypatch.setenv("FUSIONLAB_DATA", str(lab.data))
    return lambda *words: plan_study([*words, *RUN])


@pytest.fixture(scope="module")
def whole(lab: Lab) -> dict[str, Any]:
    """One cohort for each seed, one after the other."""
    done = lab.run("sweep", GRID, *RUN, "run.workers=1", "run.folder=runs/whole")
    assert done.status == 0, done.err
    return results(lab.home / "runs/whole")


def results(study: Path) -> dict[str, Any]:
    """Signature of each arm -> all that is reproducible of its result, with its weights and predictions."""
    found = {}
    for place in study.rglob("jobs/*/published/*/run.json"):
        record = read_record(place.parent)
        found[record["signature"]] = record["status"], record["result"], place.with_name("predictions.csv").read_text()
    return found


def cohorts(study: Path) -> list[str]:
    return sorted(place.name for place in (study / "jobs").glob("cohort-*"))


def test_each_pair_of_choices_occurs() -> None:
    found = cells()
    for one, other, count in (("fusion", "layer", 21), ("fusion", "temporal", 17), ("seed", "fusion", 14)):
        assert len({(cell[one], cell[other]) for cell in found}) == count
    assert {(cell["seed"], cell["layer"]) for cell in found} == {(s, layer) for s in (0, 1) for layer in LAYERS}


def test_two_halves_give_the_records_of_one_cohort(lab: Lab, whole: dict[str, Any], plan_here: Any) -> None:
    def halves(some: Sequence[Sequence[Arm]]) -> list[list[list[Arm]]]:
        return [balanced(arms, 2, lambda _: 1.0) for arms in some]

    planned: PlannedStudy = plan_here(GRID, "run.folder=runs/halves")
    packed(planned.plan, planned.folder, halves).write(planned.folder)
    done = lab.run("work", "runs/halves")
    assert done.status == 0, done.out
    assert [name[-5:] for name in cohorts(lab.home / "runs/halves")] == ["-1of2", "-2of2"] * 2
    controls = {(cell["layer"], cell["temporal"], cell["seed"]) for cell in cells()}
    assert len(whole) == 23 + len(controls) and results(lab.home / "runs/halves") == whole


def test_pieces_by_memory_give_the_records_of_one_cohort_and_stay_within_the_bound(
    lab: Lab, whole: dict[str, Any], plan_here: Any
) -> None:
    """In a folder of its own, since measured jobs would replace estimates; with the streams of the other studies."""
    where = ("run.root=other", "run.folder=other/pieces")
    shutil.copytree(lab.home / "runs/streams", lab.home / "other/streams")
    planned: PlannedStudy = plan_here(GRID, *where)
    costs = CohortCosts(planned.run, 1, 1 << 60)
    parts = [balanced(arms, 3, costs.weight) for arms in cohort_arms(planned.plan)]
    bound = max(costs.memory(piece) for pieces in parts for piece in pieces) / 2**30
    done = lab.run("sweep", GRID, *RUN, *where, "run.workers=2", f"run.memory={bound!r}")
    assert done.status == 0, done.err
    study = lab.home / "other/pieces"
    assert [name[-5:] for name in cohorts(study)] == ["-1of3", "-2of3", "-3of3"] * 2
    assert results(study) == whole
    peaks = [
        json.loads(place.read_text())["circumstances"]["job"]["peak"]
        for place in study.rglob("jobs/*/published/*/run.json")
    ]
    assert max(peaks) <= bound * 2**30
    assert min(peaks) > 0.5 * bound * 2**30, "the bound is not met by far, or it would say nothing"


def cohort_arms(plan: Plan) -> list[list[Arm]]:
    return [[plan.arm(name) for name in job.arms] for job in plan.jobs if job.kind == "cohort"]


def test_each_arm_by_itself_gives_the_record_of_one_cohort(lab: Lab, whole: dict[str, Any], plan_here: Any) -> None:
    """As `train` plans it: a study of one cell, above the streams that are there; each arm in a job of its own."""
    alone: dict[str, Any] = {}
    for number, cell in enumerate(cells()):
        words = [f"{axis}={one}" for axis, one in cell.items()]
        planned: PlannedStudy = plan_here(*words, f"run.folder=runs/alone-{number}")
        plan, study = planned.plan, planned.folder
        plan.write(study)
        attempts = {"fused": 1, "control": 2, **({"late": 3} if number < 2 else {})}
        for arm in (one for one in plan.arms if one.kind in attempts):
            job = plan.job(arm.job)
            attempt = Attempt(job.path(study), attempts[arm.kind])
            attempt.claim_file.parent.mkdir(parents=True, exist_ok=True)
            attempt.claim_file.write_text(json.dumps({"arms": [arm.name]}))
            attempt.open()
            stages.train(plan, study, job, attempt)
        found = results(study)
        assert len(found) == len(attempts)
        alone |= found
    assert alone == whole
