"""Several comparisons at once: Holm's correction of a family, and contrasts over a full factorial grid."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.results.crossed import Comparison, compare
from fusionlab.results.squares import Reals

Cell = TypeVar("Cell", bound=Hashable)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p, in the order given: max over the j ≤ i smallest of min(1, (m − j + 1) p_(j)).

    A hypothesis whose adjusted p is at most α is rejected; the chance of one false rejection or more is at most α.
    """
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, at in enumerate(sorted(range(len(ps)), key=lambda at: ps[at])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[at]))
        adjusted[at] = largest
    return adjusted


def factorial(cells: Mapping[Cell, Mapping[str, Any]], effect: Mapping[str, tuple[Any, Any]]) -> dict[Cell, float]:
    """The weights of an effect over a full factorial grid; `cells` gives each cell's level on each axis.

    One axis, {"fusion": ("conv", "sum")}, is a main effect: conv − sum, the mean over all other axes. Two are an
    interaction, the difference of differences: how much more conv gains over sum here than there.

        w_c = Π (+1 at the first level, −1 at the second, 0 elsewhere)  ·  Π 1 / (levels of each other axis)
    """
    axes = {axis: list(dict.fromkeys(levels[axis] for levels in cells.values())) for axis in next(iter(cells.values()))}
    for axis, pair in effect.items():
        if axis not in axes:
            raise UserError("no such axis in this grid", got=axis, allowed=list(axes))
        for level in pair:
            if level not in axes[axis]:
                raise UserError(f"no such level of {axis} in this grid", got=level, allowed=axes[axis])
    places = [tuple(levels[axis] for axis in axes) for levels in cells.values()]
    for place in itertools.product(*axes.values()):
        if places.count(place) != 1:
            shown = ", ".join(f"{axis}={level}" for axis, level in zip(axes, place, strict=True))
            raise UserError("an effect needs a full grid, each cell once", got=f"{places.count(place)} of {shown}")
    weights = {}
    for cell, levels in cells.items():
        weight = 1.0
        for axis, known in axes.items():
            first, second = effect.get(axis, (None, None))
            sign = (levels[axis] == first) - (levels[axis] == second)
            weight *= sign if axis in effect else 1 / len(known)
        weights[cell] = weight
    return weights


def contrast(
    answers: Mapping[Cell, Reals],
    weights: Mapping[Cell, float],
    groups: NDArray[np.integer[Any]] | None,
    *,
    strata: NDArray[np.integer[Any]] | None = None,
    own_videos: bool = False,
) -> Comparison:
    """`compare` of d = Σ_c w_c x_c, the answers x_c (seeds, videos) of several cells; the weights add up to 0.

    (fused − control) with own pairs minus the same with class pairs has the weights +1, −1, −1, +1.
    """
    used = {cell: weight for cell, weight in weights.items() if weight}
    if not used or abs(sum(used.values())) > 1e-9:
        raise UserError("the weights of a contrast add up to 0", got=f"{sum(used.values()):g}")
    d = sum(weight * np.atleast_2d(np.asarray(answers[cell], dtype=np.float64)) for cell, weight in used.items())
    most = sum(abs(weight) for weight in used.values()) / 2
    return compare(np.asarray(d), groups, strata=strata, own_videos=own_videos, bound=most)
