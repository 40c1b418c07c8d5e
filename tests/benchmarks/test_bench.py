"""`bench`: which rows, which verdicts, which table. What the figures are, no test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from terminal import Done

from fusionlab.benchmarks import measure, start_rows
from fusionlab.benchmarks.measure import BenchRow
from fusionlab.benchmarks.side_by_side import side_by_side
from fusionlab.cli import commands

Say = Callable[..., Done]
ROWS = {
    "start": [BenchRow("quick", 0.123, "s", 0.2)],
    "brush": [BenchRow("drawn", 1.4, "×", 1.25, (1.3, 1.5))],
    "video": [BenchRow("a clip", 0.25, "×", 1 / 3, (0.24, 0.26))],
    "doctor": [BenchRow("sound flow", 0.21, "", 0.225)],
    "training": [BenchRow("shared", 0.5, "×")],
    "streams": [BenchRow("a step", 0.97, "×", interval=(0.96, 0.98), least=0.95)],
    "networks": [
        BenchRow("fused", 1.04, "×", 1.03, (1.02, 1.06)),
        BenchRow("compiled", None, "×", missing="no C++ compiler"),
    ],
    "clips": [BenchRow("chain", 1.01, "×", 1.03, (1.0, 1.02), least=1.0)],
    "checkpoints": [BenchRow("streamed", 1.1, "×", 1.2, (1.0, 1.15))],
    "sweep": [BenchRow("a loop", 5.6, "×", None, (5.4, 5.7), least=5.5)],
    "ledger": [BenchRow("lost", 0.0, "", 0.0)],
    "report": [BenchRow("a table", 9.0, "s", 10)],
    "gpu": [BenchRow("on a GPU", None, "×", missing="there is none here")],
    "loading": [BenchRow("waiting", 0.02, "×", 0.1)],
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Rows that are there already; which parts were asked for them."""
    asked: list[str] = []

    class Part:
        def __init__(self, name: str) -> None:
            self.name = name.removeprefix("fusionlab.benchmarks.").removesuffix("_rows")

        def rows(self) -> Iterator[BenchRow]:
            asked.append(self.name)
            yield from ROWS[self.name]

        def gpu_rows(self) -> Iterator[BenchRow]:
            asked.append("gpu")
            yield from ROWS["gpu"]

    monkeypatch.setattr(measure, "import_module", Part)
    return asked


def test_all_parts_and_their_table(say: Say, quick: list[str]) -> None:
    done = say("bench")
    assert (done.status, done.err, quick) == (1, "", list(measure.PARTS)), "one figure is beyond"
    assert done.out.startswith("`python -m fusionlab.bench`, 20")
    assert done.out.split("\n")[2:20] == [
        "| what | figure | 95 % | limit | |",
        "|---|---:|---:|---:|---|",
        "| quick | 0.12 s |  | ≤ 0.2 s |  |",
        "| drawn | 1.40 × | 1.300 … 1.500 | ≤ 1.25 × | beyond |",
        "| a clip | 0.25 × | 0.240 … 0.260 | ≤ 0.333333 × |  |",
        "| sound flow | 0.21  |  | ≤ 0.225 |  |",
        "| shared | 0.50 × |  |  |  |",
        "| a step | 0.97 × | 0.960 … 0.980 | ≥ 0.95 × |  |",
        "| fused | 1.04 × | 1.020 … 1.060 | ≤ 1.03 × | undecided |",
        "| compiled |  |  |  | not measured: no C++ compiler |",
        "| chain | 1.01 × | 1.000 … 1.020 | ≥ 1 ×, ≤ 1.03 × |  |",
        "| streamed | 1.10 × | 1.000 … 1.150 | ≤ 1.2 × |  |",
        "| a loop | 5.60 × | 5.400 … 5.700 | ≥ 5.5 × | undecided |",
        "| lost | 0.00  |  | ≤ 0 |  |",
        "| a table | 9.00 s |  | ≤ 10 s |  |",
        "| on a GPU |  |  |  | not measured: there is none here |",
        "| waiting | 0.02 × |  | ≤ 0.1 × |  |",
        "",
    ]
    assert "in turns" in done.out


def test_some_parts_in_their_order_and_a_file(say: Say, quick: list[str], tmp_path: Path) -> None:
    done = say("bench", "rows=training,start", "out=new/today.md")
    assert (done.status, quick) == (0, ["start", "training"])
    assert (tmp_path / "new" / "today.md").read_text(encoding="utf-8") == done.out
    assert "`python -m fusionlab.bench rows=training,start out=new/today.md`" in done.out
    assert "in turns" not in done.out, "no row has an interval"


def test_one_that_is_beyond_is_marked_and_counts(say: Say, quick: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROWS, "training", [BenchRow("slow", 0.9, "×", 0.6), BenchRow("quick", 0.5, "×", 0.6)])
    done = say("bench", "rows=training")
    assert done.status == 1
    assert "| slow | 0.90 × |  | ≤ 0.6 × | beyond |\n| quick | 0.50 × |  | ≤ 0.6 × |  |\n" in done.out


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (BenchRow("", 1.03, "×", 1.03), ""),
        (BenchRow("", 1.031, "×", 1.03), "beyond"),
        (BenchRow("", 9.9, "×"), ""),
        (BenchRow("", 9.9, "×", None, (9.8, 10.0)), ""),
        (BenchRow("", 1.02, "×", 1.03, (1.01, 1.03)), ""),
        (BenchRow("", 1.02, "×", 1.03, (1.01, 1.04)), "undecided"),
        (BenchRow("", 1.05, "×", 1.03, (1.03, 1.07)), "undecided"),
        (BenchRow("", 1.05, "×", 1.03, (1.031, 1.07)), "beyond"),
        (BenchRow("", None, "×", 1.03, missing="no triton"), "not measured: no triton"),
        (BenchRow("", 5.5, "×", least=5.5), ""),
        (BenchRow("", 5.4, "×", least=5.5), "beyond"),
        (BenchRow("", 6.0, "×", None, (5.5, 7.0), least=5.5), ""),
        (BenchRow("", 6.0, "×", None, (5.4, 7.0), least=5.5), "undecided"),
        (BenchRow("", 5.0, "×", None, (4.0, 5.4), least=5.5), "beyond"),
        (BenchRow("", 2.0, "×", 3.0, (1.5, 3.1), least=1.0), "undecided"),
    ],
)
def test_the_interval_decides(row: BenchRow, verdict: str) -> None:
    assert row.verdict == verdict
    assert row.within == (verdict != "beyond")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            ["rows=network"],
            ["unknown part of the bench", "doctor, training, streams, networks, clips"],
        ),
        (["rows=,"], ["rows= names no part", "rows=networks"]),
        (["row=start"], ["unknown option of bench", "rows, out", "did you mean rows=… ?"]),
        (["rows=start", "rows=training"], ["given twice", "rows=start rows=training"]),
        (["rows="], ["needs a value", "rows=networks"]),
        (["out"], ["needs a value", "out=experiments/bench/today.md"]),
        (["out=."], ["needs a file, not a folder", "out=today.md"]),
        (["networks"], ["unknown option of bench", "networks"]),
    ],
)  # fmt: skip
def test_a_wrong_option_is_answered_before_anything_is_measured(
    say: Say, quick: list[str], words: list[str], parts: list[str]
) -> None:
    done = say("bench", *words)
    assert (done.status, done.out, quick) == (2, "", [])
    assert not [part for part in parts if part not in done.err], done.err


def test_the_verbs_are_those_that_there_are() -> None:
    assert start_rows.verbs() == list(commands())


@pytest.mark.slow
def test_the_parts_that_need_no_network(say: Say) -> None:
    """Measured for real: the figures are this machine's, and above zero where they are no difference."""
    done = say("bench", "rows=start")
    assert done.status in (0, 1)
    rows = [line.split("|")[1:-1] for line in done.out.splitlines() if line.startswith("|")][2:]
    assert [row[0].split()[0] for row in rows] == ["`import", "`--help`"]
    assert all(float(row[1].split()[0]) > 0 for row in rows[1:])


@pytest.mark.slow
def test_videos_are_measured_without_real_clips_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from fusionlab.benchmarks import video_rows

    monkeypatch.delenv(video_rows.CLIPS, raising=False)
    monkeypatch.setattr(video_rows, "SECONDS", 0.01)
    monkeypatch.setattr(video_rows, "MANY", 20)
    monkeypatch.setattr(video_rows, "side_by_side", partial(side_by_side, least=6))
    rows = list(video_rows.rows())
    assert {row.what.partition(":")[0].split(",")[0] for row in rows} >= {
        "prepare with one worker",
        "reading a clip",
        "bytes a field",
    }
    assert all(row.figure is not None and row.figure > 0 for row in rows if not row.missing)
    assert all("brush at 320×240" in row.what or "memory" in row.what or "first access" in row.what for row in rows)
