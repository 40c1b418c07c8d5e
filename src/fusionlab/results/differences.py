"""Which rows differ: each row against its control, and all pairs of rows, two families with Holm's correction."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fusionlab.errors import UserError
from fusionlab.results import formatting
from fusionlab.results.crossed import FEWEST_SEEDS, Comparison
from fusionlab.results.families import holm
from fusionlab.results.gains import compare_lists, with_groups
from fusionlab.results.rows import Row

LEVEL = 0.05
BOTH = ("late", "control", "fused")  # kinds of rows that make pairs; no question is about single streams
MOST_ROWS = 50  # of a matrix: 1,225 pairs


def adjusted_gains(rows: Sequence[Row], kind: str) -> dict[int, float]:
    """The id of a row -> Holm's p of its gain over its control, of all rows of a table that have one."""
    tested = [row for row in rows if kind in row.gains and row.gains[kind].method]
    ps = [estimate.p for row in tested if (estimate := row.gains[kind].method)]
    return {id(row): p for row, p in zip(tested, holm(ps), strict=True)}


@dataclass(frozen=True)
class Pair:
    """What one row gains over another; `p` is Holm's, None where there is no interval of the method."""

    first: Row
    second: Row
    gain: Comparison
    p: float | None

    @property
    def differ(self) -> bool | None:
        """Whether the two rows are told apart; None where seeds or groups are too few to tell.

        Where all differences are equal nothing varies, and there is no p: any difference but 0 tells the rows apart.
        """
        if self.p is not None:
            return self.p <= LEVEL
        few = self.gain.squares is None or len(self.gain.per_seed) < FEWEST_SEEDS
        return None if few else abs(self.gain.mean) > 1e-12


@dataclass(frozen=True)
class Matrix:
    """All pairs of rows of both streams that answered the same videos, on one kind; or `why` there are none."""

    kind: str
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    why: str | None

    def bold(self) -> tuple[set[int], str | None]:
        """The ids of the best row and of all that are not told from it; or none, and the reason."""
        if self.why is not None:
            return set(), self.why
        own = self._of_best()
        if all(pair.differ is None for pair in own.values()):
            return set(), next((pair.gain.why for pair in own.values() if pair.gain.why), "the best row makes no pairs")
        return {id(self._best), *(id(row) for row, pair in own.items() if pair.differ is False)}, None

    @property
    def unjudged(self) -> tuple[Row, ...]:
        """The rows that cannot be held against the best one: too few seeds or groups are shared, or other videos."""
        own = self._of_best()
        others = (row for row in self.rows if row is not self._best)
        return tuple(row for row in others if row not in own or own[row].differ is None)

    @property
    def _best(self) -> Row:
        return max(self.rows, key=lambda row: row.shares[self.kind].mean)

    def _of_best(self) -> dict[Row, Pair]:
        """The other rows -> their pairs with the best one."""
        best = self._best
        own = [pair for pair in self.pairs if best in (pair.first, pair.second)]
        return {pair.first if pair.second is best else pair.second: pair for pair in own}


def make_matrix(rows: Sequence[Row], kind: str) -> Matrix:
    """All pairs of the rows with both streams that have answers."""
    rows = [row for row in rows if row.kind in BOTH and row.done and kind in row.shares and _has_answers(row)]
    why = None
    if len(rows) < 2:
        why = "there are no two rows of both streams with predictions"
    elif len(rows) > MOST_ROWS:
        why = f"{len(rows)} rows make too many pairs, at most {MOST_ROWS} are compared"
    elif max(len(row.done) for row in rows) < FEWEST_SEEDS:
        why = f"with fewer than {FEWEST_SEEDS} seeds no row can be told from another"
    if why is not None and len(rows) not in range(2, MOST_ROWS + 1):
        return Matrix(kind, tuple(rows), (), why)
    found = [
        (first, second, gain)
        for at, first in enumerate(rows)
        for second in rows[at + 1 :]
        if (gain := _gain(first, second, kind)) is not None
    ]
    ps = iter(holm([gain.method.p for _, _, gain in found if gain.method]))
    pairs = tuple(Pair(first, second, gain, next(ps) if gain.method else None) for first, second, gain in found)
    return Matrix(kind, tuple(rows), pairs, why)


def _has_answers(row: Row) -> bool:
    try:
        return all(entry.answers is not None for entry in row.done)
    except UserError:
        return False


def _gain(first: Row, second: Row, kind: str) -> Comparison | None:
    """Over the seeds that both have, on the same videos; None if there is none."""
    others = {entry.seed: entry for entry in second.done}
    pairs = [(entry.answers, others[entry.seed].answers) for entry in first.done if entry.seed in others]
    pairs = [(one, other) for one, other in pairs if one.of.same_videos(other.of)]
    if not pairs:
        return None
    lists = [with_groups([one.of, other.of])[0] for one, other in pairs]
    return compare_lists([one.right.astype(np.float64) - other.right for one, other in pairs], lists, kind)


def pairs_csv(matrix: Matrix, title: Callable[[Row], str]) -> str:
    """A line for each pair: the gain of the first over the second in points, both intervals, p and Holm's p."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([
        "first", "second", "question", "gain", "low", "high", "p", "p_holm", "networks_low", "networks_high",
        "networks_p", "per_seed", "videos", "groups", "why",
    ])  # fmt: skip
    for pair in matrix.pairs:
        gain = pair.gain
        estimates = [
            formatting.exact(limit) if estimate else ""
            for estimate in (gain.method, gain.networks)
            for limit in ((estimate.low, estimate.high) if estimate else (0, 0))
        ]
        writer.writerow([
            formatting.safe(title(pair.first)), formatting.safe(title(pair.second)), matrix.kind,
            formatting.exact(gain.mean), *estimates[:2],
            f"{gain.method.p:.6g}" if gain.method else "", "" if pair.p is None else f"{pair.p:.6g}", *estimates[2:],
            f"{gain.networks.p:.6g}" if gain.networks else "", formatting.exact_list(gain.per_seed),
            gain.videos, "" if gain.groups is None else gain.groups, gain.why or "",
        ])  # fmt: skip
    return text.getvalue()


def pairs_text(matrix: Matrix, title: Callable[[Row], str], decimals: int) -> str:
    """The matrix for a terminal: what the row of a line gains over that of a column, with * where they differ."""
    if not matrix.pairs:
        return f"No pairs of rows: {matrix.why}.\n"
    titles = [formatting.cell(title(row)) for row in matrix.rows]
    cells = {(id(pair.first), id(pair.second)): pair for pair in matrix.pairs}
    lines = []
    for number, row in enumerate(matrix.rows, 1):
        line = [f"{number} {titles[number - 1]}"]
        for other in matrix.rows:
            pair, back = cells.get((id(row), id(other))), cells.get((id(other), id(row)))
            found = pair or back
            if found is None:
                line.append(formatting.NONE)
                continue
            gain = formatting.points(found.gain.mean if pair else -found.gain.mean, decimals)
            line.append(gain + ("*" if found.differ else ""))
        lines.append(line)
    heads = [f"points gained, {matrix.kind}", *(str(number) for number in range(1, len(lines) + 1))]
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    text = [
        "  ".join(
            [one[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(one[1:], widths[1:], strict=True))]
        )
        for one in (heads, *lines)
    ]
    tested = sum(pair.p is not None for pair in matrix.pairs)
    about = (
        f"*: p ≤ {100 * LEVEL:.0f} % after Holm's correction over all {tested} pairs."
        if tested
        else f"No pair is tested: {matrix.why or next((pair.gain.why for pair in matrix.pairs), None)}."
    )
    return "\n".join([*text, about]) + "\n"
