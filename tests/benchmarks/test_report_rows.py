from pathlib import Path

import pytest

from fusionlab.benchmarks import report_rows
from fusionlab.records.record import find_records, read_record


@pytest.mark.slow
def test_rows_at_a_small_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are not judged here: only that each is measured, of records that hold together."""
    for name, small in {"FEW": 10, "MANY": 20, "SEEDS": 2, "VIDEOS": 60}.items():
        monkeypatch.setattr(report_rows, name, small)
    rows = [
        *report_rows._records(tmp_path, 40),
        report_rows._growth(tmp_path),
        *report_rows._predictions(tmp_path, 10),
    ]
    assert all(row.figure is not None and row.figure > 0 and row.most is not None for row in rows)
    records = {(one := read_record(path))["signature"]: one for path in find_records(tmp_path / "predictions")}
    assert {record["kind"] for record in records.values()} == {"stream", "late", "control", "fused"}
    for record in records.values():
        assert record["control"] is None or records[record["control"]]["kind"] in ("control", "late")
