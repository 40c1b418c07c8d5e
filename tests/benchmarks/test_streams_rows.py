"""A stream's step beside bare loops: they compute the same, in each layout; and the rows on a GPU, on the CPU."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from training_fakes import block

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.tiny import Tiny
from fusionlab.benchmarks import bare_stream, loading_rows, streams_rows
from fusionlab.benchmarks.bare_stream import LAYOUTS
from fusionlab.benchmarks.cohort_case import CohortCase, stepper
from fusionlab.training.cohort import Cohort
from fusionlab.training.recipe import parse_recipe
from fusionlab.two_stream.net import StreamNet
from fusionlab.two_stream.trunk import Trunk

SGD = {"name": "sgd", "lr": 0.01, "epochs": 1, "momentum": 0.9, "weight_decay": 5e-4}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("recipe", [SGD, block(epochs=1, clip=0.0)], ids=["sgd", "adam"])
def test_a_bare_step_is_a_streams_step(layout: str, recipe: dict[str, Any]) -> None:
    draw = torch.Generator().manual_seed(0)
    how = parse_recipe({**recipe, "schedule": {"name": "constant"}})
    batches = [
        {
            "motion": torch.randint(0, 256, (4, 2, 1, 32, 32), generator=draw).to(torch.uint8),
            "label": torch.randint(0, 3, (4,), generator=draw),
        }
        for _ in range(4)
    ]
    tower = Tiny(2, classes=3, size=32, width=8, dropout=0.0)
    initialise(tower, 0)
    net = StreamNet(deepcopy(tower), "motion")
    ours = stepper(Cohort(Trunk(), {"motion": net}, how, seed=0), iter(batches))
    loop = bare_stream.Loop(tower, "motion", how, None, layout)
    for batch in batches:
        ours()
        loop.step(batch)
    for name, value in loop.net.state_dict().items():
        torch.testing.assert_close(net.state_dict()[f"tower.{name}"], value, rtol=1e-3, atol=2e-5)


def test_the_large_case_is_the_papers() -> None:
    """Its towers see 224 pixels and ten fields; nothing is made for that."""
    case = CohortCase(Path("nowhere"), ["fusion=conv", *streams_rows.CASES[0].options])
    stream = case.stream("motion")
    assert (stream.data.sampling.crop, stream.data.sampling.fields, stream.stage.batch_size) == (224, 10, 8)
    assert (stream.stage.recipe.name, stream.data.sampling.stream_snippets) == ("sgd", 1)
    arm = CohortCase(Path("nowhere"), loading_rows.PAPER).config
    assert (arm.data.sampling.crop, arm.data.sampling.snippets, arm.stage.batch_size) == (224, 5, 96)


@pytest.mark.slow
def test_all_rows_of_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_rows, "SECONDS", 0.0)
    monkeypatch.setattr(streams_rows, "CASES", streams_rows.CASES[1:])
    rows = list(streams_rows.rows())
    assert ["motion" in row.what for row in rows] == [False, True]
    for row in rows:
        assert row.figure is not None and row.interval is not None and row.least is None
        assert 0 < row.interval[0] <= row.figure <= row.interval[1]
    (share,) = loading_rows.rows_on("cpu", ["fusion=conv", *streams_rows.SMALL, "optim.fusion.batch_size=4"])
    assert share.figure is not None and 0 < share.figure < 1
