"""What the rows on training compare: a step is Lightning's, the bare loop computes what stage one computes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from training_fakes import Data, Fused, Sick, block, cohort

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.tiny import Tiny
from fusionlab.benchmarks import bare_stream, training_rows
from fusionlab.benchmarks.cohort_case import BatchesInMemory, stepper
from fusionlab.benchmarks.side_by_side import side_by_side
from fusionlab.training.cohort import Cohort
from fusionlab.training.fit import fit
from fusionlab.training.recipe import Recipe, parse_recipe
from fusionlab.training.weights import fingerprint
from fusionlab.two_stream.net import Net, StreamNet
from fusionlab.two_stream.trunk import Trunk


def recipe(**changes: Any) -> Recipe:
    return parse_recipe(block(epochs=1, **changes))


def test_a_step_is_that_of_lightnings_loop() -> None:
    data = Data()
    batches = list(data.train_dataloader())

    def nets() -> dict[str, Net]:
        return {"sum": Fused("sum"), "max": Fused("max"), "sick": Sick(at=2)}

    trained = fit(cohort(nets(), recipe()), BatchesInMemory(batches, list(data.val_dataloader())))
    again = cohort(nets(), recipe())
    again.steps_per_epoch = len(batches)
    step = stepper(again, iter(batches))
    for _ in batches:
        step()
    assert again.arms["sick"].status == trained["sick"].status == "failed"
    for name in ("sum", "max"):
        assert fingerprint(again.arms[name].net.state_dict()) == trained[name].weights
    with pytest.raises(StopIteration):
        step()


@pytest.mark.parametrize("schedule", [{"name": "cosine", "warmup": 2}, {"name": "constant"}])
def test_the_bare_loop_computes_what_stage_one_computes(schedule: dict[str, Any]) -> None:
    draw = torch.Generator().manual_seed(0)
    how = recipe(clip=0.0, weight_decay=0.0, lr=3e-3, schedule=schedule)
    batches = [
        {
            "motion": torch.randint(0, 256, (4, 2, 2, 32, 32), generator=draw).to(torch.uint8),
            "label": torch.randint(0, 3, (4,), generator=draw),
        }
        for _ in range(6)
    ]
    tower = Tiny(2, classes=3, size=32, width=8, dropout=0.0)
    initialise(tower, 0)
    before = fingerprint(tower.state_dict())
    bare, loss = bare_stream.train(tower, "motion", how, batches, batches[:2])
    assert fingerprint(tower.state_dict()) == before
    net = StreamNet(tower, "motion")
    ours = fit(Cohort(Trunk(), {"motion": net}, how, seed=0), BatchesInMemory(batches, batches[:2]), job="stream")
    assert ours["motion"].val_loss == pytest.approx(loss, rel=1e-4)
    for name, value in bare.state_dict().items():
        torch.testing.assert_close(net.state_dict()[f"tower.{name}"], value, rtol=1e-3, atol=2e-5)
    assert fingerprint(net.tower.state_dict()) != before


@pytest.mark.slow
def test_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in {"SECONDS": 0.0, "STREAM_STEPS": 3, "COHORT_STEPS": 1, "PUBLICATIONS": 6}.items():
        monkeypatch.setattr(training_rows, name, number)
    monkeypatch.setattr(training_rows, "side_by_side", partial(side_by_side, least=6))
    rows = list(training_rows.rows())
    assert [row.what.split()[0] for row in rows] == ["making", "reading", "step", "epoch", "12", "from", "the"]
    for row in rows[1:]:
        assert row.figure is not None and row.interval is not None
        assert 0 < row.interval[0] <= row.figure <= row.interval[1]
    assert [(row.most, row.least) for row in rows[2:5]] == [(0.92, None), (1.25, None), (None, 1.45)]
