"""The points of the grid, with each layer as the towers of that point spell it.

`layer=relu5` is relu5_3 if a tower is VGG-16; otherwise ReLU5 and relu_5 are the same point. So excluded points and
equal points are found also if they are typed differently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusionlab.config import catalogue
from fusionlab.config.build import Blueprint
from fusionlab.config.compose import tree
from fusionlab.config.overrides import Words
from fusionlab.config.schema import BackboneConfig, DataConfig, tower_configs
from fusionlab.config.shorthand import SHORTHAND
from fusionlab.config.value_types import as_typed
from fusionlab.errors import UserError
from fusionlab.planning.axes import Cell, expand
from fusionlab.records.signature import canonical
from fusionlab.study.recipes import ARM

# Options that determine a tower and its taps, and so the spelling of a layer.
TOWERS = ("backbone", *SHORTHAND["backbone"], "data")


def spelled_cells(
    words: Words, axes: Mapping[str, Sequence[Any]], exclude: Sequence[Mapping[str, Any]], blueprint: Blueprint
) -> list[Cell]:
    """The cells of the grid without the excluded ones, in row-major order."""
    spelling = Spelling(words, blueprint)
    if "layer" not in axes:
        return expand(axes, exclude)
    entries = [narrow for entry in exclude for narrow in _spelled(entry, axes, spelling)]
    points = []
    for point in expand(axes, entries):
        try:
            points.append({**point, "layer": spelling.of(point)})
        except UserError as error:
            raise with_exclusion(error, point, list(axes)) from None
    seen: set[str] = set()
    for point in points:
        if canonical(point) in seen:
            raise UserError("an axis has a value twice", got=f"layer: {point['layer']}", hint="remove one of them")
        seen.add(canonical(point))
    return points


class Spelling:
    """The spelling of a layer at each point of the grid; each pair of towers is made once."""

    def __init__(self, words: Words, blueprint: Blueprint) -> None:
        self._words, self._blueprint = words, blueprint
        self._configs: dict[str, tuple[BackboneConfig, DataConfig]] = {}

    def of(self, point: Mapping[str, Any]) -> str:
        """The layer of the point itself."""
        mine = {axis: one for axis, one in point.items() if decides(axis)}
        label = canonical(mine)
        if label not in self._configs:
            self._configs[label] = self._composed(mine)
        return self._blueprint.layer(point["layer"], *self._configs[label])

    def perhaps(self, point: Mapping[str, Any]) -> str | None:
        """The spelling of a layer, or None if these towers do not have it."""
        try:
            return self.of(point)
        except UserError:
            return None

    def _composed(self, point: Mapping[str, Any]) -> tuple[BackboneConfig, DataConfig]:
        """The part of the config that determines the towers: in an excluded point, the rest may be invalid."""
        groups = catalogue.groups()
        chosen = {**self._words.groups, **{axis: str(one) for axis, one in point.items() if axis in groups}}
        leaves = {**self._words.leaves, **{axis: one for axis, one in point.items() if axis not in groups}}
        return tower_configs(tree(chosen).with_leaves({leaf: one for leaf, one in leaves.items() if decides(leaf)}))


def decides(axis: str) -> bool:
    """Whether the towers depend on this option."""
    return axis.split(".")[0] in TOWERS


def with_exclusion(error: UserError, point: Mapping[str, Any], varying: Sequence[str]) -> UserError:
    """The same error with the `exclude=` for this point, if the grid has several axes or axes of towers."""

    def meant(axis: str) -> bool:
        return axis in ARM or decides(axis)

    if sum(map(meant, varying)) < 2 and not any(map(decides, varying)):
        return error
    here = ",".join(f"{axis}:{as_typed(one)}" for axis, one in point.items() if meant(axis))
    exclusion = f"'exclude=[{{{here}}}]'"
    hint = f"{error.hint}; or {exclusion}" if error.hint else exclusion
    return UserError(error.what, got=error.got, allowed=error.allowed, hint=hint)


def _spelled(
    entry: Mapping[str, Any], axes: Mapping[str, Sequence[Any]], spelling: Spelling
) -> list[Mapping[str, Any]]:
    """An entry of `exclude` with its layer as on the axis; one entry for each pair of towers that has the layer."""
    if "layer" not in entry:
        return [entry]
    deciding = {axis: values for axis, values in axes.items() if decides(axis)}
    entries: list[Mapping[str, Any]] = []
    for towers in expand(deciding):
        if any(axis in entry and entry[axis] != one for axis, one in towers.items()):
            continue
        meant = spelling.perhaps({**towers, "layer": entry["layer"]})
        entries += [
            {**entry, **towers, "layer": typed}
            for typed in axes["layer"]
            if _alike(typed, entry["layer"])
            or (meant is not None and spelling.perhaps({**towers, "layer": typed}) == meant)
        ]
    return entries or [entry]


def _alike(typed: object, other: object) -> bool:
    """Whether two layers have the same spelling, also if the tower lacks them: ReLU_5 and relu5."""
    one, two = (str(layer).lower().replace("_", "") for layer in (typed, other))
    return one == two
