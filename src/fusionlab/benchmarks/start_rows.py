"""Rows on start-up: how fast a command answers."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from fusionlab.benchmarks.measure import BenchRow


def rows() -> Iterator[BenchRow]:
    bare = _command("-c", "pass")
    yield BenchRow("`import fusionlab`, beyond a bare interpreter", _command("-c", "import fusionlab") - bare, "s", 0.2)
    slowest = max(verbs(), key=lambda verb: _command("-m", f"fusionlab.{verb}", "--help", times=1))
    took = _command("-m", f"fusionlab.{slowest}", "--help")
    yield BenchRow(f"`--help` of the slowest command ({slowest})", took, "s", 1.5)


def verbs() -> list[str]:
    """The commands that `python -m fusionlab` lists."""
    listing = subprocess.run([sys.executable, "-m", "fusionlab"], check=True, capture_output=True, text=True).stdout
    names = re.findall(r"^  python -m fusionlab\.(\w+) ", listing, re.MULTILINE)
    assert names, "the list of commands has another form"
    return names


def _command(*words: str, times: int = 5) -> float:
    """The seconds of a fresh Python process, a median."""
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)
