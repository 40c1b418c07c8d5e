"""The rows on whole sweeps: which commands they run, and what they make of the times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fusionlab.benchmarks import sweep_rows
from fusionlab.benchmarks.side_by_side import Ratio


def test_the_loop_trains_each_cell_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[tuple[Sequence[str], ...]] = []

    class Noted:
        def __init__(self, folder: Path, options: Sequence[str]) -> None:
            assert folder == tmp_path

        def run(self, *commands: Sequence[str]) -> None:
            ran.append(commands)

    def six_pairs(one: object, other: object, seconds: float, *, untimed: int, least: int) -> Ratio:
        assert (untimed, least) == (1, 6) and callable(one) and callable(other)
        for _ in range(least):
            one(), other()
        return Ratio(0.9, (0.8, 1.0), least)

    monkeypatch.setattr(sweep_rows, "Sweeps", Noted)
    monkeypatch.setattr(sweep_rows, "side_by_side", six_pairs)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    row = sweep_rows._loop(tmp_path)
    assert row.figure == pytest.approx(5.4) and row.interval == pytest.approx((4.8, 6.0))
    assert (row.least, row.verdict) == (5.5, "undecided")
    cells, sweeps = ran[::2], ran[1::2]
    assert len(set(sweeps)) == 1 and sweeps[0] == (
        ("sweep", "fusion=sum,max,cat,conv", "temporal=pool2d,pool3d,conv3d"),
    )
    assert [len(two) for two in cells] == [2] * 6
    typed = {words for two in cells for words in two}
    assert len(typed) == 12 and ("train", "fusion=cat", "temporal=conv3d") in typed

    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    assert sweep_rows._loop(tmp_path).verdict == "not measured: this is one core"


def test_planning_from_its_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """333 contents, 7 ms each; 0.4 ms a further seed; 3 s to start."""
    typed: list[Sequence[str]] = []

    def planned(words: Sequence[str]) -> dict[str, float]:
        typed.append(words)
        seeds = len(words[3].split(","))
        seconds = 333 * (0.007 + 0.0004 * (seeds - 1))
        return {"arms": 336 * seeds, "seconds": seconds, "with start": 3 + seconds, "peak": 2**29}

    monkeypatch.setattr(sweep_rows, "planned", planned)
    fusions, layers = sweep_rows.FUSIONS, sweep_rows.LAYERS
    total, memory, content, further = sweep_rows._planning("x", fusions, layers, sweep_rows.RATES, sweep_rows.SEEDS)
    assert total.figure == pytest.approx(3 + 333 * (0.007 + 0.0004 * 29)) and total.most == 15
    assert memory.figure == 0.5 and memory.most == 1
    assert content.figure == pytest.approx(7) and further.figure == pytest.approx(0.4)
    assert len(set(typed[0][2].split(","))) == 37, "all rates differ"


@pytest.mark.slow
def test_planning_for_real(tmp_path: Path) -> None:
    rows = list(sweep_rows._planning(str(tmp_path), ("sum",), ("relu5",), 2, 2))
    total, memory, content, further = (row.figure for row in rows)
    assert min(total or 0, memory or 0, content or 0) > 0
    assert further is not None, "a difference of two measurements: of two contents it may have either sign"
    assert list(tmp_path.iterdir()) == [], "a plan writes nothing"


@pytest.mark.slow
def test_commands_at_the_same_time(tmp_path: Path) -> None:
    sweeps = sweep_rows.Sweeps(tmp_path, (*sweep_rows.SMALL, "debug=fast"))
    sweeps.run(("train", "fusion=sum"), ("train", "fusion=max"))
    studies = sorted(place.name.split(",")[0] for place in sweeps.root.iterdir())
    assert studies == ["fusion=max", "fusion=sum", "streams"], "the one that trained the streams is gone"
    with pytest.raises(AssertionError, match="none"):
        sweeps.run(("train", "fusion=none"))
