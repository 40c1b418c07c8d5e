"""Layers in `exclude`, as the towers of each point spell them.

`layer=relu5` is relu5_3 if a tower is VGG-16; otherwise ReLU5 and relu_5 are the same point. So excluded points are
found also if they are typed differently.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fusionlab.config import catalogue
from fusionlab.config.build import Blueprint
from fusionlab.config.compose import tree
from fusionlab.config.overrides import Words
from fusionlab.config.schema import BackboneConfig, DataConfig, tower_configs
from fusionlab.config.shorthand import SHORTHAND
from fusionlab.errors import UserError
from fusionlab.planning.axes import Axes
from fusionlab.records.signature import canonical

# Options that determine a tower and its taps, and so the spelling of a layer.
TOWERS = ("backbone", *SHORTHAND["backbone"], "data")


class Spelling:
    """The spelling of a layer at each point of the grid; each pair of towers is made once."""

    def __init__(self, words: Words, blueprint: Blueprint) -> None:
        self._words, self._blueprint = words, blueprint
        self._configs: dict[str, tuple[BackboneConfig, DataConfig]] = {}

    def entries(self, entry: Mapping[str, Any], parts: Sequence[Axes]) -> Sequence[Mapping[str, Any]]:
        """An entry of `exclude` with its layer as on the axis; one for each pair of towers that has the layer."""
        if "layer" not in entry:
            return [entry]
        return [narrow for part in parts for narrow in self._in_part(entry, part)] or [entry]

    def _in_part(self, entry: Mapping[str, Any], part: Axes) -> Iterator[Mapping[str, Any]]:
        deciding = {axis: values for axis, values in part.items() if decides(axis)}
        for values in itertools.product(*deciding.values()):
            towers = dict(zip(deciding, values, strict=True))
            if any(axis in entry and entry[axis] != one for axis, one in towers.items()):
                continue
            meant = self._of({**towers, "layer": entry["layer"]})
            for typed in part.get("layer", ()):
                if _alike(typed, entry["layer"]) or (meant and self._of({**towers, "layer": typed}) == meant):
                    yield {**entry, **towers, "layer": typed}

    def _of(self, point: Mapping[str, Any]) -> str | None:
        """The layer of a point; None if its towers do not have it."""
        mine = {axis: one for axis, one in point.items() if decides(axis)}
        label = canonical(mine)
        try:
            if label not in self._configs:
                self._configs[label] = self._composed(mine)
            return self._blueprint.layer(point["layer"], *self._configs[label])
        except UserError:
            return None

    def _composed(self, point: Mapping[str, Any]) -> tuple[BackboneConfig, DataConfig]:
        """The part of the config that determines the towers: in an excluded point, the rest may be invalid."""
        groups = catalogue.groups()
        chosen = {**self._words.groups, **{axis: str(one) for axis, one in point.items() if axis in groups}}
        leaves = {**self._words.leaves, **{axis: one for axis, one in point.items() if axis not in groups}}
        return tower_configs(tree(chosen).sharing({leaf: one for leaf, one in leaves.items() if decides(leaf)}))


def decides(axis: str) -> bool:
    """Whether the towers depend on this option."""
    return axis.split(".")[0] in TOWERS


def _alike(typed: object, other: object) -> bool:
    """Whether two layers have the same spelling, also if the tower lacks them: ReLU_5 and relu5."""
    one, two = (str(layer).lower().replace("_", "") for layer in (typed, other))
    return one == two
