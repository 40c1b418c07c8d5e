"""The measurements of `bench`: parts, their rows, and the table of all rows."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from fusionlab import errors
from fusionlab.records.environment import describe_environment

# part -> the module and the function of its rows, in the order in which they are measured
PARTS = {
    "start": ("start_rows", "rows"), "brush": ("brush_rows", "rows"), "video": ("video_rows", "rows"),
    "doctor": ("doctor_rows", "rows"), "training": ("training_rows", "rows"), "streams": ("streams_rows", "rows"),
    "networks": ("networks_rows", "rows"), "clips": ("clips_rows", "rows"),
    "checkpoints": ("checkpoints_rows", "rows"), "sweep": ("sweep_rows", "rows"), "ledger": ("ledger_rows", "rows"),
    "report": ("report_rows", "rows"), "gpu": ("networks_rows", "gpu_rows"),
    "loading": ("loading_rows", "rows"),
}  # fmt: skip


@dataclass(frozen=True)
class BenchRow:
    """One measured figure with its limit.

    `most`: what the figure must not exceed; `least`: what it must reach. `interval`: contains the true figure with
    95 %; if given, it is compared with the limit instead of the figure. `missing`: why there is no figure.
    """

    what: str
    figure: float | None
    unit: str
    most: float | None = None
    interval: tuple[float, float] | None = None
    missing: str = ""
    least: float | None = None

    @property
    def verdict(self) -> str:
        """Empty where the figure is within its limit."""
        if self.figure is None:
            return f"not measured: {self.missing}"
        low, high = self.interval or (self.figure, self.figure)
        least = -math.inf if self.least is None else self.least
        most = math.inf if self.most is None else self.most
        if least <= low and high <= most:
            return ""
        return "beyond" if high < least or low > most else "undecided"

    @property
    def within(self) -> bool:
        """Whether the figure is not beyond its limit; an undecided or missing one is not."""
        return self.verdict != "beyond"

    def line(self) -> str:
        """A line of the table."""
        figure = "" if self.figure is None else f"{self.figure:.2f} {self.unit}"
        interval = "" if self.interval is None else "{:.3f} … {:.3f}".format(*self.interval)
        ends = (("≥", self.least), ("≤", self.most))
        limit = ", ".join(f"{sign} {end:g} {self.unit}".strip() for sign, end in ends if end is not None)
        return f"| {self.what} | {figure} | {interval} | {limit} | {self.verdict} |"


def parse_parts(text: str) -> list[str]:
    """`start,networks` -> the parts, in the order in which they are measured."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise errors.UserError("rows= names no part", got=f"rows={text}", allowed=PARTS, hint="rows=networks")
    for name in names:
        if name not in PARTS:
            raise errors.unknown("part of the bench", name, PARTS, form="rows={}")
    return [part for part in PARTS if part in names]


def bench(parts: Sequence[str] = tuple(PARTS)) -> Iterator[BenchRow]:
    """Each row as soon as it is measured."""
    for part in parts:
        module, function = PARTS[part]
        rows = cast(
            Callable[[], Iterator[BenchRow]], getattr(import_module(f"fusionlab.benchmarks.{module}"), function)
        )
        yield from rows()


def page(rows: Iterable[BenchRow], command: str) -> Iterator[str]:
    """The rows as a Markdown table, with the command, the day and the machine."""
    environment = describe_environment()
    machine = environment["machine"]
    where = f"{machine['cores']} cores of {machine['cpu']}, torch {environment['packages'].get('torch')}"
    yield f"`{command}`, {datetime.datetime.now(datetime.UTC).date()}, {where}, one thread a process"
    yield ""
    yield "| what | figure | 95 % | limit | |"
    yield "|---|---:|---:|---:|---|"
    has_interval = False
    for row in rows:
        yield row.line()
        has_interval = has_interval or row.interval is not None
    if has_interval:
        yield ""
        yield "A ratio with an interval: both are run in turns, A B B A …; the figure is the median over the pairs, and"
        yield "the interval contains the true median with 95 %. Beyond: all of the interval is beyond the limit."
