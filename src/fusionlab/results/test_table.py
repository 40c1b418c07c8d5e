"""The accuracy of each arm by each of its tests, and of each arm with one stream taken away."""

from __future__ import annotations

from collections.abc import Sequence

from fusionlab.errors import UserError
from fusionlab.records.other_tests import Asked, OtherTest
from fusionlab.results.formatting import percent
from fusionlab.results.load import DAMAGED, REFUSED, Entry, each_test, read_test

NONE = "–"
SENSITIVITY = (
    "Sensitivity: accuracy % with a stream taken away, and the difference to the accuracy with both, in points. Such "
    "inputs lie off the training's distribution: this is no measure of how much a stream tells."
)


def accuracy_table(entries: Sequence[Entry], asked: Asked) -> str:
    """A row for each arm, a column for each test."""
    arms = _arms(entries)
    heads = list(dict.fromkeys(_head(test, asked) for arm in arms for test in asked.shown(arm.own_test.views)))
    rows = []
    for arm in arms:
        cells = dict.fromkeys(heads, NONE)
        for test, one in zip(asked.shown(arm.own_test.views), each_test(arm, asked), strict=True):
            if one.status == "done":
                cells[_head(test, asked)] = percent(one.result["accuracy"])
        rows.append([arm.name, *cells.values()])
    return _text(["arm, accuracy %", *heads], rows)


def sensitivity_table(entries: Sequence[Entry], asked: Asked) -> str:
    """A row for each arm and protocol: the accuracy with both streams first, then that of each ablation."""
    rows = []
    for arm in _arms(entries):
        for views in asked.protocols(arm.own_test.views):
            both = _accuracy(arm, OtherTest(views))
            name = f"{arm.name} ({views})" if len(asked.tests) > 1 else arm.name
            cells = [_cell(_accuracy(arm, OtherTest(views, one)), both) for one in asked.ablate]
            rows.append([name, NONE if both is None else percent(both), *cells])
    return f"{SENSITIVITY}\n\n" + _text(["arm", "both streams", *asked.ablate], rows)


def _cell(accuracy: float | None, both: float | None) -> str:
    if accuracy is None or both is None:
        return NONE
    points = 100 * (accuracy - both)
    return f"{percent(accuracy)} ({f'{points:+.1f}'.replace('-', '−')})"


def _arms(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.status != REFUSED and entry.kind != DAMAGED]


def _head(test: OtherTest, asked: Asked) -> str:
    return f"{test.views}, {test.combine}" if asked.combine else test.views


def _accuracy(arm: Entry, test: OtherTest) -> float | None:
    """None where the test was not made."""
    if arm.status != "done" or arm.folder is None:
        return None
    try:
        found = read_test(arm, test)
    except UserError:  # damaged, which the command that makes tests says
        return None
    return None if found is None else float(found[1]["accuracy"])


def _text(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, with the columns aligned in its source."""
    widths = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for first, *others in [heads, rule, *rows]:
        cells = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
