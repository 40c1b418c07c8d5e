"""What `bench` measures, and its table: how quickly a command answers, what sharing (streams, reads, processes) saves,
what a fused network costs beside its parts.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from typing import cast

from fusionlab import errors
from fusionlab.benchmarks.row import Row
from fusionlab.records.environment import describe_environment

PARTS = ("start", "brush", "video", "training", "networks", "gpu")  # fusionlab.benchmarks.x_rows, each with `rows`


def chosen(text: str) -> list[str]:
    """`start,networks` -> the parts, in the order in which they are measured."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise errors.UserError("no part of the bench is named", got=f"rows={text}", allowed=PARTS, hint="rows=networks")
    for name in names:
        if name not in PARTS:
            raise errors.unknown("part of the bench", name, PARTS, form="rows={}")
    return [part for part in PARTS if part in names]


def bench(parts: Sequence[str] = PARTS) -> Iterator[Row]:
    """Each row as soon as it is measured."""
    for part in parts:
        rows = cast(Callable[[], Iterator[Row]], import_module(f"fusionlab.benchmarks.{part}_rows").rows)
        yield from rows()


def page(rows: Iterable[Row], command: str) -> Iterator[str]:
    """The rows as lines of Markdown, below the command, the class of machine and the day."""
    here = describe_environment()
    machine = here["machine"]
    where = f"{machine['cores']} cores of {machine['cpu']}, torch {here['packages'].get('torch')}"
    yield f"`{command}`, {datetime.datetime.now(datetime.UTC).date()}, {where}, one thread a process"
    yield ""
    yield "| what | figure | 95 % | at most | |"
    yield "|---|---:|---:|---:|---|"
    between = False
    for row in rows:
        yield row.line()
        between = between or row.interval is not None
    if between:
        yield ""
        yield "A ratio with an interval: the two are run in turns, A B B A …; the figure is the median over the pairs,"
        yield "which the interval holds with 95 %. Beyond is what lies beyond with all of its interval."
