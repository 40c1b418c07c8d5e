"""The grid: every combination of the axes' values, less the excluded ones; and a point of it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fusionlab.config.schema import ArmConfig
from fusionlab.errors import UserError, unknown
from fusionlab.records.signature import canonical, flatten

Cell = dict[str, Any]  # axis -> its value


@dataclass(frozen=True)
class Point:
    """One composed config. `tree`: the same as plain data, which is hashed; `choices`: group -> choice; `axes`: what
    varies in the grid, with this point's values.
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

    An entry of `exclude` takes away the points that match it in all its leaves. One that takes nothing away
    is an error: it is a typo, or the grid is not what its author thinks.

    >>> expand({"fusion": ["sum", "conv"], "seed": [0, 1]}, [{"fusion": "sum", "seed": 1}])
    [{'fusion': 'sum', 'seed': 0}, {'fusion': 'conv', 'seed': 0}, {'fusion': 'conv', 'seed': 1}]
    """
    for axis, values in axes.items():
        if not values:
            raise UserError("an axis without values", got=f"{axis}=", hint=f"{axis}=<value>,<value>")
        texts = [canonical(value) for value in values]
        twice = [value for place, value in enumerate(values) if texts[place] in texts[:place]]
        if twice:
            raise UserError("an axis has a value twice", got=f"{axis}: {twice[0]}", hint="remove one of them")
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    kept = points
    for entry in exclude:
        leaves = flatten(entry) if entry else {}
        for axis in leaves:
            if not axes:
                raise UserError(
                    "exclude needs a grid, and this is one point",
                    got=_spell(entry),
                    hint=f"{axis}=a,b makes an axis",
                )
            if axis not in axes:
                raise unknown("axis in exclude", axis, axes)
        hits = [point for point in points if leaves and _matches(point, leaves)]
        if not hits:
            raise UserError(
                "exclude= matches no point of the grid",
                got=_spell(entry),
                allowed=[f"{axis}={value}" for axis in leaves or axes for value in axes[axis]],
                hint="correct it, or remove it",
            )
        kept = [point for point in kept if not _matches(point, leaves)]
    if not kept:
        raise UserError("exclude= leaves no point of the grid", got=", ".join(_spell(entry) for entry in exclude))
    return kept


def _matches(point: Mapping[str, Any], leaves: Mapping[str, Any]) -> bool:
    return all(_same(point[axis], value) for axis, value in leaves.items())


def _same(a: object, b: object) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)  # 1 is 1.0, but not True


def _spell(entry: Mapping[str, Any]) -> str:
    return "{" + ",".join(f"{axis}:{value}" for axis, value in entry.items()) + "}"
