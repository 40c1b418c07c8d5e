"""The evidence of a row: each of its arms with its record and log, its settings, its curves, its typical mistakes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fusionlab.records.record import FILE
from fusionlab.results import formatting
from fusionlab.results.load import REFUSED, Entry
from fusionlab.results.page.settings import Settings, Usual
from fusionlab.results.protocol_warnings import row_title, seed_text
from fusionlab.results.rows import Row
from fusionlab.results.tables import Table


@dataclass(frozen=True)
class Run:
    """One arm. `remark`: why it is in no mean, or why it has no accuracy. `links`: (text, address)."""

    name: str
    seed: str
    status: str
    accuracy: str
    steps: str
    seconds: str
    signature: str
    links: tuple[tuple[str, str], ...]
    remark: str


@dataclass(frozen=True)
class Evidence:
    """`values`: (place, heading, cell) of all columns but the name, of which a narrow screen shows a few."""

    number: int
    title: str
    values: tuple[tuple[int, str, str], ...]
    notes: tuple[str, ...]
    runs: tuple[Run, ...]
    settings: Settings | None


class Witness:
    """Makes the evidence of rows. Links are relative to `out`, the folder that the page will lie in."""

    def __init__(self, table: Table, rows: Sequence[Row], axes: Sequence[str], out: Path) -> None:
        self._table, self._axes, self._usual = table, axes, Usual(rows)
        self._place = os.path.abspath(out)
        self._logs: dict[Path, list[Path]] = {}
        self._lines = {id(line.row): line for line in reversed(table.lines)}

    def evidence(self, row: Row, number: int) -> Evidence:
        line = self._lines[id(row)]
        columns = zip(self._table.columns, line.cells, strict=False)
        values = [(at, column.head, text) for at, (column, text) in enumerate(columns) if at]
        return Evidence(
            number=number,
            title=row_title(row, self._axes),
            values=tuple(value for value in values if value[2] != formatting.NONE),
            notes=tuple(self._table.marked[mark - 1] for mark in line.marks),
            runs=self.runs(arm for entry, remark in _arms_of(row) for arm in ((one, remark) for one in entry.arms)),
            settings=self._usual.settings(row),
        )

    def runs(self, arms: Iterator[tuple[Entry, str]]) -> tuple[Run, ...]:
        return tuple(self._run(arm, remark) for arm, remark in arms)

    def _run(self, arm: Entry, remark: str) -> Run:
        seconds = arm.record.get("circumstances", {}).get("seconds")
        best, result = arm.result.get("best_step"), arm.result
        links = []
        if arm.folder is not None:
            links.append(("record", self._link(arm.folder / FILE)))
            logs = self._logs_of(arm.folder.parent.parent)
            links += [("log" if len(logs) == 1 else f"log {log.parent.name}", self._link(log)) for log in logs]
        reason = ": ".join(filter(None, (remark, arm.reason or "")))
        return Run(
            name=arm.name,
            seed=seed_text(arm.seed) + (f", split {arm.axes['split']}" if "split" in arm.axes else ""),
            status=arm.status,
            accuracy=formatting.percent(result["accuracy"], 2) if "accuracy" in result else formatting.NONE,
            steps=formatting.NONE if not result.get("steps") else f"{best} of {result.get('steps')}",
            seconds=formatting.NONE if seconds is None else f"{seconds:.1f}",
            signature=str(arm.record.get("signature", "")),
            links=tuple(links),
            remark=reason + (f" (log: {arm.log})" if arm.log else ""),
        )

    def _logs_of(self, job: Path) -> list[Path]:
        """The logs of a job's attempts, whose arms share them."""
        if job not in self._logs:
            self._logs[job] = sorted(job.glob("attempts/[0-9]*/log.txt"))
        return self._logs[job]

    def _link(self, file: Path) -> str:
        return quote(os.fsencode(os.path.relpath(file, self._place)))


def _arms_of(row: Row) -> Iterator[tuple[Entry, str]]:
    """Each arm of a row with a remark on those that are in no mean."""
    yield from ((entry, "") for entry in row.done)
    yield from ((entry, entry.status) for entry in (*row.undone, *row.refused))
    yield from ((one, "of the chain that chose") for entry in row.done for arm in entry.arms for one in arm.first)
    yield from ((entry, "a second record of this seed, not shown") for entry in row.surplus)
    for trial in row.trials:
        if not trial.chosen:
            mine = (entry for entry in trial.entries if entry.status == "done")
            yield from ((entry, f"{trial.axis} {trial.value}, not chosen") for entry in mine)
    yield from ((entry, "with another budget") for entry in row.doubled)


def others(entries: Sequence[Entry], rows: Sequence[Row]) -> list[Entry]:
    """The arms of a study that are in no row of the table, but refused cells."""
    seen = {arm.name for row in rows for entry, _ in _arms_of(row) for arm in entry.arms}
    return [entry for entry in entries if entry.status != REFUSED and entry.name not in seen]
