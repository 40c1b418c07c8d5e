"""What a choice of debug puts in the place of others: with `debug=tiny`, VGG-16 on UCF101 is tiny on brush.

Its yaml has, beside options as any other one:

    instead:
      choices: {data: {ucf101: brush}, backbone: {vgg16: tiny}}       # folder of conf -> choice -> choice
      values: {weights.motion: {imagenet: null}}                      # option -> value -> value
      names: {backbone.motion.dropout.fc6: backbone.motion.dropout}   # option -> option; null: it is left out

It holds for what is typed, for what an experiment chooses and sets, and for axes. Values of an axis that become equal
are one; of zipped axes, equal cells are one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from fusionlab.config import catalogue
from fusionlab.records.signature import canonical

KEY, DEBUG = "instead", "debug"


@dataclass(frozen=True)
class Instead:
    """Empty, it changes nothing."""

    choices: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    values: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    names: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, debug: str | None) -> Instead:
        """Of a choice of debug, from the first of conf's folders that has it."""
        files = (folder / DEBUG / f"{debug}.yaml" for folder in catalogue.folders())
        file = next((file for file in files if file.is_file()), None)
        return cls(**_read(file)) if debug and file else cls()

    def chosen(self, choices: Mapping[str, str | None]) -> dict[str, str]:
        """The choices to make instead, by hydra's group@place."""
        tables = {group: self.choices.get(group.partition("@")[0], {}) for group in choices}
        return {group: tables[group][name] for group, name in choices.items() if name in tables[group]}

    def value(self, option: str, value: Any) -> Any:
        """Instead of the value of an option, or of the choice of a group."""
        table: Mapping[Any, Any] = self.choices.get(catalogue.folder_of(option)) or self.values.get(option) or {}
        return table.get(value, value) if isinstance(value, str | int | float | None) else value

    def options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options with their values."""
        return {name: self.value(option, one) for option, one in options.items() if (name := self._name(option))}

    def axes(self, axes: Mapping[str, Any], zipped: Sequence[Sequence[str]]) -> dict[str, Any]:
        """Axes with their values; one value may stand without a list."""
        together = {axis for group in zipped for axis in group}
        changed: dict[str, Any] = {}
        for axis, values in axes.items():
            if (name := self._name(axis)) is None:
                continue
            new = [self.value(axis, one) for one in values] if isinstance(values, list) else self.value(axis, values)
            if isinstance(new, list) and new != values and axis not in together:
                new = list({canonical(one): one for one in new}.values())
            changed[name] = new
        return changed

    def zips(self, zipped: Sequence[Sequence[str]]) -> list[list[str]]:
        """Zipped axes; an axis that is left with itself is no zip."""
        named = ([name for axis in group if (name := self._name(axis))] for group in zipped)
        return [group for group in named if len(group) > 1]

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        """The `run` of a composed config: the grid of an experiment."""
        zipped = run["zip"] or []
        return {
            **run,
            "grid": self.axes(run["grid"] or {}, zipped),
            "grids": [self.axes(part, zipped) for part in run["grids"] or []],
            "exclude": [self.options(entry) for entry in run["exclude"] or []],
            "zip": self.zips(zipped),
        }

    def in_content(self, content: DictConfig) -> None:
        """Change the options of a composed config."""
        for old, new in self.names.items():
            if OmegaConf.select(content, old) is not None:
                value = OmegaConf.select(content, old)
                above, _, leaf = old.rpartition(".")
                OmegaConf.select(content, above).pop(leaf)
                if new:
                    OmegaConf.update(content, new, value, merge=False)
        for option in self.values:
            value = OmegaConf.select(content, option)
            if (other := self.value(option, value)) != value:
                OmegaConf.update(content, option, other)

    def _name(self, option: str) -> str | None:
        return self.names.get(option, option)


@cache
def _read(file: Path) -> Mapping[str, Any]:
    return (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get(KEY) or {}
