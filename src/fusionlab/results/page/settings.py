"""In what a row's config differs: from its control's, and from that of most rows of its kind. Seeds do not count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fusionlab.records.signature import ABSENT, TARGET, canonical
from fusionlab.results.formatting import as_typed
from fusionlab.results.load import follows_seed
from fusionlab.results.rows import Row

MOST = 40  # lines of one row
VARIOUS = "(various)"


@dataclass(frozen=True)
class Settings:
    """`against`: whose values stand beside the row's own, in `lines`: (leaf, own value, their values)."""

    against: tuple[str, ...]
    lines: tuple[tuple[str, str, tuple[str, ...]], ...]
    left_out: int


class Usual:
    """The configs of a table's rows, and the most frequent value of each leaf among the rows of one kind."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._leaves = {id(row): _leaves(row) for row in rows}
        kinds: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            kinds.setdefault(row.kind, []).append(self._leaves[id(row)])
        self._usual = {kind: _most_frequent(own) for kind, own in kinds.items() if len(own) > 1}

    def settings(self, row: Row) -> Settings | None:
        """None where there is nothing to hold the row against."""
        others: dict[str, Mapping[str, Any]] = {}
        if row.control is not None:
            others["its control"] = _leaves(row.control)
        if row.kind in self._usual:
            others["most rows of its kind"] = self._usual[row.kind]
        own = self._leaves[id(row)]
        if not own or not others:
            return None
        names = sorted({leaf for one in (own, *others.values()) for leaf in one})
        found = [leaf for leaf in names if any(_text(one, leaf) != _text(own, leaf) for one in others.values())]
        lines = [_line(leaf, own, others.values()) for leaf in found[:MOST]]
        return Settings(tuple(others), tuple(lines), len(found) - len(lines))


def _leaves(row: Row) -> dict[str, Any]:
    entry = next((one for joined in (*row.done, *row.undone) for one in joined.arms if one.record), None)
    leaves = {} if entry is None else entry.leaves
    return {leaf: value for leaf, value in leaves.items() if not (follows_seed(leaf) or leaf.endswith("._partial_"))}


def _most_frequent(every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A leaf that most rows lack is absent; where no value has more than half of the rows, there is none."""
    usual = {}
    for leaf in {leaf: None for own in every for leaf in own}:
        texts = [_text(own, leaf) for own in every]
        most, count = Counter(texts).most_common(1)[0]
        if 2 * count <= len(every):
            usual[leaf] = VARIOUS
        elif most != ABSENT:
            usual[leaf] = every[texts.index(most)][leaf]
    return usual


def _text(leaves: Mapping[str, Any], leaf: str) -> str:
    return canonical(leaves[leaf]) if leaf in leaves else ABSENT


def _line(leaf: str, own: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> tuple[str, str, tuple[str, ...]]:
    """A class is named without its modules, unless two of one name stand side by side."""
    first, *rest = (as_typed(one.get(leaf, ABSENT)) for one in (own, *others))
    if leaf.endswith(f".{TARGET}"):
        short = [path.rpartition(".")[2] for path in (first, *rest)]
        leaf = leaf.removesuffix(f".{TARGET}")
        if len(set(short)) == len({first, *rest}):
            first, *rest = short
    return leaf, first, tuple(rest)
