"""The grid: its cells, from axes, zipped axes, unions and exclusions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from fusionlab.config.compose import has_grid
from fusionlab.config.options import place_of
from fusionlab.config.overrides import EXAMPLES
from fusionlab.config.shorthand import SHORTHAND
from fusionlab.config.value_types import as_typed
from fusionlab.errors import UserError, unknown
from fusionlab.records.signature import RUN, canonical, flatten

Axes = Mapping[str, Sequence[Any]]  # axis -> its values
Cell = dict[str, Any]  # axis -> its value
MOST = 100_000  # cells


@dataclass(frozen=True)
class Point:
    """One composed config of the grid.

    `tree`: the config as plain data, which is hashed; points share subtrees of it. `choices`: group -> choice. `axes`:
    the options that vary in the grid, with this point's values.
    """

    tree: dict[str, Any]
    choices: Mapping[str, str | None]
    axes: Cell


@dataclass(frozen=True)
class Grid:
    """A grid before it is expanded. `parts`: the axes of each part of a union; without `grids=` there is one.

    `exclude`: each typed entry, as all the entries that it stands for (layers have several spellings). An entry removes
    the points that match all its leaves; one that removes nothing is an error, since it has a typo.

    >>> Grid([{"fusion": ["sum", "conv"], "layer": ["relu4", "relu5"]}], zipped=[["fusion", "layer"]]).cells()
    [{'fusion': 'sum', 'layer': 'relu4'}, {'fusion': 'conv', 'layer': 'relu5'}]
    """

    parts: Sequence[Axes]
    zipped: Sequence[Sequence[str]] = ()
    exclude: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]] = ()
    most: int = MOST

    @property
    def axes(self) -> dict[str, list[Any]]:
        """Every axis, with its values in all parts, each once."""
        values: dict[str, dict[str, Any]] = {}
        for part in self.parts:
            for axis, own in part.items():
                values.setdefault(axis, {}).update({canonical(one): one for one in own})
        return {axis: list(by_text.values()) for axis, by_text in values.items()}

    def cells(self) -> list[Cell]:
        """The cells, part by part, in row-major order: the last axis runs fastest. Equal cells are there once."""
        together = {axis for group in self.zipped for axis in group}
        for part in self.parts:
            for axis, values in part.items():
                _reject_useless(axis, values, repeated=axis in together)
        _expect_known(self.zipped, self.axes)
        units = [list(_units(part, self.zipped)) for part in self.parts]
        if (count := sum(prod(map(len, part)) for part in units)) > self.most:
            raise UserError(
                f"the grid has more than {self.most:,} cells", got=f"{count:,} cells", hint=f"run.max_arms={count}"
            )
        points = {canonical(cell): cell for part in units for cell in _product(part)}
        kept = dict(points)
        for typed, entries in self.exclude:
            leaves = [_leaves(typed, entry, self.axes) for entry in entries]
            hits = [text for text, cell in points.items() if any(one and _matches(cell, one) for one in leaves)]
            if not hits:
                raise UserError(
                    "exclude matches no point of the grid",
                    got=_spell_entry(typed),
                    allowed=[f"{axis}={value}" for axis in leaves[0] or self.axes for value in self.axes[axis]],
                    hint="correct it, or remove it",
                )
            for text in hits:
                kept.pop(text, None)
        if not kept:
            entries_typed = ", ".join(_spell_entry(typed) for typed, _ in self.exclude)
            raise UserError("exclude removes every point of the grid", got=entries_typed)
        return list(kept.values())


def _units(part: Axes, zipped: Sequence[Sequence[str]]) -> Iterator[list[Cell]]:
    """The values of each axis; zipped axes are one, at the place of the first."""
    done: set[str] = set()
    for axis, values in part.items():
        if axis in done:
            continue
        together = next((group for group in zipped if axis in group), [axis])
        lengths = {one: len(own) for one, own in part.items() if one in together}
        if len(lengths) < len(together) or len(set(lengths.values())) > 1:
            missing = (f"{one} none here" for one in together if one not in part)
            raise UserError(
                "zip takes axes with equal numbers of values",
                got=", ".join([*(f"{one} has {length}" for one, length in lengths.items()), *missing]),
                hint=EXAMPLES["zip"],
            )
        done.update(together)
        yield [{one: part[one][at] for one in lengths} for at in range(len(values))]


def beside(axes: Axes, zipped: Sequence[Sequence[str]], typed: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The values of other axes that a zip has beside the typed values of its first axis; none if it lacks one of them.

    >>> beside({"data": ["ucf101", "hmdb51"], "weights": ["a", "b"]}, [["data", "weights"]], {"data": ["hmdb51"]})
    {'weights': ['b']}
    """
    found: dict[str, list[Any]] = {}
    for first, *others in zipped:
        known, wanted = ([canonical(one) for one in values.get(first, ())] for values in (axes, typed))
        if not wanted or not set(wanted) <= set(known):
            continue
        places = [place for one in wanted for place, value in enumerate(known) if value == one]
        alike = [axis for axis in others if len(axes.get(axis, ())) == len(known)]
        found |= {axis: [axes[axis][place] for place in places] for axis in alike}
    return found


def _product(units: Sequence[Sequence[Cell]]) -> Iterator[Cell]:
    for combination in itertools.product(*units):
        yield {axis: value for unit in combination for axis, value in unit.items()}


def _expect_known(zipped: Sequence[Sequence[str]], axes: Axes) -> None:
    """Raise a `UserError` for a zip of options that are no axes."""
    for group in zipped:
        for axis in group:
            if axis not in axes:
                raise unknown("axis in zip", axis, axes)


def _reject_useless(axis: str, values: Sequence[Any], repeated: bool) -> None:
    """Raise a `UserError` for an axis without values or effect, or with a value twice unless it may be `repeated`.

    An option that is not hashed has no effect; and an axis over grids is none.
    """
    if not values:
        raise UserError("an axis has no values", got=f"{axis}=", hint=f"{axis}=<value>,<value>")
    seen = [canonical(value) for value in values]
    if len(set(seen)) < len(seen) and not repeated:
        twice = next(value for place, value in enumerate(values) if seen[place] in seen[:place])
        raise UserError("an axis has a value twice", got=f"{axis}: {twice}", hint="leave one of them out")
    if len(values) < 2:
        return
    if place_of(SHORTHAND.get(axis, (axis,))[0]).partition(".")[0] == RUN:
        what = f"{axis} does not change the result, so it cannot be an axis"
    elif own := [value for value in values if has_grid(axis, str(value))]:
        what = f"{axis}={own[0]} has a grid of its own, so it cannot be a value of an axis"
    else:
        return
    got = f"{axis}={','.join(map(as_typed, values))}"
    raise UserError(what, got=got, hint=f"{axis}={as_typed(values[0])}, in a command of its own for each value")


def _leaves(typed: Mapping[str, Any], entry: Mapping[str, Any], axes: Axes) -> Cell:
    """An entry of `exclude` as axes and values; an axis may be named with its dots or as a tree."""
    named = {axis: value for axis, value in entry.items() if axis in axes or not isinstance(value, Mapping)}
    nested = {part: value for part, value in entry.items() if part not in named}
    leaves = {**named, **(flatten(nested) if nested else {})}
    for axis in leaves:
        if not axes:
            raise UserError(
                "exclude needs a grid; this is one point", got=_spell_entry(typed), hint=f"{axis}=a,b makes an axis"
            )
        if axis not in axes:
            raise unknown("axis in exclude", axis, axes)
    return leaves


def _matches(cell: Cell, leaves: Mapping[str, Any]) -> bool:
    return all(axis in cell and _same(cell[axis], value) for axis, value in leaves.items())


def _same(a: object, b: object) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)  # 1 is 1.0, but not True


def _spell_entry(entry: Mapping[str, Any]) -> str:
    return "{" + ",".join(f"{axis}:{value}" for axis, value in entry.items()) + "}"
