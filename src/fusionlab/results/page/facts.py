"""What the whole page says: facts about all arms, the pairs of rows, and whose data the paper's figures are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fusionlab.results import formatting
from fusionlab.results.cells import gain_text
from fusionlab.results.load import REFUSED, Entry
from fusionlab.results.page.columns import any_fits
from fusionlab.results.protocol_warnings import row_title, seed_text, title_axes
from fusionlab.results.rows import PAPER
from fusionlab.results.tables import Table


def make_facts(entries: Sequence[Entry]) -> dict[str, str]:
    """Facts about all arms: seeds, videos, decoder, code."""
    done = [entry for entry in entries if entry.status == "done"]
    refused = sum(entry.status == REFUSED for entry in entries)

    def shared(values: Mapping[str, None]) -> str:
        return formatting.short_list(list(values), 3)

    around = [entry.record.get("circumstances", {}) for entry in done]
    packages = [one.get("packages", {}) for one in around]
    facts = {
        "arms": f"{len(done)} of {len(entries) - refused} done",
        "refused cells": str(refused) if refused else "",
        "seeds": shared({seed_text(entry.seed): None for entry in entries if entry.seed}),
        "test videos": shared({str(entry.result["total"]): None for entry in done if "total" in entry.result}),
        "decoder": shared({str(entry.result["decoder"]): None for entry in done if entry.result.get("decoder")}),
        "data": shared({str(entry.result["data"])[:10]: None for entry in done if entry.result.get("data")}),
        "code": shared({str(one["commit"])[:10]: None for one in around if one.get("commit")}),
        "device": shared({str(one["device"]): None for one in around if one.get("device")}),
        "torch": shared({str(one["torch"]): None for one in packages if one.get("torch")}),
    }
    return {what: value for what, value in facts.items() if value}


@dataclass(frozen=True)
class PairLine:
    first: str
    second: str
    gain: str
    limits: str
    p: str
    differ: bool


def pair_lines(table: Table) -> list[PairLine]:
    """What each row gains over each other one, the better row first."""
    axes = title_axes(table.rows)
    lines = []
    for pair in table.matrix.pairs:
        number, _, rest = gain_text(pair.gain, pair.gain.method, table.spec.decimals).partition(" (")
        p = formatting.NONE if pair.p is None else formatting.probability(pair.p).removeprefix("p ").removeprefix("= ")
        first, second = row_title(pair.first, axes), row_title(pair.second, axes)
        lines.append(PairLine(first, second, number, rest.removesuffix(")"), p, bool(pair.differ)))
    return lines


def foreign_paper(table: Table) -> str | None:
    """The paper's data and ours, where they are not the same; then its figures stand behind a switch."""
    paper = table.spec.paper
    figures = any(column.key.startswith("paper:") for column in table.columns)
    if paper is None or not (figures or any(line.row.kind == PAPER for line in table.lines)) or any_fits(table):
        return None
    ours = dict.fromkeys(
        str(data) for row in table.rows for entry in (*row.done, *row.undone)[:1] if (data := entry.value("data"))
    )
    theirs = " and ".join(name.upper() if any(map(str.isdecimal, name)) else name.capitalize() for name in paper.data)
    return f"{theirs or 'data that its table does not name'}; our data is {' and '.join(ours) or 'not named'}"
