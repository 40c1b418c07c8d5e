import pytest

from fusionlab.benchmarks import ledger_rows


@pytest.mark.slow
def test_rows_at_a_small_size(tmp_path, monkeypatch):
    """Figures are not judged here: only that each is measured, and nothing is lost or published twice."""
    monkeypatch.setattr(ledger_rows, "FEW", 20)
    monkeypatch.setattr(ledger_rows, "MANY", 40)
    lost, publication = ledger_rows._workers(tmp_path, 4, 20)
    assert (lost.figure, lost.most) == (0.0, 0.0)
    rows = [
        publication,
        ledger_rows._growth(tmp_path, 3),
        *ledger_rows._status(tmp_path, 20, 3),
        ledger_rows._engine(tmp_path, 9),
    ]
    assert all(row.figure is not None and row.figure > 0 and row.most is not None for row in rows)
