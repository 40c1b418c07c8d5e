"""Parse the options of a command line: fixed values, axes with several values, and what makes a grid of them.

The grammar is hydra's, here with the words that shape a grid: `fusion=conv,sum`, `fusion=glob(*)`, `seed=range(5)`,
`exclude=[{fusion:sum,layer:fc8}]`, `zip=[[fusion,layer]]`, `grids=[{fusion:[conv,sum]},{layer:[relu3,relu4]}]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, QuotedString, RangeSweep
from hydra.errors import HydraException

from fusionlab.config import catalogue, hydra_habits
from fusionlab.config.instead import DEBUG, Instead
from fusionlab.config.mask_secrets import masked, masked_word
from fusionlab.config.shorthand import LISTS, reject_useless_shorthand
from fusionlab.errors import UserError, unknown

OWN_TEST = "data.sampling.test"


@dataclass(frozen=True)
class Words:
    """The options of a command line: `groups` and `leaves` are fixed, `axes` have several values, in typed order.

    `exclude`: points to leave out. `zipped`: axes that advance together. `grids`: the axes of each part of a union.
    """

    groups: Mapping[str, str] = field(default_factory=dict)
    leaves: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, list[Any]] = field(default_factory=dict)
    exclude: Sequence[Mapping[str, Any]] = ()
    zipped: Sequence[Sequence[str]] | None = None  # as typed; empty: without those of the experiment
    grids: Sequence[Mapping[str, list[Any]]] | None = None

    @property
    def typed(self) -> set[str]:
        """The names of all options."""
        return {*self.groups, *self.leaves, *self.axes}


def parse_overrides(words: Sequence[str]) -> Words:
    """Parse each `name=value`; the choices of groups are checked and get their exact names."""
    known = catalogue.groups()
    groups: dict[str, str] = {}
    leaves: dict[str, Any] = {}
    axes: dict[str, list[Any]] = {}
    shape: dict[str, Any] = {}  # exclude, zip, grids
    names: set[str] = set()
    for word in words:
        override = _parse_word(word, known)
        name = override.key_or_group
        if name in names:
            hint = f"one list: {EXAMPLES[name]}" if name in EXAMPLES else f"{name}=a,b for an axis of two values"
            raise UserError("an option is given twice", got=name, hint=hint)
        names.add(name)
        if name in EXAMPLES:
            shape[name] = masked_word(word) if override.is_sweep_override() else to_plain(override.value())
        elif name in LISTS:
            leaves[name] = _list(override, masked_word(word), known)
        elif name == OWN_TEST and override.is_sweep_override():
            protocols = ",".join(map(str, _axis(override, masked_word(word), known)))
            raise UserError(
                "a trained net is tested by several protocols without training again, so a protocol is no axis",
                got=masked_word(word), hint=f"test={protocols}",
            )  # fmt: skip
        elif override.is_sweep_override():
            values = _axis(override, masked_word(word), known)
            axes[name] = [masked(check_choice(name, value, known), name) for value in values]
        elif name in known:
            groups[name] = str(check_choice(name, to_plain(override.value()), known))
        else:
            leaves[name] = masked(to_plain(override.value()), name)
    reject_useless_shorthand(names)
    exclude, zipped, grids = (parse(shape[name], known) if name in shape else None for name, parse in PARSERS.items())
    return _instead(Words(groups, leaves, axes, exclude or (), zipped, grids))


def _instead(words: Words) -> Words:
    """With what a typed debug= puts in the place of others."""
    if not (debug := words.groups.get(DEBUG)):
        return words
    instead, zipped = Instead.of(debug), words.zipped or ()
    return Words(
        groups=instead.options(words.groups),
        leaves=instead.options(words.leaves),
        axes=instead.axes(words.axes, zipped),
        exclude=[instead.options(entry) for entry in words.exclude],
        zipped=None if words.zipped is None else instead.zips(zipped),
        grids=None if words.grids is None else [instead.axes(part, zipped) for part in words.grids],
    )


def take_switch(words: Sequence[str], name: str) -> tuple[list[str], bool]:
    """The words without `name=true` or `name=false`, which is of the command and not of the config; and its value."""
    own = [word for word in words if word.partition("=")[0] == name]
    values = [word.partition("=")[2].lower() for word in own]
    for value in values:
        if value not in ("true", "false"):
            raise unknown(f"choice for {name}", value, ["true", "false"], form=f"{name}={{}}")
    return [word for word in words if word not in own], "true" in values[-1:]


def parse_exclude(entries: object, known: Mapping[str, list[str]]) -> list[Mapping[str, Any]]:
    """A list of partial points; the choices in them get their exact names."""
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise UserError("exclude is a list of points", got=entries, hint=EXAMPLES["exclude"])
    return [{axis: check_choice(axis, value, known) for axis, value in entry.items()} for entry in entries]


def parse_zip(entries: object, known: Mapping[str, list[str]]) -> list[list[str]]:
    """Lists of axes that are typed elsewhere."""
    if not isinstance(entries, list) or not all(isinstance(entry, list) and len(entry) > 1 for entry in entries):
        raise UserError("zip is a list of lists, each of two or more axes", got=entries, hint=EXAMPLES["zip"])
    named = [str(axis) for entry in entries for axis in entry]
    if twice := [axis for axis in named if named.count(axis) > 1]:
        raise UserError("zip names an axis twice", got=twice[0], hint=EXAMPLES["zip"])
    return [[str(axis) for axis in entry] for entry in entries]


def parse_grids(entries: object, known: Mapping[str, list[str]]) -> list[dict[str, list[Any]]]:
    """The axes of each part of a union; the choices in them get their exact names."""
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) and entry for entry in entries):
        raise UserError("grids is a list of grids, each with its axes", got=entries, hint=EXAMPLES["grids"])
    return [{axis: _grid_values(axis, values, known) for axis, values in entry.items()} for entry in entries]


def _grid_values(axis: str, values: Any, known: Mapping[str, list[str]]) -> list[Any]:
    """The values of an axis in a grid: a list, glob() over a group's choices, or one."""
    if isinstance(values, Glob):
        values = _choices(axis, values, axis, known)
    return [masked(check_choice(axis, one, known), axis) for one in (values if isinstance(values, list) else [values])]


# Words that shape the grid of the axes, with an example, and in the order of the fields of `Words`.
EXAMPLES = {
    "exclude": "'exclude=[{fusion:sum,layer:fc8}]'",
    "zip": "fusion=conv,sum layer=relu5,relu4 'zip=[[fusion,layer]]'",
    "grids": "'grids=[{fusion:[conv,sum],layer:relu5},{fusion:conv,layer:[relu3,relu4]}]'",
}
PARSERS: Mapping[str, Callable[[object, Mapping[str, list[str]]], Any]] = {
    "exclude": parse_exclude, "zip": parse_zip, "grids": parse_grids,
}  # fmt: skip


def check_choice(name: str, value: Any, known: Mapping[str, list[str]]) -> Any:
    """The exact name of a group's choice; values of other options are returned unchanged."""
    if name not in known:
        return value
    if not isinstance(value, str | int):
        is_list = isinstance(value, list) and value
        hint = f"{name}={','.join(map(str, value))}" if is_list else f"{name}={known[name][0]}"
        raise UserError(f"{name} takes a name", got=f"{name}={value}", allowed=known[name], hint=hint)
    return catalogue.choice(name, str(value))


def to_plain(value: Any) -> Any:
    """Hydra's value as plain data."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, RangeSweep):  # inside a list: of grids=
        return list(value.range())
    if isinstance(value, ChoiceSweep):
        value = value.list
    if isinstance(value, IntervalSweep):
        raise UserError("an axis needs values", got="interval(…)", hint="range(0,5), or [a,b]")
    if isinstance(value, list):
        return [to_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(to_plain(key)): to_plain(one) for key, one in value.items()}
    return value


def _list(override: Override, word: str, known: Mapping[str, list[str]]) -> list[Any]:
    """The values of an option that takes several, which make no axis."""
    if override.is_sweep_override():
        return _axis(override, word, known)
    value = to_plain(override.value())
    return value if isinstance(value, list) else [value]


def _axis(override: Override, word: str, known: Mapping[str, list[str]]) -> list[Any]:
    """The values of an axis: commas, range(), choice(), or glob() over a group's choices."""
    name, values = override.key_or_group, override.value()
    if not isinstance(values, Glob):
        try:
            return list(override.sweep_iterator(to_plain))
        except HydraException as error:  # interval(…), from which hydra's optimisers draw
            raise UserError("an axis needs values", got=word, hint=f"'{name}=range(0,5)', or {name}=a,b") from error
    return _choices(name, values, word, known)


def _choices(name: str, glob: Glob, word: str, known: Mapping[str, list[str]]) -> list[Any]:
    """The choices of a group that a glob() matches."""
    if name not in known:
        raise UserError("glob() is for groups", got=word, allowed=known, hint="'fusion=glob(*)'")
    if not (choices := glob.filter(known[name])):
        raise UserError(f"glob() matches no {name}", got=word, allowed=known[name], hint=f"'{name}=glob(*)'")
    return list(choices)


def _parse_word(word: str, known: Mapping[str, list[str]]) -> Override:
    if "=" not in word and not word.startswith("~"):
        raise UserError("an option is typed as name=value", got=word, hint="fusion=conv,sum layer=relu5")
    word = hydra_habits.translate(word, known)
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        name = word.partition("=")[0]
        quoted = f"fusion=conv,sum; or quoted: '{name}=\"a b\"'"
        hint = EXAMPLES.get(name, quoted)
        raise UserError("an option cannot be parsed", got=masked_word(word), hint=hint) from error
