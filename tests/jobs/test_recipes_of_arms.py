"""Recipes in jobs: own rates in one cohort, validations while processes read ahead, and what is recorded."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stage_fakes import Trained, found

from fusionlab.jobs.job_data import Data
from fusionlab.records.record import read_record
from fusionlab.training.schedules import GAIN, count_waits
from fusionlab.two_stream.net import STREAMS

RATES = ["fusion=sum", "temporal=pool2d", "optim.fusion.lr=0.01,0.3"]
WITHOUT = "fusion.init"


def results(trained: Trained, folder: Path, data: Data, *words: str) -> dict[str, Any]:
    """The results of all arms above the streams, which are there already."""
    study = Trained.planned(folder / "runs" / "study", data, *words, without=WITHOUT)
    for stream in STREAMS:
        of = next(one for one in study.plan.arms if one.axes["streams"] == stream)
        shutil.copytree(trained.place(trained.arm(stream)), study.place(of), dirs_exist_ok=True)
    with found(data):
        for job in (one for one in study.plan.jobs if one.kind == "cohort"):
            study.run(job)
    return {
        arm.name: read_record(study.place(arm))["result"] for arm in study.plan.arms if arm.kind in ("fused", "control")
    }


def test_rates_in_one_job_have_the_bits_that_they_have_in_jobs_of_their_own(trained: Trained, tmp_path: Path) -> None:
    apart = results(trained, tmp_path / "apart", trained.data, *RATES)
    together = results(trained, tmp_path / "together", trained.data, *RATES, "select=optim.fusion.lr")
    assert apart == together and len({one["weights"] for one in together.values()}) == len(together) == 4


@pytest.mark.slow
def test_validations_inside_epochs_throw_nothing_away_that_was_read_ahead(trained: Trained, tmp_path: Path) -> None:
    words = ["fusion=sum", "temporal=pool2d", "optim.fusion.epochs=3", "optim.fusion.validations=4"]
    ahead = replace(trained.data, run=replace(trained.data.run, loaders=2))
    alone = results(trained, tmp_path / "0", trained.data, *words)
    assert alone == results(trained, tmp_path / "2", ahead, *words)
    steps = [[row["step"] for row in one["curves"]] for one in alone.values()]
    assert len(steps[0]) == 4 and any(step % 2 for step in steps[0])


def test_the_record_says_whether_an_arm_has_converged(trained: Trained, tmp_path: Path) -> None:
    usual = results(trained, tmp_path / "usual", trained.data, "fusion=sum", "temporal=pool2d")
    assert [one["converged"] for one in usual.values()] == [None, None]
    for one in usual.values():
        assert (one["best_step"], one["val_loss"]) == (one["steps"], one["curves"][-1]["val_loss"]), "the last weights"
    words = ["until=converged", "weights=best", "validations=2", "schedule.name=plateau"]
    typed = [f"optim.fusion.{word}" for word in words]
    ended = results(trained, tmp_path / "ended", trained.data, "fusion=sum", "temporal=pool2d", *typed)
    for name, one in ended.items():
        losses = [row["val_loss"] for row in one["curves"]]
        assert one["converged"] is (count_waits(losses, 2, GAIN) == 3), name
        assert one["val_loss"] == min(losses) and usual[name]["steps"] < one["steps"] <= 4 * usual[name]["steps"]
