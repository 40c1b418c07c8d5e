"""Whether a fixed budget suffices: arms that were trained once more with a multiple of it are held against their rows.

They are no rows. A row that moves by more than the margin is marked; one note says that all others moved less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fusionlab.results.formatting import as_typed, distance, points
from fusionlab.results.gains import answer_counts
from fusionlab.results.load import Entry
from fusionlab.results.protocol_warnings import Warned, seed_text
from fusionlab.results.rows import Row
from fusionlab.results.selection import BUDGET


class Move(NamedTuple):
    """An arm with a multiple of the budget, and by how much its share exceeds that of the row's arm of its seed."""

    entry: Entry
    share: float
    videos: int  # of which the share is one


def moves(row: Row, kind: str) -> list[Move]:
    """The moves of a row, on a kind of question."""
    usual = {entry.seed: answer_counts(entry) for entry in row.done}
    found = []
    for entry in row.doubled:
        own, other = answer_counts(entry), usual.get(entry.seed, {})
        if kind in own and kind in other:
            share = own[kind][0] / own[kind][1] - other[kind][0] / other[kind][1]
            found.append(Move(entry, float(share), own[kind][1]))
    return found


def doubling_notes(rows: Sequence[Row], kind: str, margin: float, decimals: int) -> tuple[Warned, list[str]]:
    """The remarks about rows that move by more than the margin, and the note about all others."""
    marked: Warned = []
    still: list[float] = []
    seeds: dict[str, None] = {}
    times: dict[str, None] = {}
    for row in rows:
        for entry, move, videos in moves(row, kind):
            times[_times(entry)] = None
            if abs(move) > margin + 1e-9:  # a move of just the margin is none of more
                text = f"with {_times(entry)} {points(move, decimals)} points on seed {seed_text(entry.seed)}"
                text += f" ({round(abs(move) * videos)} of {videos} videos)"
                marked.append((text, [row]))
            else:
                still.append(move)
                seeds[seed_text(entry.seed)] = None
        for entry in row.doubled:
            if entry.status != "done":
                reason = f": {entry.reason}" if entry.reason else ""
                marked.append((f"with {_times(entry)} seed {seed_text(entry.seed)} is {entry.status}{reason}", [row]))
    if not still:
        return marked, []
    least, most = (points(one, decimals) for one in (min(still), max(still)))
    others = "no other row" if marked else "no row"
    note = (
        f"With {' or '.join(times)} {others} moved by more than {distance(margin)} (from {least} to {most}, "
        f"{len(still)} arms, seed {', '.join(seeds)})."
    )
    return marked, [note]


def _times(entry: Entry) -> str:
    times = entry.axes[BUDGET]
    return "twice the budget" if times == 2 else f"{as_typed(times)} times the budget"
