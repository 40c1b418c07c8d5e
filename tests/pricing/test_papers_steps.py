"""A plan shows the steps of the papers' recipes, before a file of UCF101 is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig
from fusionlab.planning.grid import plan_study
from fusionlab.planning.price_plan import price_of
from fusionlab.pricing.clip_counts import DataSets
from fusionlab.pricing.price_text import price_text


def shown(tmp_path: Path, *words: str) -> list[list[str]]:
    """The rows of the trainings: stage, clips a step, steps an epoch, steps."""
    folders = [f"run.{one}={tmp_path / one}" for one in ("root", "data")]
    study = plan_study(["data=ucf101", "backbone=vgg_m", "fusion=sum", "layer=relu5", *words, *folders])
    lines = price_text(price_of(study)).splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("training "))
    return [line.split() for line in lines[first + 1 : lines.index("", first)]]


def test_the_released_code_has_993_steps_in_an_epoch(tmp_path: Path) -> None:
    rows = shown(tmp_path, "optim=feichtenhofer2016_released")
    assert rows == [["streams", "256", "372", "4,092"], ["fusion", "96", "993", "4,965"]]


def test_a_list_without_its_validation_part_has_fewer(tmp_path: Path) -> None:
    """9,537 videos without a tenth."""
    rows = shown(tmp_path, "optim=feichtenhofer2016_released", "val=cut")
    assert [row[2] for row in rows] == [f"{8583 * 10 // batch}" for batch in (256, 96)]


@pytest.mark.parametrize("val", ["none", "cut"])
def test_the_2014_paper_counts_steps(tmp_path: Path, val: str) -> None:
    rows = shown(tmp_path, "optim=simonyan2014", f"val={val}")
    assert [row[-1] for row in rows if row[0] == "streams"] == ["20,000", "80,000"]


@pytest.mark.parametrize("data", ["ucf101", "brush"])
def test_the_clips_of_each_validation_list(tmp_path: Path, data: str) -> None:
    """From official numbers, and from lists."""
    sets = DataSets(RunConfig.of(tree({}).with_leaves({"run.data": str(tmp_path)})))
    cut, none, test = (
        sets.clips(ArmConfig.of(tree({"data": data, "optim": "simonyan2014", "val": val}).with_leaves({})))
        for val in ("cut", "none", "test_as_released")
    )
    assert cut is not None and none is not None and test is not None
    assert none.train == test.train == cut.train + cut.validation > cut.train
    assert (none.validation, test.validation) == (0, test.test)
