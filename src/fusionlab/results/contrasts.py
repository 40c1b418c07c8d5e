"""Contrasts of rows: what true pairs of clips add to a gain, and effects over a full factorial grid.

With `data.sampling.pairs=class` the motion comes from another clip of the same class, so nothing is left that only one
clip's two streams tell together: (fused − control) with own pairs minus the same with class pairs is what the fusion
makes of the correspondence.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionlab.errors import UserError
from fusionlab.records.signature import canonical
from fusionlab.results import formatting
from fusionlab.results.cells import gain_text
from fusionlab.results.crossed import Comparison
from fusionlab.results.families import contrast, factorial
from fusionlab.results.formatting import as_typed, short_list
from fusionlab.results.gains import equal_codes, stack_answers
from fusionlab.results.load import Entry
from fusionlab.results.protocol_warnings import row_title, title_axes
from fusionlab.results.rows import RECIPE, Row, varies

PAIRS = "data.sampling.pairs"  # own, or class
MOST = 200  # effects of a grid; of a larger one only the main effects are written, of a far larger one none


@dataclass(frozen=True)
class Contrast:
    """`sort`: pairs, main or interaction."""

    sort: str
    name: str
    gain: Comparison


def make_contrasts(rows: Sequence[Row], kind: str) -> tuple[Contrast, ...]:
    """Those of the pairs of clips, then the main effects and interactions of the grid."""
    return tuple(itertools.starmap(Contrast, [*_pairs(rows, kind), *_effects(rows, kind)]))


def _pairs(rows: Sequence[Row], kind: str) -> list[tuple[str, str, Comparison]]:
    fused = [row for row in rows if row.kind == "fused" and row.done and row.control is not None]
    twins = {_without_pairs(row): row for row in fused if row.axes.get(PAIRS) == "class"}
    axes = [axis for axis in title_axes(rows) if axis != PAIRS]
    found = []
    for row in fused:
        twin = twins.get(_without_pairs(row))
        if twin is row or twin is None or row.control is None or twin.control is None:
            continue
        cells = {"fused": row, "control": row.control, "class": twin, "class control": twin.control}
        weights = {"fused": 1.0, "control": -1.0, "class": -1.0, "class control": 1.0}
        if gain := _contrast(cells, weights, kind):
            found.append(("pairs", row_title(row, axes), gain))
    return found


def _without_pairs(row: Row) -> str:
    selected = row.tried[0].axis if row.tried else None
    return canonical({axis: value for axis, value in row.axes.items() if axis not in (PAIRS, selected)})


def _effects(rows: Sequence[Row], kind: str) -> list[tuple[str, str, Comparison]]:
    fused = [row for row in rows if row.kind == "fused" and row.done]
    cells = dict(enumerate(fused))
    axes = grid_axes(fused)
    levels = {axis: list({canonical(row.axes[axis]): row.axes[axis] for row in fused}.values()) for axis in axes}
    single: list[dict[str, tuple[Any, Any]]] = [
        {axis: (second, first)} for axis, own in levels.items() for first, second in itertools.combinations(own, 2)
    ]
    if len(single) > MOST:  # an axis of many values, such as rates, has thousands of pairs
        return []
    double = [{**one, **other} for one, other in itertools.combinations(single, 2) if one.keys() != other.keys()]
    effects = single + (double if len(single) + len(double) <= MOST else [])
    places = {number: {axis: row.axes[axis] for axis in axes} for number, row in cells.items()}
    found = []
    for effect in effects:
        if gain := _contrast(cells, factorial(places, effect), kind):
            sort = "main" if len(effect) == 1 else "interaction"
            texts = [_level_text(axis, pair, fused) for axis, pair in effect.items()]
            found.append((sort, " × ".join(f"({text})" for text in texts) if len(texts) > 1 else texts[0], gain))
    return found


def grid_axes(fused: Sequence[Row]) -> list[str]:
    """The axes of the fusions, two at least, if their values make a full grid; else []."""
    selected = {row.tried[0].axis for row in fused if row.tried}
    axes = [axis for axis in dict.fromkeys(axis for row in fused for axis in row.axes) if varies(axis, fused)]
    axes = [axis for axis in axes if axis not in selected]
    if len(axes) < 2 or RECIPE in axes or any(axis not in row.axes for row in fused for axis in axes):
        return []
    places = {canonical([row.axes[axis] for axis in axes]) for row in fused}
    cells = np.prod([len({canonical(row.axes[axis]) for row in fused}) for axis in axes])
    return axes if len(places) == len(fused) == cells else []


def _level_text(axis: str, pair: tuple[Any, Any], rows: Sequence[Row]) -> str:
    names = {canonical(row.axes[axis]): row.method if axis == "fusion" else row.text(axis) for row in rows}
    first, second = (names.get(canonical(level)) or as_typed(level) for level in pair)
    return f"{first} − {second}"


def _contrast(cells: Mapping[Any, Row], weights: Mapping[Any, float], kind: str) -> Comparison | None:
    """Over the seeds that all cells have; None without answers, or where the cells answered other videos."""
    by_seed: dict[Any, dict[tuple[Any, ...], Entry]] = {
        cell: {entry.seed: entry for entry in row.done} for cell, row in cells.items() if weights[cell]
    }
    first = next(iter(by_seed.values()), {})
    seeds = [seed for seed in first if all(seed in own for own in by_seed.values())]
    stacks = [stack_answers([own[seed] for own in by_seed.values()], kind) for seed in seeds]
    found = [stack for stack in stacks if stack is not None]
    if not seeds or len(found) < len(seeds):
        return None
    answers = {cell: np.array([own.right[at] for own in found], dtype=np.float64) for at, cell in enumerate(by_seed)}
    own_videos = any(own.tests is not found[0].tests for own in found)
    groups = [own.groups for own in found if own.groups is not None]
    splits = found[0].splits
    if own_videos and any(not equal_codes(own.splits, splits) for own in found):
        return None
    known = groups[0] if groups and not own_videos else np.array(groups) if len(groups) == len(found) else None
    try:
        own_weights = {cell: weights[cell] for cell in by_seed}
        return contrast(answers, own_weights, known, strata=splits, own_videos=own_videos)
    except UserError:
        return None


def contrasts_csv(contrasts: Sequence[Contrast]) -> str:
    """A line for each contrast, in points."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sort", "contrast", "points", "low", "high", "p", "per_seed", "why"])
    for one in contrasts:
        gain, method = one.gain, one.gain.method
        limits = [formatting.exact(limit) for limit in (method.low, method.high)] if method else ["", ""]
        writer.writerow([
            one.sort, formatting.safe(one.name), formatting.exact(gain.mean), *limits,
            f"{method.p:.6g}" if method else "", formatting.exact_list(gain.per_seed), gain.why or "",
        ])  # fmt: skip
    return text.getvalue()


def contrast_notes(contrasts: Sequence[Contrast], decimals: int) -> list[str]:
    """A note about the pairs of clips, and one about the main effects."""
    heads = {
        "pairs": "Own pairs of clips: (fused − control) with them minus the same with pairs of one class, in points",
        "main": "Effects over the full grid, in points, the mean over the other axes (contrasts.csv has all)",
    }
    notes = []
    for sort, head in heads.items():
        texts = [
            f"{one.name} {gain_text(one.gain, one.gain.method, decimals)}" for one in contrasts if one.sort == sort
        ]
        if texts:
            notes.append(f"{head}: {short_list(texts)}.")
    return notes
