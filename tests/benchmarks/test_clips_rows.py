"""The rows on networks of clips: what is compared, and that a difference in memory would be seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fusionlab.benchmarks import clips_rows
from fusionlab.benchmarks.clips_rows import Case, memory

SMALL = Case("r3d_18", 2, 2, 16)


@pytest.mark.slow
def test_all_rows_of_a_small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips_rows, "SECONDS", 0.0)
    monkeypatch.setattr(clips_rows, "CASES", (SMALL,))
    monkeypatch.setattr(clips_rows, "TRADE_OFF", (2, 8, 32))
    time, bytes_, macs, trade = clips_rows.rows()
    assert macs.figure == pytest.approx(71.92 / 111.15, abs=1e-3), "as both were derived apart from this code"
    assert trade.most == 1.0 and trade.interval is not None
    assert time.most == bytes_.most == 1.03 and "11 pairs" in time.what
    assert time.figure is not None and time.interval is not None and time.interval[0] <= time.figure <= time.interval[1]
    assert bytes_.figure == pytest.approx(1.0, abs=0.01)


def test_a_chain_that_keeps_more_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Net(nn.Module):
        def __init__(self, more: bool) -> None:
            super().__init__()
            self.conv, self.fc, self.more = nn.Conv3d(3, 4, 3), nn.Linear(4, clips_rows.CLASSES), more

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return self.fc((y * y.exp() if self.more else y).mean((2, 3, 4)))

    monkeypatch.setattr(Case, "nets", lambda _: (Net(more=True), Net(more=False)))
    assert memory(Case("", 2, 8, 32)) > 1.5
    monkeypatch.setattr(Case, "nets", lambda _: (Net(more=False), Net(more=False)))
    assert memory(Case("", 2, 8, 32)) == 1


def test_a_batch_has_the_size_of_its_case() -> None:
    x, label = SMALL.batch()
    assert x.shape == (2, 3, 2, 16, 16) and label.tolist() == [0, 1]
    with torch.device("meta"):
        assert SMALL.batch()[0].is_meta
