"""The sizes of networks in the papers, from the tables in conf/table, next to ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fusionlab.config import catalogue
from fusionlab.config.compose import tree
from fusionlab.results.load import Entry
from fusionlab.results.spec import PaperRow, Spec, matches
from fusionlab.sizes.sizing import Sized

PARAMETERS = "parameters"  # the figure of a table's rows
MILLIONS = re.compile(r"(\d+\.\d+)M")
# The networks of these tables: two VGG-M-2048 for RGB frames and 10 flow fields of 224 pixels, and 101 classes.
TOWERS, CHANNELS, SIDE, CLASSES = "VGG-M-2048", {"appearance": 3, "motion": 20}, 224, 101


@dataclass(frozen=True)
class PaperSize:
    """A row's figure. `places`: the tables that print it."""

    places: tuple[str, ...]
    figure: str  # as printed: 97.58M
    parameters: int
    ours: int
    remarks: tuple[str, ...]

    @property
    def deviation(self) -> float:
        """The deviation of our number from the printed one, in percent."""
        return 100 * (self.ours / self.parameters - 1)


def paper_sizes(sized: Sized) -> list[PaperSize]:
    """The figures of this network in papers; a figure that two tables print appears once."""
    if not _is_the_papers(sized):
        return []
    entry = Entry(
        name=sized.arm.name, kind=sized.arm.kind, status="missing", reason=None, log=None, axes=sized.arm.axes,
        record={"config": sized.arm.config},
    )  # fmt: skip
    by_figure: dict[str, list[tuple[str, PaperRow]]] = {}
    for place, row in _rows():
        if matches(entry, row.conditions):
            by_figure.setdefault(row.figures[PARAMETERS], []).append((place, row))
    return [
        PaperSize(
            tuple(dict.fromkeys(place for place, _ in rows)),
            figure,
            _count(figure),
            sized.size.parameters,
            tuple(dict.fromkeys(row.remark for _, row in rows if row.remark)),
        )
        for figure, rows in by_figure.items()
    ]


def _is_the_papers(sized: Sized) -> bool:
    """Whether the towers are those of the tables; the rows name the nets above them."""
    return (
        all(tower.published == TOWERS and tower.classes == CLASSES for tower in sized.towers.values())
        and {stream: tower.in_channels for stream, tower in sized.towers.items()} == CHANNELS
        and all(tower.size == SIDE for tower in sized.towers.values())
    )


def _rows() -> Iterator[tuple[str, PaperRow]]:
    """Every row of a table that prints a number of parameters, in millions, with the table's name in the paper."""
    for name in catalogue.groups()["table"]:
        paper = Spec.of(tree({"table": name}).get("run.table")).paper
        if paper is None:
            continue
        place = re.search(r"Table \d+", paper.source)
        for row in paper.rows:
            if MILLIONS.match(row.figures.get(PARAMETERS, "")):
                yield (place[0] if place else paper.source), row


def _count(figure: str) -> int:
    """97.58M -> 97,580,000; a text behind it ("+ SVM") is ignored."""
    number = MILLIONS.match(figure)
    assert number is not None
    return round(float(number[1]) * 1_000_000)
