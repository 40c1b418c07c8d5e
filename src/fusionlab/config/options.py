"""The options of the config with their defaults and comments, for --help and completion.

The yamls are read as text, since hydra is too slow for this. The reader knows only the syntax of `conf/`: a `#
@package` line, a list of defaults, and indented `key: value  # comment`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fusionlab.config import catalogue
from fusionlab.config.shorthand import SHORTHAND, expand_shorthand

PACKAGE = "# @package "
_KEY = re.compile(r"( *)([\w-]+):(?: +([^#\s].*?))?(?:\s+#\s*(.*))?\s*")
_ENV = re.compile(r"\$\{oc\.env:\w+,(.*)\}")
_DEFAULT = re.compile(r"  - ([^\s:]+)(?:: *([^\s#]+))?")


@dataclass(frozen=True)
class Option:
    """An option: the text of its default, and its comment.

    The default is None if the option has options below it.
    """

    default: str | None
    comment: str


def read_options(choices: Mapping[str, str] | None = None) -> dict[str, Option]:
    """Path -> option of the config with these choices of groups; shorthands too: `seed` beside `seed.init`."""
    config = catalogue.packaged() / "config.yaml"
    chosen = {**_chosen(config), **expand_shorthand(choices or {})}
    for group, place in catalogue.NAMED.items():
        if (named := _named(place, chosen)) and group not in (choices or {}):
            chosen[group] = named
    options: dict[str, Option] = {}
    elsewhere = ("flow", *optional_groups())  # flow is read with the data; the others only set options
    for group, name in chosen.items():
        if group not in elsewhere:
            options.update(_options_of_group(catalogue.folder_of(group), name, place_of(group), chosen))
    options.update(_own_options(config, ""))
    for leaf in catalogue.NOTES:
        options.pop(leaf, None)
    for short, (first, *_) in SHORTHAND.items():
        if first in options:
            options[short] = Option(options[first].default, options.get(short, options[first]).comment)
    return options


def _named(place: str, chosen: Mapping[str, str]) -> str | None:
    """The choice of another group that the yaml of a choice names in this place."""
    above = place.rpartition(".")[0]
    group = catalogue.option_of(above) or above
    found = _options_of_group(catalogue.folder_of(group), chosen[group], above, {}).get(place)
    return found.default if found else None


def optional_groups() -> list[str]:
    """The groups from which nothing is chosen by default."""
    return [group for group, name in _chosen(catalogue.packaged() / "config.yaml").items() if name == "null"]


def place_of(group: str) -> str:
    """The path of a group's choices in the tree, `_global_` for all of it; other names are their own path."""
    if group in catalogue.PLACES:
        return catalogue.PLACES[group].partition("@")[2]
    for folder in catalogue.folders():
        for file in sorted(folder.glob(f"{group}/*.yaml")):
            with file.open(encoding="utf-8") as lines:
                first = lines.readline()
            return first.removeprefix(PACKAGE).strip() if first.startswith(PACKAGE) else group
    return group


def _chosen(config: Path) -> dict[str, str]:
    """The defaults list of config.yaml: option -> choice."""
    pairs = [(name, choice) for name, choice in _defaults(config) if choice]
    places = {place: option for option, place in catalogue.PLACES.items()}
    return {places.get(name, name): choice for name, choice in pairs if "$" not in choice}


def _options_of_group(folder: str, name: str, place: str, chosen: Mapping[str, str]) -> dict[str, Option]:
    """The options of one choice, and of the choices that its defaults list names."""
    files = [file for root in catalogue.folders() if (file := root / folder / f"{name}.yaml").is_file()]
    if not files:
        return {}
    options: dict[str, Option] = {}
    for entry, choice in _defaults(files[0]):
        group, _, below = entry.partition("@")
        if entry == "_self_":
            options.update(_own_options(files[0], place))
        elif not choice:  # another choice of the same group
            options.update(_options_of_group(folder, entry, place, chosen))
        elif below:
            at = place if below == "_here_" else f"{place}.{below}"
            group = group[1:] if group.startswith("/") else f"{folder}/{group}"
            options.update(_options_of_group(group, chosen.get(catalogue.option_of(at) or "", choice), at, chosen))
    return options or _own_options(files[0], place)


def _defaults(file: Path) -> Iterator[tuple[str, str]]:
    """The defaults list of a yaml: (name, choice)."""
    inside = False
    for line in file.read_text(encoding="utf-8").splitlines():
        inside = line == "defaults:" or (inside and line.startswith("  "))
        if inside and (entry := _DEFAULT.match(line)):
            yield entry[1], entry[2] or ""


def _own_options(file: Path, place: str) -> dict[str, Option]:
    """The options that a yaml itself has."""
    options: dict[str, Option] = {}
    above: list[tuple[int, str]] = [(-1, place)] if place else []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line == "defaults:" or not (key := _KEY.fullmatch(line)):
            continue
        indent = len(key[1])
        while above and above[-1][0] >= indent:
            above.pop()
        parent = above[-1][1] if above else ""
        if parent in options:
            options[parent] = Option(None, options[parent].comment)
        path = f"{parent}.{key[2]}" if parent else key[2]
        above.append((indent, path))
        if not key[2].startswith("_"):
            options[path] = Option(_ENV.sub(r"\1", key[3] or ""), key[4] or "")
    return options
