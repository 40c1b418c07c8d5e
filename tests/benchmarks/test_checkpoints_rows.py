"""The rows on checkpoints, at the size of the tiny tower."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fusionlab.benchmarks import checkpoints_rows
from fusionlab.training import checkpoint


def test_what_is_compared_is_the_checkpoint_of_a_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cohort, optimiser = checkpoints_rows.made_cohort(("debug=fast", "fusion=sum,conv"), 3)
    written: list[Path] = []
    right = checkpoint.write
    monkeypatch.setattr(checkpoints_rows, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "write", lambda folder, *rest: (right(folder, *rest), written.append(folder)))
    synced, alone = checkpoints_rows.compared(cohort, optimiser, tmp_path)
    assert len(written) == 2 * (2 + checkpoints_rows.PAIRS) and not list(tmp_path.rglob("*.pt"))
    for row, most in ((synced, 1.2), (alone, None)):
        assert "checkpoint of 2 arms" in row.what and row.most == most
        assert row.figure and row.interval and row.interval[0] <= row.figure <= row.interval[1]
    content = checkpoint.content_of(cohort, optimiser)
    torch.save(content, tmp_path / "x.pt")
    size = (tmp_path / "x.pt").stat().st_size
    assert checkpoints_rows.bytes_of(content) == pytest.approx(size, rel=0.25)
    trained = sum(len(arm.trained) for arm in cohort.arms.values())
    assert len(content["optimiser"]["state"]) == trained and all(arm["best"] for arm in content["arms"].values())


def test_where_the_disk_is_too_small_no_row_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checkpoints_rows, "SPARE", 1 << 60)
    cohort = checkpoints_rows.made_cohort(("debug=fast", "fusion=sum"), 3)
    assert {row.verdict for row in checkpoints_rows.compared(*cohort, tmp_path)} == {
        "not measured: the disk has too little space"
    }
