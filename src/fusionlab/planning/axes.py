"""The grid: every combination of the axes' values except the excluded ones, and its points."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fusionlab.config.compose import has_grid
from fusionlab.config.options import place_of
from fusionlab.config.schema import ArmConfig
from fusionlab.config.value_types import as_typed
from fusionlab.errors import UserError, unknown
from fusionlab.records.signature import RUN, canonical, flatten

Cell = dict[str, Any]  # axis -> its value


@dataclass(frozen=True)
class Point:
    """One composed config of the grid.

    `tree`: the config as plain data, which is hashed. `choices`: group -> choice. `axes`: the options that vary in the
    grid, with this point's values.
    """

    tree: dict[str, Any]
    config: ArmConfig
    choices: Mapping[str, str | None]
    axes: Cell

    @classmethod
    def of(cls, tree: dict[str, Any], choices: Mapping[str, str | None], axes: Cell) -> Point:
        return cls(tree, ArmConfig.of(tree), choices, axes)


def expand(axes: Mapping[str, Sequence[Any]], exclude: Sequence[Mapping[str, Any]] = ()) -> list[Cell]:
    """The cells in row-major order: the last axis runs fastest.

    An entry of `exclude` removes the points that match all its leaves. An entry that removes nothing is an error: it
    has a typo, or the grid is not the intended one.

    >>> expand({"fusion": ["sum", "conv"], "seed": [0, 1]}, [{"fusion": "sum", "seed": 1}])
    [{'fusion': 'sum', 'seed': 0}, {'fusion': 'conv', 'seed': 0}, {'fusion': 'conv', 'seed': 1}]
    """
    for axis, values in axes.items():
        _reject_useless(axis, values)
        if not values:
            raise UserError("an axis has no values", got=f"{axis}=", hint=f"{axis}=<value>,<value>")
        seen = [canonical(value) for value in values]
        repeated = [value for place, value in enumerate(values) if seen[place] in seen[:place]]
        if repeated:
            raise UserError("an axis has a value twice", got=f"{axis}: {repeated[0]}", hint="leave one of them out")
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    kept = points
    for entry in exclude:
        named = {axis: value for axis, value in entry.items() if axis in axes}  # with its dots, as it is typed
        nested = {part: value for part, value in entry.items() if part not in axes}
        leaves = {**named, **(flatten(nested) if nested else {})}
        for axis in leaves:
            if not axes:
                raise UserError(
                    "exclude needs a grid; this is one point",
                    got=_spell_entry(entry),
                    hint=f"{axis}=a,b makes an axis",
                )
            if axis not in axes:
                raise unknown("axis in exclude", axis, axes)
        hits = [point for point in points if leaves and _matches(point, leaves)]
        if not hits:
            raise UserError(
                "exclude matches no point of the grid",
                got=_spell_entry(entry),
                allowed=[f"{axis}={value}" for axis in leaves or axes for value in axes[axis]],
                hint="correct it, or remove it",
            )
        kept = [point for point in kept if not _matches(point, leaves)]
    if not kept:
        raise UserError(
            "exclude removes every point of the grid", got=", ".join(_spell_entry(entry) for entry in exclude)
        )
    return kept


def _reject_useless(axis: str, values: Sequence[Any]) -> None:
    """Raise a `UserError` for an axis that has no effect: one that is not hashed, or one over grids."""
    if len(values) < 2:
        return
    if place_of(axis).partition(".")[0] == RUN:
        what = f"{axis} does not change the result, so it cannot be an axis"
    elif own := [value for value in values if has_grid(axis, str(value))]:
        what = f"{axis}={own[0]} has a grid of its own, so it cannot be a value of an axis"
    else:
        return
    got = f"{axis}={','.join(map(as_typed, values))}"
    raise UserError(what, got=got, hint=f"{axis}={as_typed(values[0])}, in a command of its own for each value")


def _matches(point: Mapping[str, Any], leaves: Mapping[str, Any]) -> bool:
    return all(_same(point[axis], value) for axis, value in leaves.items())


def _same(a: object, b: object) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)  # 1 is 1.0, but not True


def _spell_entry(entry: Mapping[str, Any]) -> str:
    return "{" + ",".join(f"{axis}:{value}" for axis, value in entry.items()) + "}"
