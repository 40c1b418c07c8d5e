"""What a page has room for, by importance, and what it says of the rest: a page of 10,000 records stays readable."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fusionlab.results import formatting
from fusionlab.results.mistakes import Mistake
from fusionlab.results.page.evidence import Evidence, Witness
from fusionlab.results.page.sheet import by_importance, rows_of
from fusionlab.results.rows import Row
from fusionlab.results.tables import Table

LARGEST = 5_000_000  # bytes of a page
MOST_CURVES = 60  # rows whose curves are drawn: each takes a while
MOST_OTHERS = 300  # arms that are in no row
_FIGURES, _LINES, _EVIDENCE = 1_500_000, 1_200_000, 900_000  # bytes at most
_REST = 700_000  # of the style, the script, notes, pairs and arms in no row


@dataclass
class Found:
    """The evidence of rows, and its text in the order of the table."""

    made: dict[Row, Evidence] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Curves:
    alt: str
    svg: str


@dataclass(frozen=True)
class Strip:
    """A mistake; `source`: its picture as an address that holds it."""

    mistake: Mistake
    source: str | None


class Room:
    """Takes what fits, and remembers what does not."""

    most_others = MOST_OTHERS

    def __init__(self, table: Table) -> None:
        self._table = table
        self._order = by_importance(table)
        self._left_out: list[str] = []
        self._used = _REST

    def left_out(self) -> list[str]:
        """What the page lacks, in sentences."""
        return self._left_out

    def rows(self, chosen: Sequence[int]) -> list[Row]:
        return rows_of([self._table.lines[at] for at in chosen])

    def figures(self, figures: Sequence[Any]) -> list[tuple[Any, str]]:
        """The figures with their drawings, as many as fit."""
        drawn, left, room = [], [], _FIGURES
        for figure in figures:
            text = figure.svg()
            if size(text) <= room:
                room -= size(text)
                drawn.append((figure, text))
            else:
                left.append(figure.title)
        if left:
            self._left_out.append(f"Too large for this page, but in figures/: {formatting.short_list(left)}.")
        self._used += _FIGURES - room
        return drawn

    def lines(self, render: Callable[[int, Mapping[int, int]], str]) -> list[int]:
        """The places of the lines that fit, in the order of the table."""
        room, chosen = _LINES, []
        numbers = {id(line.row): 10_000 for line in self._table.lines}
        for at in self._order:
            room -= size(render(at, numbers))
            if room < 0:
                break
            chosen.append(at)
        if left := len(self._order) - len(chosen):
            undone = sum(self._table.lines[at].span is not None for at in self._order[len(chosen) :])
            self._left_out.append(
                f"The table shows {len(chosen):,} of {len(self._order):,} lines: the baselines and the fusions with "
                f"the highest accuracy. Of the {left:,} others {undone:,} are not done. table.csv has all."
            )
        self._used += _LINES - max(room, 0)
        return sorted(chosen)

    def evidence(
        self,
        chosen: Sequence[int],
        witness: Witness,
        render: Callable[..., str],
        mistakes: Mapping[int, Sequence[Mistake]],
        foreign: Collection[int],
        draw: Callable[[Row], Any],
    ) -> Found:
        """The evidence of the most important rows, then curves and pictures for as many of them.

        `foreign`: the places of columns whose values are of the paper's data and not of ours. `draw`: a row's curves.
        """
        kept = set(chosen)
        ranked = self.rows([at for at in self._order if at in kept])
        place = {row: at for at, row in enumerate(self.rows(chosen))}
        room, found = _EVIDENCE, Found()
        for row in ranked:
            one = witness.evidence(row, place[row])
            room -= size(render(one, None, None, foreign))
            if room < 0:
                break
            found.made[row] = one
        if len(found.made) < len(ranked):
            self._left_out.append(
                f"Evidence is here for {len(found.made):,} of {len(ranked):,} rows: baselines and the best fusions. "
                "Each arm's record and log lie in the study's folder."
            )
        self._used += _EVIDENCE - max(room, 0)
        curves = self._curves(list(found.made), draw)
        strips = self._strips(list(found.made), mistakes)
        for row in sorted(found.made, key=lambda row: place[row]):
            found.texts.append(render(found.made[row], curves.get(row), strips.get(row), foreign))
        return found

    def _curves(self, rows: Sequence[Row], draw: Callable[[Row], Any]) -> dict[Row, Curves]:
        """Those of the first rows: drawing takes a while."""
        curves: dict[Row, Curves] = {}
        for row in rows[:MOST_CURVES]:
            figure = draw(row)
            if figure is not None and self._used + size(text := figure.svg()) <= LARGEST:
                self._used += size(text)
                curves[row] = Curves(figure.alt, text)
        if len(rows) > MOST_CURVES and curves:
            self._left_out.append(f"Curves are drawn for {len(curves):,} rows, the baselines and the best fusions.")
        return curves

    def _strips(self, rows: Sequence[Row], mistakes: Mapping[int, Sequence[Any]]) -> dict[Row, list[Strip]]:
        """The mistakes of each row; pictures as long as there is room."""
        strips: dict[Row, list[Strip]] = {}
        without = 0
        for row in rows:
            if id(row) in mistakes:
                strips[row] = []  # all is right
            for mistake in mistakes.get(id(row), ()):
                source = mistake.source
                if source is not None:
                    if self._used + len(source) > LARGEST:
                        source, without = None, without + 1
                    else:
                        self._used += len(source)
                strips.setdefault(row, []).append(Strip(mistake, source))
        if without:
            self._left_out.append(f"{without:,} pictures of mistakes have no room on this page.")
        return strips


def size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
